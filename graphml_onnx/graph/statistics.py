"""Statistics of weights, streamed: no more than a megabyte of them is in memory at a time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx
from onnx import helper

from graphml_onnx.graph.weights import element_bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from graphml_onnx.graph.weights import TensorData
    from graphml_onnx.support.strictjson import Json


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the elements of one tensor, or of several.

    Attributes:
        count: their number.
        min: the smallest number; None if there is none.
        max: the largest number.
        mean: of the finite numbers; infinite if their sum exceeds float64.
        std: standard deviation of the finite numbers.
        zeros: how many are zero.
        nan: how many are NaN.
        infinite: how many are infinite.
    """

    count: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    zeros: int = 0
    nan: int = 0
    infinite: int = 0

    def to_dict(self) -> dict[str, Json]:
        """The values by name; infinite ones as text, since JSON has no number for them."""
        return {k: v if v is None or math.isfinite(v) else str(v) for k, v in asdict(self).items()}


def statistics_of(tensors: Iterable[TensorData]) -> Statistics:
    """Reads tensors from their places; strings and complex numbers are left out.

    Raises:
        GraphmlOnnxError: their bytes are missing, cannot be read, or do not fit the shape.
    """
    total = Moments()
    for tensor in tensors:
        total.join(Moments.of(tensor))
    return total.result()


def histogram_of(tensor: TensorData, low: float, high: float, bins: int) -> list[int]:
    """Reads a tensor from its place, and counts its finite elements in bins of one width between two numbers.

    Raises:
        GraphmlOnnxError: its bytes are missing, cannot be read, or are not as many as the shape asks for.
    """
    counts = np.zeros(bins, np.int64)
    if not math.isfinite(low) or not math.isfinite(high):
        return [0] * bins
    width = high / 2 - low / 2  # of half the range: the whole may be more than the largest float
    for values in _numbers(tensor):
        with np.errstate(invalid="ignore"):  # signalling NaN
            numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        # Without a width, all are one number, or two neighbours in float64.
        shares = (numbers / 2 - low / 2) / width if width else np.full(numbers.size, 0.5)
        counts += np.bincount(np.clip((shares * bins).astype(np.int64), 0, bins - 1), minlength=bins)
    return [int(count) for count in counts]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """How far the elements of a tensor are from those of another one of the same type and shape.

    Attributes:
        count: how many elements there are.
        changed: how many of them differ; NaN is the same as NaN.
        largest: the largest absolute difference between finite elements.
        relative: the norm of the difference, as a share of the norm of the old tensor; None if that is 0.
    """

    count: int = 0
    changed: int = 0
    largest: float = 0.0
    relative: float | None = None

    def __str__(self) -> str:
        share = "" if self.relative is None else f", {self.relative:.2%} of the norm"
        return f"{self.changed:,} of {self.count:,} values, by up to {self.largest:.3g}{share}"


def value_change(old: TensorData, new: TensorData) -> ValueChange | None:
    """Reads two tensors of one type and shape from their places, and compares them element by element.

    Returns:
        How far they are apart; None for strings and complex numbers.

    Raises:
        GraphmlOnnxError: their bytes are missing, or cannot be read.
    """
    if element_bits(old.dtype) is None or old.dtype.startswith("COMPLEX"):
        return None
    count = changed = 0
    largest = squares = norm = 0.0
    for one, other in _in_step(_numbers(old), _numbers(new)):
        left, right = one.astype(np.float64), other.astype(np.float64)
        count += left.size
        changed += int(np.count_nonzero((left != right) & ~(np.isnan(left) & np.isnan(right))))
        finite = np.isfinite(left) & np.isfinite(right)
        apart = (right - left)[finite]
        if apart.size:
            largest = max(largest, float(np.abs(apart).max()))
            squares += float(np.dot(apart, apart))
            norm += float(np.dot(left[finite], left[finite]))
    return ValueChange(count, changed, largest, math.sqrt(squares / norm) if norm else None)


def _in_step(
    old: Iterator[npt.NDArray[np.generic]], new: Iterator[npt.NDArray[np.generic]]
) -> Iterator[tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]]:
    """Two streams of elements in pieces of one size: each comes in chunks of its own store."""
    left: npt.NDArray[np.generic] = np.empty(0)
    right = left
    while (left.size or (left := next(old, left)).size) and (right.size or (right := next(new, right)).size):
        size = min(left.size, right.size)
        yield left[:size], right[:size]
        left, right = left[size:], right[size:]


def _numbers(tensor: TensorData) -> Iterator[npt.NDArray[np.generic]]:
    bits = element_bits(tensor.dtype)
    if bits is None or tensor.dtype.startswith("COMPLEX"):
        return
    tensor.check_length()
    if bits % 8:
        yield tensor.numpy().reshape(-1).astype(np.float32)
        return
    dtype = helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(tensor.dtype))
    is_usual = dtype.kind in "fiub"
    rest = b""
    for chunk in tensor.chunks():
        data = rest + chunk if rest else chunk
        whole = len(data) // dtype.itemsize * dtype.itemsize
        rest = data[whole:]
        values = np.frombuffer(data[:whole] if rest else data, dtype.newbyteorder("<") if is_usual else dtype)
        yield values if is_usual and dtype != np.float16 else values.astype(np.float32)


class Moments:
    """Sums for statistics, merged so that large numbers do not cancel (Chan, Golub and LeVeque)."""

    def __init__(self) -> None:
        self.count = self.zeros = self.nan = self.infinite = self.finite = 0
        self.min, self.max = math.inf, -math.inf
        self.mean = self.squares = 0.0

    @classmethod
    def of(cls, tensor: TensorData) -> Moments:
        """The sums of one tensor, which is read from its place; none for strings and complex numbers.

        Raises:
            GraphmlOnnxError: its bytes are missing, cannot be read, or are not as many as the shape asks for.
        """
        moments = cls()
        for values in _numbers(tensor):
            moments.add(values)
        return moments

    def join(self, other: Moments) -> None:
        """Adds the sums of another one."""
        self.count += other.count
        self.zeros += other.zeros
        self.nan += other.nan
        self.infinite += other.infinite
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)
        self._join(other.finite, other.mean, other.squares)

    def _join(self, count: int, mean: float, squares: float) -> None:
        if not self.finite or not count:
            if count:
                self.finite, self.mean, self.squares = count, mean, squares
            return
        total = self.finite + count
        difference = mean - self.mean
        self.mean += difference * count / total
        self.squares += squares + difference * difference * self.finite * count / total
        self.finite = total

    def add(self, values: npt.NDArray[np.generic]) -> None:
        """Adds elements."""
        numbers = cast("npt.NDArray[np.float64]", values)
        self.count += values.size
        self.zeros += values.size - int(np.count_nonzero(values))
        if not values.size:
            return
        low, high = np.min(numbers), np.max(numbers)
        if not np.isfinite(low) or not np.isfinite(high):
            missing = np.isnan(numbers)
            self.nan += int(missing.sum())
            numbers = numbers[~missing]
            if not numbers.size:
                return
            low, high = np.min(numbers), np.max(numbers)
            infinite = np.isinf(numbers)
            self.infinite += int(infinite.sum())
            numbers = numbers[~infinite]
        self.min, self.max = min(self.min, float(low)), max(self.max, float(high))
        if not numbers.size:
            return
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # near the largest float64 no sum is finite, so the mean is infinite
            mean = float(numbers.mean(dtype=np.float64))
            apart = numbers.astype(np.float64) - mean
            squares = float(np.dot(apart, apart))
        self._join(numbers.size, mean, squares)

    def result(self) -> Statistics:
        """The statistics."""
        has_numbers = self.count > self.nan
        return Statistics(
            self.count,
            self.min if has_numbers else None,
            self.max if has_numbers else None,
            self.mean if self.finite else None,
            math.sqrt(self.squares / self.finite) if self.finite else None,
            self.zeros,
            self.nan,
            self.infinite,
        )
