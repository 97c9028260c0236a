"""What yEd finds in the layout ``nested``: groups that open and close, labels, colours, arrows, and places for all."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from onnx import TensorProto, helper

from graphml_onnx import encode
from graphml_onnx.errors import UsageError
from graphml_onnx.graphml.layout import NAMESPACE
from tests.common import seeds
from tests.common.roundtrip import through_memory
from tests.graphml.drawn import NS, Drawing

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {**seeds.small_models(), **seeds.fixtures()}
REAL = sorted((seeds.FIXTURES.parent / "real").glob("*.onnx"))
_NODE = f"{{{NAMESPACE}}}node"


def document(name: str) -> bytes:
    return through_memory(MODELS[name], show_parameters=True).graphml


def nested(name: str) -> etree._Element:
    return etree.fromstring(document(name))


def is_clear(drawing: Drawing) -> bool:
    """Whether groups contain what they hold, and nothing lies on anything else of its group."""
    for node in drawing.nodes.values():
        for child in node.children:
            assert node.boxes[0].contains(child.shown)
            assert child.shown.top >= node.boxes[0].top + 25  # pixels: a line of text
    for siblings in drawing.groups():
        for one, other in itertools.combinations(siblings, 2):
            assert not one.shown.overlaps(other.shown)
    return True


@pytest.mark.parametrize("name", MODELS)
def test_every_box_has_its_place(name: str) -> None:
    drawing = Drawing(document(name))
    assert is_clear(drawing)
    for siblings in drawing.groups():
        assert not drawing.crossed(siblings)


@pytest.mark.parametrize("open_depth", [None, 1, 99])
@pytest.mark.parametrize("model", REAL, ids=lambda path: path.stem)
def test_real_models_can_be_looked_at(model: Path, open_depth: int | None, tmp_path: Path) -> None:
    encode(model, tmp_path / "g.graphml", open_depth=open_depth, self_check=False)
    drawing = Drawing((tmp_path / "g.graphml").read_bytes())
    assert is_clear(drawing)
    for siblings in drawing.groups():
        if len(siblings) <= 50:
            assert not drawing.crossed(siblings)
    for siblings in drawing.groups():
        boxes = [node.shown for node in siblings] or [drawing.top[0].shown]
        width = max(box.right for box in boxes) - min(box.left for box in boxes)
        height = max(box.bottom for box in boxes) - min(box.top for box in boxes)
        assert max(width / height, height / width) < 8


def test_parallel_branches_stand_beside_each_other(tmp_path: Path) -> None:
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Relu", ["x"], ["a"], "start"),
                helper.make_node("Exp", ["a"], ["b"], "left"),
                helper.make_node("Neg", ["a"], ["c"], "right"),
                helper.make_node("Add", ["b", "c"], ["d"], "end"),
                helper.make_node("Add", ["a", "d"], ["y"], "skip"),
            ],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        )
    )
    encode(model, tmp_path / "g.graphml")
    drawing = Drawing((tmp_path / "g.graphml").read_bytes())
    start, left, right, end, skip = (
        next(node.shown for node in drawing.nodes.values() if node.name.startswith(f"{name}."))
        for name in ("start", "left", "right", "end", "skip")
    )
    assert start.bottom < left.top == right.top < left.bottom < end.top < end.bottom < skip.top
    turns = {
        (line.source.partition(".")[0], line.target.partition(".")[0]): len(line.points) - 2 for line in drawing.lines
    }
    assert turns["start", "skip"] == 4  # around the others
    assert turns["start", "left"] == turns["start", "right"] == turns["left", "end"] == turns["end", "skip"] == 0


def test_deep_groups_are_closed_where_that_is_wanted(tmp_path: Path) -> None:
    model = seeds.FIXTURES.parent / "real/silero_vad.onnx"
    shown = []
    for depth in (0, 1, 2, 3, None):
        encode(model, tmp_path / "g.graphml", open_depth=depth, overwrite=True)
        drawing = Drawing((tmp_path / "g.graphml").read_bytes())
        closed = {node.name for node in drawing.nodes.values() if node.is_closed}
        hidden = {inner.name for name in closed for child in drawing.nodes[name].children for inner in child.walk()}
        shown.append(len(drawing.nodes.keys() - hidden))
        assert bool(closed) == (depth is not None)
    assert shown == sorted(set(shown))
    assert shown[-1] == len(drawing.nodes)
    with pytest.raises(UsageError):
        encode(model, tmp_path / "g.graphml", open_depth=-1, overwrite=True)


@pytest.mark.parametrize("name", MODELS)
def test_groups_can_be_opened_and_closed(name: str) -> None:
    for node in nested(name).iter(_NODE):
        graphics = node.find("g:data[@key='graphics']", NS)
        states = [state.get("closed") for state in graphics.iterfind(".//y:State", NS)]
        if node.find("g:graph", NS) is None:
            assert node.get("yfiles.foldertype") is None
            assert states == []
        else:
            active = {"group": "0", "folder": "1"}[node.get("yfiles.foldertype")]
            assert graphics.find("y:ProxyAutoBoundsNode/y:Realizers", NS).get("active") == active
            assert states == ["false", "true"]
            opened, closed = graphics.iterfind(".//y:Geometry", NS)
            assert (opened.get("x"), opened.get("y")) == (closed.get("x"), closed.get("y"))


@pytest.mark.parametrize("name", seeds.fixtures())
def test_labels_and_colours_say_what_a_node_is(name: str) -> None:
    looks = {}
    for node in nested(name).iter(_NODE):
        values = {data.get("key"): data.text for data in node.iterfind("g:data", NS)}
        graphics = node.find("g:data[@key='graphics']", NS)
        assert {label.text for label in graphics.iterfind(".//y:NodeLabel", NS)} == {values["label"]}
        (colour,) = {fill.get("color") for fill in graphics.iterfind(".//y:Fill", NS)}
        looks.setdefault(values.get("op_type", values["kind"]), set()).add(colour)
    assert all(len(colours) == 1 for colours in looks.values())
    kinds = [looks[kind] for kind in ("model", "module", "input", "output", "parameter")]
    assert len(set(map(frozenset, kinds))) == len(kinds)


def test_constants_are_small(tmp_path: Path) -> None:
    encode(seeds.FIXTURES.parent / "real/silero_vad.onnx", tmp_path / "g.graphml", self_check=False)
    for node in etree.parse(tmp_path / "g.graphml").iter(_NODE):
        values = {data.get("key"): data.text for data in node.iterfind("g:data", NS)}
        graphics = node.find("g:data[@key='graphics']", NS)
        is_small = float(graphics.find(".//y:Geometry", NS).get("width")) < 20
        assert is_small == (values.get("op_type") == "Constant")
        assert (graphics.find(".//y:NodeLabel", NS).get("visible") == "false") == is_small


@pytest.mark.parametrize("name", seeds.fixtures())
def test_edges_have_an_arrow_at_their_target(name: str) -> None:
    for edge in nested(name).iter(f"{{{NAMESPACE}}}edge"):
        (arrows,) = edge.iterfind("g:data/y:PolyLineEdge/y:Arrows", NS)
        assert dict(arrows.attrib) == {"source": "none", "target": "standard"}
