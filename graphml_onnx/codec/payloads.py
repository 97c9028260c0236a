"""References to payloads in the GraphML, and the fields of a tensor that are payloads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.onnxfile.external import LocationError, check_location
from graphml_onnx.onnxfile.lists import MARKER_BYTES
from graphml_onnx.onnxfile.skeleton import read_marker
from graphml_onnx.parameters.store import PayloadReference
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from graphml_onnx.support.strictjson import Json

PAYLOAD = "$payload"
_MAX_OFFSET = 1 << 62
_SHA256 = re.compile("[0-9a-f]{64}")
_PLACES = ({"offset"}, {"name"}, {"file", "name"})  # in a store, in a sidecar, in a weight file
_SHOWN = 80  # characters of a wrong value

# Bytes per number of each packed field in a marker: ASCII characters are one-byte varints.
_WIDTHS = {"float_data": 4, "int32_data": 1, "int64_data": 1, "double_data": 8, "uint64_data": 1}


def payload_json(reference: PayloadReference) -> str:
    """JSON text of a reference."""
    place = f'"offset":{reference.offset}' if reference.name is None else f'"name":{json_string(reference.name)}'
    if reference.file is not None:
        place = f'"file":{json_string(reference.file)},{place}'
    return f'{{"{PAYLOAD}":{{{place},"length":{reference.length},"sha256":"{reference.sha256}"}}}}'


def read_payload(value: Json) -> PayloadReference:
    """Reads a reference back; the inverse of `payload_json`.

    Raises:
        NumberError: name or offset, length or digest are missing or impossible.
    """
    body = value.get(PAYLOAD) if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(body, dict) or body.keys() - {"length", "sha256"} not in _PLACES or len(body) < 3:
        raise NumberError(
            "a payload needs name (and file, for a weight file) or offset, length and sha256, and nothing else"
        )
    sha256 = body["sha256"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise NumberError("a payload's sha256 must be 64 lower-case hexadecimal digits")
    length = integer(body["length"], 0, _MAX_OFFSET)
    if "offset" in body:
        return PayloadReference(integer(body["offset"], 0, _MAX_OFFSET), length, sha256)
    if not isinstance(body["name"], str):
        raise NumberError("a payload's name must be a string")
    return PayloadReference(0, length, sha256, body["name"], _file(body["file"]) if "file" in body else None)


def _file(value: Json) -> str:
    if not isinstance(value, str):
        raise NumberError("a payload's file must be a string")
    try:
        if check_location(value) == value:
            return value
    except LocationError as error:
        raise NumberError(str(error)) from None
    raise NumberError(f"the location {value[:_SHOWN]!r} is not in its normal form")


def marked_fields(tensor: onnx.TensorProto, nonce: bytes) -> Iterator[tuple[str, int]]:
    """The fields of a tensor that are markers.

    Args:
        tensor: an exact message.
        nonce: first half of the markers.

    Yields:
        The name of the field, and the number of the payload.
    """
    if (number := read_marker(nonce, tensor.raw_data)) is not None:
        yield "raw_data", number
    for field, width in _WIDTHS.items():
        values: list[int] = getattr(tensor, field)
        if len(values) * width != MARKER_BYTES:
            continue
        try:
            content = b"".join(value.to_bytes(width, "little") for value in values)
        except OverflowError:
            continue
        if (number := read_marker(nonce, content)) is not None:
            yield field, number
