"""How the GraphML refers to a payload: a JSON object with offset, length and SHA-256."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.parameters.store import PayloadReference

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json

PAYLOAD = "$payload"
_MAX_OFFSET = 1 << 62
_SHA256 = re.compile("[0-9a-f]{64}")


def payload_json(reference: PayloadReference) -> str:
    """JSON text of a reference."""
    return f'{{"{PAYLOAD}":{{"offset":{reference.offset},"length":{reference.length},"sha256":"{reference.sha256}"}}}}'


def read_payload(value: Json) -> PayloadReference:
    """Reads a reference back; the inverse of `payload_json`.

    Raises:
        NumberError: offset, length or digest are missing or impossible.
    """
    body = value.get(PAYLOAD) if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(body, dict) or body.keys() != {"offset", "length", "sha256"}:
        raise NumberError("a payload needs offset, length and sha256, and nothing else")
    sha256 = body["sha256"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise NumberError("a payload's sha256 must be 64 lower-case hexadecimal digits")
    return PayloadReference(integer(body["offset"], 0, _MAX_OFFSET), integer(body["length"], 0, _MAX_OFFSET), sha256)
