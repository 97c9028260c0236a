from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.tensors import has_numbers, raw_bytes, raw_json

TYPES = dict(onnx.TensorProto.DataType.items())
WITHOUT_NUMBERS = {"UNDEFINED", "STRING"}
NUMERIC = {name: number for name, number in TYPES.items() if name not in WITHOUT_NUMBERS}
SUB_BYTE = {
    name: (NUMERIC[name], bits)
    for name, bits in [
        ("INT4", 4),
        ("UINT4", 4),
        ("FLOAT4E2M1", 4),
        ("INT2", 2),
        ("UINT2", 2),
        ("FLOAT6E2M3", 6),
        ("FLOAT6E3M2", 6),
    ]
    if name in NUMERIC
}


def test_every_data_type_has_numbers_or_is_known_to_have_none():
    assert {name for name, number in TYPES.items() if not has_numbers(number, b"")} == WITHOUT_NUMBERS


@pytest.mark.parametrize("data_type", NUMERIC.values(), ids=NUMERIC)
@given(raw=st.binary(max_size=64), dims=st.lists(st.integers(-1, 9), max_size=3))
def test_raw_bytes_come_back(data_type, raw, dims):
    if has_numbers(data_type, raw):
        text = raw_json(data_type, dims, raw)
        assert raw_bytes(data_type, json.loads(text)) == raw


@pytest.mark.parametrize("data_type", NUMERIC.values(), ids=NUMERIC)
@given(raw=st.binary(min_size=48, max_size=48))
def test_the_numbers_are_those_that_onnx_reads(data_type, raw):
    count = len(json.loads(raw_json(data_type, [], raw)))
    complex_types = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
    count = count // 2 if data_type in complex_types else count
    tensor = onnx.TensorProto(data_type=data_type, dims=[count], raw_data=raw)
    expected = numpy_helper.to_array(tensor)
    if data_type in complex_types:
        expected = expected.view(expected.real.dtype)
    for value, number in zip(json.loads(raw_json(data_type, [count], raw)), expected, strict=True):
        if isinstance(value, str):
            assert not np.isfinite(np.float64(number))
        elif data_type == onnx.TensorProto.BOOL:
            assert bool(value) == bool(number)
        else:
            assert np.float64(value).astype(expected.dtype) == number or value == number


@pytest.mark.parametrize(("data_type", "bits"), SUB_BYTE.values(), ids=SUB_BYTE)
@pytest.mark.parametrize("count", range(1, 10))
def test_an_odd_count_of_narrow_elements_stands_without_its_padding(data_type, bits, count):
    ones = sum(1 << index * bits for index in range(count))
    raw = ones.to_bytes(-(-count * bits // 8), "little")
    assert has_numbers(data_type, raw)
    values = json.loads(raw_json(data_type, [count], raw))
    assert len(values) == count
    assert raw_bytes(data_type, values) == raw


def test_padding_that_is_not_zero_is_kept():
    raw = b"\x21\xf3"
    text = raw_json(onnx.TensorProto.UINT4, [3], raw)
    assert text == "[1,2,3,15]"
    assert raw_bytes(onnx.TensorProto.UINT4, json.loads(text)) == raw


def test_bytes_that_the_dims_do_not_explain_are_kept():
    for dims in ([], [100], [-3], [2**62, 2**62]):
        assert raw_json(onnx.TensorProto.INT4, dims, b"\x10\x32") == "[0,1,2,3]"
        assert raw_json(onnx.TensorProto.INT8, dims, b"\x10\xff") == "[16,-1]"


def test_part_of_an_element_is_no_number():
    assert not has_numbers(onnx.TensorProto.FLOAT, bytes(5))
    assert not has_numbers(onnx.TensorProto.STRING, bytes(4))
    assert not has_numbers(999, bytes(4))


def test_booleans_other_than_0_and_1_are_kept():
    assert raw_json(onnx.TensorProto.BOOL, [3], b"\x00\x01\x07") == "[false,true,7]"
    assert raw_bytes(onnx.TensorProto.BOOL, [False, True, 7]) == b"\x00\x01\x07"


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        (onnx.TensorProto.INT4, 8),
        (onnx.TensorProto.INT4, -9),
        (onnx.TensorProto.UINT4, 16),
        (onnx.TensorProto.INT8, 128),
        (onnx.TensorProto.UINT8, -1),
        (onnx.TensorProto.INT64, 2**63),
        (onnx.TensorProto.UINT64, 2**64),
        (onnx.TensorProto.INT32, 1.5),
        (onnx.TensorProto.INT32, "1"),
        (onnx.TensorProto.BOOL, 256),
        (onnx.TensorProto.FLOAT, True),
        (onnx.TensorProto.FLOAT, 1e39),
        (onnx.TensorProto.FLOAT16, 1e5),
    ],
)
def test_a_number_that_does_not_fit_is_refused(data_type, value):
    with pytest.raises(NumberError):
        raw_bytes(data_type, [value])
