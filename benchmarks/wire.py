"""Protobuf's wire format, as far as it takes to write a model piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import OperatorSetIdProto


def head(message: type[Message], field: str, size: int) -> bytes:
    """What stands before the content of a field of ``size`` bytes."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + varint(size)


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def model_around(size: int, opset: OperatorSetIdProto, ir_version: int = 10) -> tuple[bytes, bytes]:
    """What stands before and after a graph of ``size`` bytes in the file of a model."""
    start = ModelProto(ir_version=ir_version, producer_name="graphml-onnx benchmarks").SerializeToString()
    return start + head(ModelProto, "graph", size), ModelProto(opset_import=[opset]).SerializeToString()
