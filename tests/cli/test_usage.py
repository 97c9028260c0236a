"""Command lines that cannot be parsed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from graphml_onnx.cli.app import app
from typer.main import get_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.g2o_process import Command


@pytest.mark.parametrize(
    ("line", "complaint", "help_of"),
    [
        ("encode", "'MODEL...'", "g2o encode"),
        ("encode model.onnx --fast", "--fast", "g2o encode"),
        ("encode model.onnx --params zip", "'sidecar', 'embedded', 'reference'", "g2o encode"),
        ("encode model.onnx --layout round", "'nested', 'flat'", "g2o encode"),
        ("encode model.onnx --inline-limit -1", "--inline-limit", "g2o encode"),
        ("encode model.onnx --inline-limit many", "--inline-limit", "g2o encode"),
        ("decode model.graphml --trust both", "'edges'", "g2o decode"),
        ("decode model.graphml --output", "--output", "g2o"),
        ("verify", "'MODEL...'", "g2o verify"),
        ("convert model.onnx", "'convert'", "g2o"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line_that_points_to_the_help(
    g2o: Command, line: str, complaint: str, help_of: str
) -> None:
    ran = g2o(*line.split())

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("g2o: ")
    assert complaint in ran.err
    assert f"(see {help_of} --help)" in ran.err


def test_metadata_goes_with_one_model_only(g2o: Command, model: Path) -> None:
    ran = g2o("verify", model, model, "--meta", "m.json")

    assert ran.code == 2
    assert "--meta" in ran.err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("encode a.onnx b.onnx --metadata m.json", "--metadata belongs to one model"),
        ("encode a.onnx b.onnx -o missing", "must be an existing folder"),
        ("encode a/m.onnx b/m.onnx -o .", "two models"),
    ],
)
def test_options_of_one_model_are_refused_for_several(g2o: Command, line: str, complaint: str) -> None:
    ran = g2o(*line.split())

    assert ran.code == 2
    assert complaint in ran.err


def test_wrong_usage_is_a_json_document_too(g2o: Command) -> None:
    ran = g2o("encode", "model.onnx", "--fast", "--json")

    assert ran.code == 2
    assert json.loads(ran.out)["error"]["category"] == "usage"


def test_what_stands_after_two_dashes_is_no_option(g2o: Command) -> None:
    ran = g2o("encode", "--", "--json")

    assert ran.code == 66
    assert ran.out == ""
    assert ran.err.startswith("g2o: --json: ")


def test_files_are_left_to_the_library_to_look_at() -> None:
    """typer would call an unreadable file wrong usage, with a code and in words of its own."""
    paths = [
        (name, parameter)
        for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
        for parameter in command.params
        if parameter.type.name == "path"
    ]
    assert len(paths) > 15
    for name, parameter in paths:
        looks = [look for look in ("exists", "readable", "writable") if getattr(parameter.type, look)]
        assert not looks, (name, parameter.name)
