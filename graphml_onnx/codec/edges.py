"""The edges of a file: which nodes they join, and whether they agree with the operators' inputs and outputs.

Edges are derived: they are compared with those that follow from the operators, and nothing is built from them here.

Source: docs/format.md, section "Edges".
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Never

import numpy as np

from graphml_onnx.codec.node_names import called
from graphml_onnx.codec.scalars import String

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set

    from graphml_onnx.codec.dataflow import Dataflow
    from graphml_onnx.codec.graph_location import GraphLocation
    from graphml_onnx.graphml.elements import EdgeRecord, EdgeRows, NodeRecord

_SHOWN = 10  # disagreements that an error message spells out
_LOW = (1 << 32) - 1


class Edges:
    """The edges of a file, and numbers for the XML ids at which they end.

    Args:
        origin: where they come from, for messages.
        flow: what the operators say; complete when edges are compared.
        names: what nodes are and their names, by number, for messages; not asked before something is wrong.
    """

    def __init__(
        self, origin: GraphLocation, flow: Dataflow[bytes], names: Callable[[Set[int]], Mapping[int, tuple[str, str]]]
    ) -> None:
        self._origin = origin
        self._flow = flow
        self._names = names
        self._numbers: dict[str, int] = {}  # of every XML id
        self._lines = array("q")  # of every node, by the number of its XML id; 0 where only edges have named it
        self._ends = array("q")  # source and target of each edge
        self._edge_lines = array("q")
        self._passed_over: set[int] = set()

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each XML id."""
        return self._numbers

    def number_node(self, record: NodeRecord) -> int:
        """The number of a node.

        Raises:
            GraphMLError: another node has the same XML id.
        """
        lines = self._lines
        number = self._numbers.setdefault(record.node_id, len(lines))
        if number == len(lines):
            lines.append(record.line)
        elif lines[number]:
            self._origin.fail(record.line, f"a second node has the id {record.node_id!r}")
        else:
            lines[number] = record.line
        return number

    def pass_over(self, number: int) -> None:
        """Takes no notice of edges that join this node."""
        self._passed_over.add(number)

    def number_nodes(self, node_ids: Sequence[str], lines: Sequence[int]) -> range | None:
        """The numbers of several nodes; None, and nothing is done, where one of them is known already."""
        numbers = range(len(self._lines), len(self._lines) + len(node_ids))
        new = dict(zip(node_ids, numbers, strict=True))
        if len(new) < len(numbers) or not self._numbers.keys().isdisjoint(new):
            return None
        self._numbers |= new
        self._lines.extend(lines)
        return numbers

    def take(self, record: EdgeRecord) -> None:
        """Adds an edge."""
        numbers = self._numbers
        try:
            self._ends.extend((numbers[record.source], numbers[record.target]))
        except KeyError:  # the node comes later, or never
            for end in (record.source, record.target):
                if numbers.setdefault(end, len(self._lines)) == len(self._lines):
                    self._lines.append(0)
            self._ends.extend((numbers[record.source], numbers[record.target]))
        self._edge_lines.append(record.line)

    def take_rows(self, rows: EdgeRows) -> None:
        """Adds several edges."""
        numbers = self._numbers
        try:
            self._ends.extend([numbers[end] for ends in rows.ends for end in ends])
        except KeyError:
            for record in rows.records():
                self.take(record)
        else:
            self._edge_lines.extend(range(rows.line, rows.line + len(rows.ends)))

    def _all(self) -> Iterator[tuple[int, int, int]]:
        """Source, target and line of each edge."""
        ends = iter(self._ends)
        return zip(ends, ends, self._edge_lines, strict=True)

    def check_ends(self) -> None:
        """Makes sure that edges end at nodes.

        Raises:
            GraphMLError: one does not; with its line.
        """
        if 0 not in self._lines:
            return
        names = list(self._numbers)
        for source, target, line in self._all():
            for end in (source, target):
                if not self._lines[end]:
                    self._origin.fail(line, f"the edge names the node {names[end]!r}, which does not exist")

    def check(self, body_of: Sequence[int], outer: Mapping[int, int]) -> None:
        """Compares the edges with those that follow from inputs and outputs.

        Args:
            body_of: the body of each place.
            outer: the body around a body whose names it sees.

        Raises:
            GraphMLError: they disagree; with the first disagreements.
        """
        expected = self._flow.pairs(body_of, outer)
        source, target = np.array(self._ends, np.int64).reshape(-1, 2).T
        if self._passed_over:
            passed_over = np.fromiter(self._passed_over, np.int64)
            is_drawn = ~(np.isin(source, passed_over) | np.isin(target, passed_over))
            source, target = source[is_drawn], target[is_drawn]
        found = source << 32 | target
        if self._origin.is_simple:
            expected, found = np.unique(expected), np.unique(found)
        if not np.array_equal(np.sort(expected), np.sort(found)):
            self._fail(Counter(expected.tolist()), Counter(found.tolist()), body_of, outer)

    def _fail(
        self, wanted: Counter[int], present: Counter[int], body_of: Sequence[int], outer: Mapping[int, int]
    ) -> Never:
        missing, superfluous = wanted - present, present - wanted
        names = self._called({number for pair in missing | superfluous for number in (pair >> 32, pair & _LOW)})
        problems: list[tuple[int, str]] = []
        needed = wanted & present
        for source, target, line in self._all():
            if (pair := source << 32 | target) not in superfluous:
                continue
            needed[pair] -= 1
            if needed[pair] < 0:
                problems.append((line, f"the edge from {names[source]} to {names[target]} stands for no input"))
        for use in self._flow.edges(body_of, outer):
            if missing[pair := use.source << 32 | use.target] > 0:
                missing[pair] -= 1
                flow = f"{names[use.target]} takes {String.text(use.tensor)!r} from {names[use.source]}"
                problems.append((self._lines[use.target], f"no edge says that {flow}"))
        shown = "; ".join(f"{self._origin.place(line)}: {problem}" for line, problem in problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        self._origin.fail(
            problems[0][0],
            f"the edges disagree with the operators' inputs and outputs: {shown}{more}",
            self._origin.remedy_if_edges_differ,
        )

    def _called(self, numbers: Set[int]) -> Mapping[int, str]:
        """What messages call nodes."""
        xml_ids = list(self._numbers)
        names = self._names(numbers)
        return {number: called(*names.get(number, ("node", "")), xml_ids[number]) for number in numbers}
