"""Every failure: its exit code, one line on standard error, and nothing else."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import changed, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.g2o_process import Command

CATEGORIES = {
    "UsageError": (2, "usage"),
    "ModelError": (65, "bad_data"),
    "ExternalDataError": (65, "bad_data"),
    "GraphMLError": (65, "bad_data"),
    "PayloadError": (65, "bad_data"),
    "MetadataError": (65, "bad_data"),
    "RoundTripError": (65, "bad_data"),
    "NotExactError": (1, "difference"),
    "InputError": (66, "no_input"),
    "OutputError": (73, "cannot_create"),
    "StorageError": (74, "input_output"),
}


def failing(statement: str) -> tuple[str, ...]:
    """The command with an `encode` that runs ``statement`` only."""
    prologue = f"import graphml_onnx, graphml_onnx.errors as errors\ndef encode(*_, **__):\n    {statement}\n"
    return changed(f"{prologue}graphml_onnx.encode = encode")


def test_missing_input(g2o: Command) -> None:
    ran = g2o("encode", "nowhere.onnx")

    assert (ran.code, ran.out) == (66, "")
    assert ran.err.startswith("g2o: nowhere.onnx: ")
    assert ran.err.count("\n") == 1


def test_input_that_is_no_model(g2o: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("not a model\n")
    ran = g2o("encode", "notes.onnx")

    assert (ran.code, ran.out) == (65, "")
    assert ran.err.startswith("g2o: notes.onnx: ")
    assert ran.err.count("\n") == 1


def test_input_that_is_no_graphml(g2o: Command, tmp_path: Path) -> None:
    (tmp_path / "graph.graphml").write_text("<graphml>")
    ran = g2o("decode", "graph.graphml")

    assert (ran.code, ran.out) == (65, "")
    assert ran.err.startswith("g2o: graph.graphml: ")
    assert ran.err.count("\n") == 1


def test_output_that_exists_is_kept(g2o: Command, model: Path) -> None:
    existing = model.with_name("graph.graphml")
    existing.write_text("mine")
    ran = g2o("encode", model, "-o", "graph.graphml")

    assert ran.code == 73
    assert existing.read_text() == "mine"


def test_output_in_a_missing_folder(g2o: Command, model: Path) -> None:
    ran = g2o("encode", model, "-o", "missing/graph.graphml")

    assert ran.code == 73
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("name", CATEGORIES)
def test_each_error_of_the_library_has_its_exit_code(tmp_path: Path, name: str) -> None:
    code, category = CATEGORIES[name]
    raising = failing(f"raise errors.{name}('bad', file='a.onnx', place='graph.node[3]', remedy='mend it')")
    ran = run(tmp_path, "encode", "a.onnx", "--json", command=raising)

    assert ran.code == code
    assert ran.err == "g2o: a.onnx: graph.node[3]: bad (mend it)\n"
    assert json.loads(ran.out) == {
        "error": {
            "category": category,
            "message": "bad",
            "file": "a.onnx",
            "place": "graph.node[3]",
            "remedy": "mend it",
            "exit_code": code,
        }
    }


def test_a_bug_is_reported_as_one(tmp_path: Path) -> None:
    ran = run(tmp_path, "encode", "a.onnx", command=failing("raise KeyError('lost')"))

    assert (ran.code, ran.out) == (70, "")
    assert ran.err == "g2o: internal error: KeyError: 'lost'; run again with --debug and report it\n"


def test_exhausted_memory_is_one_line(tmp_path: Path) -> None:
    ran = run(tmp_path, "encode", "a.onnx", command=failing("raise MemoryError"))

    assert ran.code == 74
    assert ran.err.startswith("g2o: not enough memory (")
    assert ran.err.count("\n") == 1


def test_an_error_of_the_system_is_one_line(tmp_path: Path) -> None:
    ran = run(tmp_path, "encode", "a.onnx", command=failing("raise OSError(5, 'Input/output error')"))

    assert (ran.code, ran.err) == (74, "g2o: input/output error: Input/output error\n")


def test_debug_shows_the_traceback(g2o: Command) -> None:
    quiet, loud = g2o("encode", "nowhere.onnx"), g2o("encode", "nowhere.onnx", "--debug")

    assert "Traceback" not in quiet.err
    assert loud.err.startswith("Traceback (most recent call last):\n")
    assert "InputError" in loud.err
    assert loud.err.endswith(quiet.err)
    assert loud.code == quiet.code


def test_names_with_control_characters_keep_to_one_line(g2o: Command) -> None:
    ran = g2o("encode", "two\nlines\x1b[31m\u202e.onnx")

    assert ran.err.startswith("g2o: two\\nlines\\x1b[31m\\u202e.onnx: ")
    assert ran.err.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf_8(g2o: Command) -> None:
    ran = g2o("encode", "caf\udce9.onnx", "--json")

    assert ran.code == 66
    assert ran.err.startswith("g2o: caf\\udce9.onnx: ")
    assert json.loads(ran.out)["error"]["file"] == "caf\udce9.onnx"


def test_an_endless_name_in_a_file_makes_no_endless_message(g2o: Command, tmp_path: Path) -> None:
    """The campaign on JSON found such; fixtures/fuzz/json/field_name_without_end.json is another."""
    name = "[" * 1_000_000
    (tmp_path / "bad.graphml").write_text(f'<graphml><key id="{name}"/><key id="{name}"/></graphml>', "utf-8")
    ran = g2o("decode", str(tmp_path / "bad.graphml"))
    assert ran.code == 65
    assert 4_000 < len(ran.err) < 10_000
    assert " … " in ran.err
