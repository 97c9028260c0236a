"""Arbitrary ONNX models, driven by ONNX's descriptors: a field of a new ONNX release is generated without a change.

Models are made as trees of wire-format fields, so that every bit can be had: strings that are not UTF-8, signalling
NaN, enum values without a name. They are canonical: fields in the order of their numbers, numbers as short as can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx
from hypothesis import strategies as st

from tests.strategies.wire import BYTES, FIXED32, FIXED64, MODEL, VARINT, Field, Fields, serialise, varint

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

GRAPH = MODEL.fields_by_name["graph"]

hostile_texts = st.sampled_from(
    (
        b"",
        b" ",
        b"\t",
        b"a\r\nb\r",
        b" leading",
        b"trailing\n",
        b'"',
        b'"quoted"',
        b"\x00\x01\x0b\x1f\x7f",
        "\x85\u2028\u2029\ufeff".encode(),
        "\ufffe\uffff".encode(),
        "\U0001f600\U0010ffff".encode(),
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3",
        b"<a href='x'>&amp;</a>",
        b"]]>",
        b"<![CDATA[",
        b'{"$payload":{"offset":0,"length":1,"sha256":""}}',
        b'{"$graph":0}',
        b'{"$base64":"AA=="}',
        b"$unknown",
        b"null",
        b"0123456789abcdef0000000000000000",
    )
)
"""Strings that XML, JSON or the format itself could take for something else; as they stand in a file."""

texts = hostile_texts | st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass"))
_names = st.sampled_from((b"x", b"y", b"z", b"", b"/encoder/layer.0/MatMul"))  # few, so that there are edges

_CORNERS = (0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_float32 = st.sampled_from(
    (0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0x3DCCCCCD)
) | st.integers(0, 2**32 - 1)
_float64 = st.sampled_from((0, 1 << 63, 1, 0x7FF << 52, 0x7FF8 << 48, 0x7FF0000000000001)) | st.integers(0, 2**64 - 1)

_EXTERNAL = (onnx.TensorProto.DESCRIPTOR.full_name, "data_location")


def _integers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    """As the varint has them: 64 bits, sign extended."""
    if (field.containing_type.full_name, field.name) == _EXTERNAL:
        return st.sampled_from((0, 0, 7))  # EXTERNAL needs data files
    if field.enum_type is not None:
        return st.sampled_from([*(value.number for value in field.enum_type.values), 77, 2**64 - 1])
    if field.name in ("data_type", "elem_type", "key_type"):
        return st.integers(0, max(onnx.TensorProto.DataType.values()) + 1)
    if field.cpp_type == field.CPPTYPE_UINT64:
        return st.sampled_from(_CORNERS) | st.integers(0, 2**64 - 1)
    if field.cpp_type == field.CPPTYPE_INT64:
        return st.sampled_from(_CORNERS) | st.integers(-(2**63), 2**63 - 1).map(lambda value: value % 2**64)
    return st.sampled_from((0, 1, 2**31 - 1)) | st.integers(-(2**31), 2**31 - 1).map(lambda value: value % 2**64)


def _number(field: FieldDescriptor) -> tuple[int, st.SearchStrategy[int]]:
    """Wire type and values of a numeric field."""
    if field.type == field.TYPE_FLOAT:
        return FIXED32, _float32
    if field.type == field.TYPE_DOUBLE:
        return FIXED64, _float64
    return VARINT, _integers(field)


def _packed(kind: int, values: list[int]) -> bytes:
    if kind == VARINT:
        return b"".join(varint(value) for value in values)
    return b"".join(value.to_bytes(4 if kind == FIXED32 else 8, "little") for value in values)


@st.composite
def _payload(draw: st.DrawFn) -> bytes:
    """Bytes of a tensor, now and then more than stand inline, seldom a whole number of elements."""
    pattern = draw(st.binary(min_size=1, max_size=9))
    return (pattern * 400)[: draw(st.sampled_from((0, 1, 2, 3, 4, 8, 24, 31, 32, 33, 64, 200, 1024, 1025, 1500)))]


def _is_text(field: FieldDescriptor) -> bool:
    return field.type == field.TYPE_STRING


def _values(draw: st.DrawFn, field: FieldDescriptor, depth: int) -> list[Field]:
    """One field that is present: with its default value, or with another."""
    number = field.number
    if field.message_type is not None:
        count = draw(st.integers(1, 2)) if field.is_repeated else 1
        return [Field(number, BYTES, draw(messages(field.message_type, depth - 1))) for _ in range(count)]
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        if field.is_repeated:
            strings = draw(st.lists(_names | texts, min_size=1, max_size=3))
            return [Field(number, BYTES, value) for value in strings]
        content = texts | _names if _is_text(field) else _payload() | texts
        return [Field(number, BYTES, draw(content))]
    kind, numbers = _number(field)
    if not field.is_repeated:
        return [Field(number, kind, draw(numbers))]
    many = draw(st.lists(numbers, min_size=1, max_size=4)) * draw(st.sampled_from((1, 1, 1, 8, 300)))
    if field.is_packed:
        return [Field(number, BYTES, _packed(kind, many))]
    return [Field(number, kind, value) for value in many[:8]]


_UNKNOWN_NUMBERS = (100, 19_000, 2**29 - 1)  # no message of ONNX has them


@st.composite
def unknown_fields(draw: st.DrawFn) -> Fields:
    """Fields that no ONNX release knows, in canonical form."""
    fields = []
    for number in sorted(draw(st.sets(st.sampled_from(_UNKNOWN_NUMBERS), min_size=1, max_size=2))):
        kind = draw(st.sampled_from((VARINT, FIXED32, FIXED64, BYTES)))
        value: int | bytes = (
            draw(texts) if kind == BYTES else draw(st.integers(0, 2 ** (32 if kind == FIXED32 else 64) - 1))
        )
        fields.append(Field(number, kind, value))
    return tuple(fields)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int, always: tuple[str, ...] = ()) -> Fields:
    """Any message of a type, of at most ``depth`` levels below it; ``always`` names fields that are present."""
    possible = [field for field in descriptor.fields if depth > 0 or field.message_type is None]
    chosen = draw(st.sets(st.sampled_from(possible), max_size=5)) if possible else set()
    if descriptor.full_name == onnx.NodeProto.DESCRIPTOR.full_name:  # so that there are edges
        always = (*always, *draw(st.sampled_from(((), ("output",), ("input", "output")))))
    chosen |= {descriptor.fields_by_name[name] for name in always}
    # Of a oneof, which only TypeProto and dimensions have, one field at most.
    kept = {field.containing_oneof.name if field.containing_oneof else field.name: field for field in chosen}
    fields: list[Field] = []
    for field in sorted(kept.values(), key=lambda field: field.number):
        fields += _values(draw, field, depth)
    if draw(st.integers(0, 9)) == 9:
        fields += draw(unknown_fields())
    return tuple(fields)


def models(depth: int = 5) -> st.SearchStrategy[Fields]:
    """Any model with a graph: all fields of all messages that are reached within ``depth`` levels."""
    whole = messages(MODEL, depth, ("graph",))
    return whole | _graphs().map(_as_model)


def _as_model(graph: Fields) -> Fields:
    return (Field(1, VARINT, 10), Field(GRAPH.number, BYTES, graph))


def _graphs() -> st.SearchStrategy[Fields]:
    """Graphs with operators, values and initializers: what a sparse choice of fields seldom has at once."""
    return messages(cast("Descriptor", GRAPH.message_type), 4, ("node", "initializer", "output"))


def model_bytes(depth: int = 5) -> st.SearchStrategy[bytes]:
    """Serialised models."""
    return models(depth).map(serialise)


def paths_to_messages() -> dict[str, list[tuple[FieldDescriptor, ...]]]:
    """For each message of ONNX, by full name, ways to it from a model: the shortest, and one through a graph."""
    found: dict[str, list[tuple[FieldDescriptor, ...]]] = {MODEL.full_name: [()]}
    queue: list[tuple[Descriptor, tuple[FieldDescriptor, ...]]] = [(MODEL, ())]
    while queue:
        descriptor, path = queue.pop(0)
        for field in descriptor.fields:
            inner = field.message_type
            if inner is None:
                continue
            ways = found.setdefault(inner.full_name, [])
            if not any(way[:1] == (*path, field)[:1] for way in ways):
                ways.append((*path, field))
                queue.append((inner, (*path, field)))
    return found


def embed(path: tuple[FieldDescriptor, ...], fields: Fields) -> Fields:
    """A model that holds a message at the end of a path, and nothing else but a graph."""
    for field in reversed(path):
        fields = (Field(field.number, BYTES, fields),)
    if path[:1] == (GRAPH,):
        return fields
    graph = Field(GRAPH.number, BYTES, ())
    others = [field for field in fields if field.number != GRAPH.number]
    present = [field for field in fields if field.number == GRAPH.number]
    return tuple(sorted([*others, *(present or [graph])], key=lambda field: field.number))


def samples(field: FieldDescriptor) -> list[tuple[str, Fields]]:
    """A field with its default value, and with others, each with a word for it."""
    number = field.number
    if field.message_type is not None:
        filled = (Field(100, VARINT, 1),)
        return [
            ("empty", (Field(number, BYTES, ()),)),
            ("filled", (Field(number, BYTES, filled),) * (2 if field.is_repeated else 1)),
        ]
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        several = (Field(number, BYTES, b"a"), Field(number, BYTES, b""))
        return [
            ("default", (Field(number, BYTES, b""),)),
            ("set", several if field.is_repeated else several[:1]),
            ("not UTF-8", (Field(number, BYTES, b"\xff"),)),
            ("large", (Field(number, BYTES, b"\xff\x00\xfe\x80" * 500),)),
        ]
    kind, _ = _number(field)
    special = {FIXED32: 0x7F800001, FIXED64: 0x7FF0000000000001, VARINT: 1}[kind]
    external = (field.containing_type.full_name, field.name) == _EXTERNAL
    values = [("default", [0]), ("set", [7 if external else special]), ("several", [1, special] * 600)]
    if not field.is_repeated:
        return [(word, (Field(number, kind, numbers[0]),)) for word, numbers in values[:2]]
    if field.is_packed:
        return [(word, (Field(number, BYTES, _packed(kind, numbers)),)) for word, numbers in values]
    return [(word, tuple(Field(number, kind, value) for value in numbers)) for word, numbers in values]
