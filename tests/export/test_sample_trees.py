"""The trees of models of the same kinds as the samples of other exporters, beside theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import graphml_onnx
from graphml_onnx.hierarchy import read_metadata

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "fixtures" / "htp"
ONLY_HERE = {
    "winml-bert-mini-dynamo": {"Dropout", "Embedding"},
    "winml-resnet-mini-dynamo": {"Conv2d", "Identity"},
    "winml-resnet-mini-torchscript": {"ReLU", "Identity", "Sequential", "MaxPool2d", "AdaptiveAvgPool2d"},
    "modelexport-bert-mini": {"Linear", "LayerNorm", "Dropout", "Embedding", "Tanh"},
    "modelexport-resnet-mini": {
        *("BatchNorm2d", "Conv2d", "ReLU", "Identity"),
        *("Sequential", "MaxPool2d", "AdaptiveAvgPool2d"),
    },
}


def bert() -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    return transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=99))


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    config.image_size = 32
    return transformers.ResNetModel(config)


def tree_of(file: Path) -> dict[str, tuple[str, str]]:
    """Class and tag of each module, by its scope."""
    modules = read_metadata(file.read_bytes(), file).modules
    return {module.scope: (module.class_name, module.tag) for module in modules}


@pytest.mark.parametrize("name", ONLY_HERE)
def test_nothing_of_the_tree_of_another_exporter_is_missing(tmp_path: Path, name: str) -> None:
    exporter: Any = "dynamo" if name.endswith("dynamo") else "torchscript"
    result = graphml_onnx.export(
        bert() if "bert" in name else resnet(), tmp_path / "model.onnx", exporter=exporter, with_graphml=True
    )

    theirs = tree_of(SAMPLES / name / "model_htp_metadata.json")
    ours = tree_of(result.metadata)
    assert theirs.keys() <= ours.keys()
    assert {ours[scope][0] for scope in ours.keys() - theirs.keys()} == ONLY_HERE[name]
    for scope, (class_name, tag) in theirs.items():
        assert ours[scope][0] == class_name.replace("Sdpa", "")  # an older transformers
        if exporter == "dynamo":
            assert ours[scope][1] == tag
    tags = [tag for _, tag in ours.values()]
    assert len(set(tags)) == len(tags)
    assert set(json.loads(result.metadata.read_text(encoding="utf-8"))["nodes"].values()) <= set(tags)
    assert result.graphml.coverage == 100.0
