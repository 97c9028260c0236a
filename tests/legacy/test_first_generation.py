"""Files that the first generation's own converter wrote decode to valid models that compute the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graphml_onnx import GraphMLError, decode, validate

FIXTURES = Path(__file__).parents[2] / "fixtures" / "legacy"
SAMPLES = {
    "bert_1_3": FIXTURES.parent / "htp" / "modelexport-bert-mini" / "model.onnx",
    "resnet_1_3": FIXTURES.parent / "htp" / "modelexport-resnet-mini" / "model.onnx",
    "resnet_1_1": FIXTURES / "resnet_1_1" / "model.onnx",
}


def sample(name: str) -> Path:
    return next((FIXTURES / name).glob("*.graphml"))


def comparable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the attribute that ONNX's checker and onnxruntime refuse."""
    for node in model.graph.node:
        for attribute in [item for item in node.attribute if item.name == "hierarchy_tag"]:
            node.attribute.remove(attribute)
    return model


def results(model: onnx.ModelProto) -> list[np.ndarray]:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    feeds = {}
    for value in model.graph.input:
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        type_ = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = random.integers(0, 2, shape).astype(type_)
    return session.run(None, feeds)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_computes_the_same_bits(tmp_path: Path, name: str) -> None:
    result = decode(sample(name), tmp_path / "back.onnx")
    model, original = onnx.load(result.onnx), comparable(onnx.load(SAMPLES[name]))
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.node) == len(original.graph.node)
    for back, wanted in zip(results(model), results(original), strict=True):
        assert back.dtype == wanted.dtype
        assert back.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", SAMPLES)
def test_tensors_in_attributes_have_the_names_that_they_had(tmp_path: Path, name: str) -> None:
    def constants(path: Path) -> dict[str, bytes]:
        nodes = [node for node in onnx.load(path).graph.node if node.op_type == "Constant"]
        found = {node.output[0]: next(item.t for item in node.attribute if item.name == "value") for node in nodes}
        assert not any(tensor.HasField("name") and not tensor.name for tensor in found.values())
        return {output: numpy_helper.to_array(tensor).tobytes() for output, tensor in found.items()}

    back = decode(sample(name), tmp_path / "back.onnx").onnx
    assert constants(back) == constants(SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_warnings_only(name: str) -> None:
    assert {finding.code for finding in validate(sample(name))} == {"older-format", "older-lacks"}


def test_an_operator_written_into_two_modules_is_one(tmp_path: Path) -> None:
    text = (FIXTURES / "chain_1_3.graphml").read_text("utf-8")
    start = text.rindex("<node", 0, text.index("Softmax"))
    end = text.index("</node>", start) + len("</node>")
    copy = text[start:end]
    (tmp_path / "twice.graphml").write_text(text[:end] + copy + text[end:], "utf-8")
    model = onnx.load(decode(tmp_path / "twice.graphml").onnx)
    assert [node.op_type for node in model.graph.node] == ["LeakyRelu", "Softmax"]


def test_a_model_that_is_not_valid_is_an_error(tmp_path: Path) -> None:
    text = (FIXTURES / "chain_1_3.graphml").read_text("utf-8").replace(">Softmax<", ">NoSuchOperator<")
    (tmp_path / "invalid.graphml").write_text(text, "utf-8")
    with pytest.raises(GraphMLError, match="gives no valid model"):
        decode(tmp_path / "invalid.graphml")
    assert not (tmp_path / "invalid.onnx").exists()
