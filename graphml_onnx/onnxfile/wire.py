"""Protobuf's wire format, as far as it is needed to read a file without parsing it: varints and fields.

Source: protobuf's "Encoding" guide (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VARINT, FIXED64, LENGTH_DELIMITED, START_GROUP, END_GROUP, FIXED32 = range(6)
MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """The bytes are not protobuf's wire format.

    Args:
        message: what is wrong.
        offset: where, in bytes from the start of the data.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def varint_size(value: int) -> int:
    """Bytes of the shortest encoding of a non-negative integer."""
    return max(1, (value.bit_length() + 6) // 7)


def encode_varint(value: int, extra: int = 0) -> bytes:
    """Encodes a non-negative integer, over-long by ``extra`` bytes, as some writers do."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    if extra:
        encoded[-1] |= 0x80
        encoded += b"\x80" * (extra - 1) + b"\x00"
    return bytes(encoded)


SHORT = 0x80
"""Contents of fewer bytes have a length of one byte."""

_SHORT_LENGTHS = [bytes([size]) for size in range(SHORT)]


def delimited(tag: bytes, content: bytes) -> bytes:
    """A field whose content follows its length.

    Args:
        tag: number and wire type, as a varint.
        content: a string, bytes, or a serialised message.
    """
    size = len(content)
    return tag + (_SHORT_LENGTHS[size] if size < SHORT else encode_varint(size)) + content


@cache
def short_starts(tag: bytes) -> Sequence[bytes]:
    """The bytes before the content of a field, by the size of the content, for sizes below `SHORT`."""
    return [tag + length for length in _SHORT_LENGTHS]


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
    """Reads a varint of any legal width.

    Returns:
        The value and the position after it.

    Raises:
        WireError: the data ends within the varint, or it has more than ten bytes.
    """
    value = shift = 0
    for index in range(position, position + MAX_VARINT_BYTES):
        if index >= len(data):
            raise WireError("the data ends within a number", index)
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise WireError("a number has more than 10 bytes", position)
