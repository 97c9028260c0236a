"""Which node produces the tensor that an operator consumes: the edges of the graph, derived from the operators' names.

What a name means is said by `graphml_onnx.codec.scopes`. Encoder and decoder, validation and rewiring all look names up
here, so that they cannot disagree.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING, Generic, NamedTuple

import numpy as np

from graphml_onnx.codec.scopes import Name, Scopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_NO_NAME = 0  # number of the empty name
_DEFINITIONS, _USES = 0, 1
_NODE = 2  # column of a table
_BLOCK = 1 << 14  # edges that become Python objects at a time


class Use(NamedTuple, Generic[Name]):
    """A tensor flows from one node to another; ``scope`` is the body in which it is defined."""

    source: int
    target: int
    tensor: Name
    input_index: int
    scope: int


class _Flows(NamedTuple):
    """All edges as columns of equal length; ``tensor`` is the number of its name."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    tensor: NDArray[np.int64]
    input_index: NDArray[np.int64]
    scope: NDArray[np.int64]


class Dataflow(Generic[Name]):
    """Definitions and uses of tensors.

    Nodes are known by numbers of at most 31 bits, and so are the places where they stand; which place belongs to
    which body need not be known before the end.

    Args:
        empty: the empty name, which stands for no tensor.
    """

    def __init__(self, empty: Name) -> None:
        self._names: dict[Name, int] = {empty: _NO_NAME}
        # Numbers one after the other, instead of lists of tuples: a graph may have millions of them.
        self._definitions = array("q")  # of single tensors: place, name, node and rank of each
        self._uses = array("q")  # of single tensors: place, name, node and input index
        self._operators = array("i")  # place, node, index, and how many outputs and inputs
        self._tensors = array("i")  # names of all outputs and inputs of the operators

    def define(self, place: int, tensor: Name, node: int, rank: int) -> None:
        """``node`` defines ``tensor``; `OUTSIDE` where no node stands for what defines it."""
        if tensor:
            self._definitions.extend((place, self._names.setdefault(tensor, len(self._names)), node, rank))

    def use(self, place: int, tensor: Name, node: int, input_index: int) -> None:
        """``node`` consumes ``tensor``; an empty name is an input left out."""
        if tensor:
            self._uses.extend((place, self._names.setdefault(tensor, len(self._names)), node, input_index))

    def operator(self, place: int, node: int, index: int, inputs: Sequence[Name], outputs: Sequence[Name]) -> None:
        """The operator ``node``, at ``index`` of its list, consumes its inputs and produces its outputs."""
        names = self._names
        self._tensors.extend([names.setdefault(tensor, len(names)) for tensor in outputs])
        self._tensors.extend([names.setdefault(tensor, len(names)) for tensor in inputs])
        self._operators.extend((place, node, index, len(outputs), len(inputs)))

    def operators(
        self,
        places: Sequence[int],
        nodes: range,
        indices: Sequence[int],
        inputs: Sequence[Sequence[Name]],
        outputs: Sequence[Sequence[Name]],
    ) -> None:
        """Several operators, given in columns."""
        names = self._names
        tensors = chain.from_iterable(chain.from_iterable(zip(outputs, inputs, strict=True)))
        self._tensors.extend([names.setdefault(tensor, len(names)) for tensor in tensors])
        counts = (map(len, outputs), map(len, inputs))
        self._operators.extend(chain.from_iterable(zip(places, nodes, indices, *counts, strict=True)))

    def pairs(self, body_of: Sequence[int], outer: Mapping[int, int]) -> NDArray[np.int64]:
        """Source and target of each edge in one number, ``source << 32 | target``; see `edges`."""
        flows = self._flows(body_of, outer)
        return flows.source << 32 | flows.target

    def edges(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Iterator[Use[Name]]:
        """The edges, by the nodes that consume; a tensor that no node produces (a hidden initializer) gives none.

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

    def scopes(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Scopes[Name]:
        """The same definitions, for looking up single names; see `edges`."""
        keys, producers = self._producers(np.fromiter(body_of, np.int64, len(body_of)))
        names = list(self._names)
        return Scopes(
            {
                (key // len(names), names[key % len(names)]): node
                for key, node in zip(keys.tolist(), producers.tolist(), strict=True)
            },
            outer,
        )

    def _flows(self, body_of: Sequence[int], outer: Mapping[int, int]) -> _Flows:
        bodies = np.fromiter(body_of, np.int64, len(body_of))
        around = np.full(int(bodies.max(initial=0)) + 1, -1)
        for inner, body in outer.items():
            around[inner] = body
        count = len(self._names)
        keys, producers = self._producers(bodies)
        place, names, consumers, input_index = self._table(_USES, self._uses)
        scope = bodies[place]
        source = np.full(len(names), -1, np.int64)
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
        return _Flows(source[resolved], consumers[resolved], names[resolved], input_index[resolved], scope[resolved])

    def _producers(self, bodies: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A number for each body and name that is defined there, in order, and the node that defines it."""
        place, name, node, rank = self._table(_DEFINITIONS, self._definitions)
        keys = bodies[place] * len(self._names) + name
        order = np.lexsort((rank, keys))
        keys = keys[order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        return keys[first], node[order[first]]

    def _table(self, kind: int, single: array[int]) -> tuple[NDArray[np.int64], ...]:
        """Columns of all definitions or uses by node: place, name, node, and rank or input index."""
        # Copies, since an array that numpy looks into cannot grow any more; small numbers, since there may be millions.
        place, node, index, *counts = np.array(self._operators, np.int32).reshape(-1, 5).T
        own = counts[kind]
        starts = (np.cumsum(np.column_stack(counts)).reshape(-1, 2) - np.column_stack(counts))[:, kind]
        row = np.repeat(np.arange(len(own), dtype=np.int32), own)
        position = (np.arange(len(row)) - np.repeat(np.cumsum(own) - own, own)).astype(np.int32)
        name = np.array(self._tensors, np.int32)[np.repeat(starts, own) + position]
        named = name != _NO_NAME
        row, position, name = row[named], position[named], name[named]
        operators = (place[row], name, node[row], position if kind == _USES else index[row])
        singles = np.array(single, np.int64).reshape(-1, 4).T
        columns = [np.concatenate([one, many]) for one, many in zip(singles, operators, strict=True)]
        order = np.argsort(columns[_NODE], kind="stable")
        return tuple(column[order] for column in columns)
