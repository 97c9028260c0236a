"""docs/batch.md lists the columns of the manifest as the code describes them.

``G2O_UPDATE_GOLDEN=1`` writes them anew.
"""

from __future__ import annotations

import inspect
import re

import pytest

from tests.docs import documents

PAGE = documents.ROOT / "docs/batch.md"
_COLUMNS = re.compile(r"(?<=<!-- columns -->\n)(.*?)(?=<!-- end of columns -->)", re.DOTALL)


def test_the_columns_of_the_manifest_are_those_of_the_code() -> None:
    pytest.importorskip("pyarrow")
    from graphml_onnx.zoo.rows import BatchRow, manifest_schema

    meanings = dict(re.findall(r"^ {4}(\w+): (.*)\.$", inspect.getdoc(BatchRow) or "", re.MULTILINE))
    shown = "\n| column | type | |\n| --- | --- | --- |\n"
    shown += "".join(f"| `{field.name}` | {field.type} | {meanings[field.name]} |\n" for field in manifest_schema())
    shown = re.sub(r"<\w+: string>", "<string>", shown) + "\n"
    text = PAGE.read_text("utf-8")
    if documents.UPDATE:
        PAGE.write_text(_COLUMNS.sub(lambda _: shown, text), "utf-8")
    found = _COLUMNS.search(PAGE.read_text("utf-8"))
    assert found is not None
    assert found[1] == shown
