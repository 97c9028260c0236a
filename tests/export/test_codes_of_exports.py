"""Each code that `g2o export` warns with: a case that raises it, and a near miss."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import graphml_onnx
from graphml_onnx.validation.codes import CODES
from tests.common.command import in_process

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

from graphml_onnx.exporting import onnx_output  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Pair(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class First(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * 2


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(2, 2, 2)


class FixedByLength(nn.Module):
    """PyTorch takes other sizes; the trace knows one."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x) * 2, 2)


class FixedByRange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(int(x.shape[0]))[:, None]


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], 2, 2)


class UpTo(nn.Module):
    """Takes no more than the size of the example."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[0]]


class Scaled(nn.Module):
    def __init__(self, *, changes: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.changes = changes

    def forward(self, x: Tensor) -> Tensor:
        if self.changes:
            self.weight.mul_(2)
        return x * self.weight


class ThroughView(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        y.view(-1).mul_(2)
        return y


class ThroughSlice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        y[:, 0].mul_(2)
        y[0] = 3
        return y


def _exported(model: nn.Module, exporter: Any = "torchscript", **options: Any) -> Callable[[Path], Sequence[Any]]:
    def export(folder: Path) -> Sequence[graphml_onnx.Notice]:
        options.setdefault("inputs", X.clone())
        return graphml_onnx.export(model, folder / "m.onnx", exporter=exporter, overwrite=True, **options).findings

    return export


def _dynamic(model: nn.Module) -> Callable[[Path], Sequence[Any]]:
    return _exported(model, dynamic_shapes={"x": {"0": "batch"}})


def _equal(one: str, other: str) -> Callable[[Path], Sequence[Any]]:
    shapes = {"x": {"0": one}, "y": {"0": other}}
    return _exported(Pair(), "dynamo", inputs=(X, X), dynamic_shapes=shapes)


def _configured(exporter: str) -> Callable[[Path], Sequence[Any]]:
    return _exported(Twice(), exporter, export_config={"optimize": True})


def _named(model: nn.Module) -> Callable[[Path], Sequence[Any]]:
    return _exported(model, inputs=(X, X), export_config={"input_names": ["one", "two"]})


def _again(**second: Any) -> Callable[[Path], Sequence[Any]]:
    def export(folder: Path) -> Sequence[graphml_onnx.Notice]:
        _exported(Twice(), with_report=True)(folder)
        return _exported(Twice(), **second)(folder)

    return export


def _names(change: Callable[[Any], None]) -> Callable[[Path], Sequence[Any]]:
    """An export whose exporter wrote other names of operators."""
    read = onnx_output.ModelFile.read

    def changed(*arguments: Any) -> Any:
        file = read(*arguments)
        change(file.model.graph.node)
        return file

    def export(folder: Path) -> Sequence[graphml_onnx.Notice]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(onnx_output.ModelFile, "read", changed)
            return _exported(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))(folder)

    return export


def _same_name(operators: Any) -> None:
    for operator in operators:
        operator.name = "operator"


def _other_names(operators: Any) -> None:
    for number, operator in enumerate(operators):
        operator.name = f"operator {number}"


def _on_a_full_disk(*places: str) -> Callable[[Path], Sequence[Any]]:
    """An export with GraphML and report for which some steps find no space; gives what the report tells too."""

    def full(*_: object, **__: object) -> None:
        raise graphml_onnx.StorageError("no space left on device")

    def export(folder: Path) -> Sequence[graphml_onnx.Notice]:
        with pytest.MonkeyPatch.context() as patch:
            for place in places:
                patch.setattr(f"graphml_onnx.exporting.{place}", full)
            findings = _exported(Twice(), with_graphml=True, with_report=True)(folder)
        report = (folder / "m_htp_export_report.md").read_text(encoding="utf-8")
        return [
            *findings,
            *(graphml_onnx.Notice(code, "") for code in re.findall(r"\(`(.+)`\)$", report, re.MULTILINE)),
        ]

    return export


_GRAPHML = "run.encode"
_REPORT = "outputs.Outputs.replace_report"


class _Case(NamedTuple):
    raises: Callable[[Path], Sequence[Any]]
    near: Callable[[Path], Sequence[Any]]


CASES: dict[str, _Case] = {
    "torch-warning": _Case(_exported(Branches()), _exported(Twice())),
    "change-left-out": _Case(_exported(ThroughView()), _exported(ThroughSlice())),
    "sizes-fixed": _Case(_dynamic(Fixed()), _dynamic(Reads())),
    "dimension-not-dynamic": _Case(_equal("a", "b"), _equal("a", "a")),
    "names-not-applied": _Case(_named(First()), _named(Pair())),
    "input-left-out": _Case(_exported(First(), inputs=(X, X)), _exported(First(), "dynamo", inputs=(X, X))),
    "option-without-effect": _Case(_configured("torchscript"), _configured("dynamo")),
    "parameters-changed": _Case(_exported(Scaled(changes=True)), _exported(Scaled(changes=False))),
    "few-exact": _Case(_exported(nn.Identity()), _exported(Twice())),
    "earlier-files": _Case(_again(), _again(with_report=True)),
    "operators-renamed": _Case(_names(_same_name), _names(_other_names)),
    "graphml-failed": _Case(_on_a_full_disk(_GRAPHML), _on_a_full_disk(_REPORT)),
    "report-incomplete": _Case(_on_a_full_disk(_GRAPHML, _REPORT), _on_a_full_disk(_GRAPHML)),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_a_case_and_a_near_miss(tmp_path: Path, code: str) -> None:
    assert code in {notice.code for notice in CASES[code].raises(tmp_path)}
    for file in tmp_path.iterdir():
        file.unlink()
    assert code not in {notice.code for notice in CASES[code].near(tmp_path)}


def test_no_code_is_forgotten() -> None:
    assert CASES.keys() == {name for name, code in CODES.items() if code.layer == "export"}


@pytest.mark.parametrize("model", [FixedByLength(), FixedByRange()])
def test_a_size_that_the_trace_knows_is_told_with_what_pytorch_gives(tmp_path: Path, model: nn.Module) -> None:
    found = [notice for notice in _dynamic(model)(tmp_path) if notice.code == "sizes-fixed"]
    assert len(found) == 1
    assert found[0].startswith("with batch = 4, ")


def test_a_model_that_takes_no_more_than_the_example_is_tried_with_less(tmp_path: Path) -> None:
    assert [notice.code for notice in _dynamic(UpTo())(tmp_path)] == []


def test_a_dimension_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(graphml_onnx.UsageError, match="has no dimension 2"):
        _exported(Twice(), dynamic_shapes={"x": {"2": "batch"}})(tmp_path)


def test_dimensions_of_renamed_inputs_are_looked_at(tmp_path: Path) -> None:
    found = _exported(
        Pair(),
        "dynamo",
        inputs=(X, X),
        dynamic_shapes={"one": {"0": "a"}, "y": {"0": "b"}},
        export_config={"input_names": ["one", "two"]},
    )(tmp_path)
    assert [*found] == ["dimension 0 of two was to be dynamic as b, and is a"]


def test_inputs_that_have_to_be_dynamic_too_are_named(tmp_path: Path) -> None:
    with pytest.raises(graphml_onnx.ModelError) as refusal:
        _exported(Pair(), "dynamo", inputs=(X, X), dynamic_shapes={"x": {"0": "batch"}})(tmp_path)
    assert refusal.value.remedy is not None
    assert refusal.value.remedy.endswith("no dynamic dimension: y")


def test_the_command_and_the_report_tell_the_code(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n"
        "        return x if x.sum() > 0 else -x\n"
        "def build():\n    return Net(), torch.ones(2)\n"
    )
    line = ("export", "net:build", "-o", "m.onnx", "--exporter", "torchscript", "--with-report", "--overwrite")
    assert "[torch-warning]\n" in in_process(tmp_path, *line).err
    told = json.loads(in_process(tmp_path, *line, "--json").out)["findings"]
    assert {finding["code"] for finding in told} == {"torch-warning", "few-exact"}
    assert all(finding["message"] for finding in told)
    assert "(`torch-warning`)" in (tmp_path / "m_htp_export_report.md").read_text(encoding="utf-8")
