"""Every command in README.md and docs/ has options that g2o knows, and every name of the library in them exists."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from graphml_onnx.cli.app import app
from typer.main import get_command

import graphml_onnx
from tests.docs.documents import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^ *```(console|sh|yaml)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(g2o [a-z]+ [^`]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_options_that_exist(page: Path) -> None:
    wrong = [
        f"{option} in {line}"
        for line in _commands(page.read_text("utf-8"))
        for option in _options(line)
        if option.partition("=")[0] not in _known(line.split()[1])
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_the_library_exist(page: Path) -> None:
    names = set(re.findall(r"\bgraphml_onnx\.([a-zA-Z]\w*)\(", page.read_text("utf-8")))
    assert {name for name in names if not hasattr(graphml_onnx, name)} == set()


def test_the_check_sees_commands_and_wrong_options() -> None:
    assert sum(len(_commands(page.read_text("utf-8"))) for page in PAGES) > 80
    assert _commands("```sh\ng2o encode a.onnx --nope  # why\n```\n") == ["g2o encode a.onnx --nope  # why"]
    assert [option for option in _options("g2o encode a.onnx --nope | head -3") if option not in _known("encode")] == [
        "--nope"
    ]


def _commands(text: str) -> list[str]:
    shown = [line for _, block in _BLOCK.findall(text) for line in block.replace("\\\n", "").splitlines()]
    found = [match[1] for line in shown if (match := re.match(r" *(?:\$ )?(g2o [a-z]+ .*)", line))]
    return [*found, *_INLINE.findall(text)]


def _options(line: str) -> list[str]:
    """The options of a command, without those of another command behind it."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in ("|", ">", ";", "&&")), len(words))
    return [word for word in words[:end] if re.match(r"--?[a-z]", word)]


def _known(command: str) -> set[str]:
    commands = getattr(get_command(app), "commands", {})
    options = {"--help", "-h"}
    for parameter in commands[command].params:
        options |= {*parameter.opts, *parameter.secondary_opts}
    return options
