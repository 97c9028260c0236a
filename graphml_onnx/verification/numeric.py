"""Runs two models on the same random inputs and compares their outputs (needs onnxruntime)."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import numpy as np

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs.specs import DTYPES, InputSpec
from graphml_onnx.results import Check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

Array: TypeAlias = "npt.NDArray[np.generic]"

_RECORDED_INPUTS: Final = "winml.io.inputs"
"""Key of the model's metadata under which WinML's exporter records its example inputs."""

_SEED: Final = 20_000
_OPEN_SIZES: Final = (2, 1, 16, 64, 224)
"""Sizes tried, one after the other, for dimensions that the model leaves open."""
_MOST_NUMBERS: Final = 1 << 26
_TENSOR: Final = re.compile(r"tensor\((\w+)\)")
_NUMPY_NAMES: Final = {"float": "float32", "double": "float64"}
_GENERATED: Final = frozenset(DTYPES) - {"bfloat16"} | {"uint16", "uint32", "uint64", "string"}


class _Value(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None]


class _Metadata(Protocol):
    custom_metadata_map: Mapping[str, str]


class _Session(Protocol):
    def get_modelmeta(self) -> _Metadata: ...
    def get_inputs(self) -> Sequence[_Value]: ...
    def run(self, names: None, feed: Mapping[str, Array], /) -> Sequence[object]: ...


class _CannotRunError(Exception):
    """onnxruntime does not take a model, or no inputs for it are known."""


def compare_outputs(original: Path, copy: Path, specs: Mapping[str, InputSpec] | None = None) -> Check:
    """Runs both models; the same file gives the same numbers, NaN included.

    Inputs follow the specs, then what the exporter recorded in the model, then the shapes that the model declares.
    Dimensions that it leaves open get the first of a few sizes with which it runs.

    Args:
        original: an ONNX file.
        copy: another one.
        specs: descriptions of some or all inputs, by name.

    Returns:
        A check named ``numeric``. It is skipped, with the reason, where onnxruntime cannot run the original.

    Raises:
        UsageError: onnxruntime is not installed, or there is no input of a name in the specs.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("`numeric=True` needs onnxruntime", remedy="pip install onnxruntime") from None

    def opened(path: Path) -> _Session:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            return cast("_Session", onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"]))
        except Exception as error:
            raise _CannotRunError(_first_line(error).replace(str(path), "the model")) from error

    try:
        session = opened(original)
        _check_names(specs or {}, session)
        recorded = _recorded_specs(session.get_modelmeta().custom_metadata_map.get(_RECORDED_INPUTS, "[]"))
        feed, before = _first_run(session, recorded | dict(specs or {}))
    except _CannotRunError as error:
        return Check("numeric", passed=False, skipped=True, detail=f"onnxruntime cannot run the model itself: {error}")
    try:
        after = _run(opened(copy), feed)
    except _CannotRunError as error:
        return Check("numeric", passed=False, detail=f"onnxruntime cannot run the decoded model: {error}")
    differing = [str(index) for index, (a, b) in enumerate(zip(before, after, strict=True)) if not _same(a, b)]
    detail = f"outputs {', '.join(differing)} differ" if differing else f"{len(before)} outputs are equal"
    return Check("numeric", passed=not differing, detail=detail)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _run(session: _Session, feed: Mapping[str, Array]) -> Sequence[object]:
    try:
        return session.run(None, feed)
    except Exception as error:  # onnxruntime has no common class for its errors
        raise _CannotRunError(_first_line(error)) from error


def _first_run(session: _Session, specs: Mapping[str, InputSpec]) -> tuple[dict[str, Array], Sequence[object]]:
    """The first inputs with which the model runs, and its outputs.

    Raises:
        _CannotRunError: it runs with none; the reason is that of the first attempt.
    """
    values = session.get_inputs()
    declared = [value.shape for value in values if value.name not in specs]
    is_open = any(not isinstance(size, int) for shape in declared for size in shape)
    reasons: list[_CannotRunError] = []
    for open_size in _OPEN_SIZES if is_open else _OPEN_SIZES[:1]:
        generator = np.random.default_rng(_SEED)
        try:
            feed = {v.name: _array(specs.get(v.name) or _declared(v, open_size), generator) for v in values}
            return feed, _run(session, feed)
        except _CannotRunError as error:
            reasons.append(error)
    hint = "; `input_specs` can describe its inputs" if is_open else ""
    raise _CannotRunError(f"{reasons[0]}{hint}")


def _declared(value: _Value, open_size: int) -> InputSpec:
    match = _TENSOR.fullmatch(value.type)
    dtype = _NUMPY_NAMES.get(match[1], match[1]) if match else ""
    if dtype not in _GENERATED:
        raise _CannotRunError(f"inputs of type {value.type} are not generated")
    # The first dimension is most often the batch: it stays small.
    sizes = [min(open_size, 2) if axis == 0 and len(value.shape) > 1 else open_size for axis in range(len(value.shape))]
    shape = tuple(size if isinstance(size, int) else sizes[axis] for axis, size in enumerate(value.shape))
    if math.prod(shape) > _MOST_NUMBERS:
        raise _CannotRunError(f"an input of {math.prod(shape):,} numbers is not made without being asked for")
    return InputSpec(shape, dtype)


def _array(spec: InputSpec, generator: np.random.Generator) -> Array:
    try:
        if spec.dtype == "string":
            return np.full(spec.shape, "a", dtype=object)
        dtype = np.dtype(spec.dtype)
        low, high = spec.span or (0, 1)  # small whole numbers serve as indices, masks and lengths
        if np.issubdtype(dtype, np.floating) and spec.span is None:
            return generator.standard_normal(spec.shape).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            return generator.uniform(low, high, spec.shape).astype(dtype)
        return generator.integers(int(low), int(high), spec.shape, endpoint=True).astype(dtype)
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        raise _CannotRunError(f"an input of {spec.shape} {spec.dtype} cannot be made: {_first_line(error)}") from error


def _check_names(specs: Mapping[str, InputSpec], session: _Session) -> None:
    names = [value.name for value in session.get_inputs()]
    for name in specs:
        if name not in names:
            message = f"the model has no input {name!r}, which `input_specs` describes"
            raise UsageError(message, remedy=f"it has {', '.join(names)}")


def _recorded_specs(text: str) -> dict[str, InputSpec]:
    """What WinML's exporter recorded, as far as it can be used; other programs may have written anything there.

    Its ranges may or may not hold their upper bound; one less is always within.
    """
    try:
        entries = json.loads(text)
        return {str(entry["name"]): _recorded_spec(entry) for entry in entries if entry["dtype"] in _GENERATED}
    except (ValueError, TypeError, KeyError, LookupError, AttributeError, RecursionError):
        return {}


def _recorded_spec(entry: Mapping[str, object]) -> InputSpec:
    shape = tuple(int(cast("int", size)) for size in cast("Sequence[object]", entry["shape"]))
    if "value_range" not in entry:
        return InputSpec(shape, str(entry["dtype"]))
    low, high = (int(cast("int", bound)) for bound in cast("Sequence[object]", entry["value_range"]))
    return InputSpec(shape, str(entry["dtype"]), (low, max(low, high - 1)))


def _same(left: object, right: object) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        is_float = np.issubdtype(left.dtype, np.inexact)
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=is_float)
    return left == right
