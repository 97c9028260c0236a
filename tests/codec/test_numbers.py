from __future__ import annotations

import json
import math
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx.codec.numbers import FLOAT32, FLOAT64, NumberError, float_bits, float_format, float_json, integer

SMALL = {
    name: float_format(getattr(ml_dtypes, name, None) or name)
    for name in (
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    )
}


@pytest.mark.parametrize("name", SMALL)
def test_every_number_of_a_small_format_comes_back(name):
    form = SMALL[name]
    for bits in range(2 ** (8 * form.bits.itemsize)):
        assert float_bits(form, json.loads(float_json(form, bits))) == bits


def test_every_four_bit_number_comes_back():
    form = float_format(ml_dtypes.float4_e2m1fn)
    for bits in range(16):
        assert float_bits(form, json.loads(float_json(form, bits))) == bits


@given(st.integers(0, 2**32 - 1))
@example(0x7F800001)
@example(0x80000000)
@example(1)
@example(0x7F7FFFFF)
@example(0xFFFFFFFF)
def test_float32_comes_back(bits):
    assert float_bits(FLOAT32, json.loads(float_json(FLOAT32, bits))) == bits


@given(st.integers(0, 2**64 - 1))
@example(0x7FF0000000000001)
@example(1 << 63)
@example(1)
@example(0x7FEFFFFFFFFFFFFF)
def test_float64_comes_back(bits):
    assert float_bits(FLOAT64, json.loads(float_json(FLOAT64, bits))) == bits


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_is_as_short_as_can_be(value):
    bits = int.from_bytes(struct.pack("<f", value), "little")
    written = float_json(FLOAT32, bits)
    assert float(np.float32(float(written))) == value
    assert len(written) <= len(repr(value))


@pytest.mark.parametrize(
    ("form", "bits", "text"),
    [
        (FLOAT32, 0x3DCCCCCD, "0.1"),
        (FLOAT32, 0x80000000, "-0.0"),
        (FLOAT32, 0x7F800000, '"Infinity"'),
        (FLOAT32, 0xFF800000, '"-Infinity"'),
        (FLOAT32, 0x7FC00000, '"NaN"'),
        (FLOAT32, 0x7F800001, '"NaN:7f800001"'),
        (FLOAT32, 0xFFC00000, '"NaN:ffc00000"'),
        (FLOAT64, 0x7FF0000000000001, '"NaN:7ff0000000000001"'),
        (SMALL["float16"], 0x3C00, "1.0"),
    ],
)
def test_what_a_reader_sees(form, bits, text):
    assert float_json(form, bits) == text
    assert float_bits(form, json.loads(text)) == bits


@pytest.mark.parametrize(
    ("form", "value"),
    [(FLOAT32, "NaN:3f800000"), (SMALL["float8_e4m3fn"], "Infinity"), (SMALL["float8_e4m3fn"], "NaN:00")],
)
def test_a_special_value_that_the_format_lacks_is_refused(form, value):
    with pytest.raises(NumberError):
        float_bits(form, value)


def test_an_integer_is_a_number_too():
    assert float_bits(FLOAT32, 1) == 0x3F800000


@pytest.mark.parametrize("form", [FLOAT32, FLOAT64, *SMALL.values()])
@pytest.mark.parametrize("value", [None, True, [], {}, "", "1.0", "nan", "NaN:", "NaN:7", "NaN:7F800001", "inf"])
def test_what_is_no_number_is_refused(form, value):
    with pytest.raises(NumberError):
        float_bits(form, value)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (FLOAT32, 1e39),
        (FLOAT32, -3.5e38),
        (FLOAT32, 10**39),
        (FLOAT32, math.inf),
        (FLOAT64, math.inf),
        (FLOAT64, 10**400),
        (SMALL["float16"], 65_520.0),
        (SMALL["float16"], 10**400),
        (SMALL["bfloat16"], 3.4e38),
        (SMALL["float8_e4m3fn"], 1000),
        (SMALL["float8_e5m2"], 1e6),
        (SMALL["float8_e8m0fnu"], -1.0),
    ],
)
def test_a_number_beyond_the_range_is_refused_not_rounded_to_infinity(form, value):
    with pytest.raises(NumberError, match="range"):
        float_bits(form, value)


@given(st.integers(-(2**70), 2**70))
def test_integers_within_their_range(value):
    if -(2**63) <= value < 2**63:
        assert integer(value, -(2**63), 2**63 - 1) == value
    else:
        with pytest.raises(NumberError, match="outside"):
            integer(value, -(2**63), 2**63 - 1)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [], {}])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(NumberError, match="not an integer"):
        integer(value, 0, 10)
