"""A store inside the GraphML: base64 text, in lines, written and read in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pybase64

from graphml_onnx.errors import PayloadError
from graphml_onnx.parameters.chunks import write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphml_onnx.parameters.chunks import RawFile

_LINE = 4096  # characters: a change of one weight is a change of one line
_LINE_BYTES = _LINE // 4 * 3


def encode_base64(chunks: Iterable[bytes]) -> Iterator[str]:
    """Base64 of a sequence of bytes given in chunks, as lines, in pieces of text."""
    pending = b""
    first = True
    for chunk in chunks:
        pending += chunk
        whole = len(pending) // _LINE_BYTES * _LINE_BYTES
        if whole:
            text = pybase64.b64encode_as_string(memoryview(pending)[:whole])
            lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
            yield ("" if first else "\n") + "\n".join(lines)
            first = False
        pending = pending[whole:]
    if pending:
        yield ("" if first else "\n") + pybase64.b64encode_as_string(pending)


def encoded_size(size: int) -> int:
    """Characters of the text that `encode_base64` makes of ``size`` bytes."""
    full, rest = divmod(size, _LINE_BYTES)
    lines = full + bool(rest)
    return full * _LINE + (rest + 2) // 3 * 4 + max(0, lines - 1)


class Base64Decoder:
    """Takes base64 text in pieces of any length, white space anywhere, and writes the bytes to a file.

    Args:
        file: takes the bytes.
    """

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._pending = b""
        self._ended = False
        self.size = 0
        """Bytes written so far."""

    def feed(self, text: bytes) -> None:
        """Decodes a piece.

        Raises:
            PayloadError: it is not base64.
        """
        for space in (b"\n", b" ", b"\t", b"\r"):  # XML's; `translate` takes longer than to decode
            text = text.replace(space, b"")
        text = self._pending + text
        whole = len(text) // 4 * 4
        if whole and self._ended:
            raise PayloadError("the embedded payloads go on after their end")
        try:
            data = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        except ValueError:
            raise PayloadError("the embedded payloads are not base64") from None
        self._pending = text[whole:]
        self._ended = self._ended or text[whole - 1 : whole] == b"="
        write_all(self._file, data)
        self.size += len(data)

    def close(self) -> None:
        """Ends the text.

        Raises:
            PayloadError: it ends in the middle of a group of four characters.
        """
        if self._pending:
            raise PayloadError("the embedded payloads are cut off")
