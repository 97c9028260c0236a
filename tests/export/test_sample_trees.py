"""The trees of models of the same kinds as the samples of other exporters, and their operators, beside theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphml_onnx
from graphml_onnx.hierarchy import HtpMetadata, read_metadata

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


@dataclass(frozen=True)
class Pair:
    """A sample, and an export of a model of the same kind by the same exporter, with the same operator set."""

    dynamo: bool
    only_here: set[str]
    theirs: HtpMetadata
    ours: HtpMetadata
    their_model: onnx.ModelProto
    our_model: onnx.ModelProto


@pytest.fixture(scope="module", params=ONLY_HERE)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    sample = SAMPLES / request.param
    dynamo = request.param.endswith("dynamo")
    their_model = onnx.load(sample / "model.onnx")
    result = graphml_onnx.export(
        bert() if "bert" in request.param else resnet(),
        tmp_path_factory.mktemp(request.param) / "model.onnx",
        exporter="dynamo" if dynamo else "torchscript",
        opset=next(entry.version for entry in their_model.opset_import if not entry.domain),
        with_graphml=True,
    )
    assert result.graphml is not None
    assert result.graphml.hierarchy_source == "metadata"
    assert sum(result.graphml.placements.values()) == sum(result.placements.values())
    return Pair(
        dynamo,
        ONLY_HERE[request.param],
        read_metadata((sample / "model_htp_metadata.json").read_bytes(), None),
        read_metadata(result.metadata.read_bytes(), None),
        their_model,
        onnx.load(result.onnx),
    )


def test_nothing_of_the_tree_of_another_exporter_is_missing(pair: Pair) -> None:
    theirs = {module.scope: module for module in pair.theirs.modules}
    ours = {module.scope: module for module in pair.ours.modules}

    assert theirs.keys() <= ours.keys()
    assert {ours[scope].class_name for scope in ours.keys() - theirs.keys()} == pair.only_here
    for scope, module in theirs.items():
        assert ours[scope].class_name == module.class_name.replace("Sdpa", "")  # an older transformers
        if pair.dynamo:
            assert ours[scope].tag == module.tag
    assert len({module.tag for module in pair.ours.modules}) == len(ours)
    assert set(pair.ours.nodes.values()) <= {module.tag for module in pair.ours.modules}


def test_an_operator_is_where_another_exporter_has_it_or_in_a_module_within(pair: Pair) -> None:
    their_types = {node.name: node.op_type for node in pair.their_model.graph.node}
    alike = [node.name for node in pair.our_model.graph.node if their_types.get(node.name) == node.op_type]

    assert len(alike) > 0.8 * len(their_types)
    for name in alike:
        theirs, ours = scope_of(pair.theirs, name), scope_of(pair.ours, name)
        if theirs.endswith("normalization") and their_types[name] == "Conv":
            assert ours == theirs.replace("normalization", "convolution")  # theirs has folded ones where the fold was
        elif pair.dynamo:
            assert ours == theirs
        else:
            assert not theirs or f"{ours}.".startswith(f"{theirs}.")


def scope_of(metadata: HtpMetadata, operator: str) -> str:
    tag = metadata.nodes[operator]
    return next(module.scope for module in metadata.modules if module.tag == tag)
