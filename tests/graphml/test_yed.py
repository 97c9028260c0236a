"""What yEd finds in the layout ``nested``: groups that open and close, labels, colours, arrows, and places for all."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from lxml import etree

from graphml_onnx.graphml.layout import NAMESPACE
from tests.common import seeds
from tests.common.roundtrip import through_memory

MODELS = {**seeds.small_models(), **seeds.fixtures()}
NS = {"g": NAMESPACE, "y": "http://www.yworks.com/xml/graphml"}
_NODE = f"{{{NAMESPACE}}}node"


class Box(NamedTuple):
    """In pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def nested(name: str) -> etree._Element:
    return etree.fromstring(through_memory(MODELS[name], show_parameters=True).graphml)


def box(geometry: etree._Element) -> Box:
    left, top, width, height = (float(geometry.get(name)) for name in ("x", "y", "width", "height"))
    return Box(left, top, left + width, top + height)


def drawn(node: etree._Element) -> Box:
    """Where a node is drawn; an open group, as yEd draws it: around what it holds."""
    children = node.findall("g:graph/g:node", NS)
    if not children:
        return box(node.find("g:data//y:Geometry", NS))
    boxes = [drawn(child) for child in children]
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


@pytest.mark.parametrize("name", MODELS)
def test_nothing_lies_on_top_of_anything_else(name: str) -> None:
    root = nested(name)
    for graph in root.iter(f"{{{NAMESPACE}}}graph"):
        boxes = [drawn(node) for node in graph.findall("g:node", NS)]
        for upper, lower in itertools.pairwise(boxes):
            assert upper.bottom < lower.top  # in the order of the file, which is that of execution
            assert not upper.overlaps(lower)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_group_holds_starts_below_its_label_and_to_the_right(name: str) -> None:
    for node in nested(name).iter(_NODE):
        if node.find("g:graph", NS) is not None:
            opened, closed = (
                box(geometry) for geometry in node.find("g:data[@key='graphics']", NS).iterfind(".//y:Geometry", NS)
            )
            assert opened == closed
            for child in node.iterfind("g:graph/g:node", NS):
                inner = box(child.find("g:data//y:Geometry", NS))
                assert inner.left > opened.left
                assert inner.top > opened.top + 25  # pixels: a line of text


@pytest.mark.parametrize("name", MODELS)
def test_groups_are_open_and_can_be_closed(name: str) -> None:
    for node in nested(name).iter(_NODE):
        graphics = node.find("g:data[@key='graphics']", NS)
        states = [state.get("closed") for state in graphics.iterfind(".//y:State", NS)]
        if node.find("g:graph", NS) is None:
            assert node.get("yfiles.foldertype") is None
            assert states == []
        else:
            assert node.get("yfiles.foldertype") == "group"
            assert graphics.find("y:ProxyAutoBoundsNode/y:Realizers", NS).get("active") == "0"
            assert states == ["false", "true"]


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


@pytest.mark.parametrize("name", seeds.fixtures())
def test_edges_have_an_arrow_at_their_target(name: str) -> None:
    for edge in nested(name).iter(f"{{{NAMESPACE}}}edge"):
        (arrows,) = edge.iterfind("g:data/y:PolyLineEdge/y:Arrows", NS)
        assert dict(arrows.attrib) == {"source": "none", "target": "standard"}
