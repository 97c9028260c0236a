"""``g2o decode``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command


@pytest.fixture
def graph(g2o: Command, model: Path) -> Path:
    """``model.graphml``, beside the model that it comes from."""
    assert g2o("encode", model, "-o", "model.graphml", "--meta", "m.json").code == 0
    return model.with_suffix(".graphml")


@pytest.fixture
def edited(graph: Path) -> Path:
    """The same with another operator in the place of each Softmax."""
    text = graph.read_text(encoding="utf-8")
    assert ">Softmax<" in text
    graph.write_text(text.replace(">Softmax<", ">Hardmax<"), encoding="utf-8")
    return graph


def test_unedited_graph_gives_the_file_back(g2o: Command, model: Path, graph: Path) -> None:
    ran = g2o("decode", graph, "-o", "again.onnx")

    assert ran.code == 0
    assert "byte-identical to the encoded original" in ran.out
    assert hashlib.sha256(model.read_bytes()).hexdigest() in ran.out
    assert (model.parent / "again.onnx").read_bytes() == model.read_bytes()


def test_edited_graph_gives_the_edited_model(g2o: Command, model: Path, edited: Path) -> None:
    expected = onnx.load(model)
    for node in expected.graph.node:
        node.op_type = node.op_type.replace("Softmax", "Hardmax")
    ran = g2o("decode", edited, "-o", "edited.onnx")

    assert ran.code == 0
    assert "the graph was edited since it was encoded; this is the edited model" in ran.out
    assert (model.parent / "edited.onnx").read_bytes() == expected.SerializeToString()


def test_edited_graph_is_refused_where_the_original_is_required(g2o: Command, edited: Path) -> None:
    ran = g2o("decode", edited, "-o", "edited.onnx", "--require-exact")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("g2o: ")
    assert not (edited.parent / "edited.onnx").exists()


def test_a_model_is_told_from_a_graph(g2o: Command, model: Path) -> None:
    ran = g2o("decode", model)

    assert (ran.code, ran.out) == (65, "")
    assert "is an ONNX model, not GraphML (encode it first" in ran.err


def test_metadata_comes_back(g2o: Command, graph: Path) -> None:
    ran = g2o("decode", graph, "-o", "again.onnx", "--meta-out", "again.json")

    assert ran.code == 0
    assert (graph.parent / "again.json").read_bytes() == (graph.parent / "m.json").read_bytes()


def test_json_document(g2o: Command, model: Path, graph: Path) -> None:
    ran = g2o("decode", graph.name, "-o", "again.onnx", "--json")

    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "onnx": "again.onnx",
        "onnx_bytes": model.stat().st_size,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "exact": True,
        "metadata": None,
        "external": [],
        "findings": [],
        "older": None,
        "changed": [],
        "refers_to": [],
    }


def test_quiet_is_quiet(g2o: Command, graph: Path) -> None:
    ran = g2o("decode", graph, "-o", "again.onnx", "--quiet")

    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_existing_output_needs_force(g2o: Command, model: Path, graph: Path) -> None:
    (model.parent / "again.onnx").write_text("mine")

    assert g2o("decode", graph, "-o", "again.onnx").code == 73
    assert g2o("decode", graph, "-o", "again.onnx", "--force").code == 0
    assert (model.parent / "again.onnx").read_bytes() == model.read_bytes()


def test_sidecar_in_another_folder(g2o: Command, model: Path, graph: Path) -> None:
    (model.parent / "weights").mkdir()
    graph.with_suffix(".onnxdata").rename(model.parent / "weights" / "model.onnxdata")

    assert g2o("decode", graph, "-o", "again.onnx").code in {65, 66}
    assert g2o("decode", graph, "-o", "again.onnx", "--params-dir", "weights").code == 0
    assert (model.parent / "again.onnx").read_bytes() == model.read_bytes()


def test_edges_that_contradict_the_nodes(g2o: Command, graph: Path) -> None:
    lines = graph.read_text(encoding="utf-8")
    first = lines.index("<edge ")
    end = lines.index("</edge>", first) + len("</edge>")
    graph.write_text(lines[:first] + lines[end:], encoding="utf-8")

    refused = g2o("decode", graph, "-o", "again.onnx")
    trusting = g2o("decode", graph, "-o", "again.onnx", "--trust", "nodes")

    assert refused.code == 65
    assert "trust" in refused.err
    assert trusting.code == 0


def test_a_file_of_an_earlier_format_is_not_called_edited(g2o: Command, tmp_path: Path) -> None:
    older = Path(__file__).parents[2] / "fixtures" / "legacy" / "tiny_1_3.graphml"
    ran = g2o("decode", older, "-o", tmp_path / "model.onnx")
    assert "the model was read from format 1.3" in ran.out
    assert "edited" not in ran.out
