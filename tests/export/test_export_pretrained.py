"""Models of transformers: folders, tasks, inputs generated from configs; without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 50,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A masked language model, saved."""
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES))
    model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def metadata_of(result: Any) -> dict[str, Any]:
    return json.loads(result.metadata.read_text(encoding="utf-8"))


def test_a_folder_gives_the_class_that_its_config_names(tmp_path: Path, folder: Path) -> None:
    result = graphml_onnx.export(folder, tmp_path / "model.onnx", exporter="torchscript")

    model = metadata_of(result)["model"]
    assert model["class_name"] == "BertForMaskedLM"
    assert model["name_or_path"] == str(folder)
    assert list(metadata_of(result)["tracing"]["inputs"]) == ["input_ids", "attention_mask", "token_type_ids"]


def test_a_task_chooses_another_class(tmp_path: Path, folder: Path) -> None:
    result = graphml_onnx.export(folder, tmp_path / "model.onnx", task="feature-extraction", exporter="torchscript")

    assert metadata_of(result)["model"]["class_name"] == "BertModel"
    assert metadata_of(result)["tracing"]["task"] == "feature-extraction"


@pytest.mark.parametrize("task", ["make-coffee", "object-detection"])
def test_a_task_that_there_is_not_is_refused(tmp_path: Path, folder: Path, task: str) -> None:
    with pytest.raises(graphml_onnx.UsageError, match=task):
        graphml_onnx.export(folder, tmp_path / "model.onnx", task=task)


def test_pickled_weights_in_a_folder_are_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")

    with pytest.raises(graphml_onnx.ModelError, match="pickled"):
        graphml_onnx.export(folder, tmp_path / "model.onnx")


def test_a_folder_without_weights_or_config_is_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(graphml_onnx.InputError, match="weights"):
        graphml_onnx.export(folder, tmp_path / "model.onnx")

    (folder / "config.json").unlink()
    with pytest.raises(graphml_onnx.InputError, match=r"config\.json"):
        graphml_onnx.export(folder, tmp_path / "model.onnx")


def test_code_in_a_folder_is_not_executed(tmp_path: Path, folder: Path) -> None:
    trap = tmp_path / "trap"
    (folder / "modeling.py").write_text(f"open({str(trap)!r}, 'w').close()\nclass Mine: ...\nclass Config: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(graphml_onnx.ModelError, match="cannot be loaded"):
        graphml_onnx.export(folder, tmp_path / "model.onnx")
    assert not trap.exists()


def test_inputs_of_an_encoder_and_decoder_come_from_the_config(tmp_path: Path) -> None:
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        vocab_size=50,
        num_mel_bins=8,
        max_source_positions=20,
        max_target_positions=30,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = transformers.WhisperModel(config)
    result = graphml_onnx.export(model, tmp_path / "model.onnx")

    told = metadata_of(result)["tracing"]["inputs"]
    assert told["input_features"] == {"shape": [2, 8, 40], "dtype": "torch.float32"}
    assert told["decoder_input_ids"]["dtype"] == "torch.int64"
    assert model.config.use_cache
    feed = {
        "input_features": torch.randn(2, 8, 40),
        "decoder_input_ids": torch.randint(0, 50, told["decoder_input_ids"]["shape"]),
        "decoder_attention_mask": torch.ones(told["decoder_attention_mask"]["shape"], dtype=torch.int64),
    }
    with torch.no_grad():
        expected = model.eval()(**feed).last_hidden_state.numpy()
    session = onnxruntime.InferenceSession(str(result.onnx), providers=["CPUExecutionProvider"])
    got = session.run(None, {name: value.numpy() for name, value in feed.items()})[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(("exporter", "share"), [("dynamo", 0.4), ("torchscript", 0.4)])
def test_weights_stay_in_the_checkpoint(tmp_path: Path, exporter: Any, share: float) -> None:
    """Most weights are in the checkpoint beside the export, byte for byte; matrices that were transposed are not."""
    torch.manual_seed(0)
    sizes = SIZES | {"hidden_size": 32, "intermediate_size": 64, "vocab_size": 100}
    transformers.BertForMaskedLM(transformers.BertConfig(**sizes)).save_pretrained(tmp_path / "bert")
    model = graphml_onnx.export(tmp_path / "bert", tmp_path / "model.onnx", exporter=exporter).onnx
    content = model.read_bytes()
    checkpoint = tmp_path / "bert/model.safetensors"
    result = graphml_onnx.encode(model, tmp_path / "graph.graphml", weights=checkpoint)
    assert result.sidecar is not None
    found = result.weights[0].bytes
    assert found / (found + result.sidecar.stat().st_size) > share
    assert '"file":"bert/model.safetensors","name":"bert.embeddings.word_embeddings.weight"' in (
        result.graphml.read_text(encoding="utf-8")
    )
    model.unlink()
    assert graphml_onnx.decode(result.graphml, model, require_exact=True).exact
    assert model.read_bytes() == content
