"""Models of the sizes that their configs have by default: up to 440 MB, hundreds of operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from tests.export.architectures import declare_torchvision_operators  # noqa: E402
from tests.export.test_architectures import tensors_of  # noqa: E402

EXPORTERS: tuple[Any, ...] = ("dynamo", "torchscript")

Inputs = Callable[[], Mapping[str, Any]]


def _tokens(*names: str) -> Inputs:
    return lambda: {name: torch.arange(1, 33).reshape(2, 16) for name in names}


def _image(size: int) -> Inputs:
    return lambda: {"pixel_values": torch.randn(2, 3, size, size)}


MODELS: dict[str, tuple[str, Inputs]] = {
    "BertModel": ("BertConfig", _tokens("input_ids")),
    "DistilBertModel": ("DistilBertConfig", _tokens("input_ids")),
    "GPT2LMHeadModel": (
        "GPT2Config",  # without a mask, transformers computes with `diff`, which TorchScript does not export
        lambda: {**_tokens("input_ids")(), "attention_mask": torch.ones(2, 16, dtype=torch.int64)},
    ),
    "T5ForConditionalGeneration": ("T5Config", _tokens("input_ids", "decoder_input_ids")),
    "ViTModel": ("ViTConfig", _image(224)),
    "SwinModel": ("SwinConfig", _image(224)),
    "SegformerForSemanticSegmentation": ("SegformerConfig", _image(128)),
    "ResNetModel": ("ResNetConfig", _image(224)),
    "Wav2Vec2Model": ("Wav2Vec2Config", lambda: {"input_values": torch.randn(2, 8000)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_its_default_size(tmp_path: Path, kind: str, exporter: Any) -> None:
    declare_torchvision_operators()
    transformers: Any = import_module("transformers")
    config, inputs = MODELS[kind]
    torch.manual_seed(0)
    model, examples = getattr(transformers, kind)(getattr(transformers, config)()), inputs()

    result = graphml_onnx.export(model, tmp_path / "model.onnx", inputs=examples, exporter=exporter, with_graphml=True)

    folded = result.placements.get("weight owner", 0)  # convolutions with their normalisation
    assert result.exact + 100 * folded / result.nodes >= 97, result.placements
    assert "root" not in result.placements
    assert result.graphml_error is None
    assert graphml_onnx.verify(result.onnx, metadata=result.metadata).passed
    feed = {name: value.numpy() for name, value in examples.items()}
    expected = tensors_of(model, feed)
    session = onnxruntime.InferenceSession(str(result.onnx), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(session.run(None, feed), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(theirs).max())))
