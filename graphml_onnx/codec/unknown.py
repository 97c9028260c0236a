"""Fields that ONNX does not define, carried as JSON: a newer release, or an extension, may have written them.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from google.protobuf.unknown_fields import UnknownFieldSet

from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.codec.scalars import String, base64_json, list_of, read_base64
from graphml_onnx.onnxfile import schema, wire
from graphml_onnx.support.strictjson import Json, parse
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    import onnx
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

UNKNOWN = "$unknown"
_MAX_DEPTH = 100  # groups within groups, as in protobuf


def unknown_json(message: Message) -> str:
    """JSON text of the fields of a message that ONNX does not define; empty if it has none."""
    unknown = UnknownFieldSet(message)
    return _unknown_list(unknown) if len(unknown) else ""


_KINDS = {wire.VARINT: "varint", wire.FIXED64: "fixed64", wire.FIXED32: "fixed32"}
_KIND_LIMITS = {"varint": (wire.VARINT, 64), "fixed64": (wire.FIXED64, 64), "fixed32": (wire.FIXED32, 32)}
_WIRE_TYPES = {"bytes": wire.LENGTH_DELIMITED, **{kind: number for number, kind in _KINDS.items()}}


def _unknown_list(unknown: UnknownFieldSet) -> str:
    items = []
    for index in range(len(unknown)):
        field = unknown[index]
        kind = _KINDS.get(field.wire_type)
        if kind is not None:
            items.append(f'[{field.field_number},"{kind}",{field.data}]')
        elif field.wire_type == wire.START_GROUP:
            items.append(f'[{field.field_number},"group",{_unknown_list(field.data)}]')
        else:
            items.append(f'[{field.field_number},"bytes",{_text_or_base64(field.data)}]')
    return "[" + ",".join(items) + "]"


def _text_or_base64(value: bytes) -> str:
    try:
        return json_string(value.decode())
    except UnicodeDecodeError:
        return base64_json(value)


def read_unknown(message: Message, value: Json) -> None:
    """Adds unknown fields to a message; the inverse of `unknown_json`.

    Raises:
        NumberError: they are malformed, or ONNX knows one of them.
    """
    message.MergeFromString(_unknown_bytes(list_of(value), _known_tags(schema.descriptor_of(message)), 0))


def drop_unknown(message: Message) -> bool:
    """Drops the unknown fields of a message and of all messages within; returns whether there were any."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size


def canonical_unknown(message: Message) -> None:
    """Rewrites the unknown fields of a message, and of all messages in it, as they come back from JSON.

    protobuf itself keeps them as they were written, over-long numbers included.
    """
    unknown = [(part, text) for part in _messages_in(message) if (text := unknown_json(part))]
    message.DiscardUnknownFields()
    for part, text in unknown:
        read_unknown(part, parse(text))


def canonical_form(model: onnx.ModelProto, skeleton: bytes) -> tuple[onnx.ModelProto, bytes, bool]:
    """The canonical skeleton of a model: its content in protobuf's own order of fields and width of numbers.

    Args:
        model: the result of `schema.parse_model` for the skeleton; changed if it has unknown fields.
        skeleton: the skeleton.

    Returns:
        The model to use from now on, the canonical skeleton, and whether there are unknown fields.
    """
    canonical = schema.serialise(cast("Message", model))
    has_unknown = drop_unknown(cast("Message", model))
    if has_unknown:  # parsing again is rare, and cheaper than a copy each time
        model = schema.parse_model(skeleton)
        canonical_unknown(cast("Message", model))
        canonical = schema.serialise(cast("Message", model))
    return model, canonical, has_unknown


def _messages_in(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _messages_in(part)


@cache
def _known_tags(descriptor: Descriptor) -> frozenset[tuple[int, int]]:
    """Number and wire type of the fields that protobuf reads as known; a known number of another type is unknown."""
    tags: set[tuple[int, int]] = set()
    for field in schema.fields_of(descriptor):
        delimited = field.message_type is not None or field.type in (field.TYPE_BYTES, field.TYPE_STRING)
        widths = {field.TYPE_FIXED32: wire.FIXED32, field.TYPE_FIXED64: wire.FIXED64}
        if not delimited:
            tags.add((field.number, widths.get(field.type, wire.VARINT)))
        if delimited or field.is_repeated:  # repeated numbers may be packed
            tags.add((field.number, wire.LENGTH_DELIMITED))
    return frozenset(tags)


def _unknown_bytes(items: Sequence[Json], known: Set[tuple[int, int]], depth: int) -> bytes:
    if depth > _MAX_DEPTH:
        raise NumberError("groups are nested too deeply")
    parts = []
    for item in items:
        if not isinstance(item, list) or len(item) != 3:
            raise NumberError("an unknown field is a list of number, kind and value")
        lowest = 1 if depth == 0 else 0  # protobuf lets a 0 pass within a group
        number, kind, data = integer(item[0], lowest, 2**29 - 1), item[1], item[2]
        if isinstance(kind, str) and (number, _WIRE_TYPES.get(kind)) in known:
            raise NumberError(f"field {number} is known, and not allowed under {UNKNOWN}")
        if isinstance(kind, str) and kind in _KIND_LIMITS:
            wire_type, bits = _KIND_LIMITS[kind]
            parts.append(wire.encode_varint(number << 3 | wire_type))
            number_value = integer(data, 0, 2**bits - 1)
            is_varint = wire_type == wire.VARINT
            parts.append(wire.encode_varint(number_value) if is_varint else number_value.to_bytes(bits // 8, "little"))
        elif kind == "group":
            body = _unknown_bytes(list_of(data), frozenset(), depth + 1)
            parts.append(wire.encode_varint(number << 3 | wire.START_GROUP) + body)
            parts.append(wire.encode_varint(number << 3 | wire.END_GROUP))
        elif kind == "bytes":
            content = read_base64(data) if isinstance(data, dict) else String.read(data)
            parts.append(wire.encode_varint(number << 3 | wire.LENGTH_DELIMITED))
            parts.append(wire.encode_varint(len(content)) + content)
        else:
            raise NumberError("the kind of an unknown field is varint, fixed32, fixed64, bytes or group")
    return b"".join(parts)
