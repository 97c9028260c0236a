from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.onnxfile.wire import (
    MAX_VARINT_BYTES,
    WireError,
    decode_varint,
    delimited,
    encode_varint,
    short_starts,
    varint_size,
)
from tests.strategies import wire as reference

values = st.integers(0, 2**64 - 1) | st.sampled_from([0, 127, 128, 2**14 - 1, 2**14, 2**63, 2**64 - 1])


@given(value=values, extra=st.integers(0, 9), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_a_number_comes_back_from_any_width(value, extra, before, after):
    extra = min(extra, MAX_VARINT_BYTES - varint_size(value))
    encoded = encode_varint(value, extra)
    assert len(encoded) == varint_size(value) + extra
    assert decode_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@given(value=values, extra=st.integers(0, 9))
def test_numbers_are_encoded_as_protobuf_does(value, extra):
    extra = min(extra, MAX_VARINT_BYTES - varint_size(value))
    assert encode_varint(value, extra) == reference.varint(value, extra)


@given(value=values, extra=st.integers(0, 9), before=st.binary(max_size=3))
def test_a_number_cut_off_is_refused_with_the_offset_of_the_end(value, extra, before):
    encoded = encode_varint(value, min(extra, MAX_VARINT_BYTES - varint_size(value)))
    for length in range(len(encoded)):
        with pytest.raises(WireError) as caught:
            decode_varint(before + encoded[:length], len(before))
        assert caught.value.offset == len(before) + length


def test_a_number_of_eleven_bytes_is_refused():
    with pytest.raises(WireError, match="more than 10 bytes") as caught:
        decode_varint(b"\x01" + b"\x80" * 10 + b"\x00", 1)
    assert caught.value.offset == 1


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 300])
def test_the_length_stands_before_the_content(size):
    content = bytes(size)
    assert delimited(b"\x0a", content) == b"\x0a" + encode_varint(size) + content
    assert size > 127 or short_starts(b"\x0a")[size] + content == delimited(b"\x0a", content)
