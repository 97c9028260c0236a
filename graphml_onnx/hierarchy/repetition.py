"""Finds repeated blocks in the graph itself, for models that describe no modules.

The algorithm works on the operators in order, without those that depend on weights alone:

1. Each operator becomes a token: its type, the number of its inputs, and the dimensions of its weights.
2. For windows of 32, 16, 8 and 4 tokens, each position is linked to the next one where the same window begins. A
   stretch of neighbouring positions with the same distance, at least as long as that distance, is a block that repeats.
3. Longer stretches come first. A block begins where the fewest tensors cross (a person cuts where one arrow goes
   through); of several such positions, where the flow forks, as at the start of a residual block, else where a weight
   is used.
4. A gap between two repeated blocks that is about as long as a block is a block too (the first of a ResNet's stage).
5. If fewer than half of the operators are in a block by then, everything is repeated with tokens that contain only
   the kernel sizes, for networks that get wider from stage to stage. The result with more operators wins.

Each step is a few dictionary look-ups per operator and window: linear in operators and edges, except for sorting the
stretches. A single occurrence is no block, and neither is one of fewer than four operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.hierarchy.paths import NameStep

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.tree import Graph
    from graphml_onnx.hierarchy.wiring import Wiring

_WINDOWS: Final = (32, 16, 8, 4)  # tokens
_SMALLEST: Final = 4  # operators of a block
_BETWEEN: Final = 2  # times the length of its neighbours, for a block that occurs once


class _Run(NamedTuple):
    """A block that repeats: where it begins, its length, and how often."""

    start: int
    length: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.length * self.times


class _Borders(NamedTuple):
    """Evidence for where a block begins, for each position in the order of the operators.

    Attributes:
        crossing: how many tensors are made before it and used after it.
        forks: how many operators use the output of the one before it.
        has_weight: whether a layer with a weight begins there.
    """

    crossing: Sequence[int]
    forks: Sequence[int]
    has_weight: Sequence[bool]


def place_by_repetition(draft: Draft, graph: Graph, wiring: Wiring) -> None:
    """Makes a module of each repeated block, and places its operators there."""
    order = [position for position in range(len(graph.operators)) if not wiring.is_constant[position]]
    borders = _Borders(
        _crossing(wiring, order),
        [0, *(len(wiring.consumers[position]) for position in order)],
        [bool(_dimensions(graph, position)) for position in order],
    )
    found = _with_gaps(_runs([_token(graph, position) for position in order], borders))
    if 2 * _covered(found) < len(order):
        alike = _with_gaps(_runs([_token(graph, position, has_widths=False) for position in order], borders))
        found = max(found, alike, key=_covered)
    for number, (start, end) in _numbered(found):
        module = draft.reach([NameStep(f"block.{number}", ("block", str(number)))], "repetition")
        for place in range(start, end):
            draft.put(order[place], module, "repetition")


def _token(graph: Graph, position: int, *, has_widths: bool = True) -> Hashable:
    operator = graph.operators[position]
    weights = tuple(shape if has_widths else shape[2:] for shape in _dimensions(graph, position))
    return (operator.op_type, len(operator.inputs), len(operator.outputs), weights)


def _dimensions(graph: Graph, position: int) -> list[tuple[int, ...]]:
    """The weights of an operator, without biases."""
    weights = (graph.weights.get(name, ()) for name in graph.operators[position].inputs)
    return [shape for shape in weights if len(shape) > 1]


def _covered(runs: Sequence[_Run]) -> int:
    return sum(run.end - run.start for run in runs)


def _crossing(wiring: Wiring, order: Sequence[int]) -> list[int]:
    """For each position, how many tensors are made before it and used after it."""
    place_of = {position: place for place, position in enumerate(order)}
    change = [0] * (len(order) + 1)
    for place, position in enumerate(order):
        last = max((place_of.get(user, place) for user in wiring.consumers[position]), default=place)
        if last > place:
            change[place + 1] += 1
            change[last + 1 if last + 1 <= len(order) else len(order)] -= 1
    for place in range(1, len(change)):
        change[place] += change[place - 1]
    return change


def _runs(tokens: Sequence[Hashable], borders: _Borders) -> list[_Run]:
    numbers: dict[Hashable, int] = {}
    text = [numbers.setdefault(token, len(numbers)) for token in tokens]
    taken = bytearray(len(text))
    chosen: list[_Run] = []
    for window in _WINDOWS:
        stretches = sorted(_stretches(text, window), key=lambda stretch: (stretch[0] - stretch[1], stretch[0]))
        for start, end, distance in stretches:
            free = _free(taken, start, end)
            for run_start, run_end in free:
                run = _aligned(run_start, run_end, distance, borders)
                if run is not None:
                    chosen.append(run)
                    taken[run.start : run.end] = b"\1" * (run.end - run.start)
    return sorted(chosen)


def _stretches(text: Sequence[int], window: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and distance of the parts of the text that repeat themselves after the distance."""
    if len(text) < 2 * max(window, _SMALLEST) and window > _WINDOWS[-1]:
        return
    following: dict[tuple[int, ...], int] = {}
    distances = [0] * len(text)
    for start in range(len(text) - window, -1, -1):
        gram = tuple(text[start : start + window])
        if gram in following:
            distances[start] = following[gram] - start
        following[gram] = start
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and distances[end] == distances[start]:
            end += 1
        distance = distances[start]
        if distance >= _SMALLEST and end - start + window - 1 >= distance:
            yield start, end + window - 1 + distance, distance
        start = end


def _free(taken: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a stretch that no block has taken."""
    place = start
    while place < end:
        begin = taken.find(b"\0", place, end)
        if begin < 0:
            return
        stop = taken.find(b"\1", begin, end)
        stop = end if stop < 0 else stop
        yield begin, stop
        place = stop


def _aligned(start: int, end: int, length: int, borders: _Borders) -> _Run | None:
    """The blocks of a stretch, from the offset with the best borders."""
    if end - start < 2 * length:
        return None
    best: tuple[tuple[int, int, int, bool], _Run] | None = None
    for offset in range(min(length, end - start - 2 * length + 1)):
        times = (end - start - offset) // length
        first = start + offset
        crossing = max(borders.crossing[first + length * number] for number in range(times + 1))
        rank = (crossing, -times, -borders.forks[first], not borders.has_weight[first])
        if best is None or rank < best[0]:
            best = (rank, _Run(first, length, times))
    return None if best is None else best[1]


def _with_gaps(runs: Sequence[_Run]) -> list[_Run]:
    """The runs, and each gap between two runs that is as long as a block and cut as well."""
    found: list[_Run] = []
    for run in runs:
        if found:
            before = found[-1]
            gap = run.start - before.end
            if _SMALLEST <= gap <= _BETWEEN * max(run.length, before.length):
                found.append(_Run(before.end, gap, 1))
        found.append(run)
    return found


def _numbered(runs: Sequence[_Run]) -> Iterator[tuple[int, tuple[int, int]]]:
    """A number for each block, counted through all runs, because a person sees one row of blocks."""
    number = 0
    for run in runs:
        for time in range(run.times):
            start = run.start + time * run.length
            yield number, (start, start + run.length)
            number += 1
