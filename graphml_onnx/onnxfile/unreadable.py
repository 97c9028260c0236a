"""Finds out from a message's bytes why protobuf cannot read it: before release 7.35 protobuf gives no reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google import protobuf

from graphml_onnx.onnxfile.wire import (
    END_GROUP,
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    START_GROUP,
    VARINT,
    WireError,
    decode_varint,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_DEPTH = 100
"""Messages within messages that protobuf reads back (its default recursion limit)."""

TOO_DEEP = f"messages are nested more than {MAX_DEPTH} deep (33 subgraphs), which protobuf cannot read"

_MAX_TAG = 1 << 32
_MAX_LENGTH = 1 << 31
_SHORT_VARINT = 5  # bytes of a tag or a length, at most

_ZERO_IN_GROUPS = int(protobuf.__version__.split(".")[0]) >= 7
"""Whether protobuf reads a field with the number 0 in an unknown group: releases before 7.34 refuse it."""


def reason(data: bytes, message: Descriptor) -> str | None:
    """What is wrong with a serialised message; None if nothing is.

    Args:
        data: the message.
        message: its type, with strings as bytes (as in `schema.message_class`), since texts are not examined.
    """
    try:
        _walk(data, 0, len(data), message, 0, None)
    except WireError as error:
        return error.message
    return None


def _walk(data: bytes, position: int, end: int, message: Descriptor | None, depth: int, group: int | None) -> int:
    """Reads the fields of a message, or of an unknown group with this number; returns the position after them."""
    if depth > MAX_DEPTH:
        raise WireError(TOO_DEEP, position)
    while position < end:
        tag, position = _short(data, position, _MAX_TAG)
        number, kind = tag >> 3, tag & 7
        if number == 0 and not (_ZERO_IN_GROUPS and group is not None):
            raise WireError("a field has the number 0", position)
        if kind == END_GROUP and number == group:
            return position
        if kind == VARINT:
            _, position = decode_varint(data, position)
        elif kind in (FIXED32, FIXED64):
            position += 4 if kind == FIXED32 else 8
        elif kind == START_GROUP:
            position = _walk(data, position, end, None, depth + 1, number)
        elif kind == LENGTH_DELIMITED:
            length, start = _short(data, position, _MAX_LENGTH)
            position = start + length
            field = None if message is None else message.fields_by_number.get(number)
            if field is not None and position <= end:
                _walk_content(data, start, position, field, depth)
        else:
            raise WireError(f"a field has wire type {kind}, which is not allowed here", position)
        if position > end:
            raise WireError("a field runs past the end of its message", position)
    if group is not None:
        raise WireError("a group is not closed", position)
    return position


def _walk_content(data: bytes, start: int, end: int, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None:
        _walk(data, start, end, field.message_type, depth + 1, None)
    elif field.is_repeated and field.type != field.TYPE_BYTES:  # packed numbers
        width = {field.TYPE_FIXED32: 4, field.TYPE_FIXED64: 8}.get(field.type)
        if width is not None and (end - start) % width:
            raise WireError("packed numbers end within a number", end)
        while width is None and start < end:
            _, start = decode_varint(data, start)
        if width is None and start > end:
            raise WireError("packed numbers end within a number", end)


def _short(data: bytes, position: int, limit: int) -> tuple[int, int]:
    """Reads a tag or a length, and the position after it."""
    value, after = decode_varint(data, position)
    if value >= limit or after - position > _SHORT_VARINT:
        raise WireError("a tag or a length is too large", position)
    return value, after
