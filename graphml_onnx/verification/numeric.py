"""Runs two models on the same random inputs and compares their outputs (needs onnxruntime)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from graphml_onnx.errors import UsageError
from graphml_onnx.results import Check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

_SEED = 20_000
_DIMENSION = 2  # for a dimension that the model leaves open
_TENSOR = re.compile(r"tensor\((\w+)\)")
_DTYPES: dict[str, np.dtype[np.generic]] = {
    "float": np.dtype("float32"),
    **{name: np.dtype(name) for name in ("double", "float16", "bool")},
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class _Value(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None]


class _Session(Protocol):
    def get_inputs(self) -> Sequence[_Value]: ...
    def run(self, names: None, feed: Mapping[str, npt.NDArray[np.generic]], /) -> Sequence[object]: ...


def compare_outputs(original: Path, copy: Path) -> Check:
    """Runs both models; the same file gives the same numbers, NaN included.

    Args:
        original: an ONNX file.
        copy: another one.

    Returns:
        A check named ``numeric``. It fails where onnxruntime cannot run a model: nothing was compared.

    Raises:
        UsageError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("`numeric=True` needs onnxruntime", remedy="pip install 'graphml-onnx[numeric]'") from None

    def outcome(path: Path) -> Sequence[object] | str:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            session = cast(
                "_Session", onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            )
            return session.run(None, _random_inputs(session.get_inputs()))
        except Exception as error:  # noqa: BLE001 onnxruntime has no common class for its errors
            return str(error).splitlines()[0].replace(str(path), "the model")

    before, after = outcome(original), outcome(copy)
    if isinstance(before, str):
        return Check("numeric", passed=False, detail=f"onnxruntime cannot run the model itself: {before}")
    if isinstance(after, str):
        return Check("numeric", passed=False, detail=f"onnxruntime cannot run the decoded model: {after}")
    differing = [str(index) for index, (a, b) in enumerate(zip(before, after, strict=True)) if not _same(a, b)]
    detail = f"outputs {', '.join(differing)} differ" if differing else f"{len(before)} outputs are equal"
    return Check("numeric", passed=not differing, detail=detail)


def _random_inputs(values: Sequence[_Value]) -> dict[str, npt.NDArray[np.generic]]:
    generator = np.random.default_rng(_SEED)
    feed = {}
    for value in values:
        match = _TENSOR.fullmatch(value.type)
        dtype = _DTYPES.get(match[1]) if match else None
        if dtype is None:
            raise ValueError(f"inputs of type {value.type} are not generated")
        shape = [size if isinstance(size, int) and size >= 0 else _DIMENSION for size in value.shape]
        # Small whole numbers serve as indices, masks and lengths too.
        feed[value.name] = generator.integers(0, 2, shape).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            feed[value.name] = generator.standard_normal(shape).astype(dtype)
    return feed


def _same(left: object, right: object) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        is_float = np.issubdtype(left.dtype, np.inexact)
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=is_float)
    return left == right
