"""A model as text: the same for the same model, and a change changes what it concerns."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

import onnx
import pytest

import graphml_onnx
from graphml_onnx.graph.textual import text_lines
from tests.cli.g2o_process import COMMAND, environment, run
from tests.graph.models import with_body
from tests.graph.test_difference import attribute, insert, layers, rename, weight


def lines_of(model: onnx.ModelProto | Path) -> list[str]:
    with graphml_onnx.open(model) as graph:
        return list(text_lines(graph))


def changed(old: onnx.ModelProto, new: onnx.ModelProto) -> int:
    return sum(line[0] in "+-" for line in difflib.ndiff(lines_of(old), lines_of(new)))


@pytest.mark.parametrize("model", [with_body(), layers(3)], ids=["bodies", "layers"])
def test_onnx_and_graphml_give_the_same_text(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml")

    assert lines_of(tmp_path / "m.onnx") == lines_of(tmp_path / "m.graphml") == lines_of(model)


@pytest.mark.parametrize(("edit", "lines"), [(insert, 5), (attribute, 2), (weight, 2), (rename, 2)])
def test_a_change_changes_what_it_concerns(edit: object, lines: int) -> None:
    new = layers(100)
    edit(new, 50)

    assert changed(layers(100), new) == lines


def test_the_text_says_what_a_reader_looks_for() -> None:
    lines = lines_of(with_body())

    assert "module enc.0" in lines  # names tell of no class
    assert "  LeakyRelu /enc/0/act" in lines
    assert "    alpha: 0.1" in lines
    assert "    then_branch:" in lines
    assert "function own::Twice" in lines
    assert any(line.startswith("  parameter enc.0.weight: FLOAT[32, 32] sha256:") for line in lines)


def test_git_shows_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "core.hooksPath=/dev/null"]
        command += ["-c", f"diff.onnx.textconv={' '.join(COMMAND)} textconv", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment()
        ).stdout

    git("init", "-q")
    (tmp_path / ".gitattributes").write_text("*.onnx diff=onnx\n")
    model = layers(3)
    onnx.save(model, tmp_path / "m.onnx")
    git("add", "m.onnx", ".gitattributes")
    git("commit", "-qm", "a model")
    attribute(model, 1)
    onnx.save(model, tmp_path / "m.onnx")

    shown = git("diff", "m.onnx")

    assert "-    alpha: 0.015625\n+    alpha: 1.015625\n" in shown


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")

    assert run(tmp_path, "textconv", "m.onnx").code == 65
    assert run(tmp_path, "textconv", "none.onnx").code == 66
