"""``g2o --config FILE`` and ``g2o --version --json``."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from tests.common.command import in_process
from tests.running.models import chain

if TYPE_CHECKING:
    from pathlib import Path


def configured(folder: Path, text: str, *arguments: str) -> tuple[int, str, str]:
    chain(folder)
    (folder / "g2o.toml").write_text(text, "utf-8")
    ran = in_process(folder, "--config", "g2o.toml", *arguments)
    return ran.code, ran.out, ran.err


def test_a_table_is_for_its_command(tmp_path: Path) -> None:
    text = '[encode]\nparameters = "embedded"\noverwrite = true\n[inspect]\nparameters = 3\n'
    assert configured(tmp_path, text, "encode", "model.onnx")[0] == 2  # inspect has no such option
    text = '[encode]\nparameters = "embedded"\noverwrite = true\n'
    for _ in range(2):
        assert configured(tmp_path, text, "encode", "model.onnx", "-o", "g.graphml")[0] == 0
    assert not (tmp_path / "g.onnxdata").exists()


def test_what_stands_before_is_for_all_that_have_the_option(tmp_path: Path) -> None:
    text = "depth = 0\n[diff]\ndepth = 1\nnumeric = true\n"
    _, out, _ = configured(tmp_path, text, "inspect", "model.onnx")
    assert "encoder" not in out
    assert "layer.0" not in configured(tmp_path, text, "diff", "model.onnx", "model.onnx")[1]


def test_the_command_line_wins(tmp_path: Path) -> None:
    text = '[inspect]\nby = "parameter"\ndim = ["batch=4"]\n'
    assert "encoder.layer.0.weight" in configured(tmp_path, text, "inspect", "model.onnx")[1]
    _, out, _ = configured(tmp_path, text, "inspect", "model.onnx", "--by", "module", "--depth", "0")
    assert "encoder.layer.0.weight" not in out
    assert "?" not in out  # MACs are known, with batch=4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[inspect", "is not TOML"),
        ("dept = 1", "no option 'dept' (close to it: depth)"),
        ("[inspct]", "no command 'inspct' (close to it: inspect)"),
        ("[inspect]\nnumeric = true", "no option of g2o inspect 'numeric'"),
        ("json = true", "--json is for the command line"),
        ('[inspect]\ndepth = "deep"', "'--depth'"),
        ('[inspect]\nby = "taste"', "'taste' is not one of"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, told: str) -> None:
    code, out, err = configured(tmp_path, text, "inspect", "model.onnx")
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert in_process(tmp_path, "--config", "gone.toml", "inspect", "model.onnx").code == 66


def test_versions_for_a_report_of_a_bug(tmp_path: Path) -> None:
    ran = in_process(tmp_path, "--version", "--json")
    told = json.loads(ran.out)
    assert ran.code == 0
    assert (told["g2o"], told["python"]) == (version("graphml-onnx"), platform.python_version())
    assert told["packages"]["onnx"] == version("onnx")
    assert told["platform"]
    assert in_process(tmp_path, "--json").code == 2
