"""Counts the messages in a model's bytes before protobuf makes an object of each: two bytes can be a message.

Source: protobuf's "Encoding" guide (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.onnxfile import schema
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
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor

Fields: TypeAlias = "dict[int, Fields]"
"""The fields of a message that are messages, by their number."""

_FIXED = {FIXED32: 4, FIXED64: 8}


@cache
def _model_fields() -> Fields:
    known: dict[str, Fields] = {}

    def visit(message: Descriptor) -> Fields:
        fields = known.get(message.full_name)
        if fields is None:
            fields = known[message.full_name] = {}
            fields |= {field.number: visit(field.message_type) for field in message.fields if field.message_type}
        return fields

    return visit(schema.descriptor_of(schema.message_class("ModelProto")()))


def count_messages(data: bytes, most: int) -> int:
    """How many messages a model contains.

    Args:
        data: the model, or a skeleton. At bytes that are not wire format protobuf stops reading, and so does this.
        most: the count stops after this many.
    """
    count = 0
    todo = [(0, len(data), _model_fields())]
    while todo and count <= most:
        for start, end, inner in _within(data, *todo.pop()):
            count += 1
            if count > most:
                break
            todo.append((start, end, inner))
    return count


def _within(data: bytes, position: int, end: int, fields: Fields) -> Iterator[tuple[int, int, Fields]]:
    """The messages directly in a message: for each its start, its end and its fields that are messages."""
    groups = 0
    with suppress(WireError):
        while position < end:
            tag, position = decode_varint(data, position)
            kind = tag & 7
            if kind == LENGTH_DELIMITED:
                length, position = decode_varint(data, position)
                if not groups and (inner := fields.get(tag >> 3)) is not None:
                    yield position, min(position + length, end), inner
                position += length
            elif kind == VARINT:
                _, position = decode_varint(data, position)
            elif kind in _FIXED:
                position += _FIXED[kind]
            elif kind in (START_GROUP, END_GROUP):
                groups += 1 if kind == START_GROUP else -1
            else:
                return
