"""A model as text: equal models give equal text, and an edit changes only its own lines."""

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
from tests.graph.test_inspection import damaged


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

    assert "module enc.0" in lines  # names give no class
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


def test_weights_that_cannot_be_read_do_not_hide_the_rest(tmp_path: Path) -> None:
    model = damaged()
    model.graph.initializer[0].data_type = 99  # which this ONNX does not know
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())

    ran = run(tmp_path, "textconv", "m.onnx")

    lines = ran.out.splitlines()
    assert any(line.startswith("  parameter enc.0.w: 99[2, 3] sha256:") for line in lines)
    assert any(line.startswith("  parameter enc.1.short: FLOAT[2, 3] sha256:") for line in lines)
    assert "  parameter enc.3.gone: FLOAT[2, 3] cannot be read" in lines
    assert "  Add /enc/3/Add" in lines
    assert ran.code == 0  # or git shows nothing
    assert ran.err.startswith("g2o: warning: gone.bin: external data of tensor 'enc.3.gone' of m.onnx: no such file")


def test_external_data_can_be_left_unread(tmp_path: Path) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)

    with_data = run(tmp_path, "textconv", "m.onnx").out
    without = run(tmp_path, "textconv", "m.onnx", "--no-data-files").out
    (tmp_path / "w.bin").unlink()

    assert "  parameter enc.0.weight: FLOAT[32, 32] sha256:" in with_data
    assert "  parameter enc.0.weight: FLOAT[32, 32] in w.bin\n" in without
    assert run(tmp_path, "textconv", "m.onnx", "--no-data-files").out == without


def test_the_text_does_not_depend_on_the_name_of_the_file(tmp_path: Path) -> None:
    model = with_body()
    model.graph.name = ""
    for name in ("model.onnx", "git-blob-1x.onnx"):
        onnx.save(model, tmp_path / name)

    assert lines_of(tmp_path / "model.onnx") == lines_of(tmp_path / "git-blob-1x.onnx")


def test_what_is_no_model_does_not_hide_the_rest(tmp_path: Path) -> None:
    """Git ends with an error if the text of one file fails, and shows no other: a pointer of LFS, a broken download."""
    (tmp_path / "a.onnx").write_text("no model")
    (tmp_path / "b.onnx").write_text("no model")
    (tmp_path / "c.onnx").write_text("no model, another")

    texts = [run(tmp_path, "textconv", name) for name in ("a.onnx", "b.onnx", "c.onnx")]

    assert [ran.code for ran in texts] == [0, 0, 0]
    assert texts[0].out.startswith("cannot be read: is not an ONNX model")
    assert texts[0].err.startswith("g2o: warning: a.onnx: is not an ONNX model")
    assert texts[0].out == texts[1].out != texts[2].out
    assert run(tmp_path, "textconv", "none.onnx").code == 66
