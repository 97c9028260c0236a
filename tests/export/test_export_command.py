"""``g2o export``, as a process of its own where the process matters."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.common.command import PATIENCE, Ran, as_process, contents, in_process

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

LINE = ("export", "tiny_models:mixed", "-o", "model.onnx", "--exporter", "torchscript")
FULL_DISK = """
import graphml_onnx.encoding.api
from graphml_onnx.errors import StorageError
def encode(*arguments, **options):
    raise StorageError("no space left on device", file="graph")
graphml_onnx.encoding.api.encode = encode
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Has a module to import, and is not where the tests lie."""
    shutil.copy(Path(__file__).with_name("tiny_models.py"), tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes what the command changes in a process that ends with it."""
    monkeypatch.setattr("sys.path", [*sys.path])
    yield
    logging.disable(logging.NOTSET)


def without(package: str) -> str:
    """Python that takes an installed package away."""
    return (
        "import importlib.abc, importlib.util\n"
        "class Gone(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "found = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else found(name, *rest)\n"
        "sys.meta_path.insert(0, Gone())\n"
    )


def new_files(folder: Path) -> set[str]:
    return {name for name in contents(folder) if not name.startswith(("tiny_models", "__pycache__"))}


def test_a_model_becomes_all_its_files(folder: Path) -> None:
    ran = as_process(folder, *LINE, "--with-graphml", "--with-report")

    assert (ran.code, ran.err) == (0, "")
    assert {line.split()[0] for line in ran.out.splitlines()} >= {"onnx", "metadata", "report", "graphml", "sha256"}
    assert new_files(folder) == {
        "model.onnx",
        "model_htp_metadata.json",
        "model_htp_export_report.md",
        "model_hierarchical_graph.graphml",
    }
    verified = as_process(folder, "verify", "model.onnx", "--meta", "model_htp_metadata.json")
    assert verified.code == 0, verified.err


def test_the_modules_are_shown_where_asked_for(folder: Path) -> None:
    shown = in_process(folder, *LINE, "--tree").out
    assert "module" in [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert "MACs" in shown
    assert "MACs" not in in_process(folder, *LINE, "--overwrite").out  # no terminal


def test_json_is_one_document_with_the_facts(folder: Path) -> None:
    ran = in_process(folder, *LINE, "--with-graphml", "--json", "--profile")

    told = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert told["onnx"] == "model.onnx"
    assert told["exact"] == 100.0
    assert sum(told["placements"].values()) == told["nodes"]
    assert told["graphml"]["graphml"] == "model_hierarchical_graph.graphml"
    assert told["graphml_error"] is None
    assert {stage["stage"] for stage in told["profile"]} >= {"onnx export", "graphml", "total"}


def test_quiet_says_nothing(folder: Path) -> None:
    ran = in_process(folder, *LINE, "--quiet")

    assert ran == Ran(0, "", "")


def test_existing_files_are_replaced_only_with_force(folder: Path) -> None:
    (folder / "model.onnx").write_text("mine")

    refused = in_process(folder, *LINE)
    assert refused.code == 73
    assert "--overwrite" in refused.err
    assert (folder / "model.onnx").read_text() == "mine"

    assert in_process(folder, *LINE, "--force").code == 0


@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_graph_that_fails_is_a_warning_with_its_category_and_its_exit_code(folder: Path, json_wanted: bool) -> None:
    options = ["--with-graphml", *(["--json"] if json_wanted else [])]
    ran = as_process(folder, *LINE, *options, prologue=FULL_DISK)

    assert ran.code == 74
    assert new_files(folder) == {"model.onnx", "model_htp_metadata.json"}
    [warning] = ran.err.splitlines()
    assert warning.startswith("g2o: warning: no GraphML: input_output: ")
    assert "no space" in warning
    if json_wanted:
        assert json.loads(ran.out)["graphml_error"]["category"] == "input_output"
    else:
        assert "model.onnx" in ran.out
    assert in_process(folder, "verify", "model.onnx").code == 0


@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_without_torch_one_line_says_what_to_install(folder: Path, package: str) -> None:
    ran = as_process(folder, *LINE, prologue=without(package))

    assert ran.code == 2
    assert ran.err == f"g2o: export needs {package} (pip install {package})\n"


def test_without_transformers_other_models_can_be_exported(folder: Path) -> None:
    (folder / "saved").mkdir()
    ran = as_process(folder, "export", "saved", "-o", "model.onnx", prologue=without("transformers"))

    assert ran.code == 2
    assert ran.err == "g2o: export needs transformers (pip install transformers)\n"
    assert as_process(folder, *LINE, prologue=without("transformers")).code == 0


def test_help_does_not_wait_for_torch(folder: Path) -> None:
    told = "import atexit\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"
    ran = as_process(folder, "export", "--help", prologue=told)

    assert ran.code == 0
    assert ran.err == "False\n"
    assert "--with-graphml" in ran.out


@pytest.mark.parametrize("command", ["encode", "verify"])
def test_other_commands_never_load_torch(folder: Path, command: str) -> None:
    assert in_process(folder, *LINE).code == 0
    told = "import atexit\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"

    assert as_process(folder, command, "model.onnx", prologue=told).err == "False\n"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("missing", "-o", "m.txt"), 2, ".onnx"),
        (("tiny_models:mixed", "-o", "nowhere/model.onnx"), 73, "folder"),
        (("tiny_models:nothing", "-o", "model.onnx"), 66, "nothing"),
        (("tiny_models:broken", "-o", "model.onnx"), 65, "no such checkpoint"),
        (("tiny_models:heavy", "-o", "model.onnx"), 2, "--input-specs"),
        (("tiny_models:mixed", "-o", "model.onnx", "--torch-module", "Lineal"), 2, "Lineal"),
        (("tiny_models:mixed", "-o", "model.onnx", "--exporter", "magic"), 2, "'dynamo', 'torchscript'"),
        (("tiny_models:mixed", "-o", "model.onnx", "--input-specs", "none.json"), 66, "none.json"),
        (("tiny_models:mixed", "-o", "model.onnx", "--graphml-params", "embedded"), 2, "--with-graphml"),
        (
            ("tiny_models:broken", "-o", "model.onnx", "--graphml-params", "reference", "--graphml-output", "../g"),
            2,
            "beside",
        ),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    folder: Path, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    ran = in_process(folder, "export", *arguments)

    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1
    assert complaint in ran.err
    assert new_files(folder) == set()


def test_an_exporter_that_fails_says_why_and_prints_nothing_else(folder: Path) -> None:
    (folder / "specs.json").write_text('{"x": {"shape": [2, 5], "dtype": "float32"}}')
    for exporter in ("dynamo", "torchscript"):
        ran = as_process(
            folder,
            *("export", "tiny_models:mixed", "-o", "model.onnx"),
            *("--exporter", exporter, "--input-specs", "specs.json"),
        )
        assert (ran.code, ran.out) == (65, "")
        assert ran.err.count("\n") == 1
        assert f"the {exporter} exporter failed" in ran.err
    assert new_files(folder) == {"specs.json"}


def test_what_an_exporter_prints_is_not_in_the_way_of_the_reason(folder: Path) -> None:
    """Where control flow depends on data, PyTorch prints the graph so far, twice."""
    line = ("export", "tiny_models:undecided", "-o", "model.onnx")
    ran = as_process(folder, *line)
    assert (ran.code, ran.out) == (65, "")
    assert ran.err.count("\n") == 1
    assert "torch.ops.aten.sum" in as_process(folder, *line, "--debug").err


def test_what_a_model_prints_goes_to_standard_error(folder: Path) -> None:
    ran = as_process(
        folder, "export", "tiny_models:talkative", "-o", "model.onnx", "--exporter", "torchscript", "--json"
    )

    assert json.loads(ran.out)["nodes"] > 0
    assert ran.err == "running\n"


def test_levels_of_torch_are_chosen_by_name(folder: Path) -> None:
    assert in_process(folder, *LINE, "--torch-module", "Linear, GELU").code == 0

    metadata: dict[str, Any] = json.loads((folder / "model_htp_metadata.json").read_text())
    assert metadata["statistics"]["module_types"] == ["Block", "GELU", "Linear", "Mixed"]


@pytest.mark.parametrize(
    "line",
    [
        ("export", ".", "-o", "model.onnx"),
        ("encode", "no.onnx"),
        ("decode", "no.graphml"),
        ("verify", "no.onnx"),
        ("validate", "no.graphml"),
        ("--help",),
    ],
)
def test_no_command_imports_from_the_current_folder(tmp_path: Path, line: tuple[str, ...]) -> None:
    trap = "import pathlib; pathlib.Path(__file__ + '.ran').touch()\n"
    for name in ("sympy", "torch", "onnx", "transformers", "numpy", "typer", "rich", "json", "graphml_onnx"):
        (tmp_path / f"{name}.py").write_text(trap)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").touch()

    command = [Path(sys.executable).with_name("g2o"), *line]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)

    assert list(tmp_path.glob("*.ran")) == []


def test_an_import_that_fails_in_the_users_module_is_told_with_its_own_words(folder: Path) -> None:
    (folder / "faulty.py").write_text("\nimport torch\nfrom torch import no_such_name\n")
    ran = as_process(folder, "export", "faulty:build", "-o", "model.onnx")

    assert ran.code == 65
    assert "no_such_name" in ran.err
    assert "faulty.py, line 3" in ran.err
