"""Any ONNX message as JSON and back, exactly, driven by ONNX's descriptors.

One `MessageCodec` serves both directions; each kind of field has one class, with ``write`` and ``read`` side by side.
A field is written if, and only if, it is present in the message. Fields that ONNX does not know are kept under
``$unknown``. The reserved names start with ``$``, which no protobuf field can.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx.codec.memo import remembered_messages
from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.codec.scalars import PayloadTable, Scalar, base64_json, list_codec_of, list_of, read_base64, scalar_of
from graphml_onnx.codec.tensors import has_numbers, raw_bytes, raw_json
from graphml_onnx.codec.unknown import UNKNOWN, read_unknown, unknown_json
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.lists import MARKER_BYTES, list_shape
from graphml_onnx.onnxfile.skeleton import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence, Sequence

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from graphml_onnx.support.strictjson import Json

GRAPH = "$graph"


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
        """The same error, with ``part`` added to the front of its path."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return FieldError(self.message, f"{part}{joint}{self.path}")


class _ScalarField:
    def __init__(self, field: FieldDescriptor, book: PayloadTable) -> None:
        self._name = field.name
        scalar = cast("Scalar[object]", scalar_of(field, book))
        self.write, self._read = scalar.write, scalar.read

    def read(self, message: Message, value: Json) -> None:
        setattr(message, self._name, self._read(value))


class _MarkerItems:
    """A marker as the items of a list: ASCII characters are also one-byte varints."""

    def __init__(self, field: FieldDescriptor) -> None:
        form = {field.TYPE_FIXED32: "I", field.TYPE_FIXED64: "Q", field.TYPE_BYTES: f"{MARKER_BYTES}s"}
        letter = form.get(field.type, "B")
        self.count = MARKER_BYTES // struct.calcsize(letter)
        self._struct = struct.Struct(f"<{self.count if len(letter) == 1 else ''}{letter}")

    def content(self, values: Sequence[object]) -> bytes | None:
        """The marker that the items form, if they form one."""
        try:
            return self._struct.pack(*values)
        except struct.error:  # a number that no byte of a marker could be
            return None

    def items(self, content: bytes) -> Sequence[object]:
        """The items of a marker."""
        return self._struct.unpack(content)


class _RepeatedScalarField:
    def __init__(self, field: FieldDescriptor, book: PayloadTable) -> None:
        self._name = field.name
        self._book = book
        scalar = cast("Scalar[object]", scalar_of(field, book))
        self._write, self._read = scalar.write, scalar.read
        self._list = list_codec_of(field, book)
        self._shape = list_shape(field)
        self._marker = _MarkerItems(field)

    def write(self, values: Sequence[object]) -> str:
        if self._list is not None:
            if self._shape is not None and len(values) == self._marker.count:
                content = self._marker.content(values)
                if content is not None and (token := self._book.list_json(content, self._list)) is not None:
                    return token
            if len(values) >= LONG and (text := self._list.write(values)) is not None:
                return text
        write = self._write
        return "[" + ",".join([write(value) for value in values]) + "]"

    def read(self, message: Message, value: Json) -> None:
        into: MutableSequence[object] = getattr(message, self._name)
        read = self._read
        if self._list is not None and self._shape is not None and isinstance(value, dict):
            content = self._book.list_marker(value, self._list, self._shape)
            if content is not None:
                into.extend(self._marker.items(content))
                return
        items = value if isinstance(value, list) else list_of(self._book.items(value))
        if self._list is not None and len(items) >= LONG and (array := self._list.read(items)) is not None:
            into.extend(array)
            return
        try:
            into.extend([read(item) for item in items])
        except NumberError as error:
            raise _first_bad(items, read, error) from None


class _PackedField(_RepeatedScalarField):
    """A tensor's typed numbers, which can be a payload."""

    def write(self, values: Sequence[object]) -> str:
        if len(values) == self._marker.count:
            content = self._marker.content(values)
            payload = None if content is None else self._book.json(content)
            if payload is not None:
                return payload
        return super().write(values)

    def read(self, message: Message, value: Json) -> None:
        content = self._book.marker(value)
        if content is None:
            super().read(message, value)
        else:
            getattr(message, self._name).extend(self._marker.items(content))


class _MessageField:
    def __init__(self, field: FieldDescriptor, codec: MessageCodec) -> None:
        self._name = field.name
        self._codec = codec
        self.write = remembered_messages(codec.write)  # many values share a type

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
        for index, item in enumerate(list_of(value)):
            try:
                read(into.add(), item)
            except FieldError as error:
                raise error.within(f"[{index}]") from None


class _RawDataField:
    """``TensorProto.raw_data``: readable numbers, which need the tensor's data type, or a payload, or base64."""

    def __init__(self, book: PayloadTable) -> None:
        self._book = book

    def write_of(self, tensor: onnx.TensorProto) -> str:
        raw = tensor.raw_data
        if (payload := self._book.json(raw)) is not None:
            return payload
        if has_numbers(tensor.data_type, raw):
            return raw_json(tensor.data_type, tensor.dims, raw)
        return base64_json(raw)

    def read(self, message: Message, value: Json) -> None:
        tensor = cast("onnx.TensorProto", message)
        value = self._book.items(value)
        if not isinstance(value, list):
            content = self._book.marker(value)
            tensor.raw_data = read_base64(value) if content is None else content
        elif has_numbers(tensor.data_type, b""):
            tensor.raw_data = raw_bytes(tensor.data_type, value)
        else:
            raise NumberError("the tensor's data_type has no numbers: use base64")


class _GraphWriter:
    """Takes the graphs of a field out: ``{"$graph": k}`` is the operator's k-th graph."""

    def __init__(self, field: FieldDescriptor, take: TakeGraph) -> None:
        self._repeated = field.is_repeated
        self._take = take

    def write(self, value: object) -> str:
        if not self._repeated:
            return self._one(cast("Message", value))
        return "[" + ",".join(map(self._one, cast("Sequence[Message]", value))) + "]"

    def _one(self, graph: Message) -> str:
        return f'{{"{GRAPH}":{self._take(graph)}}}'


class _GraphReader:
    """Puts the graphs of a field back; the inverse of `_GraphWriter`."""

    def __init__(self, field: FieldDescriptor, give: GiveGraph) -> None:
        self._name, self._repeated = field.name, field.is_repeated
        self._give = give

    def read(self, message: Message, value: Json) -> None:
        into = getattr(message, self._name)
        if not self._repeated:
            self._one(into, value)
            return
        for item in list_of(value):
            self._one(into.add(), item)

    def _one(self, into: Message, value: Json) -> None:
        if not isinstance(value, dict) or value.keys() != {GRAPH}:
            raise NumberError(f'must be an object with the one member "{GRAPH}"')
        into.SetInParent()
        try:
            into.MergeFromString(self._give(integer(value[GRAPH], 0, 2**31)))
        except DecodeError:
            raise NumberError("the graph is nested deeper than protobuf reads (33 bodies within bodies)") from None


TakeGraph: TypeAlias = "Callable[[Message], int]"
"""Takes a graph out of an operator's attributes; returns the number by which the JSON refers to it."""

GiveGraph: TypeAlias = "Callable[[int], bytes]"
"""The graph with that number, serialised; raises NumberError if there is none."""


class _Writer(Protocol):
    def write(self, value: Any, /) -> str:  # the value of the field: each kind of field has another type
        """JSON text of the field's value."""


class _Reader(Protocol):
    def read(self, message: Message, value: Json, /) -> None:
        """Sets the field of ``message`` from ``value``."""


class MessageCodec:
    """Both directions of any ONNX message.

    Args:
        book: the payloads.
        take_graph: takes graph-valued attributes when they are written; without it, they are part of the JSON.
        give_graph: gives them when they are read.
        has_unknown: whether messages may have fields that ONNX does not define; looking for them takes time.
    """

    def __init__(
        self,
        book: PayloadTable,
        *,
        take_graph: TakeGraph | None = None,
        give_graph: GiveGraph | None = None,
        has_unknown: bool = True,
    ) -> None:
        self.has_unknown = has_unknown
        self._book = book
        self._take_graph, self._give_graph = take_graph, give_graph
        self._writers: dict[str, Callable[[Message], str]] = {}
        self._readers: dict[str, dict[str, _Reader]] = {}

    def write(self, message: Message) -> str:
        """JSON text of a message: an object with the fields that are present, by number."""
        name = message.DESCRIPTOR.full_name
        writer = self._writers.get(name)
        if writer is None:
            writer = self._compile_writer(schema.descriptor_of(message))
        return writer(message)

    def read(self, message: Message, value: Json) -> None:
        """Sets the fields of an empty message from a JSON value.

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
        return self._writer(field).write, self._reader(field).read

    def _writer(self, field: FieldDescriptor) -> _Writer:
        if self._take_graph is not None and _is_graph(field):
            return _GraphWriter(field, self._take_graph)
        return self._field(field)

    def _reader(self, field: FieldDescriptor) -> _Reader:
        if self._give_graph is not None and _is_graph(field):
            return _GraphReader(field, self._give_graph)
        return self._field(field)

    def _field(
        self, field: FieldDescriptor
    ) -> _ScalarField | _RepeatedScalarField | _MessageField | _RepeatedMessageField:
        repeated = field.is_repeated
        if field.message_type is not None:
            return _RepeatedMessageField(field, self) if repeated else _MessageField(field, self)
        if field.is_packed and schema.message_name(schema.owner_of(field)) == "TensorProto":
            return _PackedField(field, self._book)
        return _RepeatedScalarField(field, self._book) if repeated else _ScalarField(field, self._book)

    def _compile_writer(self, descriptor: Descriptor) -> Callable[[Message], str]:
        table: dict[int, tuple[str, Callable[[object], str]]] = {}
        raw_data = _RawDataField(self._book) if schema.message_name(descriptor) == "TensorProto" else None

        def write(message: Message) -> str:
            parts = []
            for field, value in message.ListFields():
                number = field.number
                entry = table.get(number)
                if entry is None:
                    entry = table[number] = (f'"{field.name}":', self._writer(field).write)
                if raw_data is not None and field.name == "raw_data":
                    parts.append(entry[0] + raw_data.write_of(cast("onnx.TensorProto", message)))
                else:
                    parts.append(entry[0] + entry[1](value))
            if self.has_unknown and (unknown := unknown_json(message)):
                parts.append(f'"{UNKNOWN}":{unknown}')
            return "{" + ",".join(parts) + "}"

        self._writers[descriptor.full_name] = write
        return write

    def _compile_reader(self, descriptor: Descriptor) -> dict[str, _Reader]:
        fields: dict[str, _Reader] = {field.name: self._reader(field) for field in schema.fields_of(descriptor)}
        if schema.message_name(descriptor) == "TensorProto":
            fields["raw_data"] = _RawDataField(self._book)
        self._readers[descriptor.full_name] = fields
        return fields


def _is_graph(field: FieldDescriptor) -> bool:
    return field.message_type is not None and schema.message_name(field.message_type) == "GraphProto"


def _first_bad(items: Sequence[Json], read: Callable[[Json], object], error: NumberError) -> FieldError:
    """The error with the index of the item that caused it."""
    for index, item in enumerate(items):
        try:
            read(item)
        except NumberError as found:
            return FieldError(str(found), f"[{index}]")
    return FieldError(str(error))
