"""The library speaks of arguments, the command line of options; a name of one is the name of the other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from graphml_onnx.cli.wording import as_options

LIBRARY = Path(__file__).parents[2] / "graphml_onnx"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("replace it with `overwrite=True`", "replace it with --overwrite"),
        ("`trust='edges'` goes by edges", "--trust edges goes by edges"),
        ("encode with `inline_limit=32`", "encode with --inline-limit 32"),
        ("give `output=...`", "give --output"),
        ("leave out `parameter_folder`", "leave out --parameter-folder"),
        ("the name `A/b.c` stays, as does `x", "the name `A/b.c` stays, as does `x"),
    ],
)
def test_arguments_become_options(text: str, shown: str) -> None:
    assert as_options(text) == shown


def test_the_library_names_no_option_of_the_command_line() -> None:
    found = [
        f"{path.relative_to(LIBRARY)}:{node.lineno}: {node.value}"
        for path in LIBRARY.rglob("*.py")
        if "cli" not in path.parts
        for node in _strings(ast.parse(path.read_text("utf-8")))
        if "g2o " not in str(node.value)  # a whole command is another way to say it
        if re.search(r"(?<![\w`-])--(?!debug|upgrade)[a-z]", str(node.value))  # not of this library
    ]
    assert found == []


def _strings(module: ast.Module) -> list[ast.Constant]:
    """The strings of a module, without its docstrings."""
    documentation = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]
