"""Converts one field to the text of a key, and back: one class for each form of text.

Reading gives the field as protobuf would serialise it, tag included.

Source: docs/format.md, sections "Text" and "JSON".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from graphml_onnx.codec.memo import Memo, remembered_messages
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import FieldError
from graphml_onnx.codec.scalars import String, list_of, string_of
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, SHORT, delimited, encode_varint, short_starts
from graphml_onnx.support.strictjson import Json, parse
from graphml_onnx.support.text import escape, json_strings, plain_lists, unescape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from graphml_onnx.codec.protojson import MessageCodec


class TextCodec(Protocol):
    """Both directions of one field."""

    def write(self, value: object, /) -> str:
        """The text of the field's value."""

    def read(self, text: str, /) -> bytes:
        """The field, serialised; raises FieldError, NumberError or JsonError."""


def codec_of(field: FieldDescriptor, codec: MessageCodec, *, is_text: bool) -> TextCodec:
    """Both directions of a field.

    Args:
        field: the field, in the exact classes.
        codec: for JSON.
        is_text: whether a string is written as escaped text, instead of JSON.
    """
    if is_text:
        return TextField(field)
    if field.is_repeated and field.message_type is not None:
        return LinesField(field, codec)
    if field.is_repeated and schema.original_field(field).type == field.TYPE_STRING:
        return NamesField(field)
    return JsonField(field, codec)


class TextField:
    """A string as escaped text."""

    def __init__(self, field: FieldDescriptor) -> None:
        self._tag = _tag(field)

    def write(self, value: object) -> str:
        """See `TextCodec`."""
        return escape(string_of(cast("bytes", value)))

    def read(self, text: str) -> bytes:
        """See `TextCodec`."""
        return delimited(self._tag, String.read(unescape(text)))


class NamesField:
    """A list of strings as a JSON list in one line."""

    def __init__(self, field: FieldDescriptor) -> None:
        self._tag = _tag(field)
        self._starts = short_starts(self._tag)

    def write(self, value: object) -> str:
        """See `TextCodec`."""
        return json_strings(list(cast("Sequence[bytes]", value)))

    def read(self, text: str) -> bytes:
        """See `TextCodec`."""
        return self.serialised(self.names(text))

    def serialised(self, names: Sequence[bytes]) -> bytes:
        """The field that lists these strings."""
        starts, tag = self._starts, self._tag
        return b"".join(
            [starts[size] + name if (size := len(name)) < SHORT else delimited(tag, name) for name in names]
        )

    def names(self, text: str) -> list[bytes]:
        """The strings that a text lists; raises like `read`."""
        names = []
        for index, item in enumerate(list_of(parse(text))):
            try:
                names.append(String.read(item))
            except NumberError as error:
                raise FieldError(str(error), f"[{index}]") from None
        return names

    def names_of_all(self, texts: Sequence[str | None]) -> Sequence[list[bytes]]:
        """The strings of several texts; none if there is no text."""
        if None not in texts and (lists := plain_lists(cast("Sequence[str]", texts))) is not None:
            return lists
        return [[] if text is None else self.names(text) for text in texts]


class LinesField:
    """A list of messages as a JSON list, with one line for each message."""

    def __init__(self, field: FieldDescriptor, codec: MessageCodec) -> None:
        self._name = field.name
        self._owner = schema.message_class(schema.message_name(schema.owner_of(field)))
        self._codec = codec
        self._read_json = codec.field(field)[1]
        # Most operators share attributes and metadata with many others.
        self._write_message = remembered_messages(codec.write)
        self._known_lines: Memo[str, bytes] = Memo()

    def write(self, value: object) -> str:
        """See `TextCodec`."""
        lines = [self._write_message(message) for message in cast("Sequence[Message]", value)]
        return f"[{lines[0]}]" if len(lines) == 1 else "[\n" + ",\n".join(lines) + "\n]"

    def read(self, text: str) -> bytes:
        """See `TextCodec`."""
        # Text with references is read only once, and in order.
        if text.startswith("[") and text.endswith("]") and '"$' not in text:
            lines = text[2:-2].split(",\n") if text.startswith("[\n") and text.endswith("\n]") else [text[1:-1]]
            try:
                return b"".join(map(self._read_line, lines))
            except ValueError:
                pass  # the list is written in another way, or wrong: below, the error gets its path
        owner = self._owner()
        self._read_json(owner, parse(text))
        return owner.SerializeToString()

    def _read_line(self, line: str) -> bytes:
        content = self._known_lines.get(line)
        if content is None:
            owner = self._owner()
            self._codec.read(getattr(owner, self._name).add(), parse(line))
            content = owner.SerializeToString()
            self._known_lines.keep(line, content, line)
        return content


class JsonField:
    """A value as JSON."""

    def __init__(self, field: FieldDescriptor, codec: MessageCodec) -> None:
        self._owner = schema.message_class(schema.message_name(schema.owner_of(field)))
        self.write, self._read = codec.field(field)

    def read(self, text: str) -> bytes:
        """See `TextCodec`."""
        return self.read_json(parse(text))

    def read_json(self, value: Json) -> bytes:
        """The field, serialised, given the parsed JSON."""
        owner = self._owner()
        self._read(owner, value)
        return owner.SerializeToString()


def _tag(field: FieldDescriptor) -> bytes:
    return encode_varint(field.number << 3 | LENGTH_DELIMITED)
