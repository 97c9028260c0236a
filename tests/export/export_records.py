"""Records of exports: of the models in fixtures/htp, and of small ones put together by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx

from graphml_onnx.exporting.record import (
    ExporterRecord,
    ExportRecord,
    FileRecord,
    ModelRecord,
    OperatorRecord,
    PlacementRule,
    StepRecord,
    TensorRecord,
)
from graphml_onnx.hierarchy import Module, read_metadata

FOLDER = Path(__file__).parents[2] / "fixtures" / "htp"
NAMES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
STARTED = datetime(2026, 11, 23, 1, 13, 19, 888_000, tzinfo=UTC)

DIRECT = PlacementRule("scope", "the exporter tells the scope", "direct")
ROOT = PlacementRule("root", "no other rule applies; the root module", "root")
STEPS = (
    StepRecord("model_preparation", 0.5),
    StepRecord("input_generation", 0.25),
    StepRecord("hierarchy_building", 0.125),
    StepRecord("onnx_export", 2.0),
    StepRecord("node_tagging", 0.0625),
    StepRecord("tag_injection", 0.0625),
)
FILES = (
    FileRecord("onnx_model", "model.onnx", 1_234_567, "ab" * 32),
    FileRecord("metadata", "model_htp_metadata.json"),
    FileRecord("report", "model_htp_export_report.md"),
)


def sample(name: str) -> ExportRecord:
    """The export of a model in fixtures/htp, from its metadata and the model."""
    given = read_metadata((FOLDER / name / "model_htp_metadata.json").read_bytes(), None)
    index_of = {module.tag: index for index, module in enumerate(given.modules)}
    operators = [(node.name, node.op_type, index_of[given.nodes[node.name]]) for node in model(name).graph.node]
    return record(
        given.modules,
        [OperatorRecord(*facts, DIRECT if facts[2] else ROOT) for facts in operators],
        source=told(name)["model"]["name_or_path"],
    )


def told(name: str) -> dict[str, Any]:
    """The metadata of a model in fixtures/htp."""
    return json.loads((FOLDER / name / "model_htp_metadata.json").read_bytes())


def model(name: str) -> onnx.ModelProto:
    return onnx.load(FOLDER / name / "model.onnx")


def record(modules: tuple[Module, ...], operators: list[OperatorRecord], source: str = "models/small") -> ExportRecord:
    return ExportRecord(
        exporter=ExporterRecord("dynamo", {"torch": "2.13.0", "onnx": "1.20"}, 18, True, True, 0),
        model=ModelRecord(source, modules[0].class_name, "torch", len(modules) + 3, 22_496, task="any"),
        input_method="from_config",
        inputs=(TensorRecord("input_ids", "int64", ("batch", 16)), TensorRecord("mask", "bool", ())),
        outputs=(TensorRecord("logits", "float32", ("batch", 16, 99)),),
        modules=modules,
        operators=tuple(operators),
        files=FILES,
        steps=STEPS,
    )


def child(modules: list[Module], parent: int, class_name: str, name: str) -> int:
    """Adds a module to a tree, and gives its index."""
    outer = modules[parent]
    scope = f"{outer.scope}.{name}" if outer.scope else name
    tag = f"{outer.tag}/{class_name}.{name.rpartition('.')[2]}"
    if tag in {module.tag for module in modules}:
        tag = f"{outer.tag}/{class_name}.{name}"
    modules.append(Module(parent, class_name, tag, scope, name.rpartition(".")[2], execution_order=len(modules)))
    return len(modules) - 1


def root(class_name: str = "Net") -> Module:
    return Module(None, class_name, f"/{class_name}", "", class_name, execution_order=0)


def transformer(layers: int) -> ExportRecord:
    """A model with a list of layers that are alike, but for one more operator in the first."""
    modules = [root("Transformer")]
    operators = [OperatorRecord("cast", "Cast", 0, ROOT)]
    for layer in range(layers):
        block = child(modules, 0, "Block", f"layers.{layer}")
        operators.append(OperatorRecord(f"add_{layer}", "Add", block, DIRECT))
        attention = child(modules, block, "Attention", "attention")
        operators += [OperatorRecord(f"sum_{layer}_{n}", "Add", attention, DIRECT) for n in range(2 + (layer == 0))]
        for part in ("query", "key", "value"):
            linear = child(modules, attention, "Linear", part)
            operators.append(OperatorRecord(f"{part}_{layer}", "MatMul", linear, DIRECT))
    head = child(modules, 0, "Linear", "lm_head")
    return record(tuple(modules), [*operators, OperatorRecord("head", "MatMul", head, DIRECT)])


def example() -> ExportRecord:
    """The export that docs/htp.md shows."""
    modules = [root("TinyModel")]
    layers, inner = [], []
    for number in range(2):
        layers.append(child(modules, 0, "Layer", f"layers.{number}"))
        inner.append(child(modules, layers[-1], "Linear", "dense"))
    head = child(modules, 0, "Linear", "head")
    used = PlacementRule("consumers", "the innermost module around all operators that use its tensors", "operation")
    operators = [
        OperatorRecord("node_Constant_1", "Constant", layers[0], used),
        OperatorRecord("node_linear", "Gemm", inner[0], DIRECT),
        OperatorRecord("node_add", "Add", layers[0], DIRECT),
        OperatorRecord("node_linear_1", "Gemm", inner[1], DIRECT),
        OperatorRecord("node_add_1", "Add", layers[1], DIRECT),
        OperatorRecord("node_linear_2", "Gemm", head, DIRECT),
    ]
    export = record(tuple(modules), operators, source="tiny.py:build")
    return replace(
        export,
        model=ModelRecord("tiny.py:build", "TinyModel", "torch", 7, 60),
        input_method="provided",
        inputs=(TensorRecord("x", "float32", ("batch", 4)),),
        outputs=(TensorRecord("y", "float32", ("batch", 4)),),
        files=(
            FileRecord("onnx_model", "tiny.onnx", 2_140, "0f" * 32),
            FileRecord("metadata", "tiny_htp_metadata.json"),
        ),
    )
