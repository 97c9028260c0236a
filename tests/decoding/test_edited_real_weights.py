"""Real models whose weights are edited with safetensors' own functions: onnxruntime computes what numpy says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file, save_file

from graphml_onnx import PayloadError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIXTURES = Path(__file__).parents[2] / "fixtures"
Arrays = dict[str, np.ndarray]


def half(weights: Mapping[str, np.ndarray]) -> Arrays:
    return {name: array.astype(np.float16) if array.dtype == np.float32 else array for name, array in weights.items()}


def prune(weights: Mapping[str, np.ndarray]) -> Arrays:
    """The smaller half of each tensor becomes zero."""
    return {
        name: np.where(np.abs(array) < np.median(np.abs(array)), array.dtype.type(0), array)
        if array.dtype == np.float32
        else array
        for name, array in weights.items()
    }


def swap(weights: Mapping[str, np.ndarray]) -> Arrays:
    """One layer gets the weights of another model: the largest tensor, turned round."""
    largest = max((name for name in weights if weights[name].dtype == np.float32), key=lambda name: weights[name].size)
    return {**weights, largest: np.ascontiguousarray(weights[largest][::-1])}


EDITS = (half, prune, swap)


def by_hand(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model with other values of its tensors, put there by onnx's own functions."""
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    tensors = [(tensor.name, tensor) for tensor in edited.graph.initializer]
    tensors += [
        (node.name or node.output[0], node.attribute[0].t) for node in edited.graph.node if node.op_type == "Constant"
    ]
    known = dict(tensors)
    for name, array in weights.items():
        old = known[name]
        values = array.astype(numpy_helper.to_array(old).dtype)
        if old.float_data:
            old.float_data[:] = values.ravel()
        else:
            old.raw_data = values.tobytes()
    return edited


@pytest.mark.parametrize("edit", EDITS)
def test_numpy_and_onnxruntime_agree(tmp_path: Path, edit: Callable[[Mapping[str, np.ndarray]], Arrays]) -> None:
    """numpy computes the edited model by onnx's reference implementation, onnxruntime what decode wrote."""
    path = FIXTURES / "real/jax_cnn.onnx"
    graph = encode(path, tmp_path / "graph.graphml").graphml
    weights = load_file(graph.with_suffix(".onnxdata"))
    edited = edit(weights)
    save_file(edited, graph.with_suffix(".onnxdata"))
    result = decode(graph, tmp_path / "edited.onnx", edited_weights=True)
    image = np.random.default_rng(3).normal(size=(1, 32, 32, 3)).astype(np.float32)
    expected = ReferenceEvaluator(by_hand(onnx.load(path), edited)).run(None, {"in_0": image})[0]
    unedited = ReferenceEvaluator(onnx.load(path)).run(None, {"in_0": image})[0]
    found = onnxruntime.InferenceSession(result.onnx).run(None, {"in_0": image})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert not np.array_equal(expected, unedited)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", ["jax_cnn", "magika_v3_3", "pp_ocr_v3_det"])
def test_the_model_is_the_one_that_onnx_would_write(
    tmp_path: Path, name: str, edit: Callable[[Mapping[str, np.ndarray]], Arrays]
) -> None:
    """Refused without the option; with it, and with the file aside, each tensor is what numpy made of it."""
    path = FIXTURES / f"real/{name}.onnx"
    graph = encode(path, tmp_path / "graph.graphml").graphml
    sidecar = graph.with_suffix(".onnxdata")
    edited = edit(load_file(sidecar))
    save_file(edited, sidecar)
    with pytest.raises(PayloadError) as caught:
        decode(graph, tmp_path / "refused.onnx")
    assert "edited" in str(caught.value.remedy)
    result = decode(graph, tmp_path / "edited.onnx", edited_weights=True)
    assert onnx.load(result.onnx) == by_hand(onnx.load(path), edited)
    assert result.changed
    aside = sidecar.rename(tmp_path / "aside.safetensors")
    assert decode(graph, tmp_path / "aside.onnx", parameters=aside).onnx.read_bytes() == result.onnx.read_bytes()
