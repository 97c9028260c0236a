"""The weights of a file of an earlier format: JSON of tensors in base64, packed with gzip beside it, or in the graph.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphml_onnx.codec.payloads import payload_json
from graphml_onnx.decoding.legacy.values import tensor_of
from graphml_onnx.errors import GraphmlOnnxError, PayloadError
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.store import PayloadReference, check_name
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_TEXT = 1 << 30
"""Limit for the unpacked JSON in bytes, since it is held in memory."""

_INLINE = 1024  # bytes of a tensor within the graph


@dataclass(slots=True)
class Weights:
    """Initializers in terms of this format.

    Attributes:
        tensors: the JSON of each, by name.
        store: the bytes that they refer to.
    """

    tensors: dict[str, str] = field(default_factory=dict)
    store: bytearray = field(default_factory=bytearray)


def read_weights(values: Mapping[str, str], folder: Path, miss: Callable[[str], None]) -> Weights:
    """Reads the weights.

    Args:
        values: the values of the graph.
        folder: where the file with the weights is.
        miss: called with what is missing or cannot be read.
    """
    weights = Weights()
    try:
        parameters = _parameters(values, folder)
    except (GraphmlOnnxError, JsonError) as error:
        miss(f"weights: {error.message if isinstance(error, GraphmlOnnxError) else error}")
        return weights
    for name, value in parameters.items():
        if not _add(weights, name, value):
            miss(f"readable weights {quoted(name)}")
    return weights


def _parameters(values: Mapping[str, str], folder: Path) -> dict[str, Json]:
    """The tensors by name; raises PayloadError, InputError or JsonError."""
    strategy = values.get("parameter_strategy", "sidecar")
    file = values.get("parameter_file", "")
    if strategy == "reference":
        raise PayloadError(f"they are in the model {quoted(file)} itself, which can be encoded again")
    if strategy == "embedded":
        document = parse(values.get("initializers_ref", ""))
        found = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    elif file:
        packed = _read(folder, file)
        found = hashlib.sha256(packed).hexdigest()
    else:
        return {}
    checksum = values.get("parameter_checksum")
    if checksum is not None and checksum.removeprefix("sha256:") != found:
        raise PayloadError(f"{quoted(file or strategy)} has another parameter_checksum")
    if strategy != "embedded":
        document = parse(_unpack(packed, file))
    parameters = document.get("parameters") if isinstance(document, dict) else None
    if not isinstance(parameters, dict):
        raise PayloadError(f"{quoted(file or strategy)} holds no parameters")
    return parameters


def _read(folder: Path, file: str) -> bytes:
    check_name(file)
    try:
        with FileSource.open(folder / file, PayloadError) as source:
            if source.size > MAX_TEXT:
                raise PayloadError(f"{quoted(file)} is longer than {MAX_TEXT:,} bytes")
            return source.read(0, source.size)
    except GraphmlOnnxError as error:
        raise PayloadError(f"{quoted(file)} {error.message}") from None


def _unpack(packed: bytes, file: str) -> str:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)  # gzip
    try:
        text = unpacker.decompress(packed, MAX_TEXT)
        if unpacker.eof:
            return text.decode()
    except (zlib.error, UnicodeDecodeError):
        pass
    raise PayloadError(f"{quoted(file)} is not text packed with gzip, or longer than {MAX_TEXT:,} bytes")


def _add(weights: Weights, name: str, value: Json) -> bool:
    """Adds a tensor; False if it cannot be read."""
    read = tensor_of(name, value, dtype="dtype", shape="shape", data="data")
    if read is None:
        return False
    tensor, raw = read
    if len(raw) > _INLINE:
        reference = PayloadReference(len(weights.store), len(raw), hashlib.sha256(raw).hexdigest())
        weights.store += raw
        tensor["raw_data"] = parse(payload_json(reference))
    weights.tensors[name] = json.dumps(tensor)
    return True
