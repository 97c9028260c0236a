"""GraphML read as lines where that goes, and by expat alone: both have to say the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from graphml_onnx import GraphMLError
from graphml_onnx.graphml.elements import one_by_one
from graphml_onnx.graphml.reader import Nesting, read_batches

if TYPE_CHECKING:
    from collections.abc import Set
    from contextlib import AbstractContextManager

    from graphml_onnx.graphml.elements import Record, RowKeys

Reading = tuple[list["Record"], str] | tuple[str, str | None]
"""The records and the streamed text, or an error and its place."""


class Pieces:
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file, self._size = io.BytesIO(data), size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._size))


def small_documents_too() -> AbstractContextManager[object]:
    """Meanwhile documents of any size are read as lines."""
    return mock.patch("graphml_onnx.graphml.reader._WORTH_PATTERNS", 0)


def reading(
    data: bytes,
    size: int,
    node_keys: Set[str],
    edge_keys: Set[str],
    stream: str,
    nesting: Nesting,
    rows: RowKeys | None = None,
) -> Reading:
    """Reads a document, ``size`` bytes at a time."""
    streamed: list[str] = []
    file, streams = Pieces(data, size), {stream: streamed.append}
    try:
        with small_documents_too():
            batches = read_batches(file, Path("a.graphml"), node_keys, streams, edge_keys, nesting, rows)
            records = list(one_by_one(batches))
    except GraphMLError as error:
        return error.message, error.place
    return records, "".join(streamed)


def reading_by_expat(
    data: bytes, size: int, node_keys: Set[str], edge_keys: Set[str], stream: str, nesting: Nesting
) -> Reading:
    """The same without lines."""
    with mock.patch("graphml_onnx.graphml.reader.find_lines", return_value=()):
        return reading(data, size, node_keys, edge_keys, stream, nesting)
