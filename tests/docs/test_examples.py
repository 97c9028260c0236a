"""The examples work on every model that lies in fixtures/, say how they are used, and end quietly in ``| head``."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest

from graphml_onnx import to_networkx
from tests.docs.documents import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem != "command_line")
MODELS = [path for folder in ("small", "htp") for path in sorted((ROOT / "fixtures" / folder).rglob("*.onnx"))]
PER_MODEL = [path for path in EXAMPLES if path.stem != "between_tensors"]
_NOTHING_TO_SHOW = ("the model has no operators", "there are no communities")


@pytest.mark.parametrize("example", PER_MODEL, ids=lambda path: path.stem)
def test_every_model(example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    assert len(MODELS) > 10
    for model in MODELS:
        monkeypatch.setattr(sys, "argv", [str(example), str(model)])
        try:
            runpy.run_path(str(example))
        except SystemExit as ended:
            if not str(ended).endswith(_NOTHING_TO_SHOW):
                pytest.fail(f"{model}: {ended}")
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"{model}: {error!r}")
    assert capsys.readouterr().out


def test_between_the_ends_of_every_edge_of_a_model(monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    model = ROOT / "fixtures/htp/winml-resnet-mini-torchscript/model.onnx"
    example = ROOT / "examples/between_tensors.py"
    for _, _, tensor in list(to_networkx(model).edges(data="tensor_name"))[:8]:
        monkeypatch.setattr(sys, "argv", [str(example), str(model), tensor, tensor])
        try:
            runpy.run_path(str(example))
        except SystemExit as ended:
            if "no edge carries" not in str(ended):
                raise
    assert "operators" in capsys.readouterr().out


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_no_arguments_are_a_line_of_usage(example, monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.setattr(sys, "argv", [str(example)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"Usage: python examples/{example.name} MODEL_OR_GRAPHML")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell with head")
def test_head_is_no_traceback() -> None:
    model = ROOT / "fixtures/htp/winml-bert-mini-dynamo/model.onnx"
    line = f"'{sys.executable}' examples/operators_per_module.py '{model}' 20 | head -n 1"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
