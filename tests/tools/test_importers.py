"""The layout ``flat`` keeps within the documented limits of importers that do not run here: Gephi, Neo4j, TinkerPop.

JGraphT and OGDF have tests of their own, which run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from graphml_onnx.graphml.layout import NAMESPACE
from tests.tools.written import MODELS, write

if TYPE_CHECKING:
    from pathlib import Path

_SPACE = f"{{{NAMESPACE}}}"
NUMBERS = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}


@pytest.fixture(scope="module", params=MODELS)
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("flat")
    return write(request.param, "flat", folder).graph.read_bytes()


@pytest.fixture(scope="module")
def root(document: bytes) -> etree._Element:
    return etree.fromstring(document)


def keys(root: etree._Element, scope: str) -> dict[str, tuple[str, str]]:
    """Name and type of the keys of nodes or edges."""
    found = root.iterfind(f"{_SPACE}key")
    return {key.get("id"): (key.get("attr.name"), key.get("attr.type")) for key in found if key.get("for") == scope}


def elements(root: etree._Element) -> list[tuple[str, etree._Element]]:
    return [(scope, element) for scope in ("node", "edge") for element in root.iter(f"{_SPACE}{scope}")]


def test_there_are_no_groups_hyperedges_or_ports(root: etree._Element) -> None:
    """Gephi: "no sub-graphs and hyperedges" (docs.gephi.org, "GraphML Format").

    TinkerPop forgets the outer node where one stands in another (GraphMLReader.java, ``vertexProps``).
    """
    names = [etree.QName(element).localname for element in root.iter()]
    assert names.count("graph") == 1
    assert set(names) <= {"graphml", "key", "graph", "node", "edge", "data"}
    assert root.find(f".//{_SPACE}node//{_SPACE}node") is None


def test_every_edge_stands_after_the_nodes_at_its_ends(root: etree._Element) -> None:
    """Neo4j looks nodes up when it meets an edge (apoc.import.graphml, XmlGraphMLReader.java, ``getByNodeId``).

    Gephi too (ImporterGraphML.java, ``readEdge``); for TinkerPop the order is free.
    """
    known = set()
    for scope, element in elements(root):
        if scope == "node":
            assert element.get("id") not in known
            known.add(element.get("id"))
        else:
            assert {element.get("source"), element.get("target")} <= known
    assert [scope for scope, _ in elements(root)] == [etree.QName(child).localname for child in root[-1]]


def test_edges_are_directed(root: etree._Element) -> None:
    """Gephi takes the direction of all edges from the graph (ImporterGraphML.java, ``readGraph``)."""
    assert root[-1].get("edgedefault") == "directed"
    assert not any("directed" in edge.attrib for edge in root.iter(f"{_SPACE}edge"))


def test_every_value_has_a_declared_key_of_its_own_scope(root: etree._Element) -> None:
    """TinkerPop and Gephi drop other values (GraphMLReader.java, ``keyIdMap``; ImporterGraphML.java)."""
    for scope, element in elements(root):
        names = [data.get("key") for data in element.iterfind(f"{_SPACE}data")]
        assert set(names) <= keys(root, scope).keys()
        assert len(names) == len(set(names))


def test_no_key_id_is_used_twice(root: etree._Element) -> None:
    """TinkerPop has one map of keys for nodes and edges (GraphMLReader.java, ``keyIdMap``)."""
    ids = [key.get("id") for key in root.iterfind(f"{_SPACE}key")]
    assert len(ids) == len(set(ids))


def test_keys_have_types_that_all_know_and_no_defaults(root: etree._Element) -> None:
    """Neo4j fails on any but boolean, int, long, float, double and string (XmlGraphMLReader.java, ``Type``)."""
    for scope in ("node", "edge"):
        assert {kind for _, kind in keys(root, scope).values()} <= {"string", *NUMBERS}
    assert root.find(f".//{_SPACE}default") is None


def test_numbers_are_numbers_of_their_type(root: etree._Element) -> None:
    """Neo4j and TinkerPop fail on others (``Type.parse``, ``typeCastValue``)."""
    for scope, element in elements(root):
        kinds = keys(root, scope)
        for data in element.iterfind(f"{_SPACE}data"):
            _, kind = kinds[data.get("key")]
            if kind != "string":
                assert int(data.text) in NUMBERS[kind]


def test_names_of_keys_mean_nothing_else(root: etree._Element) -> None:
    """Gephi takes ``label`` for its own, which is meant, and would take these too (ImporterGraphML.java).

    Neo4j reads labels from ``labels`` and ``label`` (apoc.import.graphml, "readLabels"), TinkerPop
    from ``labelV`` and ``labelE``; names that start with ~ are hidden (Graph.Hidden).
    """
    taken = {"x", "y", "z", "xpos", "ypos", "size", "r", "g", "b", "d3", "d7", "weight", "id", "labels", "labelV"}
    for scope in ("node", "edge"):
        names = {name for name, _ in keys(root, scope).values()}
        assert not names & taken
        assert not any(name.startswith("~") for name in names)
    assert "label" not in {name for name, _ in keys(root, "edge").values()}
    assert "labelE" not in {name for name, _ in keys(root, "edge").values()}


def test_no_value_is_empty(root: etree._Element) -> None:
    """Neo4j once dropped such properties (neo4j-contrib/neo4j-apoc-procedures, issue 548)."""
    for _, element in elements(root):
        assert all(data.text and data.text.strip() for data in element.iterfind(f"{_SPACE}data"))


def test_something_stands_between_an_edge_and_its_first_value(root: etree._Element) -> None:
    """Neo4j passes over one event after the start of an edge (XmlGraphMLReader.java, ``getRelationshipType``)."""
    assert all(edge.text and edge.text.isspace() for edge in root.iter(f"{_SPACE}edge"))


def test_namespaces_are_those_of_graphml_alone(document: bytes) -> None:
    """Gephi: "Verify files namespace to ensure compatibility" (docs.gephi.org, "GraphML Format")."""
    assert {etree.QName(element).namespace for element in etree.fromstring(document).iter()} == {NAMESPACE}
    assert b"<![CDATA[" not in document
    assert b"<!DOCTYPE" not in document
