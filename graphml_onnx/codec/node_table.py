"""The nodes of one kind, collected in whatever order they come, given back as the lists of their bodies."""

from __future__ import annotations

import itertools
from array import array
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set

    from graphml_onnx.codec.graph_location import GraphLocation

_Content = TypeVar("_Content")


class OrderedNodes(Generic[_Content]):
    """The nodes of one kind in all bodies: columns, because a graph may have millions of them.

    Args:
        kind: what they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._rows = array("q")  # node, container_id, index and line of each
        self._content: list[_Content] = []

    def __len__(self) -> int:
        return len(self._content)

    def add(self, node: int, container_id: int, index: int, line: int, content: _Content) -> None:
        """Adds node number ``node``, of line ``line``, at ``index`` of its list."""
        self._rows.extend((node, container_id, index, line))
        self._content.append(content)

    def add_all(
        self,
        nodes: Sequence[int],
        container_ids: Sequence[int],
        indices: Sequence[int],
        lines: Sequence[int],
        contents: Sequence[_Content],
    ) -> None:
        """Adds several nodes, given in columns."""
        self._rows.extend(itertools.chain.from_iterable(zip(nodes, container_ids, indices, lines, strict=True)))
        self._content += contents

    def of_nodes(self, numbers: Set[int]) -> Iterator[tuple[int, _Content]]:
        """The contents of some of the nodes."""
        for number, content in zip(self._rows[::4], self._content, strict=True):
            if number in numbers:
                yield number, content

    def by_body(self, body_of: Sequence[int], origin: GraphLocation) -> Mapping[int, Sequence[_Content]]:
        """The contents of each body, in order.

        Args:
            body_of: the body of each container.
            origin: where the nodes come from, for messages.

        Raises:
            GraphMLError: two nodes of a body have the same index.
        """
        if not self._content:
            return {}
        _, container_id, index, line = np.array(self._rows, np.int64).reshape(-1, 4).T
        body = np.fromiter(body_of, np.int64, len(body_of))[container_id]
        order = np.lexsort((index, body))
        index, body = index[order], body[order]
        same_body = body[1:] == body[:-1]
        twice = np.flatnonzero(same_body & (index[1:] == index[:-1]))
        if len(twice):
            first, second = (int(line[order[twice[0] + step]]) for step in (0, 1))
            problem = f"a second {self.kind} has the index {index[twice[0]]} in this body"
            origin.fail(second, f"{problem}; the first is in {origin.place(first)}")
        starts = [0, *(np.flatnonzero(~same_body) + 1).tolist(), len(order)]
        content = self._content
        return {
            int(body[start]): [content[row] for row in order[start:end].tolist()]
            for start, end in itertools.pairwise(starts)
        }
