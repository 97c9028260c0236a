"""Reads GraphML as lines where possible, and by expat alone; both must agree."""

from __future__ import annotations

import io
import string
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from graphml_onnx import GraphMLError, PayloadError
from graphml_onnx.graphml.elements import Wanted, one_by_one
from graphml_onnx.graphml.reader import Read, read_graphml
from graphml_onnx.graphml.xml import read_xml

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from graphml_onnx.graphml.elements import Readable, Record

Reading = tuple[list["Record"], bytes] | tuple[str, str | None]
"""The records by line and the streamed text without white space, or an error and its place."""

_SPACE = b" \t\r\n"
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/=" + _SPACE


class Pieces:
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int = 1 << 30) -> None:
        self._data, self._piece = data, size
        self.size = len(data)

    def open(self) -> Readable:
        return _Pieces(io.BytesIO(self._data), self._piece)


class _Pieces:
    def __init__(self, file: io.BytesIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._size))


def small_documents_too() -> AbstractContextManager[object]:
    """Within the context, documents of any size are read as lines."""
    return mock.patch("graphml_onnx.graphml.reader._WORTH_PATTERNS", 0)


def reading(data: bytes, size: int, wanted: Wanted, stream: str) -> Reading:
    """Reads a document, ``size`` bytes at a time."""

    def attempt(read: Read) -> Reading:
        streamed = bytearray()
        records = sorted(one_by_one(read({stream: partial(_take, streamed)})), key=lambda record: record.line)
        return records, bytes(streamed)

    try:
        with small_documents_too():
            return read_graphml(Pieces(data, size), Path("a.graphml"), wanted, attempt)
    except (GraphMLError, PayloadError) as error:
        return error.message, error.place


def reading_by_expat(data: bytes, size: int, wanted: Wanted, stream: str) -> Reading:
    """The same without lines."""
    streamed = bytearray()
    file = Pieces(data, size).open()
    try:
        records = list(read_xml(file, Path("a.graphml"), wanted, {stream: partial(_take, streamed)}))
    except (GraphMLError, PayloadError) as error:
        return error.message, error.place
    return sorted(records, key=lambda record: record.line), bytes(streamed)


def _take(streamed: bytearray, text: bytes) -> None:
    if text.translate(None, _BASE64):
        raise PayloadError("no base64")
    streamed += text.translate(None, _SPACE)
