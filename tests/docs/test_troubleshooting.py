"""docs/troubleshooting.md names every error, every category and every exit code, as they are."""

from __future__ import annotations

import re
from pathlib import Path

from graphml_onnx.cli import exits

from graphml_onnx import errors

TEXT = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if re.match(r"\| \d", line)]


def subclasses(kind: type[errors.GraphmlOnnxError]) -> set[type[errors.GraphmlOnnxError]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_class_of_errors_stands_there_with_its_code_and_category() -> None:
    told = {
        (int(code), category, name)
        for code, category, names, *_ in ROWS
        if code.isdigit()
        for name in re.findall(r"`(\w+Error)`", names)
    }
    found = {
        (exits.CODES[kind.category], kind.category.value, kind.__name__)
        for kind in subclasses(errors.GraphmlOnnxError) - {errors.GraphmlOnnxError}
        if kind.__module__ == errors.__name__
    }
    assert told == found


def test_every_exit_code_stands_there() -> None:
    told = {int(code) for cells in ROWS for code in cells[0].split(", ")}
    assert told == {*exits.CODES.values(), exits.INTERNAL, exits.INTERRUPTED, exits.TERMINATED}
