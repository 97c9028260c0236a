"""The property graph: the same nodes and edges as the tables, each model once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import graphml_onnx
from graphml_onnx.errors import InputError, OutputError
from tests.common import seeds

ladybug = pytest.importorskip("ladybug")

if TYPE_CHECKING:
    from pathlib import Path

BERT = seeds.FIXTURES / "winml-bert-mini-dynamo/model.onnx"
RESNET = seeds.FIXTURES / "winml-resnet-mini-dynamo/model.onnx"


def _ask(database: Path, query: str) -> list[list[object]]:
    with ladybug.Database(database, read_only=True) as opened, ladybug.Connection(opened) as connection:
        rows: list[list[object]] = connection.execute(query).get_all()
        return rows


def test_nodes_and_edges_are_those_of_the_models(tmp_path: Path) -> None:
    graphml_onnx.tables([BERT, RESNET], tmp_path / "zoo")
    added = graphml_onnx.property_graph(tmp_path / "zoo", tmp_path / "zoo.lbug")

    with graphml_onnx.open(BERT, metadata=BERT.with_name("model_htp_metadata.json")) as graph:
        flows = sum(t is not None and t.producer is not None for o in graph.operators for t in o.inputs)
        chain = {(o.name, s.name) for o in graph.operators for s in o.successors}
        owned = {(m.path, p.name) for m in graph.root.walk() for p in m.parameters}
    condition = "m.source = '" + str(BERT) + "' AND"
    pairs = _ask(
        tmp_path / "zoo.lbug",
        f"MATCH (a:Operator)-[f:FLOWS]->(b:Operator), (m:Model) WHERE {condition} a.model = m.model "
        "RETURN a.name, b.name",
    )
    assert len(pairs) == flows
    assert {(one, other) for one, other in pairs} == chain
    found = _ask(
        tmp_path / "zoo.lbug",
        f"MATCH (u:Module)-[:OWNS]->(p:Parameter), (m:Model) WHERE {condition} u.model = m.model RETURN u.path, p.name",
    )
    assert {(path, name) for path, name in found} == owned
    assert added["Model"] == added["ROOT"] == 2


def test_models_that_it_has_already_are_replaced(tmp_path: Path) -> None:
    zoo, database = tmp_path / "zoo", tmp_path / "zoo.lbug"
    graphml_onnx.tables(RESNET, zoo)
    once = dict(graphml_onnx.property_graph(zoo, database))
    graphml_onnx.tables(BERT, zoo)
    twice = graphml_onnx.property_graph(zoo, database)

    assert twice["Model"] == 2
    for label in once:
        kind = f"(n:{label})" if label[1:].islower() else f"()-[n:{label}]->()"
        assert _ask(database, f"MATCH {kind} RETURN count(*)") == [[twice[label]]]


def test_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tables"):
        graphml_onnx.property_graph(tmp_path, tmp_path / "zoo.lbug")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    graphml_onnx.tables(RESNET, tmp_path / "zoo")
    database = tmp_path / "notes.txt"
    database.write_text("not a database\n" * 500)
    with pytest.raises(OutputError, match="cannot be opened"):
        graphml_onnx.property_graph(tmp_path / "zoo", database)
    assert database.read_text() == "not a database\n" * 500
