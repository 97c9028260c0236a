"""Producers and consumers within one graph, and which operators depend on weights alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.hierarchy.tree import Graph, Operator


class Wiring:
    """The dataflow of one graph, by the names of tensors. Where names place all operators, few of its facts are needed.

    Args:
        graph: the graph.
        outer: the weights of the graphs around it, by name.
    """

    def __init__(self, graph: Graph, outer: Mapping[str, object]) -> None:
        self._own = graph.weights
        self._outer = outer
        self.operators: Sequence[Operator] = graph.operators

    @cached_property
    def weights(self) -> Sequence[Sequence[str]]:
        """For each operator the weights among its inputs, including those of the graphs around."""
        own, outer = self._own, self._outer
        is_weight = (lambda name: name in own or name in outer) if outer else own.__contains__
        return [tuple(filter(is_weight, operator.inputs)) for operator in self.operators]

    @cached_property
    def is_constant(self) -> Sequence[bool]:
        """For each operator whether it depends on weights of this graph alone."""
        known = {"", *self._own}
        found = []
        for operator in self.operators:
            constant = not operator.bodies and bool(operator.outputs) and known.issuperset(operator.inputs)
            if constant:
                known.update(operator.outputs)
            found.append(constant)
        return found

    @cached_property
    def producers(self) -> Sequence[Sequence[int]]:
        """For each operator those that make its inputs, including what its bodies use."""
        makers: dict[str, int] = {}
        for position, operator in enumerate(self.operators):
            for name in operator.outputs:
                makers.setdefault(name, position)
        makers.pop("", None)
        found = []
        for position, operator in enumerate(self.operators):
            names = used_names(operator) if operator.bodies else operator.inputs
            near = dict.fromkeys(makers[name] for name in names if name in makers)
            near.pop(position, None)
            found.append(tuple(near))
        return found

    @cached_property
    def consumers(self) -> Sequence[Sequence[int]]:
        """For each operator those that use its outputs."""
        found: list[list[int]] = [[] for _ in self.operators]
        for position, near in enumerate(self.producers):
            for maker in near:
                found[maker].append(position)
        return found


def used_names(operator: Operator) -> Iterator[str]:
    """The tensors that an operator uses, including those of its bodies."""
    yield from operator.inputs
    for body in operator.bodies:
        for inner in body.operators:
            yield from used_names(inner)
