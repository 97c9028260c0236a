"""ONNX's messages as exact protobuf classes, in which every bit is visible.

protobuf's Python classes hide what a byte-exact codec must see: reading a string raises on invalid UTF-8, a signalling
NaN changes when it passes through a Python float, and an unknown enum value becomes an unknown field. Here each message
of ONNX's descriptors is rebuilt with the same field numbers and wire types, but with strings as bytes, floating-point
numbers as their bits, and enums as integers. The serialised bytes are the same. A field that a new ONNX release adds
needs no code.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, EncodeError

from graphml_onnx.onnxfile import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto
_EXACT_TYPES = {
    _Field.TYPE_STRING: _Field.TYPE_BYTES,
    _Field.TYPE_FLOAT: _Field.TYPE_FIXED32,
    _Field.TYPE_DOUBLE: _Field.TYPE_FIXED64,
    _Field.TYPE_ENUM: _Field.TYPE_INT32,
}


def _make_exact(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        exact = _EXACT_TYPES.get(field.type)
        if exact is not None:
            field.type = exact
            field.ClearField("type_name")
            field.ClearField("default_value")
    for nested in message.nested_type:
        _make_exact(nested)


def _build_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto()
    onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)
    for message in file.message_type:
        _make_exact(message)
    pool = descriptor_pool.DescriptorPool()
    # Add() of a FileDescriptorProto exists in every implementation; the serialised form is typed in all of them.
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_PACKAGE = onnx.ModelProto.DESCRIPTOR.file.package
_POOL = _build_pool()


@cache
def message_class(name: str) -> type[Message]:
    """The exact class of an ONNX message, by its name within ONNX's package (``TypeProto.Tensor``).

    Raises:
        KeyError: ONNX has no message of that name.
    """
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def parse_model(data: bytes) -> onnx.ModelProto:
    """Parses an exact ``ModelProto``.

    Raises:
        ValueError: protobuf cannot read it; the message gives the reason.
        MemoryError: there is too little memory for it.
    """
    try:
        # The exact class has the same fields; only strings, floats and enums have other Python types.
        return cast("onnx.ModelProto", message_class("ModelProto").FromString(data))
    except DecodeError as error:
        _, told, reason = str(error).partition(": ")
        if "alloc" in reason.lower():
            raise MemoryError(reason) from None
        if "MaxDepth" in reason or "recursion" in reason.lower():
            reason = unreadable.TOO_DEEP
        elif not told:
            found = unreadable.reason(data, descriptor_of(message_class("ModelProto")()))
            if found is None:  # nothing is wrong with them
                raise MemoryError(str(error)) from None
            reason = found
        raise ValueError(reason) from None


def serialise(message: Message) -> bytes:
    """The canonical bytes of a message that was parsed.

    Raises:
        MemoryError: there is too little memory for them.
    """
    try:
        return message.SerializeToString()
    except EncodeError as error:  # nothing else can be wrong with what was parsed
        raise MemoryError(str(error)) from None


def descriptor_of(message: Message) -> Descriptor:
    """The descriptor of a message. (The type stubs know it as either of two classes.)"""
    return cast("Descriptor", message.DESCRIPTOR)


def fields_of(descriptor: Descriptor) -> Sequence[FieldDescriptor]:
    """The fields of a message, by number."""
    return descriptor.fields


def owner_of(field: FieldDescriptor) -> Descriptor:
    """The message that has a field."""
    return cast("Descriptor", field.containing_type)


def message_name(descriptor: Descriptor) -> str:
    """Name of a message within ONNX's package; the inverse of `message_class`."""
    return descriptor.full_name.removeprefix(f"{_PACKAGE}.")


@cache
def original_field(field: FieldDescriptor) -> FieldDescriptor:
    """The field in ONNX's own descriptors: its type says what the bits mean."""
    pool = onnx.ModelProto.DESCRIPTOR.file.pool
    message = pool.FindMessageTypeByName(owner_of(field).full_name)
    return cast("FieldDescriptor", message.fields_by_number[field.number])
