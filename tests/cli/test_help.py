"""Help, version, and what they cost."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING

import pytest
from graphml_onnx.cli.app import app
from typer.core import TyperGroup
from typer.main import get_command

from tests.cli.g2o_process import COMMAND, environment
from tests.common.command import PATIENCE

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command

OPTIONS = {
    "batch": "--output --do --workers --dask --resume --parameters --layout --overwrite --json --quiet --debug",
    "encode": "--output --metadata --parameters --parameter-output --weights --refine --open-depth --layout "
    "--show-parameters --inline-limit --dry-run --overwrite --json --quiet --profile --debug",
    "decode": "--output --metadata-output --require-exact --trust --infer-shapes --weights --edited-weights --external "
    "--parameter-folder --overwrite "
    "--json --quiet --profile --debug",
    "export": "--output --task --part --input-specs --seed --exporter --opset --dynamic-shapes --export-config "
    "--torch-modules --clean-onnx --with-report --with-graphml --graphml-parameters --graphml-output --overwrite "
    "--batch-size --model --shape --tree "
    "--json --quiet --profile --debug",
    "diff": "--module --ignore --stats --html --numeric --input-data --input-specs --dim --seed --threshold --depth "
    "--json --quiet --debug",
    "explain": "--json --debug",
    "extract": "--output --module --inputs --outputs --ops --metadata --overwrite --json --quiet --debug",
    "functions": "--output --depth --metadata --overwrite --json --quiet --debug",
    "inline": "--output --overwrite --json --quiet --debug",
    "inspect": "--depth --module --by --stats --unfold --times --provider --runs --input-data --input-specs "
    "--dim --metadata --trust --json --debug",
    "replace": "--module --output --metadata --overwrite --json --quiet --debug",
    "tables": "--output --metadata --infer-shapes --digests --graph-database --json --quiet --debug",
    "textconv": "--no-data-files --trust --debug",
    "validate": "--parameter-folder --schema --strict --select --ignore --format --json --quiet --debug",
    "verify": "--metadata --parameters --layout --numeric --input-specs --dim --json --junit --quiet --debug",
    "view": "--output --module --depth --diff --stats --open --unfold --times --numeric --input-data "
    "--input-specs --dim --metadata --overwrite --json --quiet --debug",
}


def test_help_shows_the_whole_first_sentence_of_each_command(g2o: Command) -> None:
    listed = g2o("--help").out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()

    assert len(listed) == len(OPTIONS)
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("verb", OPTIONS)
def test_help_of_a_verb_lists_its_options_and_examples(g2o: Command, verb: str) -> None:
    ran = g2o(verb, "--help")

    assert ran.code == 0
    assert set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", ran.out, re.MULTILINE)) == {*OPTIONS[verb].split(), "--help"}
    assert f"Examples:\n    g2o {verb} " in ran.out


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_example_in_the_help_is_a_command_line_that_parses(g2o: Command, verb: str) -> None:
    examples = re.findall(rf"^    (g2o {verb} .*)$", g2o(verb, "--help").out, re.MULTILINE)
    group = get_command(app)
    assert isinstance(group, TyperGroup)

    assert examples
    for example in examples:
        group.commands[verb].make_context(verb, example.split()[2:])  # raises where it does not parse


@pytest.mark.parametrize("arguments", [[], ["encode"], ["decode"], ["verify"]])
def test_help_fits_80_columns(g2o: Command, arguments: list[str]) -> None:
    lines = g2o(*arguments, "--help").out.splitlines()

    assert max(map(len, lines)) <= 80


def test_bare_command_shows_the_help(g2o: Command) -> None:
    bare = g2o()

    assert bare.code == 0
    assert bare.out == g2o("--help").out
    commands = bare.out.partition("Commands:")[2].partition("Examples:")[0]
    assert set(re.findall(r"^  (\w+) +\S", commands, re.MULTILINE)) == OPTIONS.keys(), "each command is in OPTIONS"


def test_version(g2o: Command) -> None:
    assert g2o("--version").out == f"g2o {version('graphml-onnx')}\n"


@pytest.mark.parametrize("arguments", [["encode", "--help"], ["--version"]])
def test_help_and_version_import_only_what_they_need(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments]
    done = subprocess.run(
        command, env=environment(), capture_output=True, encoding="utf-8", timeout=PATIENCE, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}

    assert "typer" in imported
    assert not imported & {"onnx", "numpy", "google.protobuf", "networkx", "onnxruntime", "graphml_onnx.codec"}
    assert not imported & {"importlib.metadata", "tomllib", "tempfile", "hashlib", "concurrent.futures"}


def test_installed_command_is_the_one_tested_here() -> None:
    (script,) = entry_points(group="console_scripts", name="g2o")

    assert script.value == "graphml_onnx.cli.main:run"
