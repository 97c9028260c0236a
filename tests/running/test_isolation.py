"""What each operator does wrong by itself: it runs with what the other model computes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from benchmarks.disturbed import converted, judge
from graphml_onnx import numeric_diff
from graphml_onnx.running import comparison
from graphml_onnx.running.quantised import Scale, scales_of
from tests.common.command import in_process
from tests.running.models import LAYERS, chain

pytest.importorskip("onnxruntime")

FIXTURES = Path(__file__).parents[2] / "fixtures"


def with_noise(model: Path, layer: int, share: float) -> Path:
    """Adds noise to the weight of a layer: a share of its values."""
    message = onnx.load(model)
    tensor = next(t for t in message.graph.initializer if t.name == f"encoder.layer.{layer}.weight")
    values = numpy_helper.to_array(tensor)
    noise = np.random.default_rng(1).standard_normal(values.shape) * share * values.std()
    tensor.CopyFrom(numpy_helper.from_array((values + noise).astype(np.float32), tensor.name))
    onnx.save(message, model)
    return model


@pytest.mark.parametrize("disturbed", range(1, LAYERS))
def test_a_disturbed_layer_is_named_after_a_layer_of_much_noise(tmp_path: Path, disturbed: int) -> None:
    old = chain(tmp_path)
    new = with_noise(chain(tmp_path, "new.onnx", disturbed=disturbed), disturbed - 1, 0.25)
    found = numeric_diff(old, new)
    rows = {row.operator: row for row in found.tensors}
    noisy, wrong = (rows[f"/encoder/layer.{number}/MatMul"] for number in (disturbed - 1, disturbed))
    assert 8 < noisy.own < 20
    assert wrong.own < 5
    assert found.first is wrong


def test_operators_after_a_wrong_one_make_no_error_of_their_own(tmp_path: Path) -> None:
    found = numeric_diff(chain(tmp_path), chain(tmp_path, "new.onnx", disturbed=2))
    for row in found.tensors:
        if row.operator.startswith(tuple(f"/encoder/layer.{number}/" for number in range(3, LAYERS))):
            assert row.figures.sqnr < 20
            assert row.own == math.inf
    (output,) = found.outputs
    assert output.own == math.inf


def test_errors_that_add_up(tmp_path: Path) -> None:
    old = chain(tmp_path)
    new = chain(tmp_path, "new.onnx")
    for layer in range(LAYERS):
        with_noise(new, layer, 0.03)
    found = numeric_diff(old, new, threshold=27)
    below = [row for row in found.tensors if row.figures.sqnr < 27]
    (output,) = found.outputs
    assert below
    assert below[0] is found.first is not output
    assert all(row.own > 27 for row in below)
    ran = in_process(tmp_path, "diff", "model.onnx", "new.onnx", "--numeric", "--threshold", "27")
    assert ran.out.splitlines()[-1].endswith(", where errors of earlier operators add up")


def test_batches_begin_with_tensors_of_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = chain(tmp_path), chain(tmp_path, "new.onnx", disturbed=2)
    whole = numeric_diff(old, new)
    monkeypatch.setattr(comparison, "_BATCH", 1)  # one tensor each
    assert numeric_diff(old, new) == whole


def branches(path: Path, *, is_wrong: bool) -> Path:
    """A layer, and an If whose body takes its result and has a weight of its own."""
    weight = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    inner = numpy_helper.from_array(weight.T.copy(), "inner")
    bodies = {}
    for name, op_type in (("then_branch", "MatMul"), ("else_branch", "Add")):
        node = helper.make_node(op_type, ["t", "inner"], ["r"], f"/head/{op_type}")
        value = helper.make_tensor_value_info("r", TensorProto.FLOAT, [32, 32])
        bodies[name] = helper.make_graph([node], name, [], [value], [inner])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["t"], "/stem/MatMul"),
        helper.make_node("If", ["yes"], ["y"], "/head/If", **bodies),
    ]
    weights = [
        numpy_helper.from_array(weight[::-1].copy() if is_wrong else weight, "w"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, [32, 32])] for side in "xy"]
    graph = helper.make_graph(nodes, "branches", *sides, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_bodies_take_given_tensors_and_keep_their_weights(tmp_path: Path) -> None:
    found = numeric_diff(
        branches(tmp_path / "old.onnx", is_wrong=False), branches(tmp_path / "new.onnx", is_wrong=True)
    )
    assert {row.operator: row.own == math.inf for row in found.tensors} == {"/stem/MatMul": False, "/head/If": True}
    assert found.first is not None
    assert found.first.operator == "/stem/MatMul"


@pytest.mark.needs("onnxruntime>=1.32")
def test_every_layer_of_a_quantised_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    old = FIXTURES / "htp" / "winml-bert-mini-dynamo" / "model.onnx"
    inputs = {
        "input_ids": np.random.default_rng(0).integers(0, 99, (2, 16)),
        "attention_mask": np.ones((2, 16), np.int64),
        "token_type_ids": np.zeros((2, 16), np.int64),
    }
    new = converted(old, tmp_path, inputs)
    for form in ("static int8", "static QOperator"):
        assert not set(numeric_diff(old, new[form], input_data=inputs).left_out.values()) & {
            "another kind",
            "another shape",
        }
        assert judge(old, new[form], inputs, tmp_path) == ["13 of 13"]


def test_an_activation_that_a_quantiser_left_out(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    random = np.random.default_rng(0)
    weights = [numpy_helper.from_array(random.standard_normal((8, 8)).astype(np.float32), name) for name in "vw"]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["a"], "/first/MatMul"),
        helper.make_node("Relu", ["a"], ["b"], "/act/Relu"),
        helper.make_node("MatMul", ["b", "w"], ["y"], "/second/MatMul"),
    ]
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, [4, 8])] for side in "xy"]
    graph = helper.make_graph(nodes, "relu", *sides, weights)
    old = tmp_path / "old.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), old)
    inputs = {"x": random.standard_normal((4, 8)).astype(np.float32)}
    new = converted(old, tmp_path, inputs)["static QOperator"]
    assert [node.op_type for node in onnx.load(new).graph.node].count("Relu") == 0
    found = numeric_diff(old, new, input_data=inputs)
    assert found.first is None
    assert found.left_out == {"a": "no partner"}
    assert {row.tensor: row.operator for row in found.tensors} == {"b": "/first/MatMul", "y": "/second/MatMul"}
    assert judge(old, new, inputs, tmp_path) == ["2 of 2"]


def test_a_scale_there_and_back() -> None:
    scale = Scale(0.5, 10)
    stored = np.array([0, 10, 255], np.uint8)
    assert scale.real(stored).tolist() == [-5, 0, 122.5]
    assert scale.stored(scale.real(stored), np.uint8).tolist() == stored.tolist()
    assert scale.stored(np.array([-9e9, np.inf, np.nan], np.float32), np.int8).tolist() == [-128, 127, 10]


def test_scales_of_operators_that_make_take_and_pass_on_integers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s1", "z"], ["a"]),
        helper.make_node("QLinearMatMul", ["a", "s1", "z", "w", "s2", "z", "s3", "z"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "s3"], ["y"]),
        helper.make_node("DequantizeLinear", ["w", "many", "zeros"], ["v"]),
        helper.make_node("QuantizeLinear", ["x", "s0", "z"], ["d"]),
    ]
    values = {"s0": 0.0, "s1": 0.5, "s2": 0.25, "s3": 2.0}
    weights = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    weights += [
        numpy_helper.from_array(np.array(3, np.uint8), "z"),
        numpy_helper.from_array(np.zeros((2, 2), np.uint8), "w"),
        numpy_helper.from_array(np.ones(2, np.float32), "many"),
        numpy_helper.from_array(np.zeros(2, np.uint8), "zeros"),
        numpy_helper.from_array(np.array([4]), "shape"),
    ]
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, None)] for side in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *sides, weights)), tmp_path / "q.onnx")
    with graphml_onnx.open(tmp_path / "q.onnx") as graph:
        found = {tensor.name: scale for tensor, scale in scales_of(graph.main).items()}
    assert found == {"a": Scale(0.5, 3), "b": Scale(2.0, 3), "c": Scale(2.0, 3)}
