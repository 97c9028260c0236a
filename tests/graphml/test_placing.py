"""Any nested graph gets places: boxes within their groups and beside each other, edges around boxes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.graphml.placing import NONE, Outline, Places, placed
from tests.graphml.drawn import Box

SIZES = st.sampled_from([(60, 30), (16, 16), (500, 30), (60, 50)])


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """Groups within groups, and edges between any two boxes that are no groups, circles too."""
    parents: list[int] = []
    groups: list[int] = []
    for box in range(draw(st.integers(1, 40))):
        parents.append(draw(st.sampled_from([NONE, *groups])))
        if draw(st.integers(0, 3)) == 0:
            groups.append(box)
    leaves = [box for box in range(len(parents)) if box not in groups]
    ends = st.sampled_from(leaves) if leaves else st.nothing()
    edges = draw(st.lists(st.tuples(ends, ends), max_size=60)) if leaves else []
    sizes = [draw(SIZES) for _ in parents]
    return Outline(parents, sizes, groups, [source for source, _ in edges], [target for _, target in edges])


def box_of(places: Places, number: int) -> Box:
    left, top = places.left[number], places.top[number]
    return Box(left, top, left + places.widths[number], top + places.heights[number])


def shown(outline: Outline, places: Places, number: int) -> Box:
    if number not in places.closed:
        return box_of(places, number)
    left, top = places.left[number], places.top[number]
    return Box(left, top, left + outline.sizes[number][0], top + outline.sizes[number][1])


@given(outlines(), st.none() | st.integers(0, 3))
def test_boxes_are_within_their_groups_and_apart(outline: Outline, open_depth: int | None) -> None:
    places = placed(outline, open_depth)
    for box, parent in enumerate(outline.parents):
        if parent != NONE:
            assert box_of(places, parent).contains(shown(outline, places, box))
    for one, other in combinations(range(len(outline.parents)), 2):
        if outline.parents[one] == outline.parents[other]:
            assert not shown(outline, places, one).overlaps(shown(outline, places, other))


@given(outlines())
def test_edges_run_around_the_boxes_of_their_groups(outline: Outline) -> None:
    places = placed(outline)
    for number, (source, target) in enumerate(zip(outline.sources, outline.targets, strict=True)):
        if source == target:
            continue
        start, end = box_of(places, source), box_of(places, target)
        points = [(start.middle, start.bottom), *places.paths.get(number, ()), (end.middle, end.top)]
        around = set()
        for box in (source, target):
            while box != NONE:
                around.add(box)
                box = outline.parents[box]
        for other, parent in enumerate(outline.parents):
            if other not in around and (parent == NONE or parent in around):
                box = box_of(places, other)
                assert not any(box.is_crossed(*piece) for piece in pairwise(points)), (number, other)


def test_equal_groups_look_equal() -> None:
    parents = [NONE, 0, 0, 0, NONE, 4, 4, 4]
    outline = Outline(parents, [(60, 30)] * 8, [0, 4], [1, 1, 5, 5], [2, 3, 6, 7])
    places = placed(outline)
    for box in (1, 2, 3):
        assert places.left[box] - places.left[0] == places.left[box + 4] - places.left[4]
        assert places.top[box] - places.top[0] == places.top[box + 4] - places.top[4]


@pytest.mark.parametrize("depth", [100, 800])
def test_paths_do_not_outgrow_the_graph_where_groups_are_deep(depth: int) -> None:
    count = 5_000
    parents = [*range(-1, depth - 1), NONE, *[depth - 1] * count]
    outside = [depth] * count
    places = placed(
        Outline(parents, [(60, 30)] * len(parents), range(depth), outside, range(depth + 1, depth + 1 + count))
    )
    assert 0 < sum(map(len, places.paths.values())) < 40 * count


def flat(count: int, edges: list[tuple[int, int]]) -> Outline:
    return Outline(
        [NONE] * count, [(60, 30)] * count, [], [source for source, _ in edges], [target for _, target in edges]
    )


def test_a_chain_is_a_straight_line() -> None:
    places = placed(flat(5, [(0, 1), (1, 2), (2, 3), (3, 4)]))
    assert len(set(places.left)) == 1
    assert not places.paths
    assert [places.top[n + 1] - places.top[n] for n in range(4)] == [56] * 4


def test_boxes_of_a_row_stand_in_the_order_of_those_above() -> None:
    """0, 1 and 2 are above; what they lead to stands in the file the other way round."""
    places = placed(flat(6, [(0, 5), (1, 4), (2, 3)]))
    above, below = [[places.left[box] for box in boxes] for boxes in ((0, 1, 2), (5, 4, 3))]
    assert (above == sorted(above)) == (below == sorted(below))
    assert above == below


def test_what_depends_on_nothing_stands_just_above_what_uses_it() -> None:
    places = placed(flat(5, [(0, 1), (1, 2), (2, 3), (4, 3)]))
    assert places.top[4] == places.top[2]


def test_a_branch_stands_above_the_middle_of_what_it_joins() -> None:
    places = placed(flat(4, [(0, 1), (0, 2), (1, 3), (2, 3)]))
    middles = [left + 30 for left in places.left]
    assert middles[0] == middles[3] == (middles[1] + middles[2]) // 2


@pytest.mark.parametrize("count", [12, 13, 60, 200])
def test_long_chains_are_columns_of_about_one_height(count: int) -> None:
    places = placed(flat(count, [(box, box + 1) for box in range(count - 1)]))
    columns = Counter(places.left)
    rows = sorted(columns.values())
    assert (len(columns) == 1) == (count * 56 <= 700)
    assert rows[-2 if len(rows) > 1 else -1] == rows[-1]
    assert places.top[0] == min(places.top)
