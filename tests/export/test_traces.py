"""Traces of TorchScript: what a module changes in place, what it does not use, and what depends on sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

X = torch.linspace(-1, 1, 8).reshape(2, 4)


def traced(model: nn.Module, folder: Path, **options: Any) -> graphml_onnx.ExportResult:
    return graphml_onnx.export(
        model, folder / "model.onnx", exporter="torchscript", **({"inputs": X.clone()} | options)
    )


def computed(file: Path, *inputs: Tensor) -> list[Any]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return list(session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)}))


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)


class AddsToInput(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        x.add_(1)
        return self.linear(x) * x


class WritesSlice(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        x[:, 0] = 3
        return self.linear(x) + x


class Returned(_Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        torch.relu_(x)
        return self.linear(x), x


class Overwrites(_Linear):
    """PyTorch has no operator for the change of a copy, but for that of the buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.last.copy_(x)
        return self.linear(self.last)


class Counts(_Linear):
    """Changes buffers, one of which another module has too, and calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(4))
        self.linear.register_buffer("shared", self.mean)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor, again: bool = True) -> Tensor:
        self.mean.add_(x.mean(0))
        self.calls += 1
        y = self.linear(x) + self.linear.shared * self.calls
        return self(y, False) if again else y


@pytest.mark.parametrize("kind", [AddsToInput, WritesSlice, Returned, Overwrites, Counts])
def test_what_a_run_changes_in_place_is_computed(tmp_path: Path, kind: Any) -> None:
    """PyTorch leaves the change out, and warns only at times; the buffers of the file are those before the run."""
    torch.manual_seed(0)
    model, given = kind().eval(), X.clone()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    buffers = [id(buffer) for buffer in model.buffers()]

    result = traced(model, tmp_path, inputs=given, with_graphml=True)

    assert torch.equal(given, X)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert [id(buffer) for buffer in model.buffers()] == buffers
    assert "forward" not in vars(model)
    assert result.findings == ()
    with torch.no_grad():
        expected = model(X.clone())
    expected = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(computed(result.onnx, X), expected, strict=True):
        assert np.allclose(one, other.numpy(), atol=1e-5)


class Unused(_Linear):
    def forward(self, x: Tensor, mask: Tensor, y: Tensor) -> Tensor:
        return self.linear(x + y)


def test_inputs_that_the_exporter_leaves_out_are_named(tmp_path: Path) -> None:
    result = traced(Unused(), tmp_path, inputs=(X, torch.ones(3), X))

    model = onnx.load(result.onnx)
    assert [value.name for value in model.graph.input] == ["x", "y"]
    [finding] = result.findings
    assert finding.endswith(": mask")
    [told] = [json.loads(entry.value) for entry in model.metadata_props if entry.key == "winml.io.inputs"]
    assert [entry["name"] for entry in told] == ["x", "y"]
