"""Finds the field of an ONNX file that a byte belongs to, for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.wire import FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, WireError, decode_varint

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from graphml_onnx.onnxfile.source import Source

_HEADER = 20  # a tag and a length, each a varint of the greatest width


def locate(source: Source, offset: int) -> str:
    """The innermost field that contains a byte: ``graph.node[3].attribute[0].t.raw_data``.

    Args:
        source: an ONNX file.
        offset: of the byte, from the start of the file.

    Returns:
        The path, as far as the bytes are readable; empty if they are not.
    """
    descriptor: Descriptor | None = cast("Descriptor", schema.message_class("ModelProto").DESCRIPTOR)
    start, end = 0, source.size
    path: list[str] = []
    while descriptor is not None:
        try:
            found = _field_at(source, descriptor, start, end, offset)
        except WireError:
            break
        if found is None:
            break
        name, descriptor, start, end = found
        path.append(name)
        if offset < start:  # in the field's own tag or length
            break
    return ".".join(path)


def _field_at(
    source: Source, descriptor: Descriptor, start: int, end: int, offset: int
) -> tuple[str, Descriptor | None, int, int] | None:
    counts: dict[int, int] = {}
    position = start
    while position < end:
        window = source.read(position, min(_HEADER, source.size - position))
        tag, index = decode_varint(window, 0)
        kind, number = tag & 7, tag >> 3
        length = 0
        if kind == VARINT:
            index = decode_varint(window, index)[1]
        elif kind == LENGTH_DELIMITED:
            length, index = decode_varint(window, index)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            return None
        content = position + index
        if position <= offset < content + length:
            field = descriptor.fields_by_number.get(number)
            if field is None:
                return f"field {number}", None, content, content + length
            item = f"[{counts.get(number, 0)}]" if field.is_repeated and not field.is_packed else ""
            return field.name + item, field.message_type, content, content + length
        counts[number] = counts.get(number, 0) + 1
        position = content + length
    return None
