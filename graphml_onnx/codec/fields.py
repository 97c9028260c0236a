"""The one table of fields: which key holds each field of ONNX, for both directions.

A field of a message that becomes a node is one row of `FIELDS`: its key, and the form of the text. A field without
a row, of a newer ONNX or unknown to ONNX, goes into the message's catch-all key as JSON.
Everything below these messages is JSON, which needs no table (`graphml_onnx.codec.protojson`).

Source: docs/format.md, section "Keys".
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from graphml_onnx.codec.forms import JsonField, NamesField, TextCodec, codec_of
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.unknown import UNKNOWN, read_unknown, unknown_json
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.message import Message


class Form(Enum):
    """How a field's value is written as the text of a key."""

    TEXT = "a string, as escaped text"
    INTEGER = "an integer, in decimal digits"
    JSON = "a value as JSON; a list of messages has one line for each"
    NODES = "nodes of their own, which point to this one as their parent"
    AS_IS = "a word of the format's own, not escaped"
    BASE64 = "bytes in base64, in lines"


class FieldRow(NamedTuple):
    """One field of ONNX.

    Attributes:
        message: the message that has it.
        field: its name there.
        key: the GraphML key that holds it; for `Form.NODES`, the kind of the nodes.
        form: how it is written.
    """

    message: str
    field: str
    key: str
    form: Form


def _rows(message: str, *rows: tuple[str, str, Form]) -> tuple[FieldRow, ...]:
    return tuple(FieldRow(message, field, key, form) for field, key, form in rows)


FIELDS: tuple[FieldRow, ...] = (
    *_rows(
        "ModelProto",
        ("ir_version", "ir_version", Form.INTEGER),
        ("producer_name", "producer_name", Form.TEXT),
        ("producer_version", "producer_version", Form.TEXT),
        ("domain", "domain", Form.TEXT),
        ("model_version", "model_version", Form.INTEGER),
        ("doc_string", "doc_string", Form.TEXT),
        ("graph", "model", Form.NODES),
        ("opset_import", "opset_imports", Form.JSON),
        ("metadata_props", "metadata_props", Form.JSON),
        ("training_info", "training_info", Form.JSON),
        ("functions", "function", Form.NODES),
        ("configuration", "configuration", Form.JSON),
    ),
    # The main graph shares the model's node: its keys differ from those of ModelProto.
    *_rows(
        "GraphProto",
        ("node", "op", Form.NODES),
        ("name", "name", Form.TEXT),
        ("initializer", "initializers", Form.JSON),
        ("doc_string", "graph_doc_string", Form.TEXT),
        ("input", "input", Form.NODES),
        ("output", "output", Form.NODES),
        ("value_info", "value_info", Form.JSON),
        ("quantization_annotation", "quantization_annotation", Form.JSON),
        ("sparse_initializer", "sparse_initializers", Form.JSON),
        ("metadata_props", "graph_metadata_props", Form.JSON),
    ),
    *_rows(
        "NodeProto",
        ("input", "inputs", Form.JSON),
        ("output", "outputs", Form.JSON),
        ("name", "name", Form.TEXT),
        ("op_type", "op_type", Form.TEXT),
        ("attribute", "attributes", Form.JSON),
        ("doc_string", "doc_string", Form.TEXT),
        ("domain", "domain", Form.TEXT),
        ("overload", "overload", Form.TEXT),
        ("metadata_props", "metadata_props", Form.JSON),
        ("device_configurations", "device_configurations", Form.JSON),
    ),
    *_rows(
        "FunctionProto",
        ("name", "name", Form.TEXT),
        ("input", "inputs", Form.JSON),
        ("output", "outputs", Form.JSON),
        ("attribute", "attribute_names", Form.JSON),
        ("node", "op", Form.NODES),
        ("doc_string", "doc_string", Form.TEXT),
        ("opset_import", "opset_imports", Form.JSON),
        ("domain", "domain", Form.TEXT),
        ("attribute_proto", "attributes", Form.JSON),
        ("value_info", "value_info", Form.JSON),
        ("overload", "overload", Form.TEXT),
        ("metadata_props", "metadata_props", Form.JSON),
    ),
    *_rows(
        "ValueInfoProto",
        ("name", "name", Form.TEXT),
        ("type", "type", Form.JSON),
        ("doc_string", "doc_string", Form.TEXT),
        ("metadata_props", "metadata_props", Form.JSON),
    ),
)

CATCH_ALL = {
    "ModelProto": "other_fields",
    "GraphProto": "graph_other_fields",
    "NodeProto": "other_fields",
    "FunctionProto": "other_fields",
    "ValueInfoProto": "other_fields",
}
"""By message, the key for all fields without a row: a JSON object by field name."""


class MessageKeys:
    """Both directions of one message: its fields as texts by key.

    Args:
        message: name of the message.
        codec: for everything that is JSON.
        as_nodes: keys of fields that are written as nodes this time; they are only read.
    """

    def __init__(self, message: str, codec: MessageCodec, as_nodes: frozenset[str] = frozenset()) -> None:
        self._codec = codec
        self._catch_all = CATCH_ALL[message]
        self._class = schema.message_class(message)
        rows = {row.field: row for row in FIELDS if row.message == message}
        self._by_key: dict[str, tuple[int, TextCodec]] = {}
        self._others: dict[str, tuple[int, JsonField]] = {}  # fields without a row, by name
        self._writers: dict[int, tuple[str, Callable[[object], str]]] = {}  # by number; none for what is nodes
        for field in schema.fields_of(schema.descriptor_of(self._class())):
            row = rows.get(field.name)
            if row is None:
                other = JsonField(field, codec)
                self._others[field.name] = (field.number, other)
            elif row.form is not Form.NODES:
                text = codec_of(field, codec, is_text=row.form is Form.TEXT)
                self._by_key[row.key] = (field.number, text)
                if row.key not in as_nodes:
                    self._writers[field.number] = (row.key, text.write)
        self._other_names = {number: name for name, (number, _) in self._others.items()}
        self.keys = frozenset(self._by_key) | {self._catch_all}

    def present(self, message: Message) -> set[str]:
        """The keys that `write` would use."""
        numbers = {field.number for field, _ in message.ListFields()}
        keys = {self._writers[number][0] for number in numbers & self._writers.keys()}
        if numbers & self._other_names.keys() or (self._codec.has_unknown and unknown_json(message)):
            keys.add(self._catch_all)
        return keys

    def write(self, message: Message, into: dict[str, str]) -> None:
        """Adds the text of each present field, except fields that become nodes."""
        others: list[str] = []
        writers = self._writers
        for field, value in message.ListFields():
            key_and_write = writers.get(field.number)
            if key_and_write is not None:
                key, write = key_and_write
                into[key] = write(value)
            elif (name := self._other_names.get(field.number)) is not None:
                others.append(f'"{name}":{self._others[name][1].write(value)}')
        if self._codec.has_unknown and (unknown := unknown_json(message)):
            others.append(f'"{UNKNOWN}":{unknown}')
        if others:
            into[self._catch_all] = "{" + ",".join(others) + "}"

    def read(self, texts: Mapping[str, str]) -> dict[int, bytes]:
        """The fields from their texts, serialised, by number; keys of other messages are skipped.

        Raises:
            FieldError: a text does not fit its field; its path starts with the key.
        """
        fields: dict[int, bytes] = {}
        key = ""
        try:
            for key, text in texts.items():
                if key in self._by_key:
                    number, field = self._by_key[key]
                    fields[number] = field.read(text)
                elif key == self._catch_all:
                    fields |= self._read_others(text)
        except _UNREADABLE as error:
            raise _at(key, error) from None
        return fields

    def serialise(self, texts: Mapping[str, str]) -> bytes:
        """The message from its texts, as protobuf would write it; see `read`."""
        return serialised(self.read(texts))

    def names(self, key: str, texts: Mapping[str, str]) -> list[bytes]:
        """The names in a field of strings; none if there is no text.

        Args:
            key: that of the field.
            texts: texts by key.

        Raises:
            FieldError: the text is no such list.
        """
        try:
            return self._names_field(key).names(texts[key]) if key in texts else []
        except _UNREADABLE as error:
            raise _at(key, error) from None

    def names_of_all(self, key: str, columns: Columns) -> Sequence[list[bytes]]:
        """`names` of several messages, given their texts as columns."""
        try:
            return self._names_field(key).names_of_all(columns[key])
        except _UNREADABLE as error:
            raise _at(key, error) from None

    def serialise_all(self, columns: Columns, names: Mapping[str, Sequence[Sequence[bytes]]]) -> list[bytes]:
        """Several messages at once; see `serialise`.

        Args:
            columns: their texts by key, None if a message has none; no key for fields without a row.
            names: the result of `names_of_all`, for keys of lists of strings.

        Raises:
            FieldError: one cannot be read; `serialise` says which.
        """
        fields = sorted((*self._by_key[key], key) for key in columns if key in self._by_key)
        parts: list[list[bytes]] = [[b""] * len(next(iter(columns.values())))]
        key = ""
        try:
            for _, field, key in fields:
                if key in names:
                    parts.append(list(map(self._names_field(key).serialised, names[key])))
                else:
                    parts.append(_read_all(field.read, columns[key]))
        except _UNREADABLE as error:
            raise _at(key, error) from None
        return list(map(b"".join, zip(*parts, strict=True)))

    def _names_field(self, key: str) -> NamesField:
        return cast("NamesField", self._by_key[key][1])

    def _read_others(self, text: str) -> dict[int, bytes]:
        value = parse(text)
        if not isinstance(value, dict):
            raise FieldError("must be an object")
        fields: dict[int, bytes] = {}
        for name, item in value.items():
            if name == UNKNOWN:
                message = self._class()
                read_unknown(message, item)
                fields[_UNKNOWN_FIELDS] = message.SerializeToString()
            elif name in self._others:
                number, field = self._others[name]
                try:
                    fields[number] = field.read_json(item)
                except _UNREADABLE as error:
                    raise _at(name, error) from None
            else:
                raise FieldError("is not a field that is allowed here", name)
        return fields


Columns: TypeAlias = "Mapping[str, Sequence[str | None]]"
"""Texts of several messages by key; None if a message has none."""

_UNKNOWN_FIELDS = 1 << 29  # beyond all numbers: protobuf writes them last
_UNREADABLE = (FieldError, NumberError, JsonError, RecursionError)


def _at(key: str, error: Exception) -> FieldError:
    """The error for the value of a key."""
    if isinstance(error, FieldError):
        return error.within(key)
    return FieldError("is nested too deeply" if isinstance(error, RecursionError) else str(error), key)


def _read_all(read: Callable[[str], bytes], texts: Sequence[str | None]) -> list[bytes]:
    kinds = set(texts)
    if 2 * len(kinds) < len(texts):  # most operators share types and attributes with others
        known = {text: b"" if text is None else read(text) for text in kinds}
        return [known[text] for text in texts]
    return [b"" if text is None else read(text) for text in texts]


def serialised(fields: Mapping[int, bytes]) -> bytes:
    """A message, given its fields by number, as protobuf would write it."""
    return b"".join([fields[number] for number in sorted(fields)])
