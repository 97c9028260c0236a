"""Output to the terminal: reports failures of standard output, and keeps each text on its line."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from graphml_onnx.errors import StorageError, printable
from graphml_onnx.support.notices import Notice

from .remote import as_given
from .wording import as_options

_NARROWEST = 24
"""Minimum width of a column of text on a narrow terminal."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

    from graphml_onnx.support.strictjson import Json


def out(text: str) -> None:
    """Writes ``text`` and a newline to standard output, at once.

    Raises:
        StorageError: standard output cannot be written (a full disk).
    """
    _write(as_given(text))


def _write(text: str) -> None:
    try:
        typer.echo(text)
    except BrokenPipeError:  # the reader (``g2o ... | head``) is gone; the command continues to its own exit code
        abandon_output()
    except OSError as error:
        raise StorageError(f"writing failed: {error.strerror or error}", file="standard output") from error


def note(text: str) -> None:
    """Writes several lines to standard error; if that fails, the error cannot be reported."""
    with contextlib.suppress(OSError):
        typer.echo(as_given(text), err=True)


def err(text: str) -> None:
    """Writes one line to standard error, after the name of the command."""
    note(f"g2o: {one_line(text)}")


def traceback(error: BaseException) -> None:
    """Writes the traceback of ``error`` to standard error."""
    from traceback import format_exception

    note("".join(format_exception(error)).rstrip())


def warn(file: Path, findings: Sequence[str]) -> None:
    """Writes each finding about ``file`` as a warning to standard error, with its code if it has one."""
    for finding in findings:
        code = f" [{finding.code}]" if isinstance(finding, Notice) else ""
        err(f"warning: {file}: {as_options(finding)}{code}")


def notice(finding: Notice) -> dict[str, Json]:
    """A finding as a JSON value."""
    return {"code": finding.code, "message": as_options(finding)}


def document(value: Json) -> None:
    """Writes one JSON document to standard output, in ASCII, so that names survive on every terminal.

    Raises:
        StorageError: standard output cannot be written.
    """
    _write(as_given(json.dumps(value, indent=2), is_json=True))


def abandon_output() -> None:
    """Drops the buffer of standard output, so that the interpreter does not fail on it again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def one_line(text: str) -> str:
    """The text as one line for the terminal."""
    return printable(text)


def size(count: int) -> str:
    """A number of bytes with its unit, such as ``45.6 MB`` (decimal, to one digit)."""
    from rich.filesize import decimal

    return decimal(count)


def counted(count: int, singular: str) -> str:
    """A number with its noun, such as ``1 node`` or ``1,200 nodes``."""
    return f"{count:,} {singular}{'' if count == 1 else 's'}"


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, the second one aligned."""
    names = [one_line(name) for name, _ in rows]
    width = max(map(cells_of, names)) + 2
    return "\n".join(f"{_padded(name, width)}{one_line(value)}" for name, (_, value) in zip(names, rows, strict=True))


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table; a terminal shows the first line and column in another style.

    If a column of text before numbers is too long for the terminal, the middle of the text is cut out.

    Args:
        head: names of the columns.
        rows: the cells.
        left: how many columns are aligned to the left; numbers are aligned to the right.
    """
    cells = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(cells_of, column)) for column in zip(*cells, strict=True)]
    if is_terminal() and left < len(head):
        widths = _narrowed(widths, left, shutil.get_terminal_size().columns)
    lines = []
    for number, row in enumerate(cells):
        padded = [
            _padded(_cut(cell, width), width, to_the_right=place >= left)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        first, rest = padded[0], "  ".join(padded[1:])
        if number == 0:
            lines.append(typer.style(f"{first}  {rest}".rstrip(), dim=True))
        else:
            lines.append(f"{typer.style(first, fg='cyan')}  {rest}".rstrip())
    return "\n".join(lines)


def cells_of(text: str) -> int:
    """The width of a text in terminal cells: some letters take two, some none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int, *, to_the_right: bool = False) -> str:
    space = " " * (width - cells_of(text))
    return space + text if to_the_right else text + space


def _narrowed(widths: Sequence[int], left: int, room: int) -> list[int]:
    """Widths with which the table fits; the widest columns of text become narrower."""
    narrowed = [min(width, max(room, _NARROWEST)) if place < left else width for place, width in enumerate(widths)]
    for _ in range(sum(narrowed) + 2 * (len(narrowed) - 1) - room):
        widest = max(range(left), key=narrowed.__getitem__)
        if narrowed[widest] <= _NARROWEST:
            break
        narrowed[widest] -= 1
    return narrowed


def _cut(text: str, width: int) -> str:
    """The text without its middle if it is too long: names differ at both ends."""
    if cells_of(text) <= width:
        return text
    from rich.cells import chop_cells, set_cell_size

    head = set_cell_size(text, (width - 1) // 2)
    tail = chop_cells(text[::-1], width // 2)[0][::-1]
    return f"{head}…{tail}"


def number(count: int) -> str:
    """A number of operations with its unit, such as ``1.24 G`` (decimal)."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            return f"{count / 10**power:.2f} {unit}"
    return str(count)


def plain(result: DataclassInstance) -> dict[str, Json]:
    """A result of the library with its fields as JSON values."""
    return {field.name: _plain(getattr(result, field.name)) for field in dataclasses.fields(result)}


def _plain(value: object) -> Json:
    match value:
        case Notice():
            return notice(value)
        case None | bool() | int() | float() | str():
            return value
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(member) for key, member in value.items()}
        case tuple():
            return [_plain(member) for member in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return plain(value)
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")
