"""Computes a drawing of a nested graph: the places of its boxes and the paths of its edges.

Within a group, boxes are in rows from top to bottom, each below the boxes that it depends on (longest paths). If there
are many rows, they are cut into columns. An edge to the next row runs straight. Every other edge runs where there are
no boxes: in the gap below its row, the lane beside its column, and the gap above its target. Edges through the border
of a group run through the middle of its upper or lower side.

Everything is in pixels; y grows downwards. Groups with the same boxes and edges look the same, and are arranged once.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Point: TypeAlias = "tuple[int, int]"
Link: TypeAlias = "tuple[int, int]"
"""Two boxes of a group by their numbers within it; `BORDER` for a box outside."""

NONE: int = -1
"""The group of a box that is in no group."""

BORDER: int = -1
"""Instead of a box: the upper side of the group for an edge that comes in, the lower side for one that goes out."""

HEADER = 40  # of a group, with its label
INSET = 20  # between a group and its content
_BESIDE = 20  # between two boxes of a row
_GAP = 26  # between two rows; more where edges run along it
_TRACK = 6  # between two edges that run along each other
_MOST_TRACKS = 8  # in a gap or lane; more edges share them
_NARROWEST_ROW = 900  # rows are not split below this width
_TALLEST = 2  # times as high as wide before rows become columns
_SHORTEST_COLUMN = 700
_SWEEPS = 4  # over the rows, to put each box near its neighbours
_BORDERS = 8  # crossed per edge on average; with groups hundreds deep, paths would be longer than the model
_MANY = 2_000  # boxes of one group, of which sweeps are fewer


class Outline(NamedTuple):
    """The boxes and edges to draw.

    Attributes:
        parents: for each box, the number of the group around it, which is smaller than its own; `NONE` for none.
        sizes: width and height of each box; for a group, while it is closed.
        groups: numbers of the boxes that are groups.
        sources: for each edge, the box that it comes from; never a group.
        targets: for each edge, the box that it goes to.
    """

    parents: Sequence[int]
    sizes: Sequence[Point]
    groups: Sequence[int]
    sources: Sequence[int]
    targets: Sequence[int]


class Places(NamedTuple):
    """The drawing.

    Attributes:
        left: of each box.
        top: of each box.
        widths: of each box; for a group, while it is open.
        heights: the same.
        closed: groups that are closed at first.
        paths: by the number of an edge, its points between the middle of its source's lower side and of its target's
            upper side; none for a straight edge.
    """

    left: Sequence[int]
    top: Sequence[int]
    widths: Sequence[int]
    heights: Sequence[int]
    closed: frozenset[int]
    paths: Mapping[int, Sequence[Point]]


def placed(outline: Outline, open_depth: int | None = None) -> Places:
    """Places a whole graph.

    Args:
        outline: boxes and edges.
        open_depth: groups with at least this many groups around them are closed; None leaves all open.
    """
    return _Picture(outline, open_depth).places()


class _Picture:
    """A graph while its places are computed."""

    def __init__(self, outline: Outline, open_depth: int | None) -> None:
        self._parents = parents = outline.parents
        self._sources, self._targets = outline.sources, outline.targets
        self._routed = 0  # edges; those after them run straight
        self._depths = array("i")
        for parent in parents:
            self._depths.append(0 if parent == NONE else self._depths[parent] + 1)
        self._children: dict[int, list[int]] = {NONE: [], **{group: [] for group in outline.groups}}
        self._number = array("i")  # of each box within its group
        for box, parent in enumerate(parents):
            children = self._children[parent]
            self._number.append(len(children))
            children.append(box)
        self._closed = frozenset(
            group for group in outline.groups if open_depth is not None and self._depths[group] >= open_depth
        )
        self._widths = array("i", [width for width, _ in outline.sizes])
        self._heights = array("i", [height for _, height in outline.sizes])
        self._closed_sizes = {group: outline.sizes[group] for group in self._closed}
        self._plans: dict[int, _Plan] = {}

    def places(self) -> Places:
        self._arrange_groups()
        left, top = array("i", bytes(4 * len(self._parents))), array("i", bytes(4 * len(self._parents)))
        for group, children in self._children.items():  # the outer ones first
            plan = self._plans[group]
            x, y = self._corner(group, left, top)
            for child, across, down in zip(children, plan.left, plan.top, strict=True):
                left[child], top[child] = x + across, y + down
        paths: dict[int, Sequence[Point]] = {}
        for number, (source, target) in enumerate(zip(self._sources, self._targets, strict=True)):
            points = self._path(source, target, left, top) if number < self._routed else ()
            if points:
                paths[number] = points
        return Places(left, top, self._widths, self._heights, self._closed, paths)

    def _corner(self, group: int, left: Sequence[int], top: Sequence[int]) -> Point:
        """Where a group's content begins: in its middle, below its label."""
        if group == NONE:
            return 0, 0
        return left[group] + (self._widths[group] - self._plans[group].width) // 2, top[group] + HEADER

    def _arrange_groups(self) -> None:
        links = self._links()
        known: dict[tuple[tuple[Point, ...], tuple[Link, ...]], _Plan] = {}
        for group in reversed(self._children):  # the inner ones first
            sizes = tuple([self._outer_size(child) for child in self._children[group]])
            key = (sizes, links(group))
            plan = known.get(key)
            if plan is None:
                plan = known[key] = _Plan(*key)
            self._plans[group] = plan
            if group != NONE:
                self._widths[group] = max(self._widths[group], plan.width + 2 * INSET)
                self._heights[group] = HEADER + plan.height + INSET

    def _links(self) -> Callable[[int], tuple[Link, ...]]:
        """Gives the links of a group."""
        found = array("i")  # group and link of each piece of an edge
        most = _BORDERS * len(self._sources) + _MANY
        for source, target in zip(self._sources, self._targets, strict=True):
            if len(found) > 3 * most:
                break
            for group, link in self._pieces(source, target):
                found.extend((group, *link))
            self._routed += 1
        groups, sources, targets = np.frombuffer(found, np.int32).reshape(-1, 3).T
        order = np.argsort(groups, kind="stable")
        groups, sources, targets = groups[order], sources[order], targets[order]

        def of(group: int) -> tuple[Link, ...]:
            start, end = np.searchsorted(groups, (group, group + 1)).tolist()
            return tuple(dict.fromkeys(zip(sources[start:end].tolist(), targets[start:end].tolist(), strict=True)))

        return of

    def _outer_size(self, box: int) -> Point:
        closed = self._closed_sizes.get(box)
        return (self._widths[box], self._heights[box]) if closed is None else closed

    def _pieces(self, source: int, target: int) -> Iterable[tuple[int, Link]]:
        """The links of an edge in each group that it runs through, from its source outwards, then inwards."""
        parents, depths, number = self._parents, self._depths, self._number
        if parents[source] == parents[target]:  # the usual case
            return ((parents[source], (number[source], number[target])),)
        outwards, inwards = [], []
        while parents[source] != parents[target]:
            if depths[source] >= depths[target]:
                outwards.append((parents[source], (number[source], BORDER)))
                source = parents[source]
            else:
                inwards.append((parents[target], (BORDER, number[target])))
                target = parents[target]
        return *outwards, (parents[source], (number[source], number[target])), *reversed(inwards)

    def _path(self, source: int, target: int, left: Sequence[int], top: Sequence[int]) -> list[Point]:
        points: list[Point] = []
        is_hidden = False
        for group, link in self._pieces(source, target):
            is_inwards = link[0] == BORDER
            is_hidden = is_hidden or (is_inwards and group in self._closed)
            if not is_hidden:
                plan = self._plans[group]
                x, y = self._corner(group, left, top)
                port = x if group == NONE else left[group] + self._widths[group] // 2
                points.extend(plan.route(link, x, y, port))
            if link[1] == BORDER and group in self._closed:
                points = []
        if points and points[-1] == (left[target] + self._widths[target] // 2, top[target]):
            del points[-1]
        if points and points[0] == (left[source] + self._widths[source] // 2, top[source] + self._heights[source]):
            del points[0]
        return points


class _Plan:
    """The boxes of one group in relation to its upper left corner, without header and inset.

    Args:
        sizes: width and height of each box.
        links: the pairs of boxes that are joined, or the links through the border.
    """

    def __init__(self, sizes: Sequence[Point], links: Sequence[Link]) -> None:
        self._sizes = sizes
        self.left: list[int] = [0] * len(sizes)
        self.top: list[int] = [0] * len(sizes)
        inner = [(source, target) for source, target in links if BORDER not in (source, target) and source != target]
        ranks = _ranks(len(sizes), inner)
        self._columns = _columns(_rows(sizes, inner, ranks), sizes)
        self._row_of = {
            box: (column, row)
            for column, rows in enumerate(self._columns)
            for row, boxes in enumerate(rows)
            for box in boxes
        }
        self._gaps: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        self._lanes: dict[int, dict[int, int]] = defaultdict(dict)
        self._floor: dict[int, int] = {}  # tracks in the strip below all columns
        for link in links:
            self._reserve(link)
        self._place(inner)

    # Tracks

    def _reserve(self, link: Link) -> None:
        """Gives a link that cannot run straight to the next row its tracks."""
        source, target = link
        if source == target:
            return
        if source == BORDER:
            column, row = self._row_of[target]
            _track(self._gaps[0, 0], source)
            if row:
                _track(self._lanes[column], source)
                _track(self._gaps[column, row], source)
        elif target == BORDER:
            column, row = self._row_of[source]
            _track(self._floor, source)
            if row + 1 < len(self._columns[column]):
                _track(self._gaps[column, row + 1], source)
                _track(self._lanes[column + 1], source)
        elif not self._is_next(source, target):
            (column, row), (to_column, to_row) = self._row_of[source], self._row_of[target]
            _track(self._gaps[column, row + 1], source)
            _track(self._lanes[column + 1], source)
            _track(self._gaps[to_column if to_row else 0, to_row], source)
            if to_column not in (column, column + 1):
                _track(self._gaps[0, 0], source)
                _track(self._lanes[to_column], source)

    def _is_next(self, source: int, target: int) -> bool:
        (column, row), (to_column, to_row) = self._row_of[source], self._row_of[target]
        return column == to_column and row + 1 == to_row

    # Places

    def _place(self, links: Sequence[Link]) -> None:
        ceiling = _strip(self._gaps.get((0, 0)), 0)
        before: dict[int, list[int]] = defaultdict(list)
        after: dict[int, list[int]] = defaultdict(list)
        for source, target in links:
            if self._is_next(source, target):
                before[target].append(source)
                after[source].append(target)
        self._gap_top: dict[tuple[int, int], int] = {(0, 0): 0}
        self._lane_left: dict[int, int] = {}
        x = bottom = 0
        for column, rows in enumerate(self._columns):
            self._lane_left[column] = x
            x += _strip(self._lanes.get(column), _BESIDE if column else 0)
            x += self._place_across(rows, before, after, x)
            y = ceiling
            for row, boxes in enumerate(rows):
                if row:
                    self._gap_top[column, row] = y
                    y += _strip(self._gaps.get((column, row)), _GAP)
                for box in boxes:
                    self.top[box] = y
                y += max(self._sizes[box][1] for box in boxes)
            self._gap_top[column, len(rows)] = y
            y += _strip(self._gaps.get((column, len(rows))), 0)
            bottom = max(bottom, y)
        self._lane_left[len(self._columns)] = x
        self.width = x + _strip(self._lanes.get(len(self._columns)), 0)
        self._floor_top = bottom
        self.height = bottom + _strip(self._floor, 0)

    def _place_across(
        self, rows: Sequence[Sequence[int]], before: Mapping[int, list[int]], after: Mapping[int, list[int]], left: int
    ) -> int:
        """Gives the boxes of a column their places from left to right; returns its width."""
        middle: dict[int, int] = {}
        for boxes in rows:
            self._place_row(boxes, before, middle)
        for boxes in reversed(rows):
            if len(boxes) > 1 or not before.get(boxes[0]):
                self._place_row(boxes, after, middle)
        lowest = min((middle[box] - self._sizes[box][0] // 2 for boxes in rows for box in boxes), default=0)
        highest = 0
        for boxes in rows:
            for box in boxes:
                self.left[box] = left + middle[box] - self._sizes[box][0] // 2 - lowest
                highest = max(highest, self.left[box] + self._sizes[box][0] - left)
        return highest

    def _place_row(self, boxes: Sequence[int], near: Mapping[int, list[int]], middle: dict[int, int]) -> None:
        """Moves each box as near to the middle of its neighbours as its row allows."""
        wanted = {box: sum(middle[one] for one in near[box]) // len(near[box]) for box in boxes if near.get(box)}
        if not wanted and boxes[0] in middle:
            return
        right: int | None = None
        off = 0
        found = {}
        for box in boxes:
            width = self._sizes[box][0]
            start = wanted.get(box, middle.get(box, 0)) - width // 2
            if right is not None:
                start = max(start, right + _BESIDE)
            found[box] = start + width // 2
            off += found[box] - wanted.get(box, found[box])
            right = start + width
        shift = off // len(boxes) if wanted else sum(found.values()) // len(boxes)
        for box, place in found.items():
            middle[box] = place - shift

    # Routes

    def route(self, link: Link, x: int, y: int, port: int) -> Iterable[Point]:
        """The points of a link.

        Args:
            link: one of the links.
            x: left side of the group's content.
            y: its upper side.
            port: x of the middle of the group's sides.
        """
        source, target = link
        if source == target:
            return ()
        if source == BORDER:
            return self._route_in(target, x, y, port)
        column, row = self._row_of[source]
        at = x + self.left[source] + self._sizes[source][0] // 2
        if target == BORDER:
            return self._route_out(source, x, y, port)
        to_column, to_row = self._row_of[target]
        to = x + self.left[target] + self._sizes[target][0] // 2
        if self._is_next(source, target):
            return ((at, y + self._gap_top[column, row + 1]), (to, y + self.top[target])) if at != to else ()
        leave = y + self._gap_y(column, row + 1, source)
        arrive = y + self._gap_y(to_column if to_row else 0, to_row, source)
        lane = x + self._lane_x(column + 1, source)
        if to_column in (column, column + 1):
            return (at, leave), (lane, leave), (lane, arrive), (to, arrive)
        other, ceiling = x + self._lane_x(to_column, source), y + self._gap_y(0, 0, source)
        return (at, leave), (lane, leave), (lane, ceiling), (other, ceiling), (other, arrive), (to, arrive)

    def _route_in(self, target: int, x: int, y: int, port: int) -> Iterable[Point]:
        column, row = self._row_of[target]
        to = x + self.left[target] + self._sizes[target][0] // 2
        ceiling = y + self._gap_y(0, 0, BORDER)
        if not row:
            return ((port, ceiling), (to, ceiling)) if to != port else ()
        lane, arrive = x + self._lane_x(column, BORDER), y + self._gap_y(column, row, BORDER)
        return (port, ceiling), (lane, ceiling), (lane, arrive), (to, arrive)

    def _route_out(self, source: int, x: int, y: int, port: int) -> Iterable[Point]:
        column, row = self._row_of[source]
        at = x + self.left[source] + self._sizes[source][0] // 2
        floor = y + self._floor_top + _along(self._floor[source])
        if row + 1 == len(self._columns[column]):
            return ((at, floor), (port, floor)) if at != port else ()
        leave, lane = y + self._gap_y(column, row + 1, source), x + self._lane_x(column + 1, source)
        return (at, leave), (lane, leave), (lane, floor), (port, floor)

    def _gap_y(self, column: int, row: int, net: int) -> int:
        return self._gap_top[column, row] + _along(self._gaps[column, row][net])

    def _lane_x(self, lane: int, net: int) -> int:
        return self._lane_left[lane] + _along(self._lanes[lane][net])


def _track(tracks: dict[int, int], net: int) -> None:
    """Gives the edges from one box a track."""
    tracks.setdefault(net, len(tracks) % _MOST_TRACKS)


def _along(track: int) -> int:
    return _TRACK * (track + 2)


def _strip(tracks: Mapping[int, int] | None, least: int) -> int:
    """The width of a strip with tracks."""
    return max(least, _TRACK * (min(len(tracks), _MOST_TRACKS) + 3)) if tracks else least


def _ranks(count: int, links: Sequence[Link]) -> list[int]:
    """The rank of each box: below its inputs; a box without inputs is just above the boxes that depend on it."""
    after: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in links:
        after[source].append(target)
        waiting[target] += 1
    is_source = [not number for number in waiting]
    ranks = [0] * count
    order: list[int] = []
    ready = [box for box in range(count - 1, -1, -1) if not waiting[box]]
    is_done = [False] * count
    first = 0  # that is not done, where boxes depend on each other
    while len(order) < count:
        if not ready:
            while is_done[first]:
                first += 1
            ready.append(first)
        box = ready.pop()
        if is_done[box]:
            continue
        is_done[box] = True
        order.append(box)
        for other in after[box]:
            waiting[other] -= 1
            if not is_done[other]:
                ranks[other] = max(ranks[other], ranks[box] + 1)
                if not waiting[other]:
                    ready.append(other)
    for box in order:
        if is_source[box] and after[box]:
            ranks[box] = max(0, min(ranks[other] for other in after[box]) - 1)
    return ranks


def _rows(sizes: Sequence[Point], links: Sequence[Link], ranks: Sequence[int]) -> list[list[int]]:
    """Boxes by rank, each near its neighbours; a rank that is too wide becomes several rows."""
    by_rank: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for box, rank in enumerate(ranks):
        by_rank[rank].append(box)
    rows = [boxes for boxes in by_rank if boxes]
    if any(len(boxes) > 1 for boxes in rows):
        _order(rows, len(sizes), links, _SWEEPS if len(sizes) < _MANY else 1)
    area = sum((width + _BESIDE) * (height + _GAP) for width, height in sizes)
    limit = max(_NARROWEST_ROW, int(sqrt(2 * area)))
    return [part for boxes in rows for part in _cut(boxes, sizes, limit)]


def _cut(boxes: Sequence[int], sizes: Sequence[Point], limit: int) -> Iterator[list[int]]:
    part: list[int] = []
    width = 0
    for box in boxes:
        width += sizes[box][0] + _BESIDE
        if part and width > limit:
            yield part
            part, width = [], sizes[box][0] + _BESIDE
        part.append(box)
    yield part


def _order(rows: Sequence[list[int]], count: int, links: Sequence[Link], sweeps: int) -> None:
    """Orders the boxes of each row by the mean position of their neighbours above and below, in turns."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    place = [0.0] * count
    for boxes in rows:
        _number(boxes, place)
    for sweep in range(sweeps):
        near, turn = (after, reversed(rows)) if sweep % 2 else (before, iter(rows))
        for boxes in turn:
            if len(boxes) > 1:
                wanted = {
                    box: sum([place[one] for one in near[box]]) / len(near[box]) if near[box] else place[box]
                    for box in boxes
                }
                boxes.sort(key=wanted.__getitem__)
                _number(boxes, place)


def _number(boxes: Sequence[int], place: list[float]) -> None:
    for index, box in enumerate(boxes):
        place[box] = index - (len(boxes) - 1) / 2


def _columns(rows: Sequence[list[int]], sizes: Sequence[Point]) -> list[list[list[int]]]:
    """Stacks rows, in as many columns as needed so that the whole is not much higher than wide."""
    heights = [max(sizes[box][1] for box in boxes) + _GAP for boxes in rows]
    widest = max((sum(sizes[box][0] + _BESIDE for box in boxes) for boxes in rows), default=0)
    total = sum(heights)
    if total <= max(_SHORTEST_COLUMN, _TALLEST * widest) or 2 * max(heights) > total:
        return [list(rows)]
    height = max(total / ceil(sqrt(total / (_TALLEST * widest))), *heights)
    columns: list[list[list[int]]] = [[]]
    filled = 0
    for boxes, high in zip(rows, heights, strict=True):
        if columns[-1] and filled + high > height + 1:
            columns.append([])
            filled = 0
        columns[-1].append(boxes)
        filled += high
    return columns
