"""ONNX files as trees of wire-format fields, and mutators that write the same model, or another, in unusual bytes.

Apart from ONNX's descriptors, which say where messages are, nothing here is shared with the library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import onnx

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

MODEL = onnx.ModelProto.DESCRIPTOR


class Field(NamedTuple):
    """A field as it stands in a file.

    ``value`` is a number, the content as bytes, or the fields of a sub-message or group. ``wide_tag``,
    ``wide_length`` and ``wide_value`` are the bytes by which a varint is longer than it must be.
    """

    number: int
    kind: int
    value: int | bytes | tuple[Field, ...]
    wide_tag: int = 0
    wide_length: int = 0
    wide_value: int = 0


Fields: TypeAlias = tuple[Field, ...]


def varint(value: int, wide: int = 0) -> bytes:
    """A non-negative integer, ``wide`` bytes longer than it must be (but never more than ten)."""
    parts = []
    while True:
        parts.append(value & 0x7F)
        value >>= 7
        if not value:
            break
    parts += [0] * min(wide, 10 - len(parts))
    return bytes(part | 0x80 for part in parts[:-1]) + bytes(parts[-1:])


def serialise(fields: Fields) -> bytes:
    """The bytes of a message."""
    parts: list[bytes] = []
    for field in fields:
        parts.append(varint(field.number << 3 | field.kind, field.wide_tag))
        value = field.value
        if field.kind == VARINT:
            parts.append(varint(value, field.wide_value))
        elif field.kind in (FIXED32, FIXED64):
            parts.append(value.to_bytes(4 if field.kind == FIXED32 else 8, "little"))
        elif field.kind == GROUP:
            parts.append(serialise(value))
            parts.append(varint(field.number << 3 | END_GROUP))
        else:
            content = value if isinstance(value, bytes) else serialise(value)
            parts.append(varint(len(content), field.wide_length))
            parts.append(content)
    return b"".join(parts)


def parse(data: bytes, descriptor: Descriptor = MODEL) -> Fields:
    """The fields of an ordinary file (no groups, no over-long numbers); ``serialise(parse(data)) == data``."""
    fields: list[Field] = []
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        tag = number()
        kind = tag & 7
        if kind == VARINT:
            fields.append(Field(tag >> 3, kind, number()))
        elif kind == BYTES:
            length = number()
            content = data[position : position + length]
            position += length
            known = descriptor.fields_by_number.get(tag >> 3)
            inner = None if known is None else known.message_type
            fields.append(Field(tag >> 3, kind, content if inner is None else parse(content, inner)))
        else:
            width = 4 if kind == FIXED32 else 8
            fields.append(Field(tag >> 3, kind, int.from_bytes(data[position : position + width], "little")))
            position += width
    return tuple(fields)


def mutate(fields: Fields, rng: random.Random, descriptor: Descriptor = MODEL, *, only: tuple[str, ...] = ()) -> Fields:
    """The model with one change somewhere in it; ``only`` names the functions below that may make it."""
    inner = [i for i, field in enumerate(fields) if _message_of(field, descriptor) is not None]
    if inner and rng.random() < 0.8:
        index = rng.choice(inner)
        field = fields[index]
        changed = field._replace(value=mutate(field.value, rng, _message_of(field, descriptor), only=only))
        return _with(fields, index, changed)
    mutators = [mutator for mutator in _MUTATORS if mutator.__name__ in only] if only else _MUTATORS
    return rng.choice(mutators)(fields, rng, descriptor)


def _message_of(field: Field, descriptor: Descriptor) -> Descriptor | None:
    known = descriptor.fields_by_number.get(field.number)
    return known.message_type if known is not None and isinstance(field.value, tuple) and field.kind == BYTES else None


def _with(fields: Fields, index: int, *replacement: Field) -> Fields:
    return fields[:index] + replacement + fields[index + 1 :]


def _insert(fields: Fields, rng: random.Random, field: Field) -> Fields:
    index = rng.randint(0, len(fields))
    return (*fields[:index], field, *fields[index:])


def _shuffle(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    return tuple(rng.sample(fields, len(fields)))


def _duplicate(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    return _insert(fields, rng, rng.choice(fields)) if fields else fields


def _delete(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    return _with(fields, rng.randrange(len(fields))) if fields else fields


def _widen(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    """Over-long tags, lengths and values."""
    if not fields:
        return fields
    index = rng.randrange(len(fields))
    which = rng.choice(("wide_tag", "wide_length", "wide_value"))
    return _with(fields, index, fields[index]._replace(**{which: rng.randint(1, 9)}))


def _repack(fields: Fields, rng: random.Random, descriptor: Descriptor) -> Fields:
    """Repeated numbers as one field each instead of packed, or packed instead of one field each."""
    numeric = [n for n, known in descriptor.fields_by_number.items() if known.is_repeated and _width(known) is not None]
    present = [i for i, field in enumerate(fields) if field.number in numeric]
    if not present:
        return fields
    index = rng.choice(present)
    field = fields[index]
    kind = _width(descriptor.fields_by_number[field.number])
    if field.kind == BYTES:
        if isinstance(field.value, bytes) and len(field.value) <= 4096:
            return _with(fields, index, *(Field(field.number, kind, value) for value in _unpack(field.value, kind)))
        return fields
    content = b"".join(serialise((f,))[len(varint(f.number << 3, f.wide_tag)) :] for f in fields if _same(f, field))
    rest = tuple(f for f in fields if not _same(f, field))
    return _insert(rest, rng, Field(field.number, BYTES, content))


def _same(left: Field, right: Field) -> bool:
    return left.number == right.number and left.kind == right.kind


def _width(field: FieldDescriptor) -> int | None:
    """The wire type of a number; None for strings, bytes and messages."""
    if field.message_type is not None or field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        return None
    return {field.TYPE_FLOAT: FIXED32, field.TYPE_DOUBLE: FIXED64}.get(field.type, VARINT)


def _unpack(content: bytes, kind: int) -> list[int]:
    if kind != VARINT:
        letter = "I" if kind == FIXED32 else "Q"
        size = struct.calcsize(letter)
        return [value for (value,) in struct.iter_unpack("<" + letter, content[: len(content) // size * size])]
    values = []
    value = shift = 0
    for byte in content:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


def unknown_field(rng: random.Random, descriptor: Descriptor, depth: int = 0) -> Field:
    """A field that ONNX does not know, or knows under another wire type."""
    known = list(descriptor.fields_by_number)
    number = rng.choice((rng.choice(known), 15, 16, 999, 20_000, 2**29 - 1)) if known else rng.randint(1, 2**29 - 1)
    if depth and rng.random() < 0.1:
        number = 0  # which protobuf lets pass there
    kind = rng.choice((VARINT, FIXED32, FIXED64, BYTES, GROUP))
    widths = {"wide_tag": rng.choice((0, 0, 0, 1)), "wide_value": rng.choice((0, 0, 2)), "wide_length": 0}
    if kind == VARINT:
        return Field(number, kind, rng.choice((0, 1, 127, 128, rng.getrandbits(64))), **widths)
    if kind in (FIXED32, FIXED64):
        return Field(number, kind, rng.getrandbits(32 if kind == FIXED32 else 64), **widths)
    if kind == BYTES:
        widths["wide_length"] = rng.choice((0, 0, 1))
        return Field(number, kind, rng.choice((b"", b"text", b"\xff\xfe", rng.randbytes(rng.randint(0, 40)))), **widths)
    count = rng.randint(0, 2) if depth < 3 else 0
    empty = onnx.OperatorSetIdProto.DESCRIPTOR  # within a group all numbers are unknown
    return Field(number, GROUP, tuple(unknown_field(rng, empty, depth + 1) for _ in range(count)), **widths)


def _add_unknown(fields: Fields, rng: random.Random, descriptor: Descriptor) -> Fields:
    return _insert(fields, rng, unknown_field(rng, descriptor))


_NUMBERS = (0, 1, 127, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def _change_number(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    """Enum values that ONNX does not know, and integers that do not fit their field."""
    present = [i for i, field in enumerate(fields) if field.kind == VARINT]
    if not present:
        return fields
    index = rng.choice(present)
    return _with(fields, index, fields[index]._replace(value=rng.choice((rng.randint(2, 99), *_NUMBERS))))


_SPECIAL_FLOATS = (0x7F800001, 0xFFC00000, 0x7FC00001, 0x80000000, 1, 0x7F800000, 0xFF800000)


def _change_float(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    """Signalling NaN, other NaN, negative zero, denormals, infinities."""
    present = [i for i, field in enumerate(fields) if field.kind in (FIXED32, FIXED64)]
    if not present:
        return fields
    index = rng.choice(present)
    value = rng.choice(_SPECIAL_FLOATS)
    if fields[index].kind == FIXED64:
        value = rng.choice((value << 32, value, 0x7FF0000000000001))
    return _with(fields, index, fields[index]._replace(value=value))


_TEXTS = (
    b"",
    b"\xff",
    b"ok\xc3",
    b"\xed\xa0\x80",
    b"\x00",
    b"\r\n\t ",
    b'"quoted"',
    b"]]>&<data/>",
    "\ufffe\U0001f600\u2028".encode(),
    b'{"$payload":0}',
    b"x" * 2000,
    b"\x80" * 2000,
    b"0123456789abcdef" * 2,
)


def _change_text(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    """Strings and bytes: invalid UTF-8, nothing at all, control characters, markup."""
    present = [i for i, field in enumerate(fields) if isinstance(field.value, bytes)]
    if not present:
        return fields
    index = rng.choice(present)
    return _with(fields, index, fields[index]._replace(value=rng.choice(_TEXTS)))


def _empty(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    present = [i for i, field in enumerate(fields) if field.kind == BYTES]
    if not present:
        return fields
    index = rng.choice(present)
    return _with(fields, index, fields[index]._replace(value=() if isinstance(fields[index].value, tuple) else b""))


def _split(fields: Fields, rng: random.Random, _: Descriptor) -> Fields:
    """A sub-message as two fields, which protobuf merges where the field is not repeated."""
    present = [i for i, field in enumerate(fields) if isinstance(field.value, tuple) and field.kind == BYTES]
    if not present:
        return fields
    index = rng.choice(present)
    field = fields[index]
    cut = rng.randint(0, len(field.value))
    first, second = field._replace(value=field.value[:cut]), field._replace(value=field.value[cut:])
    return _insert(_with(fields, index, first), rng, second)


_MUTATORS: tuple[Callable[[Fields, random.Random, Descriptor], Fields], ...] = (
    _shuffle,
    _duplicate,
    _delete,
    _widen,
    _widen,
    _repack,
    _add_unknown,
    _add_unknown,
    _change_number,
    _change_float,
    _change_text,
    _empty,
    _split,
)


def spoil(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one bit flipped, cut short, or with something put in: rarely a model at all."""
    position = rng.randrange(len(data)) if data else 0
    choice = rng.randrange(3)
    if choice == 0 and data:
        return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]
    return data[:position] if choice == 1 else data[:position] + rng.randbytes(rng.randint(1, 4)) + data[position:]


def mutant(fields: Fields, rng: random.Random) -> bytes:
    """A model with one to six changes; one in twenty is spoiled in its bytes."""
    for _ in range(rng.choice((1, 1, 2, 2, 3, 6))):
        fields = mutate(fields, rng)
    data = serialise(fields)
    return spoil(data, rng) if rng.random() < 0.05 else data
