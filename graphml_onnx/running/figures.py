"""The distance between two arrays: sums that can be added up, and the figures computed from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.support.strictjson import Json

_PIECE = 1 << 13
"""Elements compared at once, in double precision: few enough for the caches, and for numpy to start no threads."""


@dataclass(slots=True)
class Figures:
    """The distance between two sets of values.

    Attributes:
        size: number of elements.
        signal: sum of the squares of the values.
        noise: sum of the squares of the differences.
        product: sum of the products.
        other: sum of the squares of the other values.
        largest_absolute: the largest difference; infinite if only one of the two is a finite number.
        largest_relative: the largest difference to a value, divided by the value; values of 0 are left out.
    """

    size: int = 0
    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    other: float = 0.0
    largest_absolute: float = 0.0
    largest_relative: float = 0.0

    @classmethod
    def of(cls, values: Array, others: Array) -> Figures:
        """Compares two arrays of one shape, piece by piece.

        Infinities and NaN are equal to themselves, and infinitely far from everything else. If the other values are in
        half precision, numbers too large for it count as its largest number.
        """
        found = cls()
        left, right = values.reshape(-1), others.reshape(-1)
        most = float(np.finfo(np.float16).max) if right.dtype == np.float16 else math.inf
        for start in range(0, left.size, _PIECE):
            one = left[start : start + _PIECE].astype(np.float64)
            other = right[start : start + _PIECE].astype(np.float64)
            if most < math.inf:
                one = np.where(np.isfinite(one), np.clip(one, -most, most), one)
            found.add(_figures(one, other))
        return found

    def add(self, more: Figures) -> None:
        """Adds the figures of other values."""
        self.size += more.size
        self.signal += more.signal
        self.noise += more.noise
        self.product += more.product
        self.other += more.other
        self.largest_absolute = max(self.largest_absolute, more.largest_absolute)
        self.largest_relative = max(self.largest_relative, more.largest_relative)

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference."""
        return self.largest_absolute == 0

    @property
    def sqnr(self) -> float:
        """Signal to noise in decibels: infinite without a difference, negative if the noise is greater."""
        if self.noise == 0:
            return math.inf
        if self.signal == 0 or self.noise == math.inf:
            return -math.inf
        return 10 * math.log10(self.signal / self.noise)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two as vectors; 1 if both are 0, and 0 if one is."""
        if self.signal == 0 or self.other == 0:
            return float(self.signal == self.other)
        return self.product / math.sqrt(self.signal) / math.sqrt(self.other)

    def to_dict(self) -> dict[str, Json]:
        """The figures as JSON values; None if one is infinite."""
        numbers = {
            "sqnr_db": self.sqnr,
            "cosine": self.cosine,
            "largest_absolute": self.largest_absolute,
            "largest_relative": self.largest_relative,
        }
        finite: dict[str, Json] = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return {"is_equal": self.is_equal, "size": self.size} | finite


def _figures(
    one: np.ndarray[tuple[int, ...], np.dtype[np.float64]], other: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> Figures:
    with np.errstate(all="ignore"):
        is_finite = np.isfinite(one) & np.isfinite(other)
        if not np.all(is_finite):
            is_same = (one == other) | (np.isnan(one) & np.isnan(other))
            is_lost = not np.all(is_same[~is_finite])
            one, other = np.where(is_finite, one, 0), np.where(is_finite, other, 0)
        else:
            is_lost = False
        difference = np.abs(one - other)
        relative = np.divide(difference, np.abs(one), out=np.zeros_like(one), where=one != 0)
        return Figures(
            size=one.size,
            signal=float(np.dot(one, one)),
            noise=math.inf if is_lost else float(np.dot(difference, difference)),
            product=float(np.dot(one, other)),
            other=float(np.dot(other, other)),
            largest_absolute=math.inf if is_lost else float(np.max(difference, initial=0)),
            largest_relative=math.inf if is_lost else float(np.max(relative, initial=0)),
        )
