"""Runs each case of tests/golden/cases: one text file with the input, the command, and the expected result.

A case is a file ``NAME.case`` of sections, each after a line ``=== …``:

- ``=== model`` or ``=== file NAME``: the input, ``model.onnx`` in ONNX's textual syntax, or a text file;
- ``=== run``: a command line to each line, without ``g2o``; several run one after the other, and the last one counts;
- ``=== code``, ``=== stdout``, ``=== stderr``, ``=== expect NAME``: its exit code, output, and a file that it wrote.

Write the first two and run ``G2O_UPDATE_GOLDEN=1 pytest tests/golden/test_cases.py``: it writes the others and
fills an empty ``=== expect NAME``. Review the difference.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import onnx.parser
import pytest

from tests.common.command import in_process
from tests.docs.documents import UPDATE

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path, tmp_path: Path) -> None:
    text = case.read_text("utf-8")
    sections = dict(re.findall(r"^=== (.+)\n((?:(?!=== ).*\n)*)", text, re.MULTILINE))
    for title, content in sections.items():
        if title == "model":
            (tmp_path / "model.onnx").write_bytes(onnx.parser.parse_model(content).SerializeToString())
        elif title.startswith("file "):
            (tmp_path / title.removeprefix("file ")).write_text(content, "utf-8")
    for line in sections["run"].splitlines():
        ran = in_process(tmp_path, *shlex.split(line))
    found = dict(sections)
    found |= {"code": f"{ran.code}\n", "stdout": ran.out, "stderr": ran.err}
    for title in sections:
        if title.startswith("expect "):
            found[title] = (tmp_path / title.removeprefix("expect ")).read_text("utf-8")
    if UPDATE:
        case.write_text("".join(f"=== {title}\n{content}" for title, content in found.items()), "utf-8")
    assert found == sections or UPDATE


def test_there_are_cases() -> None:
    assert len(CASES) >= 3
