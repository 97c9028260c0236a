"""Counts the messages in a model's bytes, before protobuf makes an object of each: two bytes are enough for one.

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
"""Of a message, those fields that are messages, by their number."""

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
    """How many messages stand within a model.

    Args:
        data: the model, or a skeleton. Where it is not wire format, protobuf stops reading, and so does this.
        most: where there are more, the count ends with the next one.
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
    """The messages directly within one, each as its start, its end and those of its fields that are messages."""
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
