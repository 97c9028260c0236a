"""Where each operator came from, as the two exporters tell it, looked up in the module tree.

The dynamo exporter writes the modules around an operator into its metadata. The TorchScript exporter puts them into
its name: each segment is the last part of a module's path, together with the indices after it (``layer.0`` for
``encoder.layer.0``), in the order of the calls. A name alone is ambiguous where two modules in one call share that
last part; then the exporter numbers the calls (``/proj/MatMul``, ``/proj_1/MatMul``), and so does this module.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.exporting.record import PlacementRule
from graphml_onnx.hierarchy.exporter import scope_steps
from graphml_onnx.hierarchy.paths import around

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import onnx

    from graphml_onnx.exporting.tracing import Call, Trace
    from graphml_onnx.hierarchy.tree import Module

SCOPE: Final = PlacementRule("scope", "the exporter's metadata name the module that ran it", "direct")
OUTER_SCOPE: Final = PlacementRule(
    "outer scope", "the module in the exporter's metadata is not in the tree; the nearest one around it", "parent"
)
WEIGHTS: Final = PlacementRule(
    "weights", "the exporter's metadata name no module; the one whose weights it uses", "operation"
)
NAME: Final = PlacementRule("name", "its name leads to the module that ran it", "direct")
NUMBERED_NAME: Final = PlacementRule(
    "numbered name", "its name fits several modules; the number in it tells which of their calls it was", "direct"
)
NAME_AND_WEIGHTS: Final = PlacementRule(
    "name and weights", "its name fits several modules; the one of them whose weights it uses", "direct"
)
WEIGHT_COPY: Final = PlacementRule(
    "weight copy", "it copies a weight under another name; the module that has the weight of this name", "direct"
)
OUTER_NAME: Final = PlacementRule(
    "outer name", "its name leads to no single module of the tree; the nearest one around", "parent"
)

_METADATA: Final = {
    "pkg.torch.onnx.name_scopes": 0,
    "pkg.torch.onnx.class_hierarchy": 1,
    "namespace": 2,
}
_NUMBERED: Final = re.compile(r"(.+)_([1-9][0-9]*)", re.DOTALL)


class Found(NamedTuple):
    """The module of an operator, by its index in the tree, and the rule that found it."""

    module: int
    rule: PlacementRule


class _Tree:
    """The modules of the tree by their paths."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._index = {module.scope: index for index, module in enumerate(modules)}

    def at(self, scope: str) -> int | None:
        """The module with a path."""
        return self._index.get(scope)

    def place(self, scope: str, exact: PlacementRule, outer: PlacementRule) -> Found:
        """The module with a path, or the nearest one around it; the root, whose path is empty, is around all."""
        rule = exact
        while scope and scope not in self._index:
            scope = scope.rpartition(".")[0]
            rule = outer
        return Found(self._index[scope], rule)


def owner_of(weight: str) -> str:
    """The path of the module that a weight belongs to, by its name: ``encoder.dense`` for ``encoder.dense.bias``."""
    return weight.rpartition(".")[0]


class ScopeFinder:
    """Finds modules by what the dynamo exporter writes into the metadata of operators.

    Operators in the branches of control flow have no modules in their metadata; those with weights tell by these.

    Args:
        modules: the module tree.
        aliases: for each path of a module its first one, which the tree uses.
    """

    def __init__(self, modules: Sequence[Module], aliases: Mapping[str, str]) -> None:
        self._tree = _Tree(modules)
        self._aliases = aliases

    def find(self, operator: onnx.NodeProto) -> Found | None:
        """The module of an operator; None if its metadata tell none."""
        texts: list[str | None] = [None, None, None]
        for entry in operator.metadata_props:
            place = _METADATA.get(entry.key)
            if place is not None:
                texts[place] = entry.value
        steps = scope_steps((texts[0], texts[1], texts[2]))
        if not steps:
            return self._by_weights(operator)
        scope = steps[-1].scope
        return self._tree.place(self._aliases.get(scope, scope), SCOPE, OUTER_SCOPE)

    def _by_weights(self, operator: onnx.NodeProto) -> Found | None:
        for name in operator.input:
            scope = owner_of(name)
            module = self._tree.at(self._aliases.get(scope, scope)) if scope else None
            if module is not None:
                return Found(module, WEIGHTS)
        return None


class NameFinder:
    """Finds modules by the names that the TorchScript exporter gives to operators.

    Args:
        modules: the module tree.
        trace: the calls while the exporter traced the model.
        operators: all operators of the main graph; the numbers in their names count calls.
    """

    def __init__(self, modules: Sequence[Module], trace: Trace, operators: Iterable[onnx.NodeProto]) -> None:
        self._tree = _Tree(modules)
        self._aliases = trace.aliases
        self._called: dict[str, list[str]] = {}
        for path, scope in zip(_call_paths(trace.calls), (call.scope for call in trace.calls), strict=True):
            self._called.setdefault(path, []).append(scope)
        self._met: dict[str, set[int]] = {}
        for name in {around(operator.name) for operator in operators}:
            for path, number in self._readings(name or ""):
                self._met.setdefault(path, set()).add(number)

    def find(self, operator: onnx.NodeProto) -> Found | None:
        """The module of an operator; None if its name has no scope, and it copies no weight."""
        path = around(operator.name)
        if path is None:
            return self._by_copied_weight(operator)
        readings = self._readings(path)
        possible = {scope for stem, _ in readings for scope in self._called[stem]}
        if len(possible) == 1:
            return self._tree.place(possible.pop(), NAME, OUTER_NAME)
        if len(readings) == 1:
            [(stem, number)] = readings
            called = self._called[stem]
            if number < len(called) == len(self._met.get(stem, ())):
                return self._tree.place(called[number], NUMBERED_NAME, OUTER_NAME)
        return self._by_weights(operator, possible) or self._around(path)

    def _readings(self, path: str) -> list[tuple[str, int]]:
        """The paths of calls that a path in a name may stand for, and which of the calls with that path it is.

        ``/layer_1`` is a call of ``layer_1``, or the second one of ``layer``.
        """
        readings = [(path, 0)] if path in self._called else []
        numbered = _NUMBERED.fullmatch(path)
        if numbered is not None and int(numbered[2]) < len(self._called.get(numbered[1], ())):
            readings.append((numbered[1], int(numbered[2])))
        return readings

    def _by_copied_weight(self, operator: onnx.NodeProto) -> Found | None:
        """Of equal weights the exporter keeps one; an operator copies it under the name of each other."""
        scope = self._aliases.get(owner_of(operator.output[0])) if operator.op_type == "Identity" else None
        return self._tree.place(scope, WEIGHT_COPY, OUTER_NAME) if scope else None

    def _by_weights(self, operator: onnx.NodeProto, possible: Collection[str]) -> Found | None:
        """The one of several modules whose weights the operator uses."""
        owners = {self._aliases.get(owner_of(name)) for name in operator.input} & {*possible}
        scope = owners.pop() if len(owners) == 1 else None
        return self._tree.place(scope, NAME_AND_WEIGHTS, OUTER_NAME) if scope else None

    def _around(self, path: str) -> Found:
        """The nearest module around a path that tells of no single one; the root at last."""
        scope = ""
        while path and not scope:
            path = path.rpartition("/")[0]
            called = set(self._called.get(path, []))
            scope = called.pop() if len(called) == 1 else ""
        return self._tree.place(scope, OUTER_NAME, OUTER_NAME)


def _call_paths(calls: Sequence[Call]) -> list[str]:
    """The path of each call as names of operators have it; the root module is not in it."""
    paths: list[str] = []
    for call in calls:
        outer = paths[call.around] if call.around >= 0 else ""
        paths.append(f"{outer}/{_segment(call.scope)}" if call.scope else outer)
    return paths


def _segment(scope: str) -> str:
    """The last part of a path that is no number, with the numbers after it: ``layer.0`` for ``encoder.layer.0``."""
    parts = scope.split(".")
    first = len(parts) - 1
    while first > 0 and parts[first].isnumeric():
        first -= 1
    return ".".join(parts[first:] if not parts[first].isnumeric() else parts)
