"""Places each operator in an existing module, and records the rule.

The exporter's own data come first. The dynamo exporter writes the modules around an operator into its metadata. The
TorchScript exporter puts them into its name: each segment is the last part of a module's path, together with the
indices after it (``layer.0`` for ``encoder.layer.0``), in the order of the calls. A name alone is ambiguous if two
modules in one call share that last part; then the exporter numbers the calls (``/proj/MatMul``, ``/proj_1/MatMul``),
and so does this module.

Then the owners of an operator's parameters refine or contradict that. Last come the neighbouring operators.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import torch

from graphml_onnx.exporting.backends.modules import TORCH_CLASSES, Level, alias_of, owner_of
from graphml_onnx.exporting.onnx_output import bodies_of
from graphml_onnx.exporting.record import OperatorRecord, PlacementRule
from graphml_onnx.hierarchy.exporter import Texts, scope_steps
from graphml_onnx.hierarchy.paths import around
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence

    import onnx

    from graphml_onnx.exporting.backends.modules import Call, Exported, Weights
    from graphml_onnx.hierarchy.tree import Module

SCOPE: Final = PlacementRule("scope", "the exporter's metadata name the module that ran it", "direct")
OUTER_SCOPE: Final = PlacementRule(
    "outer scope", "the module in the exporter's metadata is not in the tree; the nearest one around it", "parent"
)
SCOPE_AND_WEIGHTS: Final = PlacementRule(
    "scope and weights", "within the module that the exporter gives, the one whose weights it uses", "direct"
)
OWNER: Final = PlacementRule(
    "weight owner",
    "the exporter gives another module, since it fused or folded; the one whose weights it uses",
    "operation",
)
WEIGHTS: Final = PlacementRule("weights", "the exporter gives no module; the one whose weights it uses", "operation")
NAME: Final = PlacementRule("name", "its name leads to the module that ran it", "direct")
NUMBERED_NAME: Final = PlacementRule(
    "numbered name", "its name fits several modules; the number in it selects one of their calls", "direct"
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
OPERAND: Final = PlacementRule(
    "operand",
    "the exporter gives no module, and it is a constant or copies one; the one module whose operators use it",
    "direct",
)
CONSUMERS: Final = PlacementRule(
    "consumers",
    "the exporter gives no module; the innermost module around all operators that use its tensors, or made its inputs",
    "operation",
)
PRODUCERS: Final = PlacementRule(
    "producers",
    "the exporter gives no module; the innermost module around the operators whose tensors it uses",
    "operation",
)
BODY: Final = PlacementRule("body", "no other rule applies; the module of the operator whose body it is in", "parent")
ROOT: Final = PlacementRule("root", "no other rule applies; the root module", "root")

_METADATA: Final = {
    "pkg.torch.onnx.name_scopes": 0,
    "pkg.torch.onnx.class_hierarchy": 1,
    "namespace": 2,
}
_LOW: Final = 50.0
"""Percent; with a smaller exact share, a finding says so."""

_NUMBERED: Final = re.compile(r"(.+)_([1-9][0-9]*)", re.DOTALL)


class Found(NamedTuple):
    """The module of an operator, by its index in the tree, and the rule that found it."""

    module: int
    rule: PlacementRule


class Placed(NamedTuple):
    """An operator with its place, and whether it is in a body of control flow."""

    operator: onnx.NodeProto
    found: Found
    in_body: bool


class Finder(Protocol):
    """Finds the module of an operator from its exporter's data."""

    def find(self, operator: onnx.NodeProto) -> Found | None:
        """The module, or None if the exporter gives none."""


def levels_by_weights(weights: Weights, graph: onnx.GraphProto, levels: Iterable[Level]) -> list[Level]:
    """The modules whose parameters a graph uses although no hook saw them run: ``forward`` was called directly.

    Args:
        weights: the modules that own the parameters.
        graph: the main graph.
        levels: the modules that ran.
    """
    seen = {level.scope for level in levels}
    used = dict.fromkeys(name for operator in graph.node for name in used_names(operator) if name in weights.owners)
    found = [sorted(weights.owners[name])[0] for name in used if not weights.owners[name] & seen]
    return [Level(scope, weights.classes[scope]) for scope in dict.fromkeys(found) if scope in weights.classes]


def with_transposed(
    weights: Weights, graph: onnx.GraphProto, clear: Container[str], values: Callable[[onnx.TensorProto], bytes]
) -> Weights:
    """Also knows the parameters that an exporter transposed, under the names that it gave them.

    Only parameters of modules that nothing else tells are looked for, because it takes their values: those that did not
    run, since another module uses their parameters, and those that names do not tell apart.

    Args:
        weights: the modules that own the parameters.
        graph: the main graph.
        clear: the paths of all other modules.
        values: reads the values of a tensor of the graph.
    """
    kept = {tensor.name for tensor in graph.initializer}
    lost: dict[tuple[int, ...], list[str]] = {}
    for name, tensor in weights.tensors.items():
        is_lost = name not in kept and not any(scope in clear for scope in weights.owners[name])
        if is_lost and tensor.dim() == 2 and type(tensor) in (torch.Tensor, torch.nn.Parameter):
            lost.setdefault(tuple(tensor.T.shape), []).append(name)
    found: dict[str, list[str]] = {}
    for initializer in graph.initializer:
        candidates = lost.get(tuple(initializer.dims), []) if initializer.name not in weights.owners else []
        data = values(initializer) if candidates else b""
        same = [name for name in candidates if _bytes_of(weights.tensors[name].T) == data]
        if same:
            found[initializer.name] = same
    for operator in graph.node:
        if operator.op_type == "Identity" and operator.input[0] in found:  # of equal weights the exporter keeps one
            found[operator.output[0]] = found[operator.input[0]]
    owners = {new: frozenset().union(*(weights.owners[name] for name in same)) for new, same in found.items()}
    return replace(
        weights,
        owners={**weights.owners, **owners},
        tensors={**weights.tensors, **{new: weights.tensors[same[0]].T for new, same in found.items()}},
    )


def unclear_scopes(calls: Sequence[Call]) -> set[str]:
    """The modules that the names of operators do not tell apart, because they were called under one path.

    The numbers in the names help where each of these calls made an operator.
    """
    called: dict[str, set[str]] = {}
    for path, call in zip(_call_paths(calls), calls, strict=True):
        called.setdefault(path, set()).add(call.scope)
    return {scope for scopes in called.values() if len(scopes) > 1 for scope in scopes}


def _bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _has_equal(weights: Weights, scope: str, name: str) -> bool:
    """Whether a module, or one within it, has a parameter equal to another: exporters keep one of equal ones.

    Args:
        weights: the modules that own the parameters.
        scope: path of the module.
        name: the other parameter.
    """
    one = weights.tensors[name]
    return any(
        _is_within(scope, owners) and other.shape == one.shape and torch.equal(other, one)
        for owners, other in ((weights.owners[key], weights.tensors[key]) for key in weights.owners if key != name)
    )


def _is_within(scope: str, owners: Iterable[str]) -> bool:
    return not scope or any(owner == scope or owner.startswith(f"{scope}.") for owner in owners)


class _Tree:
    """The modules of the tree by their paths."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._index = {module.scope: index for index, module in enumerate(modules)}

    def nearest(self, scope: str) -> int:
        """The module with a path, or the nearest one around it; the root, whose path is empty, is around all."""
        while scope not in self._index:
            scope = scope.rpartition(".")[0]
        return self._index[scope]

    def place(self, scope: str, exact: PlacementRule, outer: PlacementRule) -> Found:
        """The same with the rule: ``exact`` for the module itself, ``outer`` for one around it."""
        return Found(self.nearest(scope), exact if scope in self._index else outer)


class ScopeFinder:
    """Finds modules from the metadata that the dynamo exporter writes into operators.

    Args:
        modules: the module tree.
        aliases: for each path of a module its first one, which the tree uses.
    """

    def __init__(self, modules: Sequence[Module], aliases: Mapping[str, str]) -> None:
        self._tree = _Tree(modules)
        self._aliases = aliases

    def find(self, operator: onnx.NodeProto) -> Found | None:
        """The module of an operator; None if its metadata give none."""
        texts: list[str | None] = [None, None, None]
        for entry in operator.metadata_props:
            place = _METADATA.get(entry.key)
            if place is not None:
                texts[place] = entry.value
        steps = scope_steps(Texts(*texts))
        if not steps:
            return None
        return self._tree.place(alias_of(steps[-1].scope, self._aliases), SCOPE, OUTER_SCOPE)


class NameFinder:
    """Finds modules from the names that the TorchScript exporter gives operators.

    Args:
        modules: the module tree.
        aliases: for each path of a module its first one, which the tree uses.
        owners: for each weight, the paths of the modules that own it.
        calls: the calls while the exporter traced the model.
        operators: all operators of the main graph; the numbers in their names count calls.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        aliases: Mapping[str, str],
        owners: Mapping[str, frozenset[str]],
        calls: Sequence[Call],
        operators: Iterable[onnx.NodeProto],
    ) -> None:
        self._tree = _Tree(modules)
        self._aliases = aliases
        self._owners = owners
        self._called: dict[str, list[str]] = {}
        for path, call in zip(_call_paths(calls), calls, strict=True):
            self._called.setdefault(path, []).append(call.scope)
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
        """The paths of calls that a path in a name may mean, and the number of the call with that path.

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
        owners = {self._aliases.get(owner_of(name)) for name in operator.input}
        owners |= {scope for name in operator.input for scope in self._owners.get(name, ())}
        scopes = owners & {*possible}
        scope = scopes.pop() if len(scopes) == 1 else None
        return self._tree.place(scope, NAME_AND_WEIGHTS, OUTER_NAME) if scope else None

    def _around(self, path: str) -> Found:
        """The nearest module around a path that is ambiguous; the root at last."""
        scope = ""
        while path and not scope:
            path = path.rpartition("/")[0]
            called = set(self._called.get(path, []))
            scope = called.pop() if len(called) == 1 else ""
        return self._tree.place(scope, OUTER_NAME, OUTER_NAME)


def _call_paths(calls: Sequence[Call]) -> list[str]:
    """The path of each call as in the names of operators, without the root module."""
    paths: list[str] = []
    for call in calls:
        outer = paths[call.around] if call.around >= 0 else ""
        paths.append(f"{outer}/{_segment(call.scope)}" if call.scope else outer)
    return paths


def _segment(scope: str) -> str:
    """The last part of a path that is not a number, with the numbers after it: ``layer.0`` for ``encoder.layer.0``."""
    parts = scope.split(".")
    first = len(parts) - 1
    while first > 0 and parts[first].isnumeric():
        first -= 1
    return ".".join(parts[first:] if not parts[first].isnumeric() else parts)


def finder_of(
    exported: Exported, modules: Sequence[Module], weights: Weights, operators: Iterable[onnx.NodeProto]
) -> Finder:
    """The finder for what an exporter told.

    Args:
        exported: what it told.
        modules: the module tree.
        weights: the modules that own the parameters.
        operators: all operators of the main graph.
    """
    aliases = exported.known.aliases
    if exported.calls is None:
        return ScopeFinder(modules, aliases)
    return NameFinder(modules, aliases, weights.owners, exported.calls, operators)


def place(graph: onnx.GraphProto, modules: Sequence[Module], finder: Finder, weights: Weights) -> list[Placed]:
    """Places the operators of a graph and of the bodies of its control flow.

    The exporter's data come first, and the owner of the first parameter that an operator uses refines or contradicts
    them. An operator without such data (a constant, or one that an optimisation made) goes between its consumers and
    its producers. If only the consumers are known, it goes to them; a constant that the operators of one module use is
    in that module.

    Args:
        graph: the main graph; its operators are in the order of execution.
        modules: the module tree.
        finder: for the exporter that made the graph.
        weights: the modules that own the parameters.

    Returns:
        All operators with their places, those in a body after the operator that holds it.
    """
    return list(_Placing(modules, finder, weights).places(graph, None, set()))


def operator_records(places: Iterable[Placed]) -> tuple[OperatorRecord, ...]:
    """The operators with their places, for the record of the export."""
    return tuple(
        OperatorRecord(
            operator.name,
            f"{operator.domain}.{operator.op_type}" if operator.domain else operator.op_type,
            *found,
            in_body=in_body,
        )
        for operator, found, in_body in places
    )


def few_exact(operators: Sequence[OperatorRecord]) -> list[Notice]:
    """The finding if most operators are not in the exporter's module, or it gives none."""
    others = Counter(operator.rule.name for operator in operators if operator.rule.match != "direct")
    exact = 100.0 * (len(operators) - sum(others.values())) / max(len(operators), 1)
    if not operators or exact >= _LOW:
        return []
    told = ", ".join(f"{name} {count:,}" for name, count in others.most_common())
    text = f"only {exact:.1f} % of the operators are in exactly the module that ran them ({told})"
    return [Notice("few-exact", text)]


class _Placing:
    def __init__(self, modules: Sequence[Module], finder: Finder, weights: Weights) -> None:
        self._modules = modules
        self._finder = finder
        self._weights = weights
        self._holders = {module.parent for module in modules}
        tree = _Tree(modules)
        self._owners = {
            name: [tree.nearest(scope) for scope in sorted(scopes)] for name, scopes in weights.owners.items()
        }

    def places(self, graph: onnx.GraphProto, outer: Found | None, constants: set[str]) -> Iterator[Placed]:
        """Places the operators of a graph; ``outer`` is the place of the operator whose body it is."""
        constants = constants | {weight.name for weight in graph.initializer}
        told = [self._with_owner(operator, self._finder.find(operator)) for operator in graph.node]
        producers = _producers_of(graph.node)
        consumers = _consumers_of(producers)
        _add_operands(told, graph, consumers, constants)
        behind = _spread(told, producers, range(len(told)), PRODUCERS, self._modules, [None] * len(told))
        between = _spread(told, consumers, reversed(range(len(told))), CONSUMERS, self._modules, behind)
        last = Found(0, ROOT) if outer is None else Found(outer.module, BODY)
        for operator, known, *candidates in zip(graph.node, told, between, behind, strict=True):
            found = next((candidate for candidate in candidates if candidate is not None), last)
            if outer is not None and known is None and None in candidates:
                found = self._beside_leaf(found, outer)
            yield Placed(operator, found, outer is not None)
            for body in bodies_of(operator):
                yield from self.places(body, found, constants)

    def _beside_leaf(self, found: Found, outer: Found) -> Found:
        """The module around a layer of ``torch.nn``, for what only follows it or comes before it in a body.

        The only evidence for operators in bodies is the weights that they use. What follows a ``Linear`` is no part of
        it, but of the module that calls it.
        """
        module = self._modules[found.module]
        is_layer = self._weights.classes.get(module.scope, "").startswith(TORCH_CLASSES)
        if module.parent is None or not is_layer or found.module in {*self._holders, outer.module}:
            return found
        return Found(module.parent, found.rule)

    def _with_owner(self, operator: onnx.NodeProto, told: Found | None) -> Found | None:
        """The exporter's module, refined or contradicted by the owners of the operator's parameters."""
        owners = [self._owners[name] for name in operator.input if name in self._owners]
        if not owners:
            return told
        if told is None:
            return Found(owners[0][0], WEIGHTS)
        inside = {*_outwards(told.module, self._modules)}
        if any(owner in inside for possible in owners for owner in possible):
            return told
        within = [owner for owner in owners[0] if told.module in _outwards(owner, self._modules)]
        if within:
            return Found(within[0], SCOPE_AND_WEIGHTS)
        scope = self._modules[told.module].scope
        is_merged = any(name in self._owners and _has_equal(self._weights, scope, name) for name in operator.input)
        return told if is_merged else Found(owners[0][0], OWNER)


def _add_operands(
    found: list[Found | None], graph: onnx.GraphProto, consumers: Sequence[Sequence[int]], constants: set[str]
) -> None:
    """Places operators without inputs, such as constants: in the module of their consumers."""
    for position, operator in enumerate(graph.node):
        known = found[position]
        is_open = known is None or known.rule is WEIGHTS
        if is_open and constants.issuperset(filter(None, used_names(operator))):
            users = {found[user] for user in consumers[position]}
            modules = {user.module for user in users if user and user.rule.match == "direct"}
            if len(modules) == 1 and None not in users:
                found[position] = Found(modules.pop(), OPERAND)


def _spread(
    found: Sequence[Found | None],
    neighbours: Sequence[Iterable[int]],
    order: Iterable[int],
    rule: PlacementRule,
    modules: Sequence[Module],
    besides: Sequence[Found | None],
) -> list[Found | None]:
    """Places the remaining operators in the innermost module around their neighbours, as far as those have places.

    Args:
        found: the places so far.
        neighbours: for each operator, the operators that determine its place.
        order: of the operators; neighbours come first.
        rule: of the new places.
        modules: the module tree.
        besides: for each operator, one more place that its module must contain, if there is one.
    """
    places = [*found]
    for position in order:
        if places[position] is None:
            around = [place.module for near in neighbours[position] if (place := places[near]) is not None]
            beside = besides[position]
            if around:
                places[position] = Found(_common([*around, *([beside.module] if beside else ())], modules), rule)
    return places


def _common(indices: Sequence[int], modules: Sequence[Module]) -> int:
    """The innermost module that contains all of these."""
    path = list(_outwards(indices[0], modules))
    for index in indices[1:]:
        others = set(_outwards(index, modules))
        path = [outer for outer in path if outer in others]
    return path[0]


def _outwards(index: int | None, modules: Sequence[Module]) -> Iterator[int]:
    while index is not None:
        yield index
        index = modules[index].parent


def _producers_of(operators: Sequence[onnx.NodeProto]) -> list[list[int]]:
    makers = {name: position for position, operator in enumerate(operators) for name in operator.output if name}
    return [[makers[name] for name in used_names(operator) if name in makers] for operator in operators]


def _consumers_of(producers: Sequence[Iterable[int]]) -> list[list[int]]:
    consumers: list[list[int]] = [[] for _ in producers]
    for position, makers in enumerate(producers):
        for maker in makers:
            consumers[maker].append(position)
    return consumers


def used_names(operator: onnx.NodeProto) -> Iterator[str]:
    """The tensors that an operator uses, including those of its bodies."""
    yield from operator.input
    for body in bodies_of(operator):
        for inner in body.node:
            yield from used_names(inner)
