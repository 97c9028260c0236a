"""A store inside the GraphML: base64 text, in lines, written and read in pieces."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from graphml_onnx.errors import PayloadError
from graphml_onnx.parameters.chunks import write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphml_onnx.parameters.chunks import RawFile

_LINE_BYTES = 3 * 1024  # 4,096 characters: a change of one weight is a change of one line


def encode_base64(chunks: Iterable[bytes]) -> Iterator[str]:
    """Base64 of a sequence of bytes given in chunks, as lines, in pieces of text."""
    pending = b""
    first = True
    for chunk in chunks:
        pending += chunk
        whole = len(pending) // _LINE_BYTES * _LINE_BYTES
        lines = [
            binascii.b2a_base64(pending[start : start + _LINE_BYTES], newline=False).decode()
            for start in range(0, whole, _LINE_BYTES)
        ]
        if lines:
            yield ("" if first else "\n") + "\n".join(lines)
            first = False
        pending = pending[whole:]
    if pending:
        yield ("" if first else "\n") + binascii.b2a_base64(pending, newline=False).decode()


def encoded_size(size: int) -> int:
    """Characters of the text that `encode_base64` makes of ``size`` bytes."""
    full, rest = divmod(size, _LINE_BYTES)
    lines = full + bool(rest)
    return full * (_LINE_BYTES // 3 * 4) + (rest + 2) // 3 * 4 + max(0, lines - 1)


class Base64Decoder:
    """Takes base64 text in pieces of any length, white space anywhere, and writes the bytes to a file.

    Args:
        file: takes the bytes.
    """

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._pending = ""
        self._ended = False
        self.size = 0
        """Bytes written so far."""

    def feed(self, text: str) -> None:
        """Decodes a piece.

        Raises:
            PayloadError: it is not base64.
        """
        try:
            self._decode(self._pending + text.replace("\n", ""))
        except ValueError:  # a tool wrapped or indented it in its own way
            try:
                self._decode("".join((self._pending + text).split()))
            except ValueError:
                raise PayloadError("the embedded payloads are not base64") from None

    def _decode(self, text: str) -> None:
        whole = len(text) // 4 * 4
        if whole and self._ended:
            raise PayloadError("the embedded payloads go on after their end")
        data = binascii.a2b_base64(text[:whole], strict_mode=True)
        self._pending = text[whole:]
        self._ended = self._ended or text[whole - 1 : whole] == "="
        write_all(self._file, data)
        self.size += len(data)

    def close(self) -> None:
        """Ends the text.

        Raises:
            PayloadError: it ends in the middle of a group of four characters.
        """
        if self._pending:
            raise PayloadError("the embedded payloads are cut off")
