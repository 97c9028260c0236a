"""Pieces of Markdown (GitHub's dialect) that stay valid whatever the names in them are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from graphml_onnx.hierarchy.findings import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SPECIAL: Final = re.compile(r"[\\`*{}\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def one_line(name: str) -> str:
    """A name on one line: as it is if it is printable, else in quotes and escaped."""
    return name if name.isprintable() else quoted(name)


def inline(name: str) -> str:
    """A name in running text or in a table; what Markdown would take for its own becomes a character reference."""
    return _SPECIAL.sub(lambda special: f"&#{ord(special[0])};", one_line(name))


def code_block(lines: Iterable[str]) -> str:
    """Lines as they are; none may be nothing but backticks, which would end the block."""
    return "\n".join(("```text", *lines, "```"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table.

    Args:
        header: names of the columns.
        rows: cells, as Markdown on one line each.
        numbers: names of the columns that are aligned to the right.
    """
    rule = ["---:" if name in numbers else "---" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
