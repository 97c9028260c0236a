"""The one table of fields: where each field of ONNX stands in the GraphML, for both directions.

A field of a message that becomes a node is one row of `FIELDS`: its key, and the form of the text. Whatever has no
row, because a newer ONNX has it or because it is unknown to ONNX, stands in the message's catch-all key as JSON.
Everything below these messages is JSON, which needs no table (`graphml_onnx.codec.protojson`).

Source: docs/format.md, section "Keys".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar, cast

from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.scalars import String
from graphml_onnx.codec.unknown import UNKNOWN, read_unknown, unknown_json
from graphml_onnx.graphml.text import escape, unescape
from graphml_onnx.onnxfile import schema
from graphml_onnx.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message


class Form(Enum):
    """How a field's value is written as the text of a key."""

    TEXT = "a string, as escaped text"
    INTEGER = "an integer, in decimal digits"
    JSON = "a value as JSON; a list of messages has one line for each"
    NODES = "nodes of their own, which point to this one as their parent"


@dataclass(frozen=True, slots=True)
class FieldRow:
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
"""By message, the key of everything that has no row: a JSON object by field name."""


class MessageKeys:
    """Both directions of one message: its fields as texts by key.

    Args:
        message: name of the message.
        codec: for everything that is JSON.
        as_nodes: keys of fields that are nodes of their own this time; they are read, but not written.
    """

    def __init__(self, message: str, codec: MessageCodec, as_nodes: frozenset[str] = frozenset()) -> None:
        self._codec = codec
        self._catch_all = CATCH_ALL[message]
        descriptor = schema.descriptor_of(schema.message_class(message)())
        rows = {row.field: row for row in FIELDS if row.message == message}
        self._fields = [_KeyedField(field, rows.get(field.name), codec) for field in schema.fields_of(descriptor)]
        self._by_number = {field.number: field for field in self._fields}
        self._by_key = {field.key: field for field in self._fields if field.key is not None}
        for key in as_nodes:
            self._by_key[key].is_nodes = True
        self._by_name = {field.name: field for field in self._fields if field.key is None and not field.is_nodes}
        self.keys = frozenset(self._by_key) | {self._catch_all}

    def present(self, message: Message) -> set[str]:
        """The keys that `write` would use."""
        keys = set()
        for field, _ in message.ListFields():
            keyed = self._by_number[field.number]
            if not keyed.is_nodes:
                keys.add(keyed.key or self._catch_all)
        if unknown_json(message):
            keys.add(self._catch_all)
        return keys

    def write(self, message: Message, into: dict[str, str]) -> None:
        """Adds the text of each field that is present, except those that are nodes of their own."""
        others: list[str] = []
        by_number = self._by_number
        for descriptor, value in message.ListFields():
            field = by_number[descriptor.number]
            if field.is_nodes:
                continue
            if field.key is not None:
                into[field.key] = field.write(value)
            else:
                others.append(f'"{field.name}":{field.write(value)}')
        if unknown := unknown_json(message):
            others.append(f'"{UNKNOWN}":{unknown}')
        if others:
            into[self._catch_all] = "{" + ",".join(others) + "}"

    def read(self, texts: Mapping[str, str], message: Message) -> None:
        """Sets the fields that texts say in an empty message; keys that are not of this message are passed over.

        Raises:
            FieldError: a text does not fit its field; its path starts with the key.
        """
        by_key = self._by_key
        for key, text in texts.items():
            field = by_key.get(key)
            try:
                if field is not None:
                    field.read(message, text)
                elif key == self._catch_all:
                    self._read_others(message, text)
            except FieldError as error:
                raise error.within(key) from None
            except (NumberError, JsonError) as error:
                raise FieldError(str(error), key) from None
            except RecursionError:
                raise FieldError("is nested too deeply", key) from None

    def _read_others(self, message: Message, text: str) -> None:
        value = parse(text)
        if not isinstance(value, dict):
            raise FieldError("must be an object")
        named: dict[str, Json] = {}
        for name, item in value.items():
            if name == UNKNOWN:
                read_unknown(message, item)
            elif name in self._by_name:
                named[name] = item
            else:
                raise FieldError("is not a field that can stand here", name)
        self._codec.read(message, named)


class _KeyedField:
    """Both directions of one field."""

    def __init__(self, field: FieldDescriptor, row: FieldRow | None, codec: MessageCodec) -> None:
        self.name = field.name
        self.number = field.number
        self.is_nodes = row is not None and row.form is Form.NODES
        self.key = row.key if row is not None and not self.is_nodes else None
        self._write_json, self._read_json = codec.field(field)
        self.write: Callable[[object], str] = self._write_json
        self.read: Callable[[Message, str], None] = self._read
        form = row.form if row is not None else Form.JSON
        if form is Form.TEXT:
            self.write, self.read = _write_text, self._read_text
        elif form is Form.INTEGER:
            self.write, self.read = str, self._read_integer
        elif form is Form.JSON and field.message_type is not None and field.is_repeated:
            self.write, self.read = self._write_lines, self._read_lines
        self._write_item = codec.write
        # Most operators have the attributes of many others. What refers to something elsewhere is not remembered.
        self._known_items: dict[bytes, str] = {}
        self._known_texts: dict[str, bytes] = {}

    def _write_lines(self, messages: object) -> str:
        items = []
        for message in cast("list[Message]", messages):
            content = message.SerializeToString()
            text = self._known_items.get(content)
            if text is None:
                text = self._write_item(message)
                if _is_worth_keeping(text):
                    _keep(self._known_items, content, text)
            items.append(text)
        return f"[{items[0]}]" if len(items) == 1 else "[\n" + ",\n".join(items) + "\n]"

    def _read_lines(self, message: Message, text: str) -> None:
        content = self._known_texts.get(text)
        if content is None:
            if not _is_worth_keeping(text):
                self._read(message, text)
                return
            alone = type(message)()
            self._read(alone, text)
            content = alone.SerializeToString()
            _keep(self._known_texts, text, content)
        message.MergeFromString(content)

    def _read(self, message: Message, text: str) -> None:
        self._read_json(message, parse(text))

    def _read_text(self, message: Message, text: str) -> None:
        setattr(message, self.name, String.read(unescape(text)))

    def _read_integer(self, message: Message, text: str) -> None:
        value = parse(text)
        setattr(message, self.name, integer(value, -(2**63), 2**63 - 1))


_MAX_KEPT, _MAX_KEPT_LENGTH = 4096, 512
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


def _is_worth_keeping(text: str) -> bool:
    return len(text) <= _MAX_KEPT_LENGTH and '"$' not in text


def _keep(kept: dict[_Key, _Kept], key: _Key, value: _Kept) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = value


def _write_text(value: object) -> str:
    return escape(cast("bytes", value).decode("utf-8", "surrogateescape"))
