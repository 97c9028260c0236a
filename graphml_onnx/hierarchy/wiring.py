"""Who makes and who uses what within one graph, and which operators depend on weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.hierarchy.tree import Graph, Operator


class Wiring(NamedTuple):
    """The dataflow of one graph.

    Attributes:
        operators: the operators.
        producers: for each of them those that make its inputs, what its bodies use included.
        consumers: for each of them those that use its outputs, the other way round.
        is_constant: for each of them whether it depends on weights alone.
    """

    operators: Sequence[Operator]
    producers: Sequence[Sequence[int]]
    consumers: Sequence[Sequence[int]]
    is_constant: Sequence[bool]


def wire(graph: Graph) -> Wiring:
    """Connects the operators of a graph by the names of tensors."""
    makers: dict[str, int] = {}
    for position, operator in enumerate(graph.operators):
        for name in operator.outputs:
            if name:
                makers.setdefault(name, position)
    producers: list[tuple[int, ...]] = []
    consumers: list[list[int]] = [[] for _ in graph.operators]
    is_constant: list[bool] = []
    for position, operator in enumerate(graph.operators):
        near: dict[int, None] = {}
        constant = not operator.bodies
        for name in used_names(operator) if operator.bodies else operator.inputs:
            maker = makers.get(name)
            if maker is not None and maker != position:
                if maker not in near:
                    near[maker] = None
                    consumers[maker].append(position)
                constant = constant and maker < position and is_constant[maker]
            elif name and name not in graph.weights:
                constant = False
        producers.append(tuple(near))
        is_constant.append(constant and bool(operator.outputs))
    return Wiring(graph.operators, producers, consumers, is_constant)


def used_names(operator: Operator) -> Iterator[str]:
    """The tensors that an operator uses, those of its bodies included."""
    yield from operator.inputs
    for body in operator.bodies:
        for inner in body.operators:
            yield from used_names(inner)
