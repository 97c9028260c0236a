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
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_NO_NAME = 0  # number of the empty name
_BLOCK = 1 << 14  # edges that become Python objects at a time


class Use(NamedTuple, Generic[Name]):
    """A tensor flows from one node to another; ``scope`` is the body in which it is defined."""

    source: int
    target: int
    tensor: Name
    input_index: int
    scope: int


class Flows(NamedTuple):
    """All edges as columns of equal length, by the nodes that consume; ``tensor`` is the number of its name."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    tensor: NDArray[np.int64]
    input_index: NDArray[np.int64]
    scope: NDArray[np.int64]


class _Names(NamedTuple):
    """Definitions or uses of tensors as columns of equal length, ordered by node.

    Attributes:
        container: the container_id of the node.
        name: number of the tensor's name; never that of the empty one.
        node: the node, or `graphml_onnx.codec.scopes.OUTSIDE`.
        position: rank of a definition; index of an input.
    """

    container: NDArray[np.int64]
    name: NDArray[np.int64]
    node: NDArray[np.int64]
    position: NDArray[np.int64]


class _Operators(NamedTuple):
    """All operators, as columns of equal length.

    Attributes:
        container: the container_id of each.
        node: its node.
        position: its index in its list.
        outputs: how many it has.
        inputs: how many it has.
    """

    container: NDArray[np.int32]
    node: NDArray[np.int32]
    position: NDArray[np.int32]
    outputs: NDArray[np.int32]
    inputs: NDArray[np.int32]


class Dataflow(Generic[Name]):
    """Definitions and uses of tensors.

    Nodes are known by numbers of at most 31 bits, and so are their containers; which container belongs to which body
    need not be known before the end.

    Args:
        empty: the empty name, which means no tensor.
    """

    def __init__(self, empty: Name) -> None:
        self._names: dict[Name, int] = {empty: _NO_NAME}
        # Numbers one after the other, instead of lists of tuples: a graph may have millions of them.
        self._definitions = array("q")  # of single tensors: the columns of `_Names`
        self._uses = array("q")  # the same
        self._operators = array("i")  # the columns of `_Operators`
        self._tensors = array("i")  # names of all outputs and inputs of the operators

    def define(self, container: int, tensor: Name, node: int, rank: int) -> None:
        """``node`` defines ``tensor``; `OUTSIDE` if it is not defined by a node."""
        if tensor:
            self._definitions.extend((container, self._names.setdefault(tensor, len(self._names)), node, rank))

    def use(self, container: int, tensor: Name, node: int, input_index: int) -> None:
        """``node`` consumes ``tensor``; an empty name is an input left out."""
        if tensor:
            self._uses.extend((container, self._names.setdefault(tensor, len(self._names)), node, input_index))

    def operators(
        self,
        containers: Sequence[int],
        nodes: Sequence[int],
        indices: Iterable[int],
        inputs: Sequence[Sequence[Name]],
        outputs: Sequence[Sequence[Name]],
    ) -> None:
        """Several operators, given in columns."""
        names = self._names
        tensors = chain.from_iterable(chain.from_iterable(zip(outputs, inputs, strict=True)))
        self._tensors.extend([names.setdefault(tensor, len(names)) for tensor in tensors])
        counts = (map(len, outputs), map(len, inputs))
        self._operators.extend(chain.from_iterable(zip(containers, nodes, indices, *counts, strict=False)))

    def place(self, indices: NDArray[np.int32]) -> None:
        """Tells at which index of its list each operator stands, in the order in which they came."""
        self._operators[2::5] = array("i", indices.tobytes())

    def uses(self, flows: Flows) -> Iterator[Use[Name]]:
        """The edges one by one; a tensor that no node produces (a hidden initializer) gives none."""
        names = list(self._names)
        for start in range(0, len(flows.source), _BLOCK):
            columns = [column[start : start + _BLOCK].tolist() for column in flows]
            for source, target, tensor, index, scope in zip(*columns, strict=True):
                yield Use(source, target, names[tensor], index, scope)

    def scopes(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Scopes[Name]:
        """The same definitions, for looking up single names; see `flows`."""
        keys, producers = self._producers(np.fromiter(body_of, np.int64, len(body_of)))
        names = list(self._names)
        return Scopes(
            {
                (key // len(names), names[key % len(names)]): node
                for key, node in zip(keys.tolist(), producers.tolist(), strict=True)
            },
            outer,
        )

    def flows(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Flows:
        """All edges.

        Args:
            body_of: the body of each container.
            outer: the body around a body whose names it sees.
        """
        bodies = np.fromiter(body_of, np.int64, len(body_of))
        around = np.full(max(body_of, default=0) + 1, -1)
        for inner, body in outer.items():
            around[inner] = body
        keys, producers = self._producers(bodies)
        operators = self._operator_columns()
        use = self._names_of(self._uses, operators, operators.inputs, is_output=False)
        scope = bodies[use.container]
        source = np.full(len(use.name), -1, np.int64)
        unresolved = np.arange(len(use.name) if len(keys) else 0)
        while len(unresolved):  # one turn for each body around another
            wanted = scope[unresolved] * len(self._names) + use.name[unresolved]
            found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            is_defined = keys[found] == wanted
            source[unresolved[is_defined]] = producers[found[is_defined]]
            unresolved = unresolved[~is_defined]
            scope[unresolved] = around[scope[unresolved]]
            unresolved = unresolved[scope[unresolved] >= 0]
        # Neither OUTSIDE nor unresolved.
        drawn = np.flatnonzero(source >= 0)
        return Flows(source[drawn], use.node[drawn], use.name[drawn], use.position[drawn], scope[drawn])

    def _producers(self, bodies: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One number for each body and name that is defined there, in order, and the node that defines it."""
        operators = self._operator_columns()
        defined = self._names_of(self._definitions, operators, operators.outputs, is_output=True)
        keys = bodies[defined.container] * len(self._names) + defined.name
        order = np.lexsort((defined.position, keys))
        keys = keys[order]
        is_first = np.ones(len(keys), bool)  # the one with the lowest rank counts
        is_first[1:] = keys[1:] != keys[:-1]
        return keys[is_first], defined.node[order[is_first]]

    def _operator_columns(self) -> _Operators:
        # Copies, since an array that numpy looks into cannot grow any more; small numbers, since there may be millions.
        return _Operators(*np.array(self._operators, np.int32).reshape(-1, 5).T)

    def _names_of(
        self, single: array[int], operators: _Operators, counts: NDArray[np.int32], *, is_output: bool
    ) -> _Names:
        """All definitions, or all uses.

        Args:
            single: those that are not of operators.
            operators: the operators.
            counts: how many outputs, or inputs, each of them has.
            is_output: whether these are outputs: a definition ranks by the index of its operator.
        """
        # The outputs of each operator come first in `_tensors`, then its inputs.
        ends = np.cumsum(operators.outputs + operators.inputs)
        starts = ends - operators.inputs - (operators.outputs if is_output else 0)
        row = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        # The number of each name within its own list: 0, 1, 2, 0, 1, …
        within = (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
        name = np.array(self._tensors, np.int32)[starts[row] + within]
        named = name != _NO_NAME
        row, within, name = row[named], within[named], name[named]
        position = operators.position[row] if is_output else within
        many = (operators.container[row], name, operators.node[row], position)
        singles = np.array(single, np.int64).reshape(-1, 4).T
        columns = _Names(*[np.concatenate(pair) for pair in zip(singles, many, strict=True)])
        order = np.argsort(columns.node, kind="stable")
        return _Names(*[column[order] for column in columns])
