"""Raw tensor bytes as readable numbers, and the reverse, for every data type of ONNX that has numbers.

Source: ``TensorProto.raw_data`` in onnx.proto: fixed-width, little-endian, sub-byte types packed from the low bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import ml_dtypes
import numpy as np
import onnx

from graphml_onnx.codec.numbers import FLOAT32, FLOAT64, FloatFormat, float_bits, float_format, float_json, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphml_onnx.support.strictjson import Json


class _Elements(NamedTuple):
    """The layout of a data type's elements in raw bytes.

    Attributes:
        bits: width of an element.
        write: JSON text of an element, from its bits.
        read: bits of an element, from its JSON value; raises NumberError.
    """

    bits: int
    write: Callable[[int], str]
    read: Callable[[Json], int]


def _floats(form: FloatFormat, bits: int = 0) -> _Elements:
    return _Elements(
        bits or 8 * form.bits.itemsize, lambda value: float_json(form, value), lambda value: float_bits(form, value)
    )


def _unsigned(bits: int) -> _Elements:
    return _Elements(bits, str, lambda value: integer(value, 0, 2**bits - 1))


def _signed(bits: int) -> _Elements:
    half, full = 1 << (bits - 1), 1 << bits
    return _Elements(
        bits,
        lambda value: str(value - full if value >= half else value),
        lambda value: integer(value, -half, half - 1) % full,
    )


def _read_bool(value: Json) -> int:
    return int(value) if isinstance(value, bool) else integer(value, 0, 255)


_BOOL = _Elements(8, lambda value: ("false", "true")[value] if value < 2 else str(value), _read_bool)

# By name, because a release of ONNX may lack the newest ones; types without numbers (STRING) are not here.
_BY_NAME = {
    "FLOAT": _floats(FLOAT32),
    "DOUBLE": _floats(FLOAT64),
    "FLOAT16": _floats(float_format(np.float16)),
    "BFLOAT16": _floats(float_format(ml_dtypes.bfloat16)),
    "COMPLEX64": _floats(FLOAT32),
    "COMPLEX128": _floats(FLOAT64),
    "FLOAT8E4M3FN": _floats(float_format(ml_dtypes.float8_e4m3fn)),
    "FLOAT8E4M3FNUZ": _floats(float_format(ml_dtypes.float8_e4m3fnuz)),
    "FLOAT8E5M2": _floats(float_format(ml_dtypes.float8_e5m2)),
    "FLOAT8E5M2FNUZ": _floats(float_format(ml_dtypes.float8_e5m2fnuz)),
    "FLOAT8E8M0": _floats(float_format(ml_dtypes.float8_e8m0fnu)),
    "FLOAT6E2M3": _floats(float_format(ml_dtypes.float6_e2m3fn), bits=6),
    "FLOAT6E3M2": _floats(float_format(ml_dtypes.float6_e3m2fn), bits=6),
    "FLOAT4E2M1": _floats(float_format(ml_dtypes.float4_e2m1fn), bits=4),
    "BOOL": _BOOL,
    **{f"INT{bits}": _signed(bits) for bits in (2, 4, 8, 16, 32, 64)},
    **{f"UINT{bits}": _unsigned(bits) for bits in (2, 4, 8, 16, 32, 64)},
}
_ELEMENTS = {number: _BY_NAME[name] for name, number in onnx.TensorProto.DataType.items() if name in _BY_NAME}


def has_numbers(data_type: int, raw: bytes) -> bool:
    """Whether the raw bytes of a tensor of this type can be written as numbers."""
    elements = _ELEMENTS.get(data_type)
    if elements is None:
        return False
    rest = len(raw) * 8 % elements.bits
    return not rest or (elements.bits < 8 and raw[-1] >> (8 - rest) == 0)


def raw_json(data_type: int, dims: Sequence[int], raw: bytes) -> str:
    """JSON list of a tensor's elements; for a complex tensor, real and imaginary parts in turn.

    Args:
        data_type: ``TensorProto.DataType``, for which `has_numbers` holds.
        dims: the tensor's dims; only used to find out whether the last bits of a sub-byte type are padding.
        raw: its raw_data.
    """
    elements = _ELEMENTS[data_type]
    values: Sequence[int]
    if elements.bits >= 8:
        values = np.frombuffer(raw, f"<u{elements.bits // 8}").tolist()
    else:
        values = _unpack(raw, elements.bits)
        count = math.prod(dims)
        if _packed_size(count, elements.bits) == len(raw) and not any(values[count:]):
            values = values[:count]
    write = elements.write
    return "[" + ",".join([write(value) for value in values]) + "]"


def raw_bytes(data_type: int, values: Sequence[Json]) -> bytes:
    """Raw bytes of a tensor whose elements are listed; the inverse of `raw_json`.

    Raises:
        NumberError: an element is not a number of this type.
        KeyError: the type has no numbers.
    """
    elements = _ELEMENTS[data_type]
    bits = [elements.read(value) for value in values]
    if elements.bits >= 8:
        return np.array(bits, f"<u{elements.bits // 8}").tobytes()
    return _pack(bits, elements.bits)


def _packed_size(count: int, bits: int) -> int:
    return (count * bits + 7) // 8


def _unpack(raw: bytes, bits: int) -> list[int]:
    stream = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    whole = stream[: len(stream) // bits * bits].reshape(-1, bits)
    values: list[int] = (whole @ (1 << np.arange(bits))).tolist()
    return values


def _pack(values: Sequence[int], bits: int) -> bytes:
    stream = np.array(values, np.uint8)[:, np.newaxis] >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(stream, bitorder="little").tobytes()
