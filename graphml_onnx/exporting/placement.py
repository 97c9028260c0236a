"""Places each operator of the main graph in a module that exists, and says by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from graphml_onnx.exporting.record import OperatorRecord, PlacementRule
from graphml_onnx.exporting.scopes import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx

    from graphml_onnx.hierarchy.tree import Module

OPERAND: Final = PlacementRule(
    "operand",
    "the exporter tells nothing, and it is a constant or copies one; the one module whose operators use it",
    "direct",
)
CONSUMERS: Final = PlacementRule(
    "consumers",
    "the exporter tells nothing; the innermost module around all operators that use its tensors, or made its inputs",
    "operation",
)
PRODUCERS: Final = PlacementRule(
    "producers",
    "the exporter tells nothing; the innermost module around the operators whose tensors it uses",
    "operation",
)
ROOT: Final = PlacementRule("root", "nothing tells; the root module", "root")


class Finder(Protocol):
    """Finds the module of an operator by what its exporter tells of it."""

    def find(self, operator: onnx.NodeProto) -> Found | None:
        """The module, or None if the exporter tells nothing."""


def place(graph: onnx.GraphProto, modules: Sequence[Module], finder: Finder) -> tuple[Found, ...]:
    """Places the operators of a graph.

    What the exporter tells comes first. An operator of which it tells nothing (a constant, or what an optimisation
    made) goes between those that use its tensors and those that make what it uses. If only the former are known, it
    goes to them; a constant that the operators of one module use is in that module.

    Args:
        graph: the main graph; its operators are in the order of execution.
        modules: the module tree.
        finder: for the exporter that made the graph.

    Returns:
        For each operator its module and the rule.
    """
    told = [finder.find(operator) for operator in graph.node]
    producers = _producers_of(graph.node)
    consumers = _consumers_of(producers)
    _add_operands(told, graph, consumers)
    behind = _spread(told, producers, range(len(told)), PRODUCERS, modules, [None] * len(told))
    between = _spread(told, consumers, reversed(range(len(told))), CONSUMERS, modules, behind)
    return tuple(place or last or Found(0, ROOT) for place, last in zip(between, behind, strict=True))


def operator_records(graph: onnx.GraphProto, places: Iterable[Found]) -> tuple[OperatorRecord, ...]:
    """The operators of a graph with their places, for the record of the export."""
    return tuple(
        OperatorRecord(
            operator.name, f"{operator.domain}.{operator.op_type}" if operator.domain else operator.op_type, *place
        )
        for operator, place in zip(graph.node, places, strict=True)
    )


def _add_operands(found: list[Found | None], graph: onnx.GraphProto, consumers: Sequence[Sequence[int]]) -> None:
    """Places what depends on no input and no other operator: nothing runs a constant but what uses it."""
    weights = {weight.name for weight in graph.initializer}
    for position, operator in enumerate(graph.node):
        if found[position] is None and weights.issuperset(filter(None, used_names(operator))):
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
    """Places what has no place yet in the innermost module around its neighbours, as far as those have places.

    Args:
        found: the places that there are.
        neighbours: for each operator those that its place follows from.
        order: of the operators; neighbours come first.
        rule: of the new places.
        modules: the module tree.
        besides: for each operator one more place that its module is around, if there is one.
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
    """The innermost module that is, or is around, all of these."""
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
    """The tensors that an operator uses, those of its bodies included."""
    yield from operator.input
    for attribute in operator.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in body.node:
                yield from used_names(inner)
