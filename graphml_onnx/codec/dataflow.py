"""Who produces the tensor that an operator consumes: the edges of the graph, derived from the operators' names.

ONNX says it by names within scopes: a body of If, Loop or Scan sees the names of the graph around it; a function
sees only its own. Encoder and decoder use the same rules, so that edges can be checked against the operators.

Source: ONNX IR specification, sections "Graphs" and "Names Within a Graph".
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Where two nodes define one tensor, which no valid model has, the lowest rank counts, whatever the order of the
# document: graph inputs, then initializers, then operators by their index.
INPUT_RANK = -(1 << 62)
INITIALIZER_RANK = -(1 << 61)


class Use(NamedTuple):
    """A tensor flows from one node to another; ``scope`` is the body in which it is defined."""

    source: int
    target: int
    tensor: str
    input_index: int
    scope: int


class Dataflow:
    """Definitions and uses of tensors.

    Nodes are known by numbers of at most 31 bits, and so are the places where they stand; which place belongs to
    which body need not be known before the end.
    """

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        # Arrays instead of lists of tuples: a graph may have millions of them.
        self._definitions = _Columns()
        self._uses = _Columns()

    def define(self, place: int, tensor: str, node: int, rank: int) -> None:
        """``node`` produces ``tensor``."""
        if tensor:
            self._definitions.add(place, self._names.setdefault(tensor, len(self._names)), node, rank)

    def use(self, place: int, tensor: str, node: int, input_index: int) -> None:
        """``node`` consumes ``tensor``; an empty name is an input left out."""
        if tensor:
            self._uses.add(place, self._names.setdefault(tensor, len(self._names)), node, input_index)

    def edges(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Iterator[Use]:
        """The edges, in the order of the uses; a tensor that no node produces (an initializer) gives none.

        Args:
            body_of: the body of each place.
            outer: the body around a body whose names it sees.
        """
        definitions: dict[int, dict[int, int]] = {}  # by body and name, the row
        ranks = self._definitions.extra
        for row, (place, name, _, rank) in enumerate(self._definitions):
            known = definitions.setdefault(body_of[place], {})
            if name not in known or rank < ranks[known[name]]:  # the latter not in a valid model
                known[name] = row
        names = list(self._names)
        nothing: dict[int, int] = {}
        for place, name, target, index in self._uses:
            scope: int | None = body_of[place]
            while scope is not None:
                defined = definitions.get(scope, nothing).get(name)
                if defined is not None:
                    yield Use(self._definitions.node[defined], target, names[name], index, scope)
                    break
                scope = outer.get(scope)


class _Columns:
    """Rows of four numbers."""

    def __init__(self) -> None:
        self._place = array("i")
        self._name = array("i")
        self.node = array("i")
        self.extra = array("q")

    def add(self, place: int, name: int, node: int, extra: int) -> None:
        self._place.append(place)
        self._name.append(name)
        self.node.append(node)
        self.extra.append(extra)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        return zip(self._place, self._name, self.node, self.extra, strict=True)
