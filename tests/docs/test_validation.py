"""docs/validation.md says of each code what the code says, and its example is what validate finds."""

from __future__ import annotations

import re
from pathlib import Path

from graphml_onnx.cli.wording import as_options

from graphml_onnx import encode
from graphml_onnx.validation.codes import CODES
from tests.common.command import in_process
from tests.editing import edits as editing
from tests.editing.edits import Text

PAGE = (Path(__file__).parents[2] / "docs" / "validation.md").read_text(encoding="utf-8")


def test_the_tables_of_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (error|warning|info) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, code.severity, code.meaning, as_options(code.remedy)) for name, code in CODES.items()]


def test_the_example_is_what_validate_finds(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(editing.model().SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "model.graphml").graphml
    text = Text(graph.read_text("utf-8")).set("/first/add", "inputs", '["x","w"]')
    (tmp_path / "edited.graphml").write_text(text.text, "utf-8")
    found = re.search(r"\$ g2o validate edited\.graphml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    shown, told = found[1].splitlines(), in_process(tmp_path, "validate", "edited.graphml").out.splitlines()
    assert len(shown) == len(told)
    for example, line in zip(shown, told, strict=True):
        assert line == example or line.startswith(example.removesuffix("…")), line
