"""Places each operator of the main graph in a module that exists, and says by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from graphml_onnx.exporting.record import OperatorRecord, PlacementRule
from graphml_onnx.exporting.scopes import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx

    from graphml_onnx.hierarchy.tree import Module

CONSUMERS: Final = PlacementRule(
    "consumers",
    "the exporter tells nothing; the innermost module around all operators that use its tensors",
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
    made) goes where its tensors are used, or else where they come from.

    Args:
        graph: the main graph; its operators are in the order of execution.
        modules: the module tree.
        finder: for the exporter that made the graph.

    Returns:
        For each operator its module and the rule.
    """
    found = [finder.find(operator) for operator in graph.node]
    _fill(found, _consumers_of(graph.node), reversed(range(len(found))), CONSUMERS, modules)
    _fill(found, _producers_of(graph.node), range(len(found)), PRODUCERS, modules)
    return tuple(place or Found(0, ROOT) for place in found)


def operator_records(graph: onnx.GraphProto, places: Iterable[Found]) -> tuple[OperatorRecord, ...]:
    """The operators of a graph with their places, for the record of the export."""
    return tuple(
        OperatorRecord(
            operator.name, f"{operator.domain}.{operator.op_type}" if operator.domain else operator.op_type, *place
        )
        for operator, place in zip(graph.node, places, strict=True)
    )


def _fill(
    found: list[Found | None],
    neighbours: Sequence[Iterable[int]],
    order: Iterable[int],
    rule: PlacementRule,
    modules: Sequence[Module],
) -> None:
    """Places what has no place yet in the innermost module around its neighbours, as far as those have places."""
    for position in order:
        if found[position] is None:
            around = [place.module for near in neighbours[position] if (place := found[near]) is not None]
            if around:
                found[position] = Found(_common(around, modules), rule)


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


def _consumers_of(operators: Sequence[onnx.NodeProto]) -> list[list[int]]:
    consumers: list[list[int]] = [[] for _ in operators]
    for position, producers in enumerate(_producers_of(operators)):
        for producer in producers:
            consumers[producer].append(position)
    return consumers


def used_names(operator: onnx.NodeProto) -> Iterator[str]:
    """The tensors that an operator uses, those of its bodies included."""
    yield from operator.input
    for attribute in operator.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in body.node:
                yield from used_names(inner)
