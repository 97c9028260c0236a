from __future__ import annotations

import random

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.onnxfile.skeleton import (
    MARKER_BYTES,
    MarkerError,
    Skeleton,
    Stored,
    _is_text,
    join,
    marker,
    merged_payloads,
    read_marker,
    split,
)
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.onnxfile.wire import WireError
from tests.common import seeds
from tests.common.limited import limited
from tests.strategies import wire
from tests.strategies.models import model_bytes, models
from tests.strategies.wire import BYTES, FIXED32, VARINT, Field, serialise


def cut(data: bytes, limit: int = 1024, keep: frozenset[int] = frozenset()) -> Skeleton:
    return split(BytesSource(data), limit, keep)


def put_together(skeleton: Skeleton, store: bytes) -> bytes:
    lengths = {payload.offset: payload.length for payload in skeleton.payloads}
    pieces = join(skeleton.data, skeleton.nonce, lengths)
    return b"".join(
        store[piece.number : piece.number + lengths[piece.number]] if isinstance(piece, Stored) else piece
        for piece in pieces
    )


def test_the_nonce_depends_on_every_part_of_the_file():
    first, second = (seeds.small_models()[name] for name in ("large", "typed"))
    nonces = {cut(data).nonce for data in (first, second, first + b"\x12\x01a", first + b"\x12\x01b")}
    assert len(nonces) == 4
    assert cut(first).nonce == cut(bytes(bytearray(first))).nonce


@pytest.mark.parametrize("cut_lists", [False, True])
def test_packed_numbers_outside_of_tensors_stay_whatever_their_length(cut_lists):
    content = b"\x07" * 50_000  # read as fields, they are not even wire format
    node = Field(1, BYTES, (Field(5, BYTES, (Field(8, BYTES, content),)),))
    weight = Field(5, BYTES, (Field(9, BYTES, b"w" * 100),))
    data = serialise((Field(7, BYTES, (node, weight)),))
    skeleton = split(BytesSource(data), 64, cut_lists=cut_lists)
    assert [payload.length for payload in skeleton.payloads] == [100]
    assert content in skeleton.data
    assert put_together(skeleton, data) == data


@pytest.mark.parametrize(("size", "limit", "is_cut"), [(32, 0, 0), (33, 0, 1), (1024, 1024, 0), (1025, 1024, 1)])
def test_what_is_longer_than_the_limit_is_a_payload(size, limit, is_cut):
    model = onnx.ModelProto()
    model.graph.initializer.add(raw_data=bytes(size))
    assert len(cut(model.SerializeToString(), limit).payloads) == is_cut


def test_a_skeleton_as_long_as_protobuf_reads(monkeypatch):
    data = seeds.small_models()["typed"]
    size = len(cut(data, len(data)).data)
    monkeypatch.setattr("graphml_onnx.onnxfile.skeleton.MAX_SKELETON", size)
    assert cut(data, len(data)).data == data
    monkeypatch.setattr("graphml_onnx.onnxfile.skeleton.MAX_SKELETON", size - 1)
    with pytest.raises(WireError, match="2 GiB") as caught:
        cut(data, len(data))
    assert caught.value.offset == 0
    assert f"has {size:,} bytes" in caught.value.message


@pytest.mark.parametrize(
    ("content", "is_text"), [(b"abc\xc3\xa9xyz", True), (b"abcdefg\xc3", False), (b"abc\xc3abcd", False)]
)
@pytest.mark.parametrize("window", [1, 4, 8, 9])
def test_text_that_ends_within_a_character_is_none(content, is_text, window):
    with limited(window):
        assert _is_text(BytesSource(content), 0, len(content)) == is_text


def test_what_is_cut_out_is_no_part_of_the_skeleton(monkeypatch):
    model = onnx.ModelProto()
    model.graph.initializer.add(raw_data=bytes(5000))
    model.graph.initializer.add(raw_data=bytes(5000))
    monkeypatch.setattr("graphml_onnx.onnxfile.skeleton.MAX_SKELETON", 100)
    assert len(cut(model.SerializeToString()).payloads) == 2


@given(data=model_bytes(), limit=st.integers(0, 3000))
def test_join_undoes_split(data, limit):
    skeleton = cut(data, limit)
    assert put_together(skeleton, data) == data
    assert all(payload.length > max(limit, MARKER_BYTES) for payload in skeleton.payloads)
    assert skeleton.nonce not in data


@given(fields=models(), seed=st.integers(0, 2**32), limit=st.sampled_from((0, 33, 1024)))
def test_join_undoes_split_however_the_file_was_written(fields, seed, limit):
    data = wire.mutant(fields, random.Random(seed))
    try:
        skeleton = cut(data, limit)
    except WireError:
        return
    assert put_together(skeleton, data) == data


@given(data=model_bytes())
def test_the_skeleton_is_a_model_like_the_file(data):
    whole, skeleton = onnx.ModelProto.FromString(data), onnx.ModelProto.FromString(cut(data, 0).data)
    assert len(skeleton.graph.node) == len(whole.graph.node)
    assert [tensor.dims for tensor in skeleton.graph.initializer] == [tensor.dims for tensor in whole.graph.initializer]


@pytest.mark.parametrize("name", seeds.small_models())
@pytest.mark.parametrize("limit", [0, 1024])
def test_a_file_cut_off_anywhere_is_refused_with_the_place_or_is_a_whole_number_of_fields(name, limit):
    data = seeds.small_models()[name]
    ends = {0}
    for field in wire.parse(data):
        ends.add(max(ends) + len(serialise((field,))))
    for length in range(len(data)):
        if length in ends:
            assert put_together(cut(data[:length], limit), data) == data[:length]
        else:
            with pytest.raises(WireError) as caught:
                cut(data[:length], limit)
            assert 0 <= caught.value.offset <= length


def _tensor(*fields: Field, wide: int = 0) -> bytes:
    """A model with one initializer; every length on the way ``wide`` bytes longer than it must be."""
    tensor = Field(5, BYTES, fields, wide_length=wide)
    return serialise((Field(7, BYTES, (tensor,), wide_length=wide),))


@pytest.mark.parametrize("wide", range(6))
def test_over_long_lengths_stay_over_long(wide):
    for size in (0, 100, 127, 128, 16_383, 16_384, 70_000):
        data = _tensor(Field(9, BYTES, b"\x80" * size, wide_length=wide), wide=wide)
        assert put_together(cut(data, 64), data) == data


def test_large_typed_fields_are_payloads_too():
    for number in (4, 5, 7, 9, 10, 11):  # float, int32, int64, raw, double, uint64
        data = _tensor(Field(number, BYTES, b"\x01" * 2000))
        assert [payload.length for payload in cut(data).payloads] == [2000]


def test_strings_are_payloads_only_where_they_are_not_text():
    assert cut(_tensor(Field(6, BYTES, "é".encode() * 1000))).payloads == ()
    assert len(cut(_tensor(Field(6, BYTES, b"\xff" * 2000))).payloads) == 1
    # Valid up to the last byte, which begins a character.
    assert len(cut(_tensor(Field(6, BYTES, b"a" * 70_000 + b"\xc3"))).payloads) == 1
    # A character across the border of two chunks of 64 KiB.
    assert cut(_tensor(Field(6, BYTES, b"a" * 65_535 + "é".encode() * 10))).payloads == ()


def test_names_and_documentation_are_never_payloads():
    data = serialise((Field(6, BYTES, b"\xff" * 5000), Field(7, BYTES, (Field(2, BYTES, b"\xff" * 5000),))))
    assert cut(data).payloads == ()


def test_fields_that_are_named_stay():
    data = _tensor(Field(9, BYTES, b"\x01" * 2000), Field(4, BYTES, b"\x02" * 2000))
    first, second = cut(data).payloads
    kept = cut(data, keep=frozenset({first.offset}))
    assert kept.payloads == (second,)
    assert put_together(kept, data) == data


def test_payloads_that_protobuf_joins_are_found():
    """A packed field in two pieces: protobuf makes one of them, and the markers would stand for nothing."""
    data = _tensor(Field(4, BYTES, b"\x01" * 2000), Field(4, BYTES, b"\x02" * 2000), Field(9, BYTES, b"\x03" * 2000))
    skeleton = cut(data)
    canonical = onnx.ModelProto.FromString(skeleton.data).SerializeToString()
    assert merged_payloads(skeleton, canonical) == {payload.offset for payload in skeleton.payloads[:2]}


def test_a_payload_with_a_single_number_beside_it_is_joined():
    data = _tensor(Field(4, BYTES, b"\x01" * 2000), Field(4, FIXED32, 5))
    skeleton = cut(data)
    canonical = onnx.ModelProto.FromString(skeleton.data).SerializeToString()
    assert merged_payloads(skeleton, canonical) == {skeleton.payloads[0].offset}


def test_a_payload_that_protobuf_drops_is_not_joined():
    data = _tensor(Field(9, BYTES, b"\x01" * 2000), Field(9, BYTES, b"\x02" * 2000))
    skeleton = cut(data)
    canonical = onnx.ModelProto.FromString(skeleton.data).SerializeToString()
    assert len(skeleton.payloads) == 2
    assert merged_payloads(skeleton, canonical) == frozenset()


@given(address=st.integers(0, 2**63), nonce=st.binary(min_size=16, max_size=16))
def test_a_marker_says_its_address(address, nonce):
    content = marker(nonce, address)
    assert len(content) == MARKER_BYTES
    assert read_marker(nonce, content) == address
    assert read_marker(bytes(16) if any(nonce) else b"1" * 16, content) is None
    assert read_marker(nonce, content[:-1]) is None


@pytest.mark.parametrize("digits", [b"000000000000000G", b"000000000000000A", b" 00000000000001", b"0x00000000000001"])
def test_what_is_nearly_a_marker_is_none(digits):
    assert read_marker(b"n" * 16, b"n" * 16 + digits) is None


def test_a_marker_of_an_unknown_payload_is_refused():
    skeleton = cut(_tensor(Field(9, BYTES, b"\x01" * 2000)))
    with pytest.raises(MarkerError, match="no payload is known"):
        list(join(skeleton.data, skeleton.nonce, {}))


def test_a_marker_in_a_name_is_refused():
    nonce = b"0123456789abcdef"
    data = serialise((Field(7, BYTES, (Field(2, BYTES, marker(nonce, 0)),)),))
    with pytest.raises(MarkerError, match="looks like the marker"):
        list(join(data, nonce, {0: 5}))


def test_the_nonce_stands_nowhere_in_the_file():
    """Also where a file holds the nonce that was tried first."""
    data = _tensor(Field(9, BYTES, b"\x01" * 2000))
    first = cut(data).nonce
    name = Field(2, BYTES, first)
    data = serialise((*wire.parse(data), Field(3, BYTES, first), Field(7, BYTES, (name,))))
    assert cut(data).nonce not in data


def _nested_ifs(depth: int) -> bytes:
    """Messages within each other: a graph, its node, the attribute of that, and so on."""
    fields: tuple[Field, ...] = ()
    for _ in range(depth):
        fields = (Field(1, BYTES, (Field(5, BYTES, (Field(6, BYTES, fields),)),)),)
    return serialise((Field(1, VARINT, 10), Field(7, BYTES, fields)))


def test_nesting_that_protobuf_reads_is_read():
    data = _nested_ifs(33)
    onnx.ModelProto.FromString(data)
    assert put_together(cut(data), data) == data


def test_nesting_that_protobuf_cannot_read_is_refused_at_its_place():
    with pytest.raises(WireError, match="100 deep") as caught:
        cut(_nested_ifs(60), 0)
    assert caught.value.offset > 0


def test_groups_are_skipped_whole():
    group = Field(99, wire.GROUP, (Field(9, BYTES, b"\x01" * 2000), Field(98, wire.GROUP, ())))
    data = serialise((group, *wire.parse(_tensor(Field(9, BYTES, b"\x02" * 1500)))))
    skeleton = cut(data)
    assert [payload.length for payload in skeleton.payloads] == [1500]
    assert put_together(skeleton, data) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x9b\x06", "not closed"),
        (b"\x9b\x06\x94\x06", "closed by another number"),
        (b"\x9b\x06\x0e", "wire type 6"),
        (b"\x0f", "wire type 7"),
        (b"\x0c", "is not allowed here"),
        (b"\x9b\x06" * 101, "groups are nested"),
        (b"\x3a\x05\x0a", "ends too early"),
        (b"\x0d\x00\x00", "ends too early"),
        (b"\x09\x00\x00", "ends too early"),
    ],
)
def test_bytes_that_are_no_wire_format_are_refused(data, message):
    with pytest.raises(WireError, match=message) as caught:
        cut(data)
    assert 0 <= caught.value.offset <= len(data)
