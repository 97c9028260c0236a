"""Producers and consumers within one graph, and which operators depend on weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.hierarchy.tree import Graph, Operator


class Wiring(NamedTuple):
    """The dataflow of one graph.

    Attributes:
        operators: the operators.
        producers: for each operator, those that make its inputs, including what its bodies use.
        consumers: for each operator, those that use its outputs.
        is_constant: for each operator, whether it depends on weights alone.
        weights: for each operator, the weights among its inputs, including those of the graphs around.
    """

    operators: Sequence[Operator]
    producers: Sequence[Sequence[int]]
    consumers: Sequence[Sequence[int]]
    is_constant: Sequence[bool]
    weights: Sequence[Sequence[str]]


def wire(graph: Graph, outer: Mapping[str, object]) -> Wiring:
    """Connects the operators of a graph by the names of tensors.

    Args:
        graph: the graph.
        outer: the weights of the graphs around it, by name.
    """
    own = graph.weights
    makers: dict[str, int] = {}
    for position, operator in enumerate(graph.operators):
        for name in operator.outputs:
            if name:
                makers.setdefault(name, position)
    producers: list[tuple[int, ...]] = []
    consumers: list[list[int]] = [[] for _ in graph.operators]
    is_constant: list[bool] = []
    weights: list[list[str]] = []
    for position, operator in enumerate(graph.operators):
        weights.append([name for name in operator.inputs if name in own or name in outer])
        near: dict[int, None] = {}
        constant = not operator.bodies
        for name in used_names(operator) if operator.bodies else operator.inputs:
            maker = makers.get(name)
            if maker is not None and maker != position:
                if maker not in near:
                    near[maker] = None
                    consumers[maker].append(position)
                constant = constant and maker < position and is_constant[maker]
            elif name and name not in own:
                constant = False
        producers.append(tuple(near))
        is_constant.append(constant and bool(operator.outputs))
    return Wiring(graph.operators, producers, consumers, is_constant, weights)


def used_names(operator: Operator) -> Iterator[str]:
    """The tensors that an operator uses, including those of its bodies."""
    yield from operator.inputs
    for body in operator.bodies:
        for inner in body.operators:
            yield from used_names(inner)
