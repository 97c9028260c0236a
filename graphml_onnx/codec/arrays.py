"""Long lists of numbers and strings as JSON, as arrays instead of item by item.

A list goes this way if each of its items has its usual form; which of them has not is found by one look at the array.
Everything else goes item by item, which also names the error.

Source: docs/format.md, section "JSON".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import orjson

from graphml_onnx.codec.numbers import FloatFormat, float_json
from graphml_onnx.graphml.text import is_plain_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.support.strictjson import Json

LONG = 256
"""Items from which on a list is an array; with fewer, the array costs more than it saves."""


class ListCodec(Protocol):
    """Both directions of a long list."""

    def write(self, values: Sequence[object], /) -> str | None:
        """JSON text; None where an item needs a form of its own."""

    def read(self, items: Sequence[Json], /) -> Iterable[object] | None:
        """The values; None where an item is not of the usual form, or wrong."""


class Floats:
    """Floating-point numbers by their bits.

    Args:
        form: float32 or float64.
    """

    def __init__(self, form: FloatFormat) -> None:
        self._form = form

    def write(self, values: Sequence[object]) -> str:
        """JSON text: shortest decimals that give the same bits."""
        bits = np.array(values, self._form.bits)
        numbers = bits.view(self._form.dtype)
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        # What is not finite is null there; a few decimals become another float32 on their way through a float64.
        back = np.array(orjson.loads(text), np.float64).astype(self._form.dtype)
        wrong = np.flatnonzero(back.view(self._form.bits) != bits)
        wrong = np.union1d(wrong, np.flatnonzero(~np.isfinite(bits.view(f"f{bits.itemsize}"))))
        if len(wrong):
            parts = text[1:-1].split(",")
            for index in wrong.tolist():
                parts[index] = float_json(self._form, int(bits[index]))
            text = f"[{','.join(parts)}]"
        return text

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The bits; None where an item is no finite number of this format."""
        if not set(map(type, items)) <= {int, float}:
            return None
        try:
            exact = np.array(items, np.float64)
        except OverflowError:
            return None
        with np.errstate(over="ignore"):
            numbers = exact.astype(self._form.dtype)
        if not np.isfinite(numbers.astype(np.float64)).all():
            return None
        return cast("list[object]", numbers.view(self._form.bits).tolist())


class Integers:
    """Integers of a range.

    Args:
        low: the lowest.
        high: the highest.
    """

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def write(self, values: Sequence[object]) -> str:
        """JSON text."""
        return orjson.dumps(list(values)).decode()

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The integers; None where an item is none, or out of range."""
        if set(map(type, items)) != {int}:
            return None
        integers = cast("Sequence[int]", items)
        return integers if min(integers) >= self._low and max(integers) <= self._high else None


class Strings:
    """Strings, or bytes that are text.

    Args:
        reserved: what none of the values may contain: the start of a marker.
    """

    def __init__(self, reserved: bytes | None) -> None:
        self._reserved = reserved

    def write(self, values: Sequence[object]) -> str | None:
        """JSON text; None where one is not UTF-8, has to be escaped, or stands for a payload."""
        joined = b'","'.join(cast("Sequence[bytes]", values))
        if self._reserved is not None and self._reserved in joined:
            return None
        try:
            text = joined.decode()
        except UnicodeDecodeError:
            return None
        return f'["{text}"]' if is_plain_json(text, len(values)) else None

    def read(self, items: Sequence[Json]) -> Iterable[object] | None:
        """The values in UTF-8; None where one is no string, or holds a surrogate."""
        if set(map(type, items)) != {str}:
            return None
        try:
            return [text.encode() for text in cast("Sequence[str]", items)]
        except UnicodeEncodeError:
            return None
