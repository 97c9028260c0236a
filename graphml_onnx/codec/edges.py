"""The edges of a file: checks the nodes that they join, and compares them with the operators' inputs and outputs.

Edges are derived: here they are only compared with those that follow from the operators.

Source: docs/format.md, section "Edges".
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Never

import numpy as np

from graphml_onnx.codec.node_names import called
from graphml_onnx.codec.scalars import string_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

    from graphml_onnx.codec.dataflow import Dataflow, Flows
    from graphml_onnx.codec.graph_location import GraphLocation

_SHOWN = 10  # disagreements that an error message spells out
_LOW = (1 << 32) - 1


class Numbers(dict[str, int]):
    """Gives each id a number when it first occurs."""

    def __missing__(self, xml_id: str) -> int:
        self[xml_id] = number = len(self)
        return number

    def of_new(self, names: Sequence[str]) -> Sequence[int] | None:
        """Numbers several names at once if they are all new and different; otherwise None."""
        if not self.keys().isdisjoint(names) or len(set(names)) < len(names):
            return None
        numbers = range(len(self), len(self) + len(names))
        self.update(zip(names, numbers, strict=True))
        return numbers


class Edges:
    """The edges of a file, and numbers for the XML ids at which they end.

    Args:
        origin: where they come from, for messages.
        flow: the dataflow of the operators; complete when edges are compared.
        names: gives kinds and names of nodes by number; only called to build an error message.
    """

    def __init__(
        self, origin: GraphLocation, flow: Dataflow[bytes], names: Callable[[Set[int]], Mapping[int, tuple[str, str]]]
    ) -> None:
        self._origin = origin
        self._flow = flow
        self._names = names
        self._numbers = Numbers()
        self._lines = array("q")  # of nodes, by number; 0, or missing at the end, if only edges name the XML id
        self._ends = array("q")  # source and target of each edge
        self._edge_lines = array("q")
        self._passed_over: set[int] = set()

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each XML id."""
        return self._numbers

    def number_nodes(self, xml_ids: Sequence[str], lines: Sequence[int]) -> Sequence[int]:
        """The numbers of nodes.

        Raises:
            GraphMLError: another node has the same XML id.
        """
        known = self._numbers
        self._pad()
        fresh = known.of_new(xml_ids)
        if fresh is not None:
            self._lines.extend(lines)
            return fresh
        numbers = [known[xml_id] for xml_id in xml_ids]
        self._pad()
        for number, line in zip(numbers, lines, strict=True):
            if self._lines[number]:
                message = f"a second node has the id {list(known)[number]!r}"
                self._origin.fail(line, message, "remove it, or give it an id and a node_id of its own, and no after")
            self._lines[number] = line
        return numbers

    def pass_over(self, number: int) -> None:
        """Ignores edges that join this node."""
        self._passed_over.add(number)

    def take(self, ends: Iterable[tuple[str, str]], lines: Iterable[int]) -> None:
        """Adds edges, given the XML ids of their ends, and their lines."""
        numbers = self._numbers
        self._ends.extend([numbers[end] for pair in ends for end in pair])
        self._edge_lines.extend(lines)

    def _pad(self) -> None:
        self._lines.extend([0] * (len(self._numbers) - len(self._lines)))

    def _all(self) -> Iterator[tuple[int, int, int]]:
        """Source, target and line of each edge."""
        ends = iter(self._ends)
        return zip(ends, ends, self._edge_lines, strict=True)

    def check_ends(self) -> None:
        """Checks that edges end at nodes.

        Raises:
            GraphMLError: one does not; with its line.
        """
        self._pad()
        if 0 not in self._lines:
            return
        names = list(self._numbers)
        for source, target, line in self._all():
            for end in (source, target):
                if not self._lines[end]:
                    message = f"the edge names the node {names[end]!r}, which does not exist"
                    self._origin.fail(line, message, "remove the edges of a node that you removed, or correct the id")

    def check(self, body_of: Sequence[int], outer: Mapping[int, int]) -> None:
        """Compares the edges with those that follow from inputs and outputs.

        Args:
            body_of: the body of each container.
            outer: the body around a body whose names it sees.

        Raises:
            GraphMLError: they disagree; with the first disagreements.
        """
        flows = self._flow.flows(body_of, outer)
        expected = flows.source << 32 | flows.target
        source, target = np.array(self._ends, np.int64).reshape(-1, 2).T
        if self._passed_over:
            passed_over = np.fromiter(self._passed_over, np.int64)
            is_drawn = ~(np.isin(source, passed_over) | np.isin(target, passed_over))
            source, target = source[is_drawn], target[is_drawn]
        found = source << 32 | target
        if self._origin.is_simple:
            expected, found = np.unique(expected), np.unique(found)
        if not np.array_equal(np.sort(expected), np.sort(found)):
            self._fail(Counter(expected.tolist()), Counter(found.tolist()), flows)

    def _fail(self, wanted: Counter[int], present: Counter[int], flows: Flows) -> Never:
        missing, superfluous = wanted - present, present - wanted
        names = self._called({number for pair in missing | superfluous for number in (pair >> 32, pair & _LOW)})
        problems: list[tuple[int, str]] = []
        needed = wanted & present
        for source, target, line in self._all():
            if (pair := source << 32 | target) not in superfluous:
                continue
            needed[pair] -= 1
            if needed[pair] < 0:
                problems.append((line, f"the edge from {names[source]} to {names[target]} matches no input"))
        for use in self._flow.uses(flows):
            if missing[pair := use.source << 32 | use.target] > 0:
                missing[pair] -= 1
                flow = f"{names[use.target]} takes {string_of(use.tensor)!r} from {names[use.source]}"
                problems.append((self._lines[use.target], f"no edge says that {flow}"))
        shown = "; ".join(f"{self._origin.place(line)}: {problem}" for line, problem in problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        self._origin.fail(
            problems[0][0],
            f"the edges disagree with the operators' inputs and outputs: {shown}{more}",
            self._origin.remedy_if_edges_differ,
        )

    def _called(self, numbers: Set[int]) -> Mapping[int, str]:
        """The names of nodes in messages."""
        xml_ids = list(self._numbers)
        names = self._names(numbers)
        return {number: called(*names.get(number, ("node", "")), xml_ids[number]) for number in numbers}
