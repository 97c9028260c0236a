"""Modules whose names, calls or hooks make it hard to tell which of them an operator belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

EXPORTERS: tuple[Any, ...] = ("dynamo", "torchscript")


def scopes(result: Any, op_type: str) -> list[str]:
    """The paths of the modules of all operators of a type, in their order."""
    metadata = json.loads(result.metadata.read_text(encoding="utf-8"))
    scope_of = {module["traced_tag"]: module["scope"] for module in modules(metadata["modules"])}
    graph = onnx.load(result.onnx).graph
    return [scope_of[metadata["nodes"][node.name]] for node in graph.node if node.op_type == op_type]


def modules(outer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [outer, *(module for child in outer.get("children", {}).values() for module in modules(child))]


def export(model: nn.Module, folder: Path, exporter: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight))  # of equal weights, exporters keep one
    return graphml_onnx.export(model, folder / "model.onnx", inputs=torch.randn(2, 4), exporter=exporter)


class Sides(nn.Module):
    """Holds modules, and does not run itself; the root has one of the same class and name."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.ModuleDict({"proj": nn.Linear(4, 4)})
        self.right = nn.ModuleDict({"proj": nn.Linear(4, 4)})
        self.proj = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.proj(self.right["proj"](self.left["proj"](x).sin()).cos())
        return y


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_modules_of_one_class_and_name_may_lie_at_several_depths(tmp_path: Path, exporter: Any) -> None:
    result = export(Sides(), tmp_path, exporter)

    assert scopes(result, "Gemm") == ["left.proj", "right.proj", "proj"]
    assert result.exact == 100.0


class Numbered(nn.Module):
    """One module is called twice; the name of the other is what TorchScript calls the second call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.layer_1 = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(self.layer_1(self.layer(x).sin()).cos())
        return y


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_name_may_look_like_a_later_call_of_another_module(tmp_path: Path, exporter: Any) -> None:
    assert scopes(export(Numbered(), tmp_path, exporter), "Gemm") == ["layer", "layer_1", "layer"]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_name_may_hold_a_slash_and_spaces(tmp_path: Path, exporter: Any) -> None:
    table = nn.ModuleDict({"a/b c": nn.Linear(4, 4), "a": nn.Linear(4, 4)})

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.table["a"](self.table["a/b c"](x).sin())
            return y

    assert scopes(export(Model(), tmp_path, exporter), "Gemm") == ["table.a/b c", "table.a"]


class Hooked(nn.Module):
    """Hooks that call a module before and after another one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.adapter = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.first.register_forward_pre_hook(lambda _, inputs: (self.adapter(inputs[0]),))
        self.first.register_forward_hook(lambda _, __, output: output + self.adapter(output))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        return y


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_hook_may_call_a_module(tmp_path: Path, exporter: Any) -> None:
    result = export(Hooked(), tmp_path, exporter)

    assert scopes(result, "Gemm") == ["adapter.0", "first", "adapter.0"]
    assert scopes(result, "Tanh") == ["adapter.1", "adapter.1"]
    assert result.exact == 100.0


def test_a_traced_module_is_a_level(tmp_path: Path) -> None:
    """It runs no hook, but the exporter names it."""
    traced = torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(2, 4))

    result = export(nn.Sequential(nn.Linear(4, 4), traced), tmp_path, "dynamo")

    assert scopes(result, "Relu") == ["1"]
    assert result.exact == 100.0


class ByByteCode(nn.Module):
    """Fails after its first layer where `torch.export` runs it, so that it goes by the byte code."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.rest = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.alias = self.rest

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if not torch.compiler.is_dynamo_compiling():
            raise RuntimeError("this takes the other way")
        y: Tensor = self.alias(x)
        return y


def test_modules_are_found_whichever_way_torch_export_takes(tmp_path: Path) -> None:
    result = export(ByByteCode(), tmp_path, "dynamo")

    assert scopes(result, "Gemm") == ["first", "rest.0"]
    assert scopes(result, "Tanh") == ["rest.1"]
    assert result.exact == 100.0
