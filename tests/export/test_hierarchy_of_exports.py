"""The module tree of an export and the place of each operator in it, the same for both exporters."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tests.export.tiny_models import Adapters, Branching, Pair, mixed  # noqa: E402

TAG = "winml.hierarchy.tag"
EXPORTERS = ("dynamo", "torchscript")

BLOCK_0 = "/Mixed/Block.0"
BLOCK_1 = "/Mixed/Block.1"


@dataclass(frozen=True)
class Made:
    """An export, read from its files."""

    result: Any
    model: onnx.ModelProto
    metadata: dict[str, Any]

    @property
    def tags(self) -> dict[str, str]:
        return {
            node.name: next(entry.value for entry in node.metadata_props if entry.key == TAG)
            for node in self.model.graph.node
        }

    @property
    def modules(self) -> list[dict[str, Any]]:
        return list(_flat(self.metadata["modules"]))

    def tags_of(self, op_type: str) -> list[str]:
        return [self.tags[node.name] for node in self.model.graph.node if node.op_type == op_type]


def _flat(module: dict[str, Any]) -> Any:
    yield {key: value for key, value in module.items() if key != "children"}
    for child in module.get("children", {}).values():
        yield from _flat(child)


def made(folder: Path, model: Any, inputs: Any, **options: Any) -> Made:
    result = graphml_onnx.export(model, folder / "model.onnx", inputs=inputs, **options)
    return Made(result, onnx.load(result.onnx), json.loads(result.metadata.read_text(encoding="utf-8")))


@pytest.fixture(scope="module", params=EXPORTERS)
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp(request.param), *mixed(), exporter=request.param)


def test_every_operator_has_the_tag_of_a_module_of_the_tree(export: Made) -> None:
    assert set(export.tags.values()) <= {module["traced_tag"] for module in export.modules}
    assert export.metadata["nodes"] == export.tags
    assert export.result.nodes == len(export.model.graph.node)


def test_every_operator_is_in_the_very_module_that_ran_it(export: Made) -> None:
    assert export.result.exact == 100.0
    assert sum(export.result.placements.values()) == export.result.nodes


def test_items_of_a_list_are_modules_of_their_own(export: Made) -> None:
    assert export.tags_of("Gemm")[:2] == [f"{BLOCK_0}/Linear.dense", f"{BLOCK_1}/Linear.dense"]


def test_sequential_is_a_level_and_its_items_are_too(export: Made) -> None:
    assert export.tags_of("Relu") == ["/Mixed/Sequential.head/ReLU.1"]
    assert export.tags_of("Gemm")[3] == "/Mixed/Sequential.head/Sequential.2/Linear.0"


def test_a_module_under_two_names_stands_under_the_first_for_all_its_calls(export: Made) -> None:
    assert export.tags_of("Gemm")[-2:] == ["/Mixed/Linear.shared"] * 2
    assert Counter(module["scope"] for module in export.modules)["alias"] == 0


def test_a_module_called_from_outside_stands_where_it_is_registered(export: Made) -> None:
    assert export.tags_of("Gelu") == [f"{place}/GELU.activation" for place in (BLOCK_0, BLOCK_1, BLOCK_0)]


def test_functions_outside_any_module_are_in_the_module_whose_code_calls_them(export: Made) -> None:
    assert export.tags_of("Sin") == ["/Mixed"]
    assert export.tags_of("Add") == [BLOCK_0, BLOCK_1, "/Mixed"]


def test_the_tree_has_the_modules_that_ran_in_the_order_of_their_first_run(export: Made) -> None:
    scopes = [module["scope"] for module in sorted(export.modules, key=lambda module: module["execution_order"])]
    assert scopes == [
        "",
        *(f"blocks.{n}{part}" for n in (0, 1) for part in ("", ".dense", ".activation", ".dropout")),
        *("head", "head.0", "head.1", "head.2", "head.2.0"),
        *("shared", "norms.last"),
    ]


def test_both_exporters_give_the_same_tree(tmp_path: Path) -> None:
    trees = []
    for exporter in EXPORTERS:
        folder = tmp_path / exporter
        folder.mkdir()
        trees.append(made(folder, *mixed(), exporter=exporter).metadata["modules"])
    assert trees[0] == trees[1]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_modules_of_the_same_class_and_name_keep_apart(tmp_path: Path, exporter: str) -> None:
    export = made(tmp_path, Pair(), torch.randn(2, 4), exporter=exporter)

    assert export.tags_of("Gemm") == ["/Pair/Linear.left.proj", "/Pair/Linear.right.proj"]
    assert export.result.exact == 100.0


@pytest.mark.parametrize("values", [torch.randn, torch.zeros])
def test_modules_that_names_do_not_tell_apart_are_found_by_their_weights(tmp_path: Path, values: Any) -> None:
    """Of three modules called ``default``, the first makes no operator, so that numbers do not help: as in LoRA."""
    export = made(tmp_path, Adapters(values), torch.randn(2, 3, 4), exporter="torchscript")

    below = [tag.removeprefix("/Adapters/") for tag in export.tags_of("MatMul")]
    assert below == [
        *("Adapted.0/Linear.down.default", "Adapted.0/Linear.up.default"),
        *("Adapted.1/Linear.down.default", "Adapted.1/Linear.up.default"),
    ]
    assert export.result.exact == 100.0


def test_operators_in_branches_have_the_tags_of_their_modules(tmp_path: Path) -> None:
    export = made(tmp_path, Branching(), torch.randn(2, 4))

    [branch] = [node for node in export.model.graph.node if node.op_type == "If"]
    inner = [node for attribute in branch.attribute for node in attribute.g.node]
    tags = [[entry.value for entry in node.metadata_props if entry.key == TAG] for node in inner]
    known = {module["traced_tag"] for module in export.modules}
    assert inner
    assert all(len(tag) == 1 and tag[0] in known for tag in tags)
    assert {"/Branching/Linear.positive", "/Branching/Linear.negative"} <= {tag for [tag] in tags}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    ("choice", "levels"),
    [
        ("none", {"Mixed", "Block"}),
        (["Linear", "GELU"], {"Mixed", "Block", "Linear", "GELU"}),
    ],
)
def test_classes_of_torch_can_be_left_out_of_the_tree(
    tmp_path: Path, exporter: str, choice: Any, levels: set[str]
) -> None:
    export = made(tmp_path, *mixed(), exporter=exporter, torch_modules=choice)

    assert {module["class_name"] for module in export.modules} == levels
    assert set(export.tags.values()) <= {module["traced_tag"] for module in export.modules}
    if choice == "none":
        assert export.tags_of("Gelu") == [BLOCK_0, BLOCK_1, BLOCK_0]
        assert export.tags_of("Relu") == ["/Mixed"]


def test_a_copy_of_a_weight_goes_to_the_module_whose_weight_it_is(tmp_path: Path) -> None:
    """Equal weights become one, and TorchScript adds operators that copy it, without any scope."""
    model, inputs = mixed()
    with torch.no_grad():
        model.blocks[1].dense.bias.copy_(model.blocks[0].dense.bias)

    export = made(tmp_path, model, inputs, exporter="torchscript")

    [copy] = [name for name in export.tags if "/" not in name]
    assert export.tags[copy] == f"{BLOCK_1}/Linear.dense"
    assert export.result.placements["weight copy"] == 1
    assert export.result.exact == 100.0


def test_an_operator_of_which_the_exporter_tells_nothing_goes_where_its_tensors_are_used(tmp_path: Path) -> None:
    """TorchScript tells no scope of what it makes to slice the weights of recurrent cells."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GRU(4, 4))

    export = made(tmp_path, model, torch.randn(3, 2, 4), exporter="torchscript")

    told_nothing = [name for name in export.tags if "/" not in name]
    assert told_nothing
    assert {export.tags[name] for name in told_nothing} == {"/Sequential/GRU.1"}
    assert export.result.placements["consumers"] + export.result.placements["operand"] == len(told_nothing)
    assert export.result.exact < 100.0


def test_the_graph_has_the_hierarchy_of_the_metadata(tmp_path: Path) -> None:
    export = made(tmp_path, *mixed(), with_graphml=True)

    assert export.result.graphml.hierarchy_source == "metadata"
    assert export.result.graphml.coverage == 81.25  # all but 3 of 16, which the root module calls
    assert export.result.graphml.modules == len(export.modules)
    assert graphml_onnx.verify(export.result.onnx, metadata=export.result.metadata).passed


def test_a_model_is_left_as_it_was(tmp_path: Path) -> None:
    model, inputs = mixed()
    model.train()
    model.head.eval()
    before = [
        (name, module.training, len(module._forward_hooks), vars(module).keys())
        for name, module in model.named_modules()
    ]

    for exporter in EXPORTERS:
        made(tmp_path, model, inputs, exporter=exporter, overwrite=True)

    after = [
        (name, module.training, len(module._forward_hooks), vars(module).keys())
        for name, module in model.named_modules()
    ]
    assert after == before


class UsesWeights(torch.nn.Module):
    """Uses the weights of a layer by itself, as the attention of Swin does: exporters transpose and rename them."""

    def __init__(self) -> None:
        super().__init__()
        self.around = torch.nn.Module()
        self.around.large = torch.nn.Linear(24, 40)
        self.around.small = torch.nn.Linear(40, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.linear(x, self.around.large.weight, self.around.large.bias)
        return torch.nn.functional.linear(y, self.around.small.weight)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_weights_that_another_module_uses_tell_their_module_even_transposed(tmp_path: Path, exporter: Any) -> None:
    result = graphml_onnx.export(
        UsesWeights(), tmp_path / "model.onnx", inputs=torch.randn(2, 3, 24), exporter=exporter
    )

    modules = result.record.modules
    places = {op.op_type: [] for op in result.record.operators}
    for op in result.record.operators:
        places[op.op_type].append(modules[op.module].scope)
    assert places["MatMul"] == ["around.large", "around.small"]
    assert places["Add"] == ["around.large"]
