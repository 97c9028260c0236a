"""Checks the names of tensors: each is produced once in its body, and visible to its consumers.

Source: ONNX IR specification, sections "Graphs" and "Names Within a Graph".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.support.notices import quoted
from graphml_onnx.validation.structure import MAIN_BODY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphml_onnx.codec.scopes import Scopes
    from graphml_onnx.validation.content import Content, Node
    from graphml_onnx.validation.findings import Findings
    from graphml_onnx.validation.structure import Structure


def check_names(content: Content, structure: Structure, scopes: Scopes[str], findings: Findings) -> None:
    """Checks that each tensor has one producer, and that each used tensor has one."""
    checker = _Checker(content, structure, scopes, findings)
    checker.take_compounds()
    for node, body in zip(content.nodes, structure.body_of, strict=True):
        checker.take(node, body)
    checker.check_constants()
    checker.check_shadows()
    for node, body in zip(content.nodes, structure.body_of, strict=True):
        checker.check_uses(node, body)
    _check_operators(content, structure, findings)


def _check_operators(content: Content, structure: Structure, findings: Findings) -> None:
    seen: dict[tuple[int, str], Node] = {}
    for node, body in zip(content.nodes, structure.body_of, strict=True):
        if node.kind == "op" and node.name:
            first = seen.setdefault((body, node.name), node)
            if first is not node:
                findings.add("name-twice", node.line, f"{node.title} has the name of the one in line {first.line}")


class _Checker:
    def __init__(self, content: Content, structure: Structure, scopes: Scopes[str], findings: Findings) -> None:
        self._content, self._structure, self._scopes, self._findings = content, structure, scopes, findings
        count = len(structure.compound_of)
        # By body and name. An initializer can have the name of an input, and is then its default.
        self._produced: list[dict[str, Node]] = [{} for _ in range(count)]
        self._constants: list[dict[str, Node]] = [{} for _ in range(count)]
        self._body_of_function: dict[int, int] = {}

    # Producers

    def take_compounds(self) -> None:
        """Adds the initializers of graphs, and the inputs of functions."""
        for body, compound in enumerate(self._structure.compound_of):
            if compound is None:
                continue
            for tensor, _ in compound.constants:
                self._define(self._constants[body], tensor, compound, "an initializer")
            if compound.kind == "function":
                self._body_of_function[compound.number] = body
                for tensor in compound.inputs:
                    self._define(self._produced[body], tensor, compound, "an input")

    def take(self, node: Node, body: int) -> None:
        """Adds the tensors that a node produces."""
        if node.kind == "input":
            self._define(self._produced[body], node.name, node, "an input")
        elif node.kind == "parameter":
            self._define(self._constants[body], node.name, node, "an initializer")
        elif node.kind == "op":
            for tensor in node.outputs:
                if tensor:  # an output left out
                    self._define(self._produced[body], tensor, node, "an output")
        elif node.kind == "output" and not node.name:
            self._findings.add("name-empty", node.line, "an output has no name")

    def _define(self, names: dict[str, Node], tensor: str, node: Node, role: str) -> None:
        if not tensor:
            self._findings.add("name-empty", node.line, f"{role} has no name")
        elif tensor in names:
            self._twice(tensor, node, names[tensor])
        else:
            names[tensor] = node

    def _twice(self, tensor: str, node: Node, first: Node) -> None:
        message = f"{node.title} defines {quoted(tensor)}, as {first.title} in line {first.line} does"
        self._findings.add("tensor-twice", node.line, message)

    def check_constants(self) -> None:
        """Checks that no operator produces an initializer, and that listed weights are initializers."""
        for compound, constants in zip(self._structure.compound_of, self._constants, strict=True):
            for weight in () if compound is None else compound.weight_inputs:
                if weight.name not in constants:
                    message = f"{quoted(weight.name)} is listed in weight_inputs, but no initializer has this name"
                    self._findings.add("weight-input", None if compound is None else compound.line, message)
        for produced, constants in zip(self._produced, self._constants, strict=True):
            for tensor in produced.keys() & constants.keys():
                if produced[tensor].kind == "op":
                    self._twice(tensor, produced[tensor], constants[tensor])

    def check_shadows(self) -> None:
        """Looks for tensors of a body with the name of a visible tensor around it."""
        for body, produced in enumerate(self._produced):
            around = list(self._around(body))
            for tensor, node in (self._constants[body] | produced).items() if around else ():
                first = next((found for step in around if (found := self._visible(*step, tensor))), None)
                if first is not None:
                    message = f"{node.title} hides {quoted(tensor)} of line {first.line}"
                    self._findings.add("tensor-shadowed", node.line, message)

    def _around(self, body: int) -> Iterator[tuple[int, Node]]:
        """The bodies around a body, each with the operator in it that leads inwards."""
        while body in self._structure.outer:
            compound = self._structure.compound_of[body]
            operator = None if compound is None else self._content.by_id.get(compound.parent or "")
            if operator is None:
                return
            body = self._structure.outer[body]
            yield body, operator

    def _visible(self, body: int, operator: Node, tensor: str) -> Node | None:
        """The definition of a tensor in a body before one of its operators."""
        found = self._produced[body].get(tensor) or self._constants[body].get(tensor)
        if found is not None and found.kind == "op" and (found.index or 0) >= (operator.index or 0):
            return None
        return found

    # Uses

    def check_uses(self, node: Node, body: int) -> None:
        """Checks that everything that a node uses is produced."""
        if node.kind == "op":
            for position, tensor in enumerate(node.inputs):
                if tensor and not self._is_seen(body, tensor):
                    message = f"input {position} of {node.title}, {quoted(tensor)}, is produced by nothing"
                    self._findings.add("dangling-input", node.line, message)
        elif node.kind == "output":
            self._check_result(node, body, node.name)
        elif node.kind == "function":
            for tensor in node.outputs:
                self._check_result(node, self._body_of_function.get(node.number, MAIN_BODY), tensor)

    def _check_result(self, node: Node, body: int, tensor: str) -> None:
        if tensor and not self._is_seen(body, tensor):
            self._findings.add("dangling-output", node.line, f"the output {quoted(tensor)} is produced by nothing")

    def _is_seen(self, body: int, tensor: str) -> bool:
        return self._scopes.find(tensor, body) is not None
