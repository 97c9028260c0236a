"""The edges of a file: which nodes they join, and whether they agree with the operators' inputs and outputs.

Edges are derived: they are compared with those that follow from the operators, and nothing is built from them here.

Source: docs/format.md, section "Edges".
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Never

import numpy as np

from graphml_onnx.errors import GraphMLError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphml_onnx.codec.dataflow import Dataflow
    from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord

_SHOWN = 3  # disagreements that an error message spells out


class Edges:
    """The edges of a file, and numbers for the XML ids at which they end.

    Args:
        path: the file, for messages.
        flow: what the operators say; complete when edges are compared.
    """

    def __init__(self, path: Path, flow: Dataflow) -> None:
        self._path = path
        self._flow = flow
        self._numbers: dict[str, int] = {}  # of every XML id
        self._lines: dict[int, int] = {}  # line of every node, by the number of its XML id
        self._source, self._target, self._line = array("i"), array("i"), array("q")

    def number_node(self, record: NodeRecord) -> int:
        """The number of a node.

        Raises:
            GraphMLError: another node has the same XML id.
        """
        number = self._numbers.setdefault(record.node_id, len(self._numbers))
        if number in self._lines:
            raise GraphMLError(
                f"a second node has the id {record.node_id!r}", file=self._path, place=f"line {record.line}"
            )
        self._lines[number] = record.line
        return number

    def take(self, record: EdgeRecord) -> None:
        """Adds an edge."""
        numbers = self._numbers
        self._source.append(numbers.setdefault(record.source, len(numbers)))
        self._target.append(numbers.setdefault(record.target, len(numbers)))
        self._line.append(record.line)

    def check_ends(self) -> None:
        """Makes sure that edges end at nodes.

        Raises:
            GraphMLError: one does not; with its line.
        """
        if len(self._numbers) == len(self._lines):
            return
        names = list(self._numbers)
        for source, target, line in zip(self._source, self._target, self._line, strict=True):
            for end in (source, target):
                if end not in self._lines:
                    raise GraphMLError(
                        f"the edge names the node {names[end]!r}, which does not exist",
                        file=self._path,
                        place=f"line {line}",
                    )

    def check(self, body_of: Sequence[int], outer: Mapping[int, int]) -> None:
        """Compares the edges with those that follow from inputs and outputs.

        Args:
            body_of: the body of each place.
            outer: the body around a body whose names it sees.

        Raises:
            GraphMLError: they disagree; with the first disagreements.
        """
        expected = array("q", (use.source << 32 | use.target for use in self._flow.edges(body_of, outer)))
        found = array("q", (source << 32 | target for source, target in zip(self._source, self._target, strict=True)))
        if not np.array_equal(np.sort(np.array(expected)), np.sort(np.array(found))):
            self._fail(expected, found)

    def _fail(self, expected: Sequence[int], found: Sequence[int]) -> Never:
        names = list(self._numbers)
        lines = dict(zip(reversed(found), reversed(self._line), strict=True))
        wanted, present = Counter(expected), Counter(found)

        def ends(pair: int) -> str:
            return f"{names[pair >> 32]} -> {names[pair & 0xFFFFFFFF]}"

        problems = [(lines[pair], f"no input says {ends(pair)}") for pair in present - wanted]
        problems += [(self._lines[pair & 0xFFFFFFFF], f"no edge says {ends(pair)}") for pair in wanted - present]
        shown = "; ".join(f"line {line}: {problem}" for line, problem in problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise GraphMLError(
            f"the edges disagree with the operators' inputs and outputs: {shown}{more}",
            file=self._path,
            place=f"line {problems[0][0]}",
            remedy="correct them, or pass --trust nodes to go by the inputs and outputs",
        )
