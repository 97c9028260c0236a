"""Long lists as arrays: every repeated field of every message, with every kind of item, comes back exactly."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.codec.arrays import Floats, Integers, Strings
from graphml_onnx.codec.numbers import FLOAT32, FLOAT64, FloatFormat, float_json
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.scalars import PayloadTable, String
from graphml_onnx.onnxfile import extents, schema
from graphml_onnx.onnxfile.lists import ListShape, pieces
from graphml_onnx.onnxfile.skeleton import NONCE_BYTES, split
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.onnxfile.wire import FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, encode_varint
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FieldDescriptor

SPECIAL = {
    32: [0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001],
    64: [0, 1 << 63, 1, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
         0x7FF0000000000001],
}  # fmt: skip
TRICKY = 0x15AE43FD  # 7.038531e-26: its shortest decimal is another float32 when it is first read as a float64


TEXTS = ListShape(b"\x4a", LENGTH_DELIMITED)
SHAPES = {
    "float32": (ListShape(b"\x3d", FIXED32), Floats(FLOAT32)),
    "float64": (ListShape(b"\xa1\x01", FIXED64), Floats(FLOAT64)),
    "int64": (ListShape(b"\x40", VARINT), Integers(-(2**63), 2**63 - 1)),
    "uint64": (ListShape(b"\xa0\x01", VARINT), Integers(0, 2**64 - 1)),
    "string": (TEXTS, Strings(String.write, String.read)),
    "string of a high number": (ListShape(b"\xa2\x01", LENGTH_DELIMITED), Strings(String.write, String.read)),
}


def strings(reserved: bytes | None = None) -> Strings:
    return Strings(String.write, String.read, reserved)


def values_of(name: str) -> st.SearchStrategy[object]:
    if name.startswith("string"):
        return st.one_of(
            st.sampled_from([b"BRANCH_LEQ", b"LEAF", b"", b"J", b"a" * 127, b"b" * 128, b'"', b'","', b"\\", b"]"]),
            st.sampled_from([b'\\"', b",", b"\n", b"\x7f", b"\xfe", b"\xff", "\u2028".encode(), "\u3000".encode()]),
            st.text(max_size=5).map(lambda text: text.encode("utf-8", "replace")),
            st.binary(max_size=3),
        )
    width = 32 if name == "float32" else 64
    usual = st.one_of(st.integers(0, 300), st.sampled_from(SPECIAL[width]), st.integers(0, 2**width - 1))
    return usual.map(lambda number: number - 2**64 * (number >= 2**63)) if name == "int64" else usual


def fields_of_values(name: str, values: Sequence[object]) -> bytes:
    """The same as the codec writes, number by number."""
    shape, _ = SHAPES[name]
    if shape.kind == VARINT:
        contents = [encode_varint(cast("int", value) % 2**64) for value in values]
    elif shape.kind == LENGTH_DELIMITED:
        contents = [encode_varint(len(value)) + value for value in cast("list[bytes]", values)]
    else:
        contents = [cast("int", value).to_bytes(shape.width, "little") for value in values]
    return b"".join([shape.tag + content for content in contents])


def text_of(name: str, fields: bytes) -> str:
    shape, array = SHAPES[name]
    parts = pieces(BytesSource(fields), shape, 0, len(fields))
    return ",".join([array.text_of(part, items, shape) for part, items in parts])


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
def test_fields_become_the_text_that_values_become_and_come_back(name: str, data: st.DataObject) -> None:
    shape, array = SHAPES[name]
    values = data.draw(st.lists(values_of(name), min_size=1))
    fields = fields_of_values(name, values)
    text = text_of(name, fields)
    if (written := array.write(values)) is not None:
        assert f"[{text}]" == written
    assert array.fields_of(text.encode(), shape) == fields


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "wrong",
    ["", ",", "1,", ",1", "--1", "1-", "01", "1 2", "1.", "1e999", "true", "[1]", "1<2", '"a', '"a"b"', '"a""b"',
     "null", '1"NaN"', '"NaN"1', '"NaN""NaN"', '"a\\"', '"a\\x"', '"\\u00"', '"a\n\\""', '"\\"","'],
)  # fmt: skip
def test_what_is_no_list_of_items_is_refused(name: str, wrong: str) -> None:
    shape, array = SHAPES[name]
    assert array.fields_of(wrong.encode(), shape) is None
    assert array.fields_of(b"\xff", shape) is None
    assert array.fields_of(b'"\xff\\n"', shape) is None


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("float32", b"1,-0.0,2E3", b"1.0,-0.0,2000.0"),
        ("float32", b"123456789012345678901234567890, 0.5", b"1.2345679e+29,0.5"),
        ("int64", b"-0,7", b"0,7"),
        ("int64", b"9223372036854775807,-9223372036854775808,1000000000000000000", None),
        ("uint64", b"18446744073709551615,0", None),
        ("string", b'"\\u0041", "b"', b'"A","b"'),
    ],
)
def test_an_edited_text_is_what_json_says(name: str, text: bytes, same: bytes | None) -> None:
    shape, array = SHAPES[name]
    fields = array.fields_of(text, shape)
    assert fields is not None
    assert text_of(name, fields).encode() == (same or text)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("float32", '"NaN","Infinity",0.5,"NaN:7f800001"', [0x7FC00000, 0x7F800000, 0x3F000000, 0x7F800001]),
        ("float64", '-0.0,"NaN:fff8000000000000"', [1 << 63, 0xFFF8000000000000]),
        ("string", r'"\"","a\\","\\\"","\n\/\u0041\u005c\u0022"', [b'"', b"a\\", b'\\"', b'\n/A\\"']),
        ("string", '"\u3000\u00e9\\"","\U0001f600"', ['\u3000\u00e9"'.encode(), "\U0001f600".encode()]),
    ],
)
def test_unusual_items_do_not_make_a_list_slow(name: str, text: str, values: Sequence[object]) -> None:
    shape, array = SHAPES[name]
    with mock.patch("graphml_onnx.codec.arrays._read_each", side_effect=AssertionError):
        assert array.fields_of(text.encode(), shape) == fields_of_values(name, values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int64", "0,7,-12,100,999999999999999999,-999999999999999999"),
        ("int64", "5"),
        ("uint64", "0,7,12,100,999999999999999999"),
    ],
)
def test_usual_integers_are_read_together(name: str, text: str) -> None:
    shape, array = SHAPES[name]
    values = [int(item) for item in text.split(",")]
    with mock.patch("graphml_onnx.codec.arrays.orjson.loads", side_effect=AssertionError):
        assert array.fields_of(text.encode(), shape) == fields_of_values(name, values)


@pytest.mark.parametrize(
    "values", [[b"a", b"", b"J,"], [b'"', b'","', b"\\"], ["\u3000".encode(), b"b" * 127], [b"\n"]]
)
def test_short_strings_are_written_together(values: list[bytes]) -> None:
    """Not one by one, whatever they are."""
    fields = fields_of_values("string", values)
    together = Strings(mock.Mock(side_effect=AssertionError), String.read)
    (part, items), *rest = pieces(BytesSource(fields), TEXTS, 0, len(fields))
    assert not rest
    assert together.text_of(part, items, TEXTS) == text_of("string", fields)


@pytest.mark.parametrize("text", [b"-1", b"3,-7,2"])
def test_no_unsigned_integer_is_negative(text: bytes) -> None:
    shape, array = SHAPES["uint64"]
    assert array.fields_of(text, shape) is None


def test_every_character_is_escaped_as_in_a_text_of_its_own() -> None:
    characters = [chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000]
    fields = fields_of_values("string", [character.encode() for character in characters])
    text = text_of("string", fields)
    assert text == ",".join(map(json_string, characters))
    assert strings().fields_of(text.encode(), TEXTS) == fields


def codec() -> MessageCodec:
    return MessageCodec(PayloadTable(b"f" * (NONCE_BYTES // 2), {}))


@pytest.mark.parametrize("form", [FLOAT32, FLOAT64])
@given(data=st.data())
def test_floats(form: FloatFormat, data: st.DataObject) -> None:
    width = 8 * form.bits.itemsize
    items = st.one_of(st.sampled_from(SPECIAL[width]), st.integers(0, 2**width - 1))
    bits = [*data.draw(st.lists(items, min_size=1)), TRICKY]
    items_read = parse(Floats(form).write(bits))
    assert [float_json(form, number) for number in bits] == [
        float_json(form, form_bits(form, item)) for item in cast("list[object]", items_read)
    ]


def form_bits(form: FloatFormat, item: object) -> int:
    from graphml_onnx.codec.numbers import float_bits

    return float_bits(form, cast("float", item))


def fields() -> list[FieldDescriptor]:
    """The repeated fields of all messages that hold no messages."""
    found: dict[str, FieldDescriptor] = {}
    todo = [schema.descriptor_of(schema.message_class("ModelProto")())]
    seen: set[str] = set()
    while todo:
        message = todo.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in schema.fields_of(message):
            if field.message_type is not None:
                todo.append(field.message_type)
            elif field.is_repeated:
                found[f"{schema.message_name(message)}.{field.name}"] = field
    return list(found.values())


def items(field: FieldDescriptor, rng: random.Random, kind: str) -> list[object]:
    width = 32 if field.type in (field.TYPE_FIXED32, field.TYPE_INT32) else 64
    if field.type == field.TYPE_BYTES:
        texts = [b"a", b"", b"BRANCH_LEQ", "ü".encode(), b"x" * 40]
        return rng.choices(
            texts if kind == "usual" else [*texts, b'"', b"\\", b"\0", b"\xff", b"\n", b"\xed\xa0\x80"], k=700
        )
    if field.type in (field.TYPE_FIXED32, field.TYPE_FIXED64):
        return rng.choices(
            [rng.getrandbits(width - 2) for _ in range(50)] + (SPECIAL[width] if kind == "unusual" else []), k=700
        )
    low, high = (
        (0, 2**width - 1)
        if field.type in (field.TYPE_UINT32, field.TYPE_UINT64)
        else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    )
    return rng.choices([low, high, 0, 1, rng.randint(low, high)], k=700)


@pytest.mark.parametrize("field", fields(), ids=lambda field: f"{schema.owner_of(field).name}.{field.name}")
@pytest.mark.parametrize("kind", ["usual", "unusual"])
def test_every_repeated_field_comes_back(field: FieldDescriptor, kind: str) -> None:
    message = schema.message_class(schema.message_name(schema.owner_of(field)))()
    getattr(message, field.name).extend(items(field, random.Random(0), kind))
    text = codec().write(message)
    with mock.patch("graphml_onnx.codec.protojson.LONG", 1 << 30):
        one_by_one = parse(codec().write(message))
    assert parse(text) == one_by_one
    back = type(message)()
    codec().read(back, parse(text))
    assert back.SerializeToString() == message.SerializeToString()


def test_an_edit_of_one_number_is_that_edit_alone() -> None:
    attribute = schema.message_class("AttributeProto")()
    attribute.ints.extend(range(100_000))  # type: ignore[attr-defined]
    text = codec().write(attribute).replace(",50000,", ",7,")
    back = type(attribute)()
    codec().read(back, parse(text))
    assert list(back.ints) == [*range(50_000), 7, *range(50_001, 100_000)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ['"a"', "true", "null", "1.5", str(2**63)])
def test_errors_name_the_item(wrong: str) -> None:
    value = parse(f'{{"ints":[{"1," * 500}{wrong}]}}')
    with pytest.raises(FieldError) as caught:
        codec().read(schema.message_class("AttributeProto")(), value)
    assert caught.value.path == "ints[500]"


def test_what_no_array_holds_is_left_to_the_items() -> None:
    assert Integers(0, 10).read([1, 11]) is None
    assert Integers(0, 10).read([1, True]) is None
    assert Floats(FLOAT32).read([1.0, 1e39]) is None
    assert strings().read(["\udc80"]) is None
    assert strings(b"nonce").write([b"a nonce"]) is None
    assert strings(b"nonce").fields_of(b'"a nonce \\u0041"', TEXTS) is None


FIELDS_ON_THE_WIRE = st.lists(
    st.one_of(
        st.tuples(st.just(b"\x40"), st.integers(0, 2**64 - 1), st.integers(0, 2)).map(
            lambda f: f[0] + encode_varint(f[1], f[2] if f[1] < 1 << 40 else 0)
        ),
        st.just(b"\x3d1234"),
        st.sampled_from(
            [b"\x4a\x02ab", b"\x4a\x02cd", b"\x4a\x00", b"\x4a\x28" + b"\xff" * 40, b"\x42\x03\x01\x02\x03"]
        ),
        st.just(b"\x9a\x01\x01a"),
    ).flatmap(lambda field: st.sampled_from([1, 2, 30, 200]).map(lambda count: field * count)),
    max_size=6,
).map(b"".join)


@given(FIELDS_ON_THE_WIRE, st.integers(0, 3))
def test_runs_of_fields_are_skipped_as_they_are_read(content: bytes, cut: int) -> None:
    content = content[: len(content) - cut]
    node = b"\x2a" + encode_varint(len(content)) + content
    graph = b"\x0a" + encode_varint(len(node)) + node
    data = b"\x3a" + encode_varint(len(graph)) + graph

    def found() -> object:
        try:
            return split(BytesSource(data), 32)
        except ValueError as error:
            return str(error), getattr(error, "offset", None)

    with mock.patch.object(extents, "_RUN", 1 << 30):
        expected = found()
    for run in (1, 16):
        with mock.patch.object(extents, "_RUN", run):
            assert found() == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":[1,{"b":1,"b":2}]}',
        '{"a" :1,"b:":2,"b:":3}',
        "[NaN]",
        "[1e400]",
        '["\\ud800"]',
        "[1,]",
        "",
        "[" * 2000,
    ],
)
def test_long_texts_are_as_strict_as_short_ones(text: str) -> None:
    def read() -> object:
        try:
            return parse(text)
        except JsonError as error:
            return error.message

    expected = read()
    with mock.patch("graphml_onnx.support.strictjson._LONG", 0):
        assert read() == expected
