"""The one table of fields: where each field of ONNX stands in the GraphML, for both directions.

A field of a message that becomes a node is one row of `FIELDS`: its key, and the form of the text. Whatever has no
row, because a newer ONNX has it or because it is unknown to ONNX, stands in the message's catch-all key as JSON.
Everything below these messages is JSON, which needs no table (`graphml_onnx.codec.protojson`).

Source: docs/format.md, section "Keys".
"""

from __future__ import annotations

from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from graphml_onnx.codec.memo import is_worth_keeping, keep
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.scalars import String, list_of
from graphml_onnx.codec.unknown import UNKNOWN, read_unknown, unknown_json
from graphml_onnx.graphml.text import escape, json_strings, plain_lists, unescape
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, SHORT, delimited, encode_varint, short_starts
from graphml_onnx.support.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.descriptor import FieldDescriptor
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
        self._class = schema.message_class(message)
        descriptor = schema.descriptor_of(self._class())
        rows = {row.field: row for row in FIELDS if row.message == message}
        self._fields = [
            _KeyedField(field, rows.get(field.name), codec, self._class) for field in schema.fields_of(descriptor)
        ]
        self._by_number = {field.number: field for field in self._fields}
        self._by_key = {field.key: field for field in self._fields if field.key is not None}
        for key in as_nodes:
            self._by_key[key].is_nodes = True
        self._keyed = {
            field.number: (field.key, field.write)
            for field in self._fields
            if field.key is not None and not field.is_nodes
        }
        self._by_name = {field.name: field for field in self._fields if field.key is None and not field.is_nodes}
        self.keys = frozenset(self._by_key) | {self._catch_all}
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    def present(self, message: Message) -> set[str]:
        """The keys that `write` would use."""
        keys = set()
        for field, _ in message.ListFields():
            keyed = self._by_number[field.number]
            if not keyed.is_nodes:
                keys.add(keyed.key or self._catch_all)
        if self._codec.has_unknown and unknown_json(message):
            keys.add(self._catch_all)
        return keys

    def write(self, message: Message, into: dict[str, str]) -> None:
        """Adds the text of each field that is present, except those that are nodes of their own."""
        others: list[str] = []
        keyed = self._keyed
        for descriptor, value in message.ListFields():
            key_and_write = keyed.get(descriptor.number)
            if key_and_write is not None:
                key, write = key_and_write
                into[key] = write(value)
            elif not (field := self._by_number[descriptor.number]).is_nodes:
                others.append(f'"{field.name}":{field.write(value)}')
        if self._codec.has_unknown and (unknown := unknown_json(message)):
            others.append(f'"{UNKNOWN}":{unknown}')
        if others:
            into[self._catch_all] = "{" + ",".join(others) + "}"

    def read(self, texts: Mapping[str, str]) -> dict[int, bytes]:
        """The fields that texts say, serialised, by number; keys that are not of this message are passed over.

        Raises:
            FieldError: a text does not fit its field; its path starts with the key.
        """
        fields: dict[int, bytes] = {}
        by_key = self._by_key
        key = ""
        try:
            for key, text in texts.items():
                field = by_key.get(key)
                if field is not None:
                    fields[field.number] = field.read(text)
                elif key == self._catch_all:
                    fields |= self._read_others(text)
        except FieldError as error:
            raise error.within(key) from None
        except (NumberError, JsonError) as error:
            raise FieldError(str(error), key) from None
        except RecursionError:
            raise FieldError("is nested too deeply", key) from None
        return fields

    def serialise(self, texts: Mapping[str, str]) -> bytes:
        """The message that texts say, as protobuf would write it; see `read`."""
        keys = tuple(texts)
        try:
            plan = self._plans[keys]
        except KeyError:
            plan = self._plan(keys)
        if plan is not None:
            try:
                return b"".join([read(texts[key]) for key, read in plan])
            except (ValueError, RecursionError):
                pass  # below, the error gets its path
        return serialised(self.read(texts))

    def serialise_all(self, columns: Mapping[str, Sequence[str | None]], names: Columns) -> list[bytes]:
        """Several messages at once; see `serialise`.

        Args:
            columns: their texts by key, None where a message has none.
            names: what `names_of_all` gives for keys of lists of strings.

        Raises:
            ValueError: one cannot be read; `serialise` says which, and why.
        """
        if any(columns.get(self._catch_all, ())):
            raise ValueError("has other fields")
        count = len(next(iter(columns.values())))
        parts: list[list[bytes]] = [[b""] * count]
        for field in sorted([self._by_key[key] for key in columns if key in self._by_key], key=attrgetter("number")):
            key = cast("str", field.key)
            if key in names:
                parts.append([field.serialise_names(strings) for strings in names[key]])
            else:
                parts.append(field.read_all(columns[key]))
        return [b"".join(fields) for fields in zip(*parts, strict=True)]

    def names_of_all(self, key: str, columns: Mapping[str, Sequence[str | None]]) -> Sequence[list[bytes]]:
        """The names that a field of strings lists in each of several messages.

        Raises:
            ValueError: a text is no such list.
        """
        texts = columns[key]
        if None not in texts and (lists := plain_lists(cast("Sequence[str]", texts))) is not None:
            return lists
        read = self._by_key[key].names
        return [[] if text is None else read(text) for text in texts]

    def _plan(self, keys: tuple[str, ...]) -> _Plan | None:
        """What reads texts with these keys, in the order of the fields; None where there is more to it."""
        plan = None
        if self._catch_all not in keys:
            fields = sorted([self._by_key[key] for key in keys if key in self._by_key], key=attrgetter("number"))
            plan = [(cast("str", field.key), field.read) for field in fields]
        keep(self._plans, keys, plan)
        return plan

    def names(self, key: str, texts: Mapping[str, str]) -> list[bytes]:
        """The names that a field of strings lists, once `read` found nothing wrong with it.

        Args:
            key: that of the field.
            texts: the same texts.
        """
        text = texts.get(key)
        return [] if text is None else self._by_key[key].names(text)

    def written_names(self, key: str, texts: Mapping[str, str]) -> Sequence[bytes]:
        """The strings that a field of strings lists, right after `write` wrote ``texts``."""
        return self._by_key[key].written if key in texts else ()

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
            elif name in self._by_name:
                field = self._by_name[name]
                try:
                    fields[field.number] = field.read_json(item)
                except FieldError as error:
                    raise error.within(name) from None
                except NumberError as error:
                    raise FieldError(str(error), name) from None
            else:
                raise FieldError("is not a field that can stand here", name)
        return fields


Columns: TypeAlias = "Mapping[str, Sequence[Sequence[bytes]]]"
"""Lists of strings by key, of several messages."""

_Plan: TypeAlias = "list[tuple[str, Callable[[str], bytes]]]"
_UNKNOWN_FIELDS = 1 << 29  # beyond all numbers: protobuf writes them last


def serialised(fields: Mapping[int, bytes]) -> bytes:
    """A message, given its fields by number, as protobuf would write it."""
    return b"".join([fields[number] for number in sorted(fields)])


class _KeyedField:
    """Both directions of one field."""

    def __init__(
        self, field: FieldDescriptor, row: FieldRow | None, codec: MessageCodec, message: type[Message]
    ) -> None:
        self.name = field.name
        self.number = field.number
        self.is_nodes = row is not None and row.form is Form.NODES
        self.key = row.key if row is not None and not self.is_nodes else None
        self._message = message
        self._tag = encode_varint(field.number << 3 | LENGTH_DELIMITED)
        self._starts = short_starts(self._tag)
        self._write_json, self._read_json = codec.field(field)
        self.write: Callable[[object], str] = self._write_json
        self.read: Callable[[str], bytes] = self._read
        form = row.form if row is not None else Form.JSON
        if form is Form.TEXT:
            self.write, self.read = _write_text, self._read_text
        elif form is Form.JSON and field.is_repeated:
            if field.message_type is not None:
                self.write, self.read = self._write_lines, self._read_lines
            elif schema.original_field(field).type == field.TYPE_STRING:
                self.write, self.read = self._write_names, self._read_names
        self._item_codec = codec
        self._last: tuple[str, list[bytes]] = ("", [])
        self.written: Sequence[bytes] = ()  # of a list of strings: those that were written last
        # Most operators have the attributes of many others. What refers to something elsewhere is not remembered.
        self._known_items: dict[bytes, str] = {}
        self._known_texts: dict[str, bytes] = {}
        self._known_lines: dict[str, bytes] = {}

    def _write_lines(self, messages: object) -> str:
        items = []
        for message in cast("list[Message]", messages):
            content = message.SerializeToString()
            text = self._known_items.get(content)
            if text is None:
                text = self._item_codec.write(message)
                if is_worth_keeping(text):
                    keep(self._known_items, content, text)
            items.append(text)
        return f"[{items[0]}]" if len(items) == 1 else "[\n" + ",\n".join(items) + "\n]"

    def _read_lines(self, text: str) -> bytes:
        content = self._known_texts.get(text)
        if content is None:
            content = self._read_items(text)
            if is_worth_keeping(text):
                keep(self._known_texts, text, content)
        return content

    def _read_items(self, text: str) -> bytes:
        """One item after the other where each stands in a line of its own, as they are written."""
        if text.startswith("[\n") and text.endswith("\n]") and '"$' not in text:
            known = self._known_lines
            try:
                return b"".join([known.get(line) or self._read_item(line) for line in text[2:-2].split(",\n")])
            except ValueError:
                pass  # below, the error gets its path
        return self._read(text)

    def _read_item(self, text: str) -> bytes:
        message = self._message()
        self._item_codec.read(getattr(message, self.name).add(), parse(text))
        content = message.SerializeToString()
        if is_worth_keeping(text):
            keep(self._known_lines, text, content)
        return content

    def _read(self, text: str) -> bytes:
        return self.read_json(parse(text))

    def read_json(self, value: Json) -> bytes:
        """The field, serialised, that a JSON value says."""
        message = self._message()
        self._read_json(message, value)
        return message.SerializeToString()

    def read_all(self, texts: Sequence[str | None]) -> list[bytes]:
        """The field, serialised, in each of several messages; empty where it has no text."""
        read = self.read
        kinds = set(texts)
        if 2 * len(kinds) < len(texts):  # most operators are of the types of others, and have their attributes
            known = {text: b"" if text is None else read(text) for text in kinds}
            return [known[text] for text in texts]
        return [b"" if text is None else read(text) for text in texts]

    def _read_text(self, text: str) -> bytes:
        content = String.read(unescape(text) if text.startswith('"') else text)
        size = len(content)
        return self._starts[size] + content if size < SHORT else delimited(self._tag, content)

    def _write_names(self, values: object) -> str:
        self.written = list(cast("Sequence[bytes]", values))
        return json_strings(self.written)

    def _read_names(self, text: str) -> bytes:
        return self.serialise_names(self.names(text))

    def serialise_names(self, names: Sequence[bytes]) -> bytes:
        """The field, serialised, that lists these strings."""
        starts, tag = self._starts, self._tag
        return b"".join(
            [starts[size] + name if (size := len(name)) < SHORT else delimited(tag, name) for name in names]
        )

    def names(self, text: str) -> list[bytes]:
        """The strings of a field that is a list of them."""
        if self._last[0] is not text:  # asked for twice in a row: for the field, and for the edges
            plain = plain_lists([text])
            self._last = (text, plain[0] if plain else _names(text))
        return self._last[1]


def _names(text: str) -> list[bytes]:
    names = []
    for index, item in enumerate(list_of(parse(text))):
        try:
            names.append(String.read(item))
        except NumberError as error:
            raise FieldError(str(error), f"[{index}]") from None
    return names


def _write_text(value: object) -> str:
    return escape(cast("bytes", value).decode("utf-8", "surrogateescape"))
