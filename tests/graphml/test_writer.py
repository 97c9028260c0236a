"""What is written, as other readers of GraphML see it: lxml and networkx."""

from __future__ import annotations

import io
import re

import networkx
import pytest
from lxml import etree

from graphml_onnx.graphml.elements import Appearance, Key
from graphml_onnx.graphml.layout import NAMESPACE
from graphml_onnx.graphml.writer import GraphMLWriter
from tests.common import seeds
from tests.common.roundtrip import through_memory
from tests.common.written import written

LOOK = Appearance("label", "#ffffff", "rectangle")
KEYS = [Key("name", "node"), Key("order", "node", "int"), Key("tensor", "edge")]
LAYOUTS = ["nested", "flat", "plain"]
NS = {"g": NAMESPACE, "y": "http://www.yworks.com/xml/graphml"}
_NMTOKEN = re.compile(r"[\w.:-]+")


def write(layout, emit):
    return written(KEYS, layout, emit)


def _small(writer):
    writer.open_group("n0", {"name": "outer"}, LOOK)
    writer.node("n1", {"name": "<&>]]>", "order": "1"}, LOOK)
    writer.open_group("n2", {"name": "inner"}, LOOK)
    writer.node("n3", {"name": iter(["in ", "pieces"])}, LOOK)
    writer.close_group()
    writer.close_group()
    writer.edge("n1", "n3", {"tensor": "a > b"})


def _parents(document):
    """The id of the node around each node."""
    found = {}
    for node in etree.fromstring(document).iter(f"{{{NAMESPACE}}}node"):
        outer = node.getparent().getparent()
        found[node.get("id")] = outer.get("id") if outer.tag == node.tag else None
    return found


@pytest.mark.parametrize("layout", ["nested", "plain"])
def test_groups_are_nodes_with_a_graph_within(layout):
    assert _parents(write(layout, _small)) == {"n0": None, "n1": "n0", "n2": "n0", "n3": "n2"}


def test_the_flat_layout_has_no_groups():
    document = write("flat", _small)
    assert set(_parents(document).values()) == {None}
    assert b"yworks" not in document
    assert len(etree.fromstring(document).findall(".//g:graph", NS)) == 1


def test_only_yed_has_a_graph_in_a_group_that_holds_nothing():
    def empty(writer):
        writer.open_group("n0", {"name": "outer"}, LOOK)
        writer.open_group("n1", {"name": "inner"}, LOOK)
        writer.close_group()
        writer.close_group()

    for layout, graphs in (("nested", ["g", "n0:", "n1:"]), ("plain", ["g", "n0:"])):
        document = write(layout, empty)
        assert [graph.get("id") for graph in etree.fromstring(document).iter(f"{{{NAMESPACE}}}graph")] == graphs
        assert _parents(document) == {"n0": None, "n1": "n0"}


def test_the_plain_layout_has_nothing_of_a_vendor():
    document = write("plain", _small)
    assert b"yworks" not in document
    assert b"yfiles" not in document
    assert {element.tag.rpartition("}")[0] for element in etree.fromstring(document).iter()} == {"{" + NAMESPACE}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_come_through(layout):
    root = etree.fromstring(write(layout, _small))
    values = [data.text for data in root.iterfind('.//g:data[@key="name"]', NS)]
    assert values == ["outer", "<&>]]>", "inner", "in pieces"]
    (edge,) = root.iterfind(".//g:edge", NS)
    assert (edge.get("source"), edge.get("target"), edge[0].text) == ("n1", "n3", "a > b")


def test_labels_that_xml_cannot_hold_are_escaped():
    look = Appearance("\x00<\r", "#ffffff", "rectangle")
    root = etree.fromstring(write("nested", lambda writer: writer.node("n0", {}, look)))
    assert root.findtext(".//y:NodeLabel", namespaces=NS) == '"\\u0000<\\r"'


def test_large_graphs_are_written_in_pieces():
    sizes = []

    class Sink:
        def write(self, data):
            sizes.append(len(data))

    writer = GraphMLWriter(Sink(), KEYS, "flat")
    for number in range(50_000):
        writer.node(f"n{number}", {"name": "x" * 20}, LOOK)
    writer.close()
    assert len(sizes) > 5
    assert max(sizes) < 2**20


MODELS = {**seeds.small_models(), **seeds.fixtures()}


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("name", MODELS)
def test_networkx_and_lxml_see_the_same_graph(name, layout):
    graphml = through_memory(MODELS[name], layout=layout).graphml
    root = etree.fromstring(graphml)
    nodes = {node.get("id"): node for node in root.iter(f"{{{NAMESPACE}}}node")}
    edges = list(root.iter(f"{{{NAMESPACE}}}edge"))
    graph = networkx.read_graphml(io.BytesIO(graphml), force_multigraph=True)
    assert set(graph.nodes) == set(nodes)
    assert graph.number_of_edges() == len(edges)
    for node_id, node in nodes.items():
        values = {data.get("key"): data.text for data in node.iterfind("g:data", NS) if data.get("key") != "graphics"}
        seen = graph.nodes[node_id]
        assert {key: str(seen[key]) for key in values} == values


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
def test_the_structure_keeps_the_promises_of_the_format(name, layout):
    """Edges stand in the root graph, after all nodes, and none ends at a group; nothing is empty or has a default."""
    root = etree.fromstring(through_memory(MODELS[name], layout=layout, show_parameters=True).graphml)
    (top,) = root.findall("g:graph", NS)
    tags = [child.tag.rpartition("}")[2] for child in top]
    assert tags == sorted(tags, key=["node", "edge"].index)
    assert len(list(root.iter(f"{{{NAMESPACE}}}edge"))) == tags.count("edge")

    groups = {node.get("id") for node in root.iter(f"{{{NAMESPACE}}}node") if node.find("g:graph", NS) is not None}
    ids = {node.get("id") for node in root.iter(f"{{{NAMESPACE}}}node")}
    assert groups or layout != "nested"
    assert not groups or layout != "flat"
    for edge in top.iterfind("g:edge", NS):
        ends = {edge.get("source"), edge.get("target")}
        assert ends <= ids
        assert not ends & groups

    declared = [key.get("id") for key in root.iterfind("g:key", NS)]
    used = {data.get("key") for data in root.iter(f"{{{NAMESPACE}}}data")}
    assert used <= set(declared)
    assert len(declared) == len(set(declared))
    for key in root.iterfind("g:key", NS):
        assert key.get("attr.name") == key.get("id") or "yfiles.type" in key.attrib
        assert len(key) == 0
    for element in root.iter():
        identity = element.get("id")
        assert identity is None or _NMTOKEN.fullmatch(identity)
    for data in root.iter(f"{{{NAMESPACE}}}data"):
        assert len(data) or data.text.strip() == data.text != ""


@pytest.mark.parametrize("layout", ["nested", "plain"])
@pytest.mark.parametrize("name", MODELS)
def test_nesting_is_what_the_nodes_say(name, layout):
    """The group around a node is the one that its ``parent`` names, but for an operator's frame."""
    root = etree.fromstring(through_memory(MODELS[name], layout=layout).graphml)
    for node in root.iter(f"{{{NAMESPACE}}}node"):
        values = {data.get("key"): data.text for data in node.iterfind("g:data", NS)}
        outer = node.getparent().getparent()
        if values["kind"] == "frame" or "parent" not in values:
            continue
        around = {data.get("key"): data.text for data in outer.iterfind("g:data", NS)}
        if around["kind"] == "frame" and values["kind"] == "subgraph":
            inside = outer.findall("g:graph/g:node", NS)
            (operator,) = (child for child in inside if child.findtext("g:data", namespaces=NS) == "op")
            around = {data.get("key"): data.text for data in operator.iterfind("g:data", NS)}
        elif around["kind"] == "frame":
            around = {"node_id": around["parent"]}
        assert around["node_id"] == values["parent"]
