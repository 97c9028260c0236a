"""Long lists of numbers and strings as JSON, converted as arrays instead of item by item.

A list is converted this way if all of its items have the usual form, which is checked on the whole array. Every other
list is converted item by item, which also names the error. The array holds either Python's values, or the fields of the
items in an ONNX file: then no item ever becomes an object.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
import orjson

from graphml_onnx.codec.numbers import FLOAT32, FloatFormat, NumberError, float_bits, float_json
from graphml_onnx.onnxfile.lists import (
    Items,
    Positions,
    delimited_fields,
    fixed_fields,
    fixed_values,
    varint_fields,
    varint_values,
)
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import is_plain_json, json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphml_onnx.onnxfile.lists import ListShape
    from graphml_onnx.support.strictjson import Json

    Bits = npt.NDArray[np.generic]

_TWICE_ROUNDED = 0x15AE43FD
"""7.038531e-26, the only float32 (with its negative) that changes when its shortest decimal is read as a float64 first;
found by trying all of them."""

_SIGN32 = 0x80000000
_COMMA, _MINUS, _ZERO, _QUOTE = b',-0"'
_DIGITS = 18  # of an integer that surely has 64 bits
_INTEGERS = b"0123456789-,"
_FLOATS = b"0123456789+-.eE,"
_SPECIAL = re.compile(rb'"([^"\\]*)"')  # a number that JSON has no form for


class ListCodec(Protocol):
    """Both directions of a long list."""

    def write(self, values: Sequence[object], /) -> str | None:
        """JSON text; None if an item needs another form."""

    def read(self, items: Sequence[Json], /) -> Iterable[object] | None:
        """The values; None if an item does not have the usual form, or is wrong."""

    def text_of(self, fields: bytes, items: Items, shape: ListShape, /) -> str:
        """JSON text of items, with commas between them, given their fields."""

    def fields_of(self, text: bytes, shape: ListShape, /) -> bytes | None:
        """The inverse of `text_of`; None if an item is wrong."""


class Floats:
    """Floating-point numbers by their bits.

    Args:
        form: float32 or float64.
    """

    def __init__(self, form: FloatFormat) -> None:
        self._form = form

    def write(self, values: Sequence[object]) -> str:
        """JSON text: shortest decimals that give the same bits."""
        return f"[{self._text(np.array(values, self._form.bits))}]"

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The bits; None if an item is no finite number of this format."""
        if not set(map(type, items)) <= {int, float}:
            return None
        bits = self._bits(cast("Sequence[float]", items))
        return None if bits is None else cast("list[object]", bits.tolist())

    def text_of(self, fields: bytes, items: Items, shape: ListShape) -> str:
        """JSON text of items; see `ListCodec.text_of`."""
        return self._text(fixed_values(fields, shape))

    def fields_of(self, text: bytes, shape: ListShape) -> bytes | None:
        """The inverse of `text_of`; see `ListCodec.fields_of`."""
        parts = _SPECIAL.split(text)
        bits = None
        if text and not b"".join(parts[::2]).translate(None, _FLOATS):
            try:
                bits = self._bits(orjson.loads(b"[%b]" % b"null".join(parts[::2])), parts[1::2])
            except orjson.JSONDecodeError:
                return None
        if bits is None:
            values = _read_each(text, lambda item: float_bits(self._form, item))
            if values is None:
                return None
            bits = np.array(values, self._form.bits)
        return fixed_fields(shape.tag, bits)

    def _text(self, bits: Bits) -> str:
        numbers = bits.view(self._form.dtype)
        odd = ~np.isfinite(numbers.view(f"f{bits.itemsize}"))
        if self._form is FLOAT32:
            odd |= (bits.view(np.uint32) | _SIGN32) == _TWICE_ROUNDED | _SIGN32
        specials = [float_json(self._form, number) for number in bits[odd].tolist()]
        if specials:
            numbers = numbers.copy()
            numbers[odd] = np.nan
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode()
        # What is not finite is null there.
        first, *rest = text.split("null")
        return "".join([first, *(part for pair in zip(specials, rest, strict=True) for part in pair)])

    def _bits(self, numbers: Sequence[float | None], specials: Sequence[bytes] = ()) -> Bits | None:
        """The bits; each None means the next of ``specials``, the text of a string."""
        try:
            exact = np.array(numbers, np.float64)
        except OverflowError:
            return None
        with np.errstate(over="ignore"):
            found = exact.astype(self._form.dtype)
        bits: Bits = found.view(self._form.bits)
        # Compared as the wider type: NumPy has no isfinite of some narrow ones.
        odd = ~np.isfinite(found.astype(np.float64))
        if not odd.any():
            return bits
        if np.count_nonzero(odd) != len(specials):
            return None
        try:
            known = {text: float_bits(self._form, text.decode("ascii", "replace")) for text in set(specials)}
        except NumberError:
            return None
        bits[odd] = np.array([known[text] for text in specials], self._form.bits)
        return bits


class Integers:
    """Integers of a range.

    Args:
        low: the lowest.
        high: the highest.
    """

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high
        self._dtype = np.dtype(np.int64 if low else np.uint64)

    def write(self, values: Sequence[object]) -> str:
        """JSON text."""
        return orjson.dumps(list(values)).decode()

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The integers; None if an item is no integer, or out of range."""
        if set(map(type, items)) != {int}:
            return None
        integers = cast("Sequence[int]", items)
        return integers if min(integers) >= self._low and max(integers) <= self._high else None

    def text_of(self, fields: bytes, items: Items, shape: ListShape) -> str:
        """JSON text of items; see `ListCodec.text_of`."""
        values = varint_values(fields, items).view(self._dtype)
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode()

    def fields_of(self, text: bytes, shape: ListShape) -> bytes | None:
        """The inverse of `text_of`; see `ListCodec.fields_of`."""
        values = _integers(text)
        if values is None or (self._low == 0 and bool((values < 0).any())):
            try:
                read = self.read(orjson.loads(b"[%b]" % text))
            except orjson.JSONDecodeError:
                return None
            if read is None:
                return None
            values = np.array(read, self._dtype)
        return varint_fields(shape.tag, values.view(np.uint64))


def _integers(text: bytes) -> npt.NDArray[np.int64] | None:
    """Integers of at most 18 digits, with commas between them; None for anything else."""
    if text.translate(None, _INTEGERS):
        return None
    characters = np.frombuffer(text, np.uint8)
    commas = np.flatnonzero(characters == _COMMA)
    starts = np.concatenate(([0], commas + 1))
    ends = np.append(commas, len(text))
    if starts[-1] == len(text) or ends[0] == 0:
        return None
    minus = text.count(b"-")
    if minus:
        negative = characters[starts] == _MINUS
        if np.count_nonzero(negative) != minus:
            return None
        starts += negative
    lengths = ends - starts
    longest = int(lengths.max())
    if lengths.min() < 1 or longest > _DIGITS:
        return None
    first = characters[starts] == _ZERO
    if (first & (lengths > 1)).any() or (minus and (first & negative).any()):
        return None  # no JSON, or the negative zero
    digits = characters - np.uint8(_ZERO)
    values: npt.NDArray[np.int64] = digits[ends - 1].astype(np.int64)
    for place in range(1, longest):
        longer = lengths > place
        rest = slice(None) if longer.all() else np.flatnonzero(longer)
        values[rest] += digits[ends[rest] - 1 - place].astype(np.int64) * 10**place
    if minus:
        np.negative(values, out=values, where=negative)
    return values


class Strings:
    """Strings, or bytes that are text.

    Args:
        write: JSON text of one.
        read: one, given a JSON value; raises NumberError.
        reserved: a text that no value may contain: the start of a marker.
    """

    def __init__(
        self, write: Callable[[bytes], str], read: Callable[[Json], bytes], reserved: bytes | None = None
    ) -> None:
        self._write, self._read = write, read
        self._reserved = reserved

    def write(self, values: Sequence[object]) -> str | None:
        """JSON text; None if one is not UTF-8, must be escaped, or is the marker of a payload."""
        joined = b'","'.join(cast("Sequence[bytes]", values))
        if self._reserved is not None and self._reserved in joined:
            return None
        try:
            text = joined.decode()
        except UnicodeDecodeError:
            return None
        return f'["{text}"]' if is_plain_json(text, len(values)) else None

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The values in UTF-8; None if one is no string, or holds a surrogate."""
        if set(map(type, items)) != {str}:
            return None
        try:
            return [text.encode() for text in cast("Sequence[str]", items)]
        except UnicodeEncodeError:
            return None

    def text_of(self, fields: bytes, items: Items, shape: ListShape) -> str:
        """JSON text of items; see `ListCodec.text_of`."""
        starts, ends = items.starts, items.starts + items.lengths
        if len(shape.tag) == 1 and np.max(items.lengths) < 0x80:
            joined = _joined(fields, starts, ends, b',"')
            if _is_plain(joined) and joined.count(b'"') == 2 * len(starts):
                return joined.decode()
            if (text := _escaped(_joined(fields, starts, ends, _NO_TEXT), len(starts))) is not None:
                return text
        each = zip(starts.tolist(), ends.tolist(), strict=True)
        return ",".join([self._write(fields[start:end]) for start, end in each])

    def fields_of(self, text: bytes, shape: ListShape) -> bytes | None:
        """The inverse of `text_of`; see `ListCodec.fields_of`."""
        if len(shape.tag) == 1 and (fields := _short_strings(text, shape.tag)) is not None:
            return None if self._is_marker(fields) else fields
        values = cast("list[bytes] | None", _read_each(text, self._read))
        if values is None or any(map(self._is_marker, values)):
            return None
        return delimited_fields(shape.tag, values)

    def _is_marker(self, value: bytes) -> bool:
        return self._reserved is not None and self._reserved in value


_PRINTABLE = bytes({*range(0x20, 0x7F)} - {*b"\\"})
_NO_TEXT = b"\xfe\xff"  # bytes that UTF-8 never has
_ESCAPES = [(b"\\", b"\\\\"), (b'"', b'\\"'), (b"\b", b"\\b"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\f", b"\\f"),
            (b"\r", b"\\r")]  # fmt: skip
_ESCAPE = re.compile(rb"\\(?:u.{4}|.)", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f]")


def _is_plain(text: bytes) -> bool:
    """Whether strings need no escapes in JSON: their characters are printable and no backslashes."""
    if not text.translate(None, _PRINTABLE):
        return True
    try:
        return b"\\" not in text and text.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _joined(fields: bytes, starts: Positions, ends: Positions, marks: bytes) -> bytes:
    """Texts of less than 128 bytes: the first byte of ``marks`` between them, the second before and after each."""
    # The two bytes before each text become these, and after it one is added.
    moved = np.arange(len(starts))
    added = ends + moved
    text = np.empty(len(fields) + len(starts), np.uint8)
    old = np.ones(len(text), np.bool_)
    old[added] = False
    text[old] = np.frombuffer(fields, np.uint8)
    before = starts + moved
    text[before - 2] = marks[0]
    text[before - 1] = text[added] = marks[1]
    return text[1:].tobytes()


def _escaped(joined: bytes, count: int) -> str | None:
    """JSON text of strings, given as `_NO_TEXT` joins them; None if one is not UTF-8.

    Args:
        joined: the strings.
        count: how many they are.
    """
    comma, quote = _NO_TEXT[:1], _NO_TEXT[1:]
    if joined.count(comma) != count - 1 or joined.count(quote) != 2 * count:
        return None
    for character, escape in _ESCAPES:
        joined = joined.replace(character, escape)
    try:
        return json_text(joined.replace(quote, b'"').replace(comma, b",").decode())
    except UnicodeDecodeError:
        return None


def _unescaped(text: bytes) -> bytes | None:
    """JSON text without its escapes; `_NO_TEXT` replaces those of backslashes and quotation marks.

    None if something is wrong, or is a surrogate.
    """

    def character(match: re.Match[bytes]) -> bytes:
        found: str = orjson.loads(b'"%b"' % match[0])
        return {"\\": _NO_TEXT[:1], '"': _NO_TEXT[1:]}.get(found) or found.encode()

    try:
        text.decode()
        if _CONTROL.search(text):
            return None
        text = text.replace(rb"\\", _NO_TEXT[:1]).replace(rb"\"", _NO_TEXT[1:])
        return _ESCAPE.sub(character, text) if b"\\" in text else text
    except ValueError:
        return None


def _short_strings(text: bytes, tag: bytes) -> bytes | None:
    """The fields of strings of less than 128 bytes; None for anything else."""
    if not (is_plain := _is_plain(text)):
        unescaped = _unescaped(text)
        if unescaped is None:
            return None
        text = unescaped
    characters = np.frombuffer(b",%b" % text, np.uint8).copy()
    quotes = np.flatnonzero(characters == _QUOTE)
    if not len(quotes) or len(quotes) % 2:
        return None
    opening, closing = quotes.reshape(-1, 2).T
    lengths = closing - opening - 1
    if (
        opening[0] != 1
        or closing[-1] != len(text)
        or (opening[1:] != closing[:-1] + 2).any()
        or (characters[opening - 1] != _COMMA).any()
        or np.max(lengths) >= 0x80
    ):
        return None
    characters[opening - 1] = tag[0]
    characters[opening] = lengths
    kept = np.ones(len(characters), np.bool_)
    kept[closing] = False
    fields = characters[kept].tobytes()
    return fields if is_plain else fields.replace(_NO_TEXT[:1], b"\\").replace(_NO_TEXT[1:], b'"')


def _read_each(text: bytes, read: Callable[[Json], object]) -> list[object] | None:
    """The values of a list, given JSON without the brackets, one by one; None if one is wrong."""
    try:
        items = cast("list[Json]", parse(f"[{text.decode()}]"))
        return [read(item) for item in items] or None
    except (JsonError, NumberError, UnicodeDecodeError):
        return None
