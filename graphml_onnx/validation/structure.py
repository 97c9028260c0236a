"""Checks how nodes contain each other: parents, lists without duplicates, operators and their bodies.

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphml_onnx.codec.graph_index import MAX_NESTING
from graphml_onnx.codec.keys import PARENTS_OF_KIND
from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphml_onnx.validation.content import Content, Node
    from graphml_onnx.validation.findings import Findings

MAIN_BODY = 0


@dataclass(frozen=True, slots=True)
class Structure:
    """The bodies of a graph: the main graph, subgraphs and functions.

    Attributes:
        body_of: by the position of a node in `Content.nodes`, the number of its body.
        compound_of: by the number of a body, its compound node; None if there is none.
        outer: by the number of a subgraph's body, that of the body around it.
    """

    body_of: Sequence[int]
    compound_of: Sequence[Node | None]
    outer: Mapping[int, int]


def check_structure(content: Content, findings: Findings) -> Structure:
    """Checks parents, indices and bodies; a node without a valid parent counts as being in a separate body."""
    _check_parents(content, findings)
    bodies = _Bodies(content, findings)
    body_of = [bodies.around(node) for node in content.nodes]
    _check_indices(content, findings)
    _check_named_bodies(content, findings)
    return Structure(body_of, bodies.compounds, bodies.outer())


def _check_parents(content: Content, findings: Findings) -> None:
    for node in content.nodes:
        if node.parent is None:
            continue
        parent = content.by_id.get(node.parent)
        if parent is None:
            message = f"no node has the node_id {quoted(node.parent)}, which is given as parent of {node.title}"
            findings.add("parent-missing", node.line, message)
        elif parent.kind not in PARENTS_OF_KIND[node.kind]:
            message = f"the parent of {node.title} is {parent.title}, in line {parent.line}"
            findings.add("parent-kind", node.line, message)


class _Bodies:
    """Numbers the bodies, and finds the body of each node by following parents through modules."""

    def __init__(self, content: Content, findings: Findings) -> None:
        self._content, self._findings = content, findings
        self.compounds: list[Node | None] = [content.model]
        self._numbers: dict[str, int] = {}  # by the node_id of a compound, the body of its members
        for node in content.nodes:
            if node.kind in ("subgraph", "function") and content.by_id.get(node.node_id) is node:
                self._numbers[node.node_id] = self._new(node)
        if content.model is not None:
            self._numbers[content.model.node_id] = MAIN_BODY

    def _new(self, compound: Node | None) -> int:
        self.compounds.append(compound)
        return len(self.compounds) - 1

    def around(self, node: Node) -> int:
        """The body of a node."""
        if node.parent is None:
            return MAIN_BODY
        path: list[str] = []
        parent = node.parent
        while parent not in self._numbers:
            path.append(parent)
            self._numbers[parent] = -1  # until it is known
            outer = self._content.by_id.get(parent)
            if outer is None or outer.kind != "module" or outer.parent is None:
                self._numbers[parent] = self._new(None)
                break
            parent = outer.parent
        body = self._numbers[parent]
        if body < 0:
            module = self._content.by_id[parent]
            self._findings.add("parent-cycle", module.line, f"the parents of {module.title} form a cycle")
            body = self._new(None)
        for step in path:  # so that the next one finds it at once
            self._numbers[step] = body
        return body

    def outer(self) -> Mapping[int, int]:
        """The body around each subgraph, as far as bodies do not contain each other and are not too deep."""
        outer: dict[int, int] = {}
        for number, compound in enumerate(self.compounds):
            if compound is not None and compound.kind == "subgraph":
                operator = self._content.by_id.get(compound.parent or "")
                if operator is not None and operator.kind == "op":
                    outer[number] = self.around(operator)
        depths: dict[int, int] = {}
        for start in list(outer):
            path: dict[int, None] = {}  # from the inside out
            body = start
            while body in outer and body not in depths and body not in path:
                path[body] = None
                body = outer[body]
            if body in path:
                self._cut(body, outer)
            for step in reversed(path):
                depths[step] = depths.get(outer[step], 0) + 1 if step in outer else 0
                if depths[step] > MAX_NESTING:
                    self._cut(step, outer)
                    depths[step] = 0
        return outer

    def _cut(self, body: int, outer: dict[int, int]) -> None:
        compound = self.compounds[body]
        message = f"bodies are nested more than {MAX_NESTING} deep, or contain each other"
        self._findings.add("parent-cycle", None if compound is None else compound.line, message)
        del outer[body]


def _check_indices(content: Content, findings: Findings) -> None:
    """Checks that the bodies of an operator have different numbers."""
    first: dict[tuple[str | None, int], Node] = {}
    for node in content.nodes:
        if node.kind == "subgraph" and node.index is not None:
            other = first.setdefault((node.parent, node.index), node)
            if other is not node:
                message = f"a second subgraph has the index {node.index}; the first is in line {other.line}"
                findings.add("index-twice", node.line, message)


def _check_named_bodies(content: Content, findings: Findings) -> None:
    """Compares the bodies that attributes name with those that operators have."""
    present: dict[str, set[int]] = {}
    for node in content.nodes:
        if node.kind == "subgraph" and node.parent is not None and node.index is not None:
            present.setdefault(node.parent, set()).add(node.index)
    for node in content.nodes:
        if node.kind != "op":
            continue
        named, own = Counter(node.bodies), present.get(node.node_id, set())
        for number in sorted(named.keys() - own):
            findings.add("body-missing", node.line, f"{node.title} has no body with index {number}")
        for number in sorted(own - named.keys()):
            findings.add("body-unnamed", node.line, f"no attribute of {node.title} names its body {number}")
        for number in sorted(number for number, count in named.items() if count > 1):
            findings.add("body-unnamed", node.line, f"attributes of {node.title} name its body {number} more than once")
