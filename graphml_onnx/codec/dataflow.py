"""Who produces the tensor that an operator consumes: the edges of the graph, derived from the operators' names.

ONNX says it by names within scopes: a body of If, Loop or Scan sees the names of the graph around it; a function
sees only its own. Encoder and decoder use the same rules, so that edges can be checked against the operators.

Source: ONNX IR specification, sections "Graphs" and "Names Within a Graph".
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

# Where two nodes define one tensor, which no valid model has, the lowest rank counts, whatever the order of the
# document: graph inputs, then initializers, then operators by their index.
INPUT_RANK = -(1 << 62)
INITIALIZER_RANK = -(1 << 61)

_BLOCK = 1 << 14  # edges that become Python objects at a time

Name = TypeVar("Name", str, bytes)


class Use(NamedTuple, Generic[Name]):
    """A tensor flows from one node to another; ``scope`` is the body in which it is defined."""

    source: int
    target: int
    tensor: Name
    input_index: int
    scope: int


@dataclass(frozen=True, slots=True)
class _Flows:
    """All edges as columns of equal length; ``tensor`` is the number of its name."""

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    tensor: NDArray[np.int32]
    input_index: NDArray[np.int64]
    scope: NDArray[np.int64]


class Dataflow(Generic[Name]):
    """Definitions and uses of tensors.

    Nodes are known by numbers of at most 31 bits, and so are the places where they stand; which place belongs to
    which body need not be known before the end.
    """

    def __init__(self) -> None:
        self._names: dict[Name, int] = {}
        # Arrays instead of lists of tuples: a graph may have millions of them.
        self._definitions = _Columns()
        self._uses = _Columns()

    def define(self, place: int, tensor: Name, node: int, rank: int) -> None:
        """``node`` produces ``tensor``."""
        if tensor:
            self._definitions.add(place, self._names.setdefault(tensor, len(self._names)), node, rank)

    def use(self, place: int, tensor: Name, node: int, input_index: int) -> None:
        """``node`` consumes ``tensor``; an empty name is an input left out."""
        if tensor:
            self._uses.add(place, self._names.setdefault(tensor, len(self._names)), node, input_index)

    def pairs(self, body_of: Sequence[int], outer: Mapping[int, int]) -> NDArray[np.int64]:
        """Source and target of each edge in one number, ``source << 32 | target``; see `edges`."""
        flows = self._flows(body_of, outer)
        return flows.source.astype(np.int64) << 32 | flows.target

    def edges(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Iterator[Use[Name]]:
        """The edges, in the order of the uses; a tensor that no node produces (an initializer) gives none.

        Args:
            body_of: the body of each place.
            outer: the body around a body whose names it sees.
        """
        flows = self._flows(body_of, outer)
        names = list(self._names)
        for start in range(0, len(flows.source), _BLOCK):
            block = slice(start, start + _BLOCK)
            columns = (flows.source, flows.target, flows.tensor, flows.input_index, flows.scope)
            for source, target, tensor, index, scope in zip(*[c[block].tolist() for c in columns], strict=True):
                yield Use(source, target, names[tensor], index, scope)

    def _flows(self, body_of: Sequence[int], outer: Mapping[int, int]) -> _Flows:
        bodies = np.fromiter(body_of, np.int64, len(body_of))
        around = np.full(int(bodies.max(initial=0)) + 1, -1)
        for inner, body in outer.items():
            around[inner] = body
        count = len(self._names)
        defined = self._definitions
        keys = bodies[defined.place()] * count + defined.name()
        order = np.lexsort((defined.extra(), keys))
        keys = keys[order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        keys, producers = keys[first], defined.node()[order[first]]

        names, scope = self._uses.name(), bodies[self._uses.place()]
        source = np.full(len(names), -1, np.int32)
        open_uses = np.arange(len(names)) if len(keys) else np.arange(0)
        while len(open_uses):  # those that no body so far defines; one turn for each body around another
            wanted = scope[open_uses] * count + names[open_uses]
            found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            hits = keys[found] == wanted
            source[open_uses[hits]] = producers[found[hits]]
            open_uses = open_uses[~hits]
            scope[open_uses] = around[scope[open_uses]]
            open_uses = open_uses[scope[open_uses] >= 0]
        resolved = np.flatnonzero(source >= 0)
        uses = self._uses
        return _Flows(source[resolved], uses.node()[resolved], names[resolved], uses.extra()[resolved], scope[resolved])


class _Columns:
    """Rows of four numbers."""

    def __init__(self) -> None:
        self._place = array("i")
        self._name = array("i")
        self._node = array("i")
        self._extra = array("q")

    def add(self, place: int, name: int, node: int, extra: int) -> None:
        self._place.append(place)
        self._name.append(name)
        self._node.append(node)
        self._extra.append(extra)

    # Copies: an array that numpy looks into cannot grow any more.

    def place(self) -> NDArray[np.int32]:
        return np.array(self._place, np.int32)

    def name(self) -> NDArray[np.int32]:
        return np.array(self._name, np.int32)

    def node(self) -> NDArray[np.int32]:
        return np.array(self._node, np.int32)

    def extra(self) -> NDArray[np.int64]:
        return np.array(self._extra, np.int64)
