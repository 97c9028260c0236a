"""docs/tables.md: its queries give the answers that stand there, and its schema is that of the code.

``G2O_UPDATE_GOLDEN=1`` writes both anew; a reviewer reads what changed.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs import documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PAGE = documents.ROOT / "docs/tables.md"
_QUERY = re.compile(r"^```(sql|cypher)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
_SCHEMA = re.compile(r"(?<=<!-- schema -->\n)(.*?)(?=<!-- end of schema -->)", re.DOTALL)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the tables of all fixtures as ``zoo``, and their graph as ``zoo.lbug``; sources are relative."""
    import graphml_onnx

    folder = tmp_path_factory.mktemp("zoo")
    names = sorted(
        path.relative_to(documents.ROOT).as_posix()
        for part in ("small", "htp", "real")
        for path in (documents.ROOT / "fixtures" / part).rglob("*.onnx")
    )
    with contextlib.chdir(documents.ROOT):
        result = graphml_onnx.tables(names, folder / "zoo")
    assert (len(result.models), dict(result.errors)) == (len(names), {})
    graphml_onnx.property_graph(folder / "zoo", folder / "zoo.lbug")
    return folder


def _text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as the document shows it; numbers to the right."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(isinstance(row[place], int | None) for row in rows) for place in range(len(head))]
    lines = [
        "  ".join(
            f"{cell:>{width}}" if to_right else f"{cell:<{width}}"
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def test_every_query_gives_the_answer_that_stands_there(zoo: Path) -> None:
    import duckdb
    import ladybug

    sql = duckdb.connect()
    cypher = ladybug.Connection(ladybug.Database(zoo / "zoo.lbug", read_only=True))
    asked = {"sql": 0, "cypher": 0}

    def answered(match: re.Match[str]) -> str:
        language, query, _ = match.groups()
        if query.startswith("CREATE VIEW"):
            sql.execute(query)
            return f"```sql\n{query}```\n"
        if language == "sql":
            done = sql.execute(query)
            head, rows = [column[0] for column in done.description], done.fetchall()
        else:
            done = cypher.execute(query)
            head, rows = done.get_column_names(), done.get_all()
        assert rows, f"no answer:\n{query}"
        asked[language] += 1
        return f"```{language}\n{query}```\n\n```text\n{_text(head, rows)}```\n"

    text = PAGE.read_text("utf-8")
    with contextlib.chdir(zoo):
        found = _QUERY.sub(answered, text)
    if documents.UPDATE:
        PAGE.write_text(found, "utf-8")
    assert (asked["sql"], asked["cypher"]) == (10, 3)
    assert found == text or documents.UPDATE


def test_the_schema_is_that_of_the_code() -> None:
    from graphml_onnx.tabular.schema import TABLES

    shown = ""
    for table, columns in TABLES.items():
        shown += f"\n| `{table}` | type | |\n| --- | --- | --- |\n"
        shown += "".join(f"| `{name}` | {kind} | {meaning} |\n" for name, (kind, meaning) in columns.items())
    shown = shown.replace("| opsets |", "| list<domain string, version int64> |") + "\n"
    text = PAGE.read_text("utf-8")
    if documents.UPDATE:
        PAGE.write_text(_SCHEMA.sub(lambda _: shown, text), "utf-8")
    found = _SCHEMA.search(PAGE.read_text("utf-8"))
    assert found is not None
    assert found[1] == shown
