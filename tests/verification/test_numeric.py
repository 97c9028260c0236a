"""The check of numbers: which inputs a model gets, and what is skipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs import made
from graphml_onnx.verification.api import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphml_onnx.results import Check

onnxruntime = pytest.importorskip("onnxruntime")
numeric = pytest.importorskip("graphml_onnx.verification.numeric")

SPEC = {"x": {"shape": [3, 7], "dtype": "float32"}}


def saved(folder: Path, nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str | None], **metadata: str) -> Path:
    """A model with the input ``x``, the output ``y`` and a weight ``w`` of 7 × 2."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [7, 2], np.arange(14, dtype=np.float32))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key.replace("_", "."): value for key, value in metadata.items()})
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def check(path: Path, **options: object) -> Check:
    report = verify(path, numeric=True, **options)  # type: ignore[arg-type]
    assert report.passed == (not report.checks[-1].failed)
    return report.checks[-1]


PRODUCT = [helper.make_node("MatMul", ["x", "w"], ["y"])]


def test_the_declared_shape_serves(tmp_path: Path) -> None:
    assert check(saved(tmp_path, PRODUCT, [3, 7])).passed


def test_a_model_that_runs_with_no_size_that_is_tried_is_skipped(tmp_path: Path) -> None:
    found = check(saved(tmp_path, PRODUCT, ["batch", "features"]))

    assert (found.skipped, found.passed) == (True, False)
    assert "`input_specs`" in found.detail


def test_a_later_size_serves_where_the_first_does_not(tmp_path: Path) -> None:
    shape = helper.make_node("Constant", [], ["s"], value_ints=[2, 4, 4])
    nodes = [shape, helper.make_node("Reshape", ["x", "s"], ["y"])]

    assert check(saved(tmp_path, nodes, ["batch", "features"])).passed


def test_specs_are_taken_before_the_declared_shape(tmp_path: Path) -> None:
    path = saved(tmp_path, PRODUCT, ["batch", "features"])
    specs = tmp_path / "specs.json"
    specs.write_text(json.dumps(SPEC))

    assert check(path, input_specs=SPEC).passed
    assert check(path, input_specs=specs).passed


def test_recorded_inputs_are_taken_and_specs_win(tmp_path: Path) -> None:
    record = json.dumps([{"name": "x", "dtype": "float32", "shape": [3, 7], "value_range": [0, 1]}])
    path = saved(tmp_path, PRODUCT, ["batch", "features"], winml_io_inputs=record)

    assert check(path).passed
    assert check(path, input_specs={"x": {"shape": [3, 6], "dtype": "float32"}}).skipped


@pytest.mark.parametrize(
    "record", ["", "{", "7", "[7]", '["x"]', '[{"name": "x"}]', '[{"name": "x", "dtype": "float32", "shape": 3}]']
)
def test_a_record_of_another_form_is_passed_over(tmp_path: Path, record: str) -> None:
    assert check(saved(tmp_path, PRODUCT, [3, 7], winml_io_inputs=record)).passed


def test_the_upper_bound_of_a_recorded_range_is_left_out() -> None:
    record = json.dumps([{"name": "x", "dtype": "int64", "shape": [1000], "value_range": [0, 3]}])
    spec = made.recorded_specs(record, [made.Declared("x", "tensor(int64)", ["n"])])["x"]

    assert set(made._array(spec, np.random.default_rng(0)).tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("int64", [3, 7]), ("float32", [3]), ("float32", [3, 8]), ("float32", [-3, 7]), ("float32", [1 << 40, 7])],
)
def test_a_record_that_contradicts_the_model_is_passed_over(tmp_path: Path, dtype: str, shape: list[int]) -> None:
    record = json.dumps([{"name": "x", "dtype": dtype, "shape": shape}])

    assert check(saved(tmp_path, PRODUCT, ["n", 7], winml_io_inputs=record)).passed


def test_other_numbers_fail(tmp_path: Path) -> None:
    path = saved(tmp_path, PRODUCT, [3, 7])
    other = onnx.load(path)
    other.graph.initializer[0].raw_data = b""
    other.graph.initializer[0].float_data[:] = np.arange(1, 15, dtype=np.float32)
    copy = tmp_path / "copy.onnx"
    onnx.save(other, copy)

    assert numeric.compare_outputs(path, copy).failed
    copy.write_bytes(b"\x08")
    assert numeric.compare_outputs(path, copy).failed


def test_an_input_that_is_too_large_is_not_made(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    found = check(saved(tmp_path, nodes, [1 << 40, 7]))

    assert found.skipped
    assert "7,696,581,394,432 numbers" in found.detail


def test_text_serves_as_input(tmp_path: Path) -> None:
    path = saved(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], [None])
    model = onnx.load(path)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.STRING
    onnx.save(model, path)

    assert check(path).passed


def test_an_input_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no input 'z'"):
        check(saved(tmp_path, PRODUCT, [3, 7]), input_specs={"z": SPEC["x"]})


def test_specs_without_the_check(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="numeric=True"):
        verify(saved(tmp_path, PRODUCT, [3, 7]), input_specs=SPEC)


def test_dimensions_get_their_sizes_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, PRODUCT, ["batch", "features"])
    assert check(path).skipped
    assert check(path, sizes={"features": 7}).passed
    with pytest.raises(UsageError, match="numeric"):
        verify(path, sizes={"features": 7})


def test_a_dimension_of_minus_one_is_open(tmp_path: Path) -> None:
    assert check(saved(tmp_path, PRODUCT, [-1, 7])).passed
