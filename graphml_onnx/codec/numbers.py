"""Numbers as JSON, exactly: floating-point bits to the shortest text that round-trips, and the reverse.

Numbers that JSON does not have are strings: ``"Infinity"``, ``"-Infinity"``, ``"NaN"`` for the usual quiet NaN, and
``"NaN:7f800001"`` with all bits for any other NaN.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json


class NumberError(ValueError):
    """The JSON value is not a number of the wanted type, or beyond its range."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatFormat:
    """A floating-point format: NumPy's type for it, and the unsigned integer that holds its bits."""

    dtype: np.dtype[np.generic]
    bits: np.dtype[np.generic]


def float_format(dtype: npt.DTypeLike) -> FloatFormat:
    """The format of a NumPy type; types narrower than a byte occupy one."""
    found = np.dtype(dtype)
    return FloatFormat(found, np.dtype(f"u{found.itemsize}"))


FLOAT32 = float_format(np.float32)
FLOAT64 = float_format(np.float64)


@lru_cache(maxsize=1 << 14)
def float_json(form: FloatFormat, bits: int) -> str:
    """JSON text of the number with the given bits."""
    number = np.array(bits, form.bits).view(form.dtype)
    exact = float(number)
    if exact != exact:
        usual = int(np.array(np.nan, form.dtype).view(form.bits))
        return '"NaN"' if bits == usual else f'"NaN:{bits:0{2 * form.bits.itemsize}x}"'
    if exact in (float("inf"), float("-inf")):
        return '"Infinity"' if exact > 0 else '"-Infinity"'
    shortest = repr(float(str(number)))
    return shortest if float_bits(form, float(shortest)) == bits else repr(exact)


def float_bits(form: FloatFormat, value: Json) -> int:
    """Bits of the number in a JSON value; the inverse of `float_json`.

    Raises:
        NumberError: it is no number, or one beyond the format's range.
    """
    if isinstance(value, str):
        return _special_bits(form, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NumberError(f"{_shown(value)} is not a number")
    if value in (math.inf, -math.inf):  # how Python reads 1e999
        raise NumberError(f"the number is beyond the range of {form.dtype}")
    if form is FLOAT32 and isinstance(value, float):
        try:
            return int.from_bytes(struct.pack("<f", value), "little")
        except OverflowError:
            raise NumberError(f"{value} is beyond the range of float32") from None
    try:
        with np.errstate(over="ignore"):
            number = np.array(float(value), np.float64).astype(form.dtype)
    except OverflowError:
        raise NumberError("the number is beyond the range of its type") from None
    if not np.isfinite(number.astype(np.float64)):
        raise NumberError(f"{_shown(value)} is beyond the range of {form.dtype}")
    return int(number.view(form.bits))


def _special_bits(form: FloatFormat, value: str) -> int:
    if value in ("NaN", "Infinity", "-Infinity"):
        number = np.array(float(value), np.float64).astype(form.dtype)
        if not np.array_equal(number.astype(np.float64), float(value), equal_nan=True):
            raise NumberError(f"{form.dtype} has no {value}")
        return int(number.view(form.bits))
    digits = value.removeprefix("NaN:")
    if digits != value and len(digits) == 2 * form.bits.itemsize and set(digits) <= set("0123456789abcdef"):
        bits = int(digits, 16)
        with np.errstate(invalid="ignore"):  # a signalling NaN, on its way through a wider format
            is_nan = np.isnan(np.array(bits, form.bits).view(form.dtype))
        if not is_nan:
            raise NumberError(f"{_shown(value)} is not a NaN of {form.dtype}")
        return bits
    raise NumberError(f"{_shown(value)} is neither a number nor NaN, Infinity, -Infinity or NaN:<bits>")


def integer(value: Json, low: int, high: int) -> int:
    """The integer in a JSON value.

    Raises:
        NumberError: it is not an integer from ``low`` to ``high``.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise NumberError(f"{_shown(value)} is not an integer")
    if not low <= value <= high:
        raise NumberError(f"{_shown(value)} is outside {low} to {high}")
    return value


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
