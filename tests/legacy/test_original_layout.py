"""Files laid out as the writers of formats 1.1 and 1.3 did: lists of tensors, weights beside the graph or in it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from graphml_onnx import GraphMLError, decode, from_networkx, to_networkx, validate

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parents[2] / "fixtures" / "legacy"


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    """A graph of format 1.1, with its weights beside it."""
    shutil.copy(FIXTURES / "tiny_1_1.onnxdata", tmp_path)
    return Path(shutil.copy(FIXTURES / "tiny_1_1.graphml", tmp_path))


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """A graph of format 1.3, with its weights in it."""
    return Path(shutil.copy(FIXTURES / "tiny_1_3.graphml", tmp_path))


def change(graph: Path, old: str, new: str) -> None:
    text = graph.read_text("utf-8")
    assert old in text
    graph.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(("name", "version"), [("sidecar", "1.1"), ("embedded", "1.3")])
def test_the_model_computes_what_the_graph_says(name: str, version: str, request: pytest.FixtureRequest) -> None:
    result = decode(request.getfixturevalue(name))
    model = onnx.load(result.onnx)

    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Constant", "Sub", "Clip"]
    assert list(model.graph.node[3].input) == ["s", "", "c"]
    x = np.linspace(-1, 1, 80, dtype=np.float32).reshape(2, 40)
    weight = np.arange(-800, 800, dtype=np.float32).reshape(40, 40) / 800
    bias = np.linspace(-1, 1, 40, dtype=np.float32)
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.allclose(y, np.minimum(0.5 - (x @ weight.T + bias), 0.5), atol=1e-4)
    assert (result.exact, result.older) == (False, f"format {version}")


@pytest.mark.parametrize("name", ["sidecar", "embedded"])
def test_networkx_gets_the_same_model(name: str, request: pytest.FixtureRequest) -> None:
    graph = to_networkx(request.getfixturevalue(name))
    assert {data["hierarchy_tag"] for data in graph.nodes.values() if data["kind"] == "module"} >= {"/Tiny/Encoder"}
    assert from_networkx(graph) == onnx.load(decode(request.getfixturevalue(name)).onnx)


def test_networkx_gets_nothing_that_lacks_weights(sidecar: Path) -> None:
    sidecar.with_suffix(".onnxdata").unlink()
    with pytest.raises(GraphMLError, match="does not say what a model needs: weights"):
        to_networkx(sidecar)


def test_validation_only_says_what_the_format_lacks(sidecar: Path, embedded: Path) -> None:
    """The values of graphs within nodes are nothing to complain of."""
    for graph in (sidecar, embedded):
        assert {finding.code for finding in validate(graph)} == {"older-format", "older-lacks"}


def test_types_producer_and_tags_are_kept(sidecar: Path) -> None:
    model = onnx.load(decode(sidecar).onnx)
    assert [info.name for info in model.graph.value_info] == ["h"]
    assert (model.producer_name, model.producer_version) == ("pytorch", "2.7.0")
    assert {prop.key: prop.value for prop in model.graph.node[0].metadata_props} == {
        "winml.hierarchy.tag": "/Tiny/Encoder"
    }
    assert [attribute.name for attribute in model.graph.node[0].attribute] == ["alpha", "transB"]


def test_weights_are_found_in_another_folder(sidecar: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (tmp_path / "tiny_1_1.onnxdata").rename(folder / "tiny_1_1.onnxdata")
    with pytest.raises(GraphMLError, match=r'weights: "tiny_1_1.onnxdata"'):
        decode(sidecar)
    assert decode(sidecar, parameter_folder=folder).onnx.exists()
    assert "not-decodable" not in {finding.code for finding in validate(sidecar, parameter_folder=folder)}


def reworked(edit: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """Edits the tensor ``encoder.bias`` within a file of weights."""

    def rework(packed: bytes) -> bytes:
        document = json.loads(gzip.decompress(packed))
        edit(document["parameters"]["encoder.bias"])
        return gzip.compress(json.dumps(document).encode())

    return rework


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda _: b"", "packed with gzip", id="empty"),
        pytest.param(lambda data: data[:-40], "packed with gzip", id="cut off"),
        pytest.param(lambda _: gzip.compress(b"[]"), "holds no parameters", id="another document"),
        pytest.param(lambda _: gzip.compress(b"{"), "not valid JSON", id="no JSON"),
        pytest.param(lambda _: gzip.compress(b"\xff"), "packed with gzip", id="no text"),
        pytest.param(reworked(lambda t: t.update(shape=[41])), 'weights "encoder.bias"', id="shape"),
        pytest.param(reworked(lambda t: t.update(dtype="object")), 'weights "encoder.bias"', id="type"),
        pytest.param(reworked(lambda t: t.update(data="*")), 'weights "encoder.bias"', id="base64"),
        pytest.param(reworked(lambda t: t.clear()), 'weights "encoder.bias"', id="nothing"),
    ],
)
def test_weights_that_cannot_be_read_are_named(sidecar: Path, damage: Callable[[bytes], bytes], told: str) -> None:
    data = sidecar.with_suffix(".onnxdata")
    packed = damage(data.read_bytes())
    data.write_bytes(packed)
    with pytest.raises(GraphMLError, match="another parameter_checksum"):
        decode(sidecar)
    text = sidecar.read_text("utf-8")
    start = text.index("sha256:")
    sidecar.write_text(text.replace(text[start : start + 71], ""), "utf-8")
    with pytest.raises(GraphMLError, match=told):
        decode(sidecar)
    assert not sidecar.with_suffix(".onnx").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param('"encoder.weight", ', '"weight", ', 'what "weight" is', id="an input that nothing gives"),
        pytest.param('{"name": "y", ', '{"name": "z", ', 'what gives the output "z"', id="an output"),
        pytest.param('"x", "type": "float32"', '"x", "type": "table"', 'type of the input "x"', id="type"),
        pytest.param('"alpha": 1.0', r'"body": "name: \"body\"\ng {"', "readable attributes", id="subgraph"),
        pytest.param('"dims": []', '"dims": [2]', "readable attributes", id="tensor of an attribute"),
        pytest.param(">embedded<", ">reference<", "in the model", id="weights in the model itself"),
        pytest.param('"shape": [40]', '"shape": [8, 5]', "parameter_checksum", id="weights that were changed"),
        pytest.param('["h"]</data>', '["k"]</data>', 'what "h" is', id="an input that lost its operator"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(embedded: Path, old: str, new: str, told: str) -> None:
    change(embedded, old, new)
    with pytest.raises(GraphMLError, match=told):
        decode(embedded)


def test_a_file_name_that_leads_elsewhere_is_refused(sidecar: Path) -> None:
    change(sidecar, '<data key="p1">tiny', '<data key="p1">../tiny')
    with pytest.raises(GraphMLError, match="not a plain file name"):
        decode(sidecar)


def test_an_empty_shape_is_told(embedded: Path) -> None:
    output = '[{"name": "y", "type": "float32", "shape": %s}]'
    change(embedded, output % '["batch", 40]', output % "[]")
    assert any('"y" is a scalar' in finding for finding in decode(embedded).findings)
