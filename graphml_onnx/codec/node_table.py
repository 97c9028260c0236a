"""The nodes of one kind: collected in any order, returned as the lists of their bodies."""

from __future__ import annotations

import itertools
from array import array
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from graphml_onnx.codec.order import CircleError, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

    from numpy.typing import NDArray

    from graphml_onnx.codec.graph_location import GraphLocation

_Content = TypeVar("_Content")


class Place(NamedTuple):
    """The place of a node.

    Attributes:
        container: container_id of its compound.
        identity: number of its own identity.
        after: number of the identity of the node before it; `NOWHERE` if it names none.
    """

    container: int
    identity: int
    after: int


class Placed(NamedTuple, Generic[_Content]):
    """A node at its place in a list.

    Attributes:
        node: its number.
        container: container_id of its compound.
        identity: number of its identity.
        body: the graph or function whose list it is in.
        position: its place in the list.
        content: its content.
    """

    node: int
    container: int
    identity: int
    body: int
    position: int
    content: _Content


NOWHERE = -1
"""Instead of the number of an identity."""


class OrderedNodes(Generic[_Content]):
    """The nodes of one kind in all bodies: columns, because a graph may have millions of them.

    Args:
        kind: what they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._rows = array("q")  # node, container_id, identity, identity of the node before it, and line of each
        self._content: list[_Content] = []
        self._order: dict[int, Sequence[int]] = {}  # rows by body; known after `arrange`

    def __len__(self) -> int:
        return len(self._content)

    def add(self, node: int, place: Place, line: int, content: _Content) -> None:
        """Adds node number ``node``, of line ``line``."""
        self._rows.extend((node, *place, line))
        self._content.append(content)

    def add_all(
        self,
        nodes: Sequence[int],
        container_ids: Sequence[int],
        identities: Sequence[int],
        after: Sequence[int],
        lines: Sequence[int],
        contents: Sequence[_Content],
    ) -> None:
        """Adds several nodes, given in columns."""
        columns = zip(nodes, container_ids, identities, after, lines, strict=True)
        self._rows.extend(itertools.chain.from_iterable(columns))
        self._content += contents

    def of_nodes(self, numbers: Set[int]) -> Iterator[tuple[int, _Content]]:
        """The contents of some of the nodes."""
        for number, content in zip(self._rows[::5], self._content, strict=True):
            if number in numbers:
                yield number, content

    def arrange(
        self,
        body_of: Sequence[int],
        starts: Mapping[int, int],
        origin: GraphLocation,
        needs: Callable[[int], Mapping[int, Iterable[int]]] | None = None,
    ) -> None:
        """Sorts the nodes of each body into their order; called once, after all nodes were added.

        Args:
            body_of: the body of each container.
            starts: for each body, the identity that the first node of its list names in ``after``.
            origin: where the nodes come from, for messages.
            needs: for a body, the nodes that must come before each node; only called if the order is open.

        Raises:
            GraphMLError: the order of nodes is circular.
        """
        if not self._content:
            return
        node, container, identity, after, line = np.array(self._rows, np.int64).reshape(-1, 5).T
        body = np.fromiter(body_of, np.int64, len(body_of))[container]
        order = np.lexsort((line, body))
        body = body[order]
        ends = [0, *(np.flatnonzero(body[1:] != body[:-1]) + 1).tolist(), len(order)]
        for low, high in itertools.pairwise(ends):
            number, rows = int(body[low]), order[low:high]
            own, before, start = identity[rows], after[rows], starts[number]
            if before[0] == start and np.array_equal(before[1:], own[:-1]):  # in the order of the document
                self._order[number] = rows.tolist()
                continue
            needed = partial(_needed, number, node[rows], needs)
            try:
                chain = in_order(own.tolist(), before.tolist(), start, needed)
            except CircleError as error:
                place = int(line[rows[error.row]])
                origin.fail(place, f"the {self.kind} comes after nodes that come after it", "remove its `after`")
            self._order[number] = rows[chain].tolist()

    def placed(self) -> Iterator[Placed[_Content]]:
        """The nodes of each body in their order, which must be known by then."""
        rows = self._rows
        for body, order in self._order.items():
            for position, row in enumerate(order):
                node, container, identity = rows[5 * row : 5 * row + 3]
                yield Placed(node, container, identity, body, position, self._content[row])

    def positions(self) -> NDArray[np.int32]:
        """The place of each node in its list, in the order in which nodes were added; their order must be known."""
        positions = np.zeros(len(self._content), np.int32)
        for order in self._order.values():
            positions[order] = np.arange(len(order))
        return positions

    def containers(self) -> Iterator[tuple[int, int]]:
        """Each node with the container_id of its compound."""
        return zip(self._rows[::5], self._rows[1::5], strict=True)

    def containers_by_body(self) -> Mapping[int, Sequence[int]]:
        """The container_id of the compound of each node of each body, in order; the order must be known."""
        containers = self._rows[1::5]
        return {body: [containers[row] for row in rows] for body, rows in self._order.items()}

    def by_body(self) -> Mapping[int, Sequence[_Content]]:
        """The contents of each body, in order; the order must be known."""
        content = self._content
        return {body: [content[row] for row in rows] for body, rows in self._order.items()}


def _needed(
    body: int, nodes: NDArray[np.int64], needs: Callable[[int], Mapping[int, Iterable[int]]] | None
) -> Mapping[int, Iterable[int]]:
    """The rows that each row of a body needs before it."""
    rows = {node: row for row, node in enumerate(nodes.tolist())}
    found = {} if needs is None else needs(body)
    return {rows[node]: [rows[other] for other in others] for node, others in found.items()}
