"""Single values of a field as JSON and back: numbers, enums, strings, bytes and payloads.

Each kind of value has one class, with ``write`` and ``read`` side by side.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import onnx

from graphml_onnx.codec.arrays import Floats, Integers, ListCodec, Strings
from graphml_onnx.codec.lists import ListsOfDocument, ListsToWrite
from graphml_onnx.codec.numbers import FLOAT32, FLOAT64, FloatFormat, NumberError, float_bits, float_json, integer
from graphml_onnx.codec.payloads import PAYLOAD, payload_json, read_payload
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.skeleton import LIST_ADDRESS, marker, read_marker
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from google.protobuf.descriptor import FieldDescriptor

    from graphml_onnx.onnxfile.lists import ListShape
    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.support.strictjson import Json

BASE64 = "$base64"

# Integers that are values of TensorProto.DataType, although their fields do not say so.
DATA_TYPE_FIELDS = frozenset(
    {
        ("TensorProto", "data_type"),
        ("TypeProto.Tensor", "elem_type"),
        ("TypeProto.SparseTensor", "elem_type"),
        ("TypeProto.Map", "key_type"),
    }
)


class PayloadTable:
    """The payloads of a model, by number; both directions use one.

    Args:
        nonce: first half of the skeleton's markers.
        references: the payloads by number; decoding adds those that it reads.
        lists: the long lists, if some were cut out.
    """

    def __init__(
        self,
        nonce: bytes,
        references: MutableMapping[int, PayloadReference],
        lists: ListsToWrite | ListsOfDocument | None = None,
    ) -> None:
        self._nonce = nonce
        self._references = references
        self._to_write = lists if isinstance(lists, ListsToWrite) else None
        self._document = lists if isinstance(lists, ListsOfDocument) else None
        self._numbers: dict[tuple[str, str, int], int] = {}

    @property
    def nonce(self) -> bytes:
        """First half of the markers."""
        return self._nonce

    def json(self, content: bytes) -> str | None:
        """JSON text of the payload that ``content`` marks, or None if it is not a marker."""
        number = read_marker(self._nonce, content)
        return None if number is None else payload_json(self._references[number])

    def marker(self, value: Json) -> bytes | None:
        """The marker of the payload that a JSON value refers to, or None if it refers to none.

        Raises:
            NumberError: the reference is malformed, or contradicts another reference to the same place.
        """
        if not isinstance(value, dict) or PAYLOAD not in value:
            return None
        reference = read_payload(value)
        number = self._numbers.setdefault(reference.key, len(self._numbers))
        if self._references.setdefault(number, reference) != reference:
            raise NumberError(f"{reference.label} occurs twice, with different lengths or digests")
        return marker(self._nonce, number)

    def list_json(self, content: bytes, codec: ListCodec) -> str | None:
        """The token of the long list that ``content`` marks, or None if it is not such a marker."""
        if self._to_write is None:
            return None
        address = read_marker(self._nonce, content)
        return None if address is None or address < LIST_ADDRESS else self._to_write.token(address, codec)

    def list_marker(self, value: Json, codec: ListCodec, shape: ListShape) -> bytes | None:
        """The marker of the long list whose token a JSON value is; None if it must be read item by item."""
        if self._document is None or (number := self._document.number(value)) is None:
            return None
        address = self._document.address(number, codec, shape)
        return None if address is None else marker(self._nonce, address)

    def items(self, value: Json) -> Json:
        """The value itself, or the items of the list if it is a token.

        Raises:
            NumberError: these items are no list.
        """
        if self._document is None or (number := self._document.number(value)) is None:
            return value
        try:
            return self._document.items(number)
        except (JsonError, UnicodeDecodeError) as error:
            raise NumberError(str(error)) from None


Value = TypeVar("Value")


class Scalar(Protocol, Generic[Value]):
    """Both directions of a single value of a field."""

    def write(self, value: Value, /) -> str:
        """JSON text of the value."""

    def read(self, value: Json, /) -> Value:
        """The value from its JSON value; raises NumberError."""


class _Integer:
    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    write = staticmethod(str)

    def read(self, value: Json) -> int:
        return integer(value, self.low, self.high)


class _Boolean:
    def write(self, value: bool) -> str:
        return "true" if value else "false"

    def read(self, value: Json) -> bool:
        if not isinstance(value, bool):
            raise NumberError("must be true or false")
        return value


class _Float:
    def __init__(self, form: FloatFormat) -> None:
        self.form = form

    def write(self, value: int) -> str:
        return float_json(self.form, value)

    def read(self, value: Json) -> int:
        return float_bits(self.form, value)


class _Enumerated:
    """An integer with names: a value without a name is written as the integer."""

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


_decoded = cast("Callable[[bytes | str, str, str], str]", bytes.decode)


def string_of(value: bytes | str) -> str:
    """A protobuf string as Python has it; the exact classes hold bytes where ONNX's own say str."""
    return _decoded(value, "utf-8", "surrogateescape")


class String:
    """A protobuf string: text, with bytes that are not UTF-8 as surrogates (PEP 383)."""

    @staticmethod
    def write(value: bytes) -> str:
        """JSON text."""
        return json_string(string_of(value))

    @staticmethod
    def read(value: Json) -> bytes:
        """The string's bytes; raises NumberError."""
        if not isinstance(value, str):
            raise NumberError("must be a string")
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise NumberError("holds a surrogate that encodes no byte") from None


class _Bytes:
    """Bytes that are usually text; otherwise base64 or a payload."""

    def __init__(self, book: PayloadTable) -> None:
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
    """JSON of bytes that are no text."""
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


def scalar_of(field: FieldDescriptor, book: PayloadTable) -> Scalar[int] | Scalar[bytes] | Scalar[bool]:
    """Both directions of a single value of a field that is no message, by its type in ONNX's descriptors."""
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


def list_codec_of(field: FieldDescriptor, book: PayloadTable) -> ListCodec | None:
    """Both directions of a long list of values of a field, by the field's type; None if there are no arrays for it."""
    scalar = scalar_of(field, book)
    if isinstance(scalar, _Float):
        return Floats(scalar.form)
    if isinstance(scalar, _Integer):
        return Integers(scalar.low, scalar.high)
    if isinstance(scalar, String):
        return Strings(scalar.write, scalar.read)
    return Strings(scalar.write, scalar.read, book.nonce) if isinstance(scalar, _Bytes) else None


def list_of(value: Json) -> list[Json]:
    """A JSON value that must be a list; raises NumberError."""
    if not isinstance(value, list):
        raise NumberError("must be a list")
    return value
