"""Long lists as runs of fields: found whole or not at all, in pieces of any size, and put back."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.lists import ListShape, find_run, list_shape, pieces
from graphml_onnx.onnxfile.skeleton import LIST_ADDRESS, LongList, MarkerError, join, split, with_lists
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.onnxfile.wire import FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, encode_varint
from tests.common.limited import limited

SHAPES = [
    ListShape(b"\x3d", FIXED32),
    ListShape(b"\xb9\x01", FIXED64),
    ListShape(b"\x40", VARINT),
    ListShape(b"\xc0\x01", VARINT),
    ListShape(b"\x4a", LENGTH_DELIMITED),
    ListShape(b"\xca\x01", LENGTH_DELIMITED),
]
TEXTS = [b"", b"a", b"JJ", b"J\x01", b"\xca\x01", b"x" * 127, b"y" * 128, b"z" * 300]


def contents(shape: ListShape) -> st.SearchStrategy[bytes]:
    if shape.kind == VARINT:
        return st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1)).map(encode_varint)
    if shape.kind == LENGTH_DELIMITED:
        return st.sampled_from(TEXTS).map(lambda text: encode_varint(len(text)) + text)
    return st.binary(min_size=shape.width, max_size=shape.width)


RESTS = [b"", b"\x08\x01", b"\xa0", b"\x4b", b"\xca", b"\xff" * 12]


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data(), rest=st.sampled_from(RESTS), chunk=st.sampled_from([1, 3, 64, 1 << 18]))
def test_a_run_is_found_whole(shape: ListShape, data: st.DataObject, rest: bytes, chunk: int) -> None:
    items = data.draw(st.lists(contents(shape).map(lambda content: shape.tag + content), min_size=1))
    before = b"\x0a\x00"
    fields = b"".join(items)
    source = BytesSource(before + fields + rest)
    with limited(chunk):
        run = find_run(source, shape, len(before), source.size)
        parts = [part for part, _ in pieces(source, shape, len(before), source.size)]
    assert run is not None
    assert (run.end, run.length) == (len(before) + len(fields), len(items))
    assert b"".join(parts) == fields


def test_a_number_that_goes_on_where_the_first_one_ends() -> None:
    """Items are first looked for in the width of the first; the longer one's last byte is the tag."""
    fields = b"\x40\x85\x01" * 3 + b"\x40\x85\x80\x40" + b"\x40\x85\x01"
    assert find_run(BytesSource(fields), SHAPES[2], 0, len(fields)) == (len(fields), 5, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_ends_where_its_message_ends(shape: ListShape) -> None:
    fields = shape.spelled(bytes(32)) * 2
    run = find_run(BytesSource(fields * 2), shape, 0, len(fields))
    assert run is not None
    assert run.end == len(fields)


def test_one_number_before_bytes_that_are_none() -> None:
    fields = b"\x40\x05" + b"\xff" * 12
    assert find_run(BytesSource(fields), SHAPES[2], 0, len(fields)) == (2, 1, 1)


def test_numbers_of_ten_bytes_among_shorter_ones() -> None:
    fields = b"".join(b"\x40" + encode_varint(value) for value in [5, 2**64 - 1, 5, 5, 2**63])
    assert find_run(BytesSource(fields), SHAPES[2], 0, len(fields)) == (len(fields), 5, 10)


@pytest.mark.parametrize(
    ("shape", "odd"),
    [
        (SHAPES[2], b"\x80\x00"),
        (SHAPES[2], b"\x81\x80\x00"),
        (SHAPES[2], b"\xff" * 9 + b"\x02"),
        (SHAPES[2], b"\xff" * 10 + b"\x01"),
        (SHAPES[3], b"\x80\x00"),
        (SHAPES[4], b"\x80\x00"),
        (SHAPES[4], b"\x82\x00ab"),
        (SHAPES[4], b"\x7fab"),
        (SHAPES[5], b"\x81\x00a"),
        (SHAPES[0], b"abc"),
        (SHAPES[1], b"abc"),
    ],
)
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("chunk", [1, 5, 1 << 18])
def test_a_run_that_protobuf_would_write_otherwise_is_none(
    shape: ListShape, odd: bytes, at_end: bool, chunk: int
) -> None:
    usual = {FIXED32: b"1234", FIXED64: b"12345678", VARINT: b"\x05", LENGTH_DELIMITED: b"\x01a"}[shape.kind]
    fields = [shape.tag + usual] * 20 + [shape.tag + odd] + ([] if at_end else [shape.tag + usual] * 20)
    source = BytesSource(b"".join(fields))
    with limited(chunk):
        run = find_run(source, shape, 0, source.size)
    # Where the odd item is cut off, what follows may complete it to another one, which is none of ours to judge.
    assert run is None or (shape.kind in (FIXED32, FIXED64) and not at_end) or odd == b"\x7fab"


def test_which_fields_are_lists_that_are_cut_out() -> None:
    found = {
        f"{message}.{field.name}"
        for message in ("AttributeProto", "TensorProto", "NodeProto", "FunctionProto", "GraphProto", "ModelProto")
        for field in schema.fields_of(schema.descriptor_of(schema.message_class(message)()))
        if list_shape(field) is not None
    }
    assert found == {
        "AttributeProto.floats",
        "AttributeProto.ints",
        "AttributeProto.strings",
        "TensorProto.string_data",
    }


@given(
    texts=st.lists(st.sampled_from([b"", b"a", b"2", b"22", b"2\x00", b"2\x01", b"2\x022", b"x" * 50, b"2" * 127])),
    cut=st.integers(0, 200),
)
def test_texts_with_the_byte_of_the_tag_are_no_fields(texts: list[bytes], cut: int) -> None:
    shape = ListShape(b"2", LENGTH_DELIMITED)  # string_data of tensors: their tag is a digit
    data = b"".join([b"2" + encode_varint(len(text)) + text for text in texts])
    data = data[: max(len(data) - cut, 0)]

    items = shape.items(data)

    found = [data[start : start + length] for start, length in zip(items.starts, items.lengths, strict=True)]
    assert found == texts[: len(found)]
    assert items.end == sum(2 + len(text) for text in found)
    if len(found) < len(texts):  # the next one is cut off
        assert items.end + 2 + len(texts[len(found)]) > len(data)


def attribute(fields: bytes) -> bytes:
    """A model with one operator with one attribute."""
    for tag in (b"\x2a", b"\x0a", b"\x3a"):
        fields = tag + encode_varint(len(fields)) + fields
    return fields


FIELDS = st.lists(
    st.sampled_from(SHAPES[::2]).flatmap(
        lambda shape: st.lists(contents(shape).map(lambda content: shape.tag + content), min_size=1, max_size=20)
    ),
    max_size=6,
).map(lambda runs: b"".join([b"".join(run) for run in runs]))


@given(fields=FIELDS, limit=st.sampled_from([0, 100]), chunk=st.sampled_from([1, 7, 1 << 18]))
def test_join_puts_lists_back(fields: bytes, limit: int, chunk: int) -> None:
    data = attribute(b"\x0a\x04name" + fields + b"\xa0\x01\x02")
    with (
        limited(chunk),
        mock.patch("graphml_onnx.onnxfile.skeleton.LONG", 2),
        mock.patch("graphml_onnx.onnxfile.skeleton._SHORT_MESSAGE", 0),
        mock.patch("graphml_onnx.onnxfile.extents._RUN", 0),
    ):
        skeleton = split(BytesSource(data), limit, cut_lists=True)
    lists = {
        LIST_ADDRESS + number: LongList(data[run.start : run.end], run.shape)
        for number, run in enumerate(skeleton.lists)
    }
    lengths = {payload.offset: payload.length for payload in skeleton.payloads}
    parts = [
        piece if not isinstance(piece, tuple) else data[piece[0] : piece[0] + lengths[piece[0]]]
        for piece in join(skeleton.data, skeleton.nonce, lengths, lists)
    ]
    assert b"".join(parts) == data
    inline = with_lists(skeleton.data, skeleton.nonce, lists)
    again = split(BytesSource(data), limit)
    assert inline.replace(skeleton.nonce, again.nonce) == again.data


@pytest.mark.parametrize("shape", SHAPES[::2])
def test_a_marker_that_somebody_made_is_refused(shape: ListShape) -> None:
    nonce = b"0123456789abcdef"
    lists = {LIST_ADDRESS: LongList(b"", shape)}
    for content in (nonce + b"%016x" % (LIST_ADDRESS + 1), nonce + b"x" * 16):
        skeleton = attribute(shape.spelled(content))
        with pytest.raises(MarkerError):
            list(join(skeleton, nonce, {}, lists))
    hidden = attribute(b"\x12" + encode_varint(len(text := shape.spelled(nonce + b"%016x" % LIST_ADDRESS))) + text)
    with pytest.raises(MarkerError):
        list(join(hidden, nonce, {}, lists))
    with pytest.raises(MarkerError):
        with_lists(hidden, nonce, lists)
