"""Any ONNX message as JSON and back, losing nothing, driven by ONNX's descriptors.

One `MessageCodec` serves both directions; each kind of field has one class, with ``write`` and ``read`` side by side.
A field stands if, and only if, it is present in the message. Fields that ONNX does not know are kept under
``$unknown``. The reserved names start with ``$``, which no protobuf field can.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

import base64
import binascii
import struct
from functools import cache
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import onnx
from google.protobuf.unknown_fields import UnknownFieldSet

from graphml_onnx.codec.numbers import FLOAT32, FLOAT64, FloatFormat, NumberError, float_bits, float_json, integer
from graphml_onnx.codec.payloads import PAYLOAD, payload_json, read_payload
from graphml_onnx.codec.tensors import has_numbers, raw_bytes, raw_json
from graphml_onnx.graphml.text import json_string
from graphml_onnx.onnxfile import schema, wire
from graphml_onnx.onnxfile.skeleton import MARKER_BYTES, marker, read_marker
from graphml_onnx.strictjson import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, MutableSequence, Sequence, Set

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.strictjson import Json

UNKNOWN = "$unknown"
BASE64 = "$base64"
GRAPH = "$graph"

# Integers that are values of TensorProto.DataType, although their fields do not say so.
DATA_TYPE_FIELDS = frozenset(
    {
        ("TensorProto", "data_type"),
        ("TypeProto.Tensor", "elem_type"),
        ("TypeProto.SparseTensor", "elem_type"),
        ("TypeProto.Map", "key_type"),
    }
)


class FieldError(ValueError):
    """A JSON value does not fit its field.

    Args:
        message: why.
        path: the field, as in ``attribute[0].t.dims[1]``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def within(self, part: str) -> FieldError:
        """The same error, seen from the message that holds ``part``."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return FieldError(self.message, f"{part}{joint}{self.path}")


class PayloadBook:
    """The payloads of a model, by address; both directions keep one.

    Args:
        nonce: first half of the skeleton's markers.
        references: the payloads by address; decoding adds to it what it reads.
    """

    def __init__(self, nonce: bytes, references: MutableMapping[int, PayloadReference]) -> None:
        self._nonce = nonce
        self._references = references

    def json(self, content: bytes) -> str | None:
        """JSON text of the payload that ``content`` marks, or None where it is not a marker."""
        address = read_marker(self._nonce, content)
        return None if address is None else payload_json(self._references[address])

    def marker(self, value: Json) -> bytes | None:
        """The marker of the payload that a JSON value refers to, or None where it refers to none.

        Raises:
            NumberError: the reference is malformed, or says of one address what another reference denies.
        """
        if not isinstance(value, dict) or PAYLOAD not in value:
            return None
        reference = read_payload(value)
        if self._references.setdefault(reference.offset, reference) != reference:
            raise NumberError(f"two payloads at offset {reference.offset} have different lengths or digests")
        return marker(self._nonce, reference.offset)


_Value = TypeVar("_Value")


class _Scalar(Protocol, Generic[_Value]):
    """Both directions of a single value of a field."""

    def write(self, value: _Value, /) -> str:
        """JSON text of the value."""

    def read(self, value: Json, /) -> _Value:
        """The value that a JSON value says; raises NumberError."""


class _Integer:
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    write = staticmethod(str)

    def read(self, value: Json) -> int:
        return integer(value, self._low, self._high)


class _Boolean:
    def write(self, value: bool) -> str:
        return "true" if value else "false"

    def read(self, value: Json) -> bool:
        if not isinstance(value, bool):
            raise NumberError("must be true or false")
        return value


class _Float:
    def __init__(self, form: FloatFormat) -> None:
        self._form = form

    def write(self, value: int) -> str:
        return float_json(self._form, value)

    def read(self, value: Json) -> int:
        return float_bits(self._form, value)


class _Enumerated:
    """An integer with names: a value without a name stands as the integer."""

    def __init__(self, names: Sequence[tuple[str, int]]) -> None:
        self._texts = {number: f'"{name}"' for name, number in names}
        self._numbers = dict(names)

    def write(self, value: int) -> str:
        return self._texts.get(value) or str(value)

    def read(self, value: Json) -> int:
        if isinstance(value, str):
            number = self._numbers.get(value)
            if number is None:
                raise NumberError(f"{value!r} is not one of {', '.join(self._numbers)}")
            return number
        return integer(value, -(2**31), 2**31 - 1)


class String:
    """A protobuf string: text, with bytes that are not UTF-8 as surrogates (PEP 383)."""

    @staticmethod
    def text(value: bytes | str) -> str:
        """The string as Python has it; the exact classes hold bytes where ONNX's own say str."""
        return cast("bytes", value).decode("utf-8", "surrogateescape")

    @staticmethod
    def write(value: bytes) -> str:
        """JSON text."""
        return json_string(value.decode("utf-8", "surrogateescape"))

    @staticmethod
    def read(value: Json) -> bytes:
        """The string's bytes; raises NumberError."""
        if not isinstance(value, str):
            raise NumberError("must be a string")
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise NumberError("holds a surrogate that stands for no byte") from None


class _Bytes:
    """Bytes that are usually text: where they are not, base64 or a payload."""

    def __init__(self, book: PayloadBook) -> None:
        self._book = book

    def write(self, value: bytes) -> str:
        if (payload := self._book.json(value)) is not None:
            return payload
        try:
            return json_string(value.decode())
        except UnicodeDecodeError:
            return base64_json(value)

    def read(self, value: Json) -> bytes:
        if isinstance(value, dict):
            found = self._book.marker(value)
            return read_base64(value) if found is None else found
        return String.read(value)


def base64_json(value: bytes) -> str:
    """Bytes that no text says exactly."""
    return f'{{"{BASE64}":"{base64.b64encode(value).decode()}"}}'


def read_base64(value: Json) -> bytes:
    """The inverse of `base64_json`; raises NumberError."""
    text = value.get(BASE64) if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(text, str):
        raise NumberError(f'must be text, or an object with the one member "{BASE64}" or "{PAYLOAD}"')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NumberError("is not base64") from None


def _scalar(field: FieldDescriptor, book: PayloadBook) -> _Scalar[int] | _Scalar[bytes] | _Scalar[bool]:
    original = schema.original_field(field)
    if (schema.message_name(schema.owner_of(field)), field.name) in DATA_TYPE_FIELDS:
        return _Enumerated(onnx.TensorProto.DataType.items())
    kind = original.type
    if original.enum_type is not None:
        return _Enumerated([(value.name, value.number) for value in original.enum_type.values])
    if kind == original.TYPE_STRING:
        return String()
    if kind == original.TYPE_BYTES:
        return _Bytes(book)
    if kind == original.TYPE_FLOAT:
        return _Float(FLOAT32)
    if kind == original.TYPE_DOUBLE:
        return _Float(FLOAT64)
    if kind == original.TYPE_BOOL:
        return _Boolean()
    bits = 32 if original.cpp_type in (original.CPPTYPE_INT32, original.CPPTYPE_UINT32) else 64
    if original.cpp_type in (original.CPPTYPE_UINT32, original.CPPTYPE_UINT64):
        return _Integer(0, 2**bits - 1)
    return _Integer(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


class _ScalarField:
    def __init__(self, field: FieldDescriptor, book: PayloadBook) -> None:
        self._name = field.name
        scalar = cast("_Scalar[object]", _scalar(field, book))
        self.write, self._read = scalar.write, scalar.read

    def read(self, message: Message, value: Json) -> None:
        setattr(message, self._name, self._read(value))


class _RepeatedScalarField:
    def __init__(self, field: FieldDescriptor, book: PayloadBook) -> None:
        self._name = field.name
        scalar = cast("_Scalar[object]", _scalar(field, book))
        self._write, self._read = scalar.write, scalar.read

    def write(self, values: Sequence[object]) -> str:
        write = self._write
        return "[" + ",".join([write(value) for value in values]) + "]"

    def read(self, message: Message, value: Json) -> None:
        into: MutableSequence[object] = getattr(message, self._name)
        read = self._read
        items = _list(value)
        try:
            into.extend([read(item) for item in items])
        except NumberError as error:
            raise _first_bad(items, read, error) from None


class _PackedField(_RepeatedScalarField):
    """A tensor's typed numbers, which can be a payload."""

    def __init__(self, field: FieldDescriptor, book: PayloadBook) -> None:
        super().__init__(field, book)
        self._book = book
        kind = field.type
        width = {field.TYPE_FIXED32: 4, field.TYPE_FIXED64: 8}.get(kind, 1)
        # A marker read as numbers of this field: ASCII characters are one-byte varints.
        self._as_numbers = struct.Struct(f"<{MARKER_BYTES // width}{ {4: 'I', 8: 'Q', 1: 'B'}[width] }")
        self._count = MARKER_BYTES // width

    def write(self, values: Sequence[object]) -> str:
        if len(values) == self._count:
            try:
                payload = self._book.json(self._as_numbers.pack(*values))
            except struct.error:  # a number that no byte of a marker could be
                payload = None
            if payload is not None:
                return payload
        return super().write(values)

    def read(self, message: Message, value: Json) -> None:
        content = self._book.marker(value)
        if content is None:
            super().read(message, value)
        else:
            getattr(message, self._name).extend(self._as_numbers.unpack(content))


class _MessageField:
    def __init__(self, field: FieldDescriptor, codec: MessageCodec) -> None:
        self._name = field.name
        self._codec = codec
        self._type = field.message_type

    def write(self, value: Message) -> str:
        return self._codec.write(value)

    def read(self, message: Message, value: Json) -> None:
        child: Message = getattr(message, self._name)
        child.SetInParent()
        self._codec.read(child, value)


class _RepeatedMessageField:
    def __init__(self, field: FieldDescriptor, codec: MessageCodec) -> None:
        self._name = field.name
        self._codec = codec

    def write(self, values: Sequence[Message]) -> str:
        write = self._codec.write
        return "[" + ",".join([write(value) for value in values]) + "]"

    def read(self, message: Message, value: Json) -> None:
        into = getattr(message, self._name)
        read = self._codec.read
        for index, item in enumerate(_list(value)):
            try:
                read(into.add(), item)
            except FieldError as error:
                raise error.within(f"[{index}]") from None


class _RawDataField:
    """``TensorProto.raw_data``: readable numbers, which need the tensor's data type, or a payload, or base64."""

    def __init__(self, book: PayloadBook) -> None:
        self._book = book

    def write_of(self, tensor: onnx.TensorProto) -> str:
        raw = tensor.raw_data
        if (payload := self._book.json(raw)) is not None:
            return payload
        if has_numbers(tensor.data_type, len(raw)):
            return raw_json(tensor.data_type, tensor.dims, raw)
        return base64_json(raw)

    def read(self, message: Message, value: Json) -> None:
        tensor = cast("onnx.TensorProto", message)
        if not isinstance(value, list):
            content = self._book.marker(value)
            tensor.raw_data = read_base64(value) if content is None else content
        elif has_numbers(tensor.data_type, 0):
            tensor.raw_data = raw_bytes(tensor.data_type, value)
        else:
            raise NumberError("the tensor's data_type has no numbers: use base64")


class _GraphField:
    """A graph-valued attribute, whose graph stands elsewhere: ``{"$graph": k}`` is the operator's k-th graph."""

    def __init__(self, field: FieldDescriptor, graphs: GraphBook) -> None:
        self._name = field.name
        self._graphs = graphs

    def _write_one(self, graph: Message) -> str:
        return f'{{"{GRAPH}":{self._graphs.number(graph)}}}'

    def _read_one(self, into: Message, value: Json) -> None:
        if not isinstance(value, dict) or value.keys() != {GRAPH}:
            raise NumberError(f'must be an object with the one member "{GRAPH}"')
        into.SetInParent()
        into.MergeFrom(self._graphs.graph(integer(value[GRAPH], 0, 2**31)))

    def write(self, graph: Message) -> str:
        return self._write_one(graph)

    def read(self, message: Message, value: Json) -> None:
        self._read_one(getattr(message, self._name), value)


class _RepeatedGraphField(_GraphField):
    def write(self, graphs: Sequence[Message]) -> str:  # type: ignore[override] # a list, of the same
        return "[" + ",".join([self._write_one(graph) for graph in graphs]) + "]"

    def read(self, message: Message, value: Json) -> None:
        into = getattr(message, self._name)
        for item in _list(value):
            self._read_one(into.add(), item)


class GraphBook(Protocol):
    """Where the graphs of an operator's attributes stand when they are not part of the JSON."""

    def number(self, graph: Message) -> int:
        """Takes a graph out; returns the number by which the JSON refers to it."""

    def graph(self, number: int) -> Message:
        """The graph with that number; raises NumberError where there is none."""


class _Field(Protocol):
    def read(self, message: Message, value: Json, /) -> None:
        """Sets the field of ``message`` to what ``value`` says."""


class MessageCodec:
    """Both directions of any ONNX message.

    Args:
        book: the payloads.
        graphs: where graph-valued attributes stand; without it they are part of the JSON.
    """

    def __init__(self, book: PayloadBook, graphs: GraphBook | None = None) -> None:
        self._book = book
        self._graphs = graphs
        self._writers: dict[str, Callable[[Message], str]] = {}
        self._readers: dict[str, dict[str, _Field]] = {}

    def write(self, message: Message) -> str:
        """JSON text of a message: an object with the fields that are present, by number."""
        name = message.DESCRIPTOR.full_name
        writer = self._writers.get(name)
        if writer is None:
            writer = self._compile_writer(schema.descriptor_of(message))
        return writer(message)

    def read(self, message: Message, value: Json) -> None:
        """Sets the fields of an empty message to what a JSON value says.

        Raises:
            FieldError: the value does not fit the message; with the path of the field.
        """
        if not isinstance(value, dict):
            raise FieldError("must be an object")
        fields = self._readers.get(message.DESCRIPTOR.full_name)
        if fields is None:
            fields = self._compile_reader(schema.descriptor_of(message))
        if "raw_data" in value:  # its meaning depends on the type
            value = {key: item for key, item in value.items() if key != "raw_data"} | {"raw_data": value["raw_data"]}
        for key, item in value.items():
            try:
                field = fields.get(key)
                if field is not None:
                    field.read(message, item)
                elif key == UNKNOWN:
                    read_unknown(message, item)
                else:
                    raise NumberError(f"ONNX {onnx.__version__} knows no such field")
            except FieldError as error:
                raise error.within(key) from None
            except NumberError as error:
                raise FieldError(str(error), key) from None

    def field(self, field: FieldDescriptor) -> tuple[Callable[[object], str], Callable[[Message, Json], None]]:
        """Both directions of one field: JSON text of its value; and setting it in a message from a JSON value.

        The reader raises FieldError, or NumberError for the value as a whole.
        """
        codec = self._field(field)
        return cast("Callable[[object], str]", codec.write), codec.read

    def _field(
        self, field: FieldDescriptor
    ) -> _ScalarField | _RepeatedScalarField | _MessageField | _RepeatedMessageField | _GraphField:
        repeated = field.is_repeated
        if field.message_type is None:
            if field.is_packed and schema.message_name(schema.owner_of(field)) == "TensorProto":
                return _PackedField(field, self._book)
            return _RepeatedScalarField(field, self._book) if repeated else _ScalarField(field, self._book)
        if self._graphs is not None and schema.message_name(field.message_type) == "GraphProto":
            return _RepeatedGraphField(field, self._graphs) if repeated else _GraphField(field, self._graphs)
        return _RepeatedMessageField(field, self) if repeated else _MessageField(field, self)

    def _compile_writer(self, descriptor: Descriptor) -> Callable[[Message], str]:
        table: dict[int, tuple[str, Callable[[object], str]]] = {}
        raw_data = _RawDataField(self._book) if schema.message_name(descriptor) == "TensorProto" else None

        def write(message: Message) -> str:
            parts = []
            for field, value in message.ListFields():
                number = field.number
                entry = table.get(number)
                if entry is None:
                    entry = table[number] = (f'"{field.name}":', self.field(field)[0])
                if raw_data is not None and field.name == "raw_data":
                    parts.append(entry[0] + raw_data.write_of(cast("onnx.TensorProto", message)))
                else:
                    parts.append(entry[0] + entry[1](value))
            if unknown := unknown_json(message):
                parts.append(f'"{UNKNOWN}":{unknown}')
            return "{" + ",".join(parts) + "}"

        self._writers[descriptor.full_name] = write
        return write

    def _compile_reader(self, descriptor: Descriptor) -> dict[str, _Field]:
        fields: dict[str, _Field] = {field.name: self._field(field) for field in schema.fields_of(descriptor)}
        if schema.message_name(descriptor) == "TensorProto":
            fields["raw_data"] = _RawDataField(self._book)
        self._readers[descriptor.full_name] = fields
        return fields


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise NumberError("must be a list")
    return value


def _first_bad(items: Sequence[Json], read: Callable[[Json], object], error: NumberError) -> FieldError:
    """The error again, with the index of the item that caused it."""
    for index, item in enumerate(items):
        try:
            read(item)
        except NumberError as found:
            return FieldError(str(found), f"[{index}]")
    return FieldError(str(error))


def has_unknown(message: Message) -> bool:
    """Whether a message has fields that ONNX does not know."""
    return len(UnknownFieldSet(message)) > 0


def unknown_json(message: Message) -> str:
    """JSON text of the fields of a message that ONNX does not know; empty where it has none."""
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
    message.MergeFromString(_unknown_bytes(_list(value), _known_tags(schema.descriptor_of(message)), 0))


def canonical_bytes(message: Message) -> bytes:
    """What a message has become once it was JSON: protobuf's own bytes, with unknown fields canonical as well.

    protobuf itself keeps unknown fields as they were written, over-long numbers included.
    """
    serialised = message.SerializeToString()
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    if copy.ByteSize() == len(serialised):
        return serialised
    copy.CopyFrom(message)
    unknown = [(part, text) for part in _messages_in(copy) if (text := unknown_json(part))]
    copy.DiscardUnknownFields()
    for part, text in unknown:
        read_unknown(part, parse(text))
    return copy.SerializeToString()


def _messages_in(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _messages_in(part)


@cache
def _known_tags(descriptor: Descriptor) -> frozenset[tuple[int, int]]:
    """Number and wire type of what protobuf reads as known; a known number of another wire type is unknown to it."""
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
    if depth > 100:
        raise NumberError("groups are nested too deeply")
    parts = []
    for item in items:
        if not isinstance(item, list) or len(item) != 3:
            raise NumberError("an unknown field is a list of number, kind and value")
        number, kind, data = integer(item[0], 1, 2**29 - 1), item[1], item[2]
        if isinstance(kind, str) and (number, _WIRE_TYPES.get(kind)) in known:
            raise NumberError(f"field {number} is known, and cannot stand under {UNKNOWN}")
        if isinstance(kind, str) and kind in _KIND_LIMITS:
            wire_type, bits = _KIND_LIMITS[kind]
            parts.append(wire.encode_varint(number << 3 | wire_type))
            number_value = integer(data, 0, 2**bits - 1)
            is_varint = wire_type == wire.VARINT
            parts.append(wire.encode_varint(number_value) if is_varint else number_value.to_bytes(bits // 8, "little"))
        elif kind == "group":
            body = _unknown_bytes(_list(data), frozenset(), depth + 1)
            parts.append(wire.encode_varint(number << 3 | wire.START_GROUP) + body)
            parts.append(wire.encode_varint(number << 3 | wire.END_GROUP))
        elif kind == "bytes":
            content = read_base64(data) if isinstance(data, dict) else String.read(data)
            parts.append(wire.encode_varint(number << 3 | wire.LENGTH_DELIMITED))
            parts.append(wire.encode_varint(len(content)) + content)
        else:
            raise NumberError("the kind of an unknown field is varint, fixed32, fixed64, bytes or group")
    return b"".join(parts)
