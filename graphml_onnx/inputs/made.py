"""Makes inputs for a model: from specs, an exporter's record, or the shapes that the model declares."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import numpy as np

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs.specs import DTYPES, InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt

Array: TypeAlias = "npt.NDArray[np.generic]"
_Ran = TypeVar("_Ran")

RECORDED_INPUTS: Final = "winml.io.inputs"
"""Key of the model's metadata under which WinML's exporter records its example inputs."""

SEED: Final = 20_000
_OPEN_SIZES: Final = (2, 1, 16, 64, 224)
"""Sizes to try, one after the other, for dynamic dimensions."""
_MOST_NUMBERS: Final = 1 << 26
_TENSOR: Final = re.compile(r"tensor\((\w+)\)")
_NUMPY_NAMES: Final = {"float": "float32", "double": "float64"}
_GENERATED: Final = frozenset(DTYPES) - {"bfloat16"} | {"uint16", "uint32", "uint64", "string"}


class Value(Protocol):
    """An input as onnxruntime describes it: its type is ``tensor(float)``."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Its dimensions: numbers, names, or None."""


class Declared(NamedTuple):
    """An input as a model declares it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class CannotRunError(Exception):
    """onnxruntime refuses a model, or no inputs for it are known."""


def sized(value: Value, sizes: Mapping[str, int]) -> Declared:
    """An input with the given sizes of named dimensions; -1, which some exporters write, is a dynamic one."""
    shape = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in value.shape]
    return Declared(value.name, value.type, [None if isinstance(dim, int) and dim < 0 else dim for dim in shape])


def first_line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def first_run(
    values: Sequence[Value],
    specs: Mapping[str, InputSpec],
    run: Callable[[dict[str, Array]], _Ran],
    seed: int = SEED,
) -> tuple[dict[str, Array], _Ran]:
    """The first inputs with which a model runs, and the result.

    Args:
        values: the inputs that the model declares.
        specs: descriptions of some or all of them; others follow the declared shapes. Dynamic dimensions get the first
            of a few sizes with which the model runs.
        run: runs it.
        seed: for random numbers.

    Raises:
        CannotRunError: it runs with none; the reason is that of the first attempt.
    """
    declared = [value.shape for value in values if value.name not in specs]
    is_open = any(not isinstance(size, int) for shape in declared for size in shape)
    reasons: list[CannotRunError] = []
    for open_size in _OPEN_SIZES if is_open else _OPEN_SIZES[:1]:
        generator = np.random.default_rng(seed)
        try:
            feed = {v.name: _array(specs.get(v.name) or _declared(v, open_size), generator) for v in values}
            return feed, run(feed)
        except CannotRunError as error:
            reasons.append(error)
    hint = "; `input_specs` can describe its inputs" if is_open else ""
    raise CannotRunError(f"{reasons[0]}{hint}")


def _declared(value: Value, open_size: int) -> InputSpec:
    dtype = _dtype_of(value)
    if dtype not in _GENERATED:
        raise CannotRunError(f"inputs of type {value.type} are not generated")
    # The first dimension is usually the batch, so it stays small.
    sizes = [min(open_size, 2) if axis == 0 and len(value.shape) > 1 else open_size for axis in range(len(value.shape))]
    shape = tuple(size if isinstance(size, int) else sizes[axis] for axis, size in enumerate(value.shape))
    if math.prod(shape) > _MOST_NUMBERS:
        raise CannotRunError(f"an input of {math.prod(shape):,} numbers is only made on request")
    return InputSpec(shape, dtype)


def _dtype_of(value: Value) -> str:
    match = _TENSOR.fullmatch(value.type)
    return _NUMPY_NAMES.get(match[1], match[1]) if match else ""


def _array(spec: InputSpec, generator: np.random.Generator) -> Array:
    try:
        if spec.dtype == "string":
            return np.full(spec.shape, "a", dtype=object)
        dtype = np.dtype(spec.dtype)
        low, high = spec.span or (0, 1)  # small integers work as indices, masks and lengths
        if np.issubdtype(dtype, np.floating) and spec.span is None:
            return generator.standard_normal(spec.shape).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            return generator.uniform(low, high, spec.shape).astype(dtype)
        return generator.integers(int(low), int(high), spec.shape, endpoint=True).astype(dtype)
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        raise CannotRunError(f"an input of {spec.shape} {spec.dtype} cannot be made: {first_line(error)}") from error


def check_names(names: Sequence[str], given: Collection[str], argument: str = "input_specs") -> None:
    """Checks that a model has the described or given inputs.

    Raises:
        UsageError: it lacks one.
    """
    for name in given:
        if name not in names:
            message = f"the model has no input {name!r}, which `{argument}` describes"
            raise UsageError(message, remedy=f"it has {', '.join(names)}")


def recorded_specs(text: str, values: Sequence[Value]) -> dict[str, InputSpec]:
    """The record of WinML's exporter, as far as it is usable; other programs may have written anything there.

    What contradicts the model's own inputs is left out, and so is what would take much memory. Its ranges may or may
    not include their upper bound; one less is always allowed.
    """
    try:
        entries = json.loads(text)
        found = {str(entry["name"]): _recorded_spec(entry) for entry in entries if entry["dtype"] in _GENERATED}
        return {value.name: found[value.name] for value in values if _fits(found.get(value.name), value)}
    except (ValueError, TypeError, KeyError, LookupError, AttributeError, RecursionError):
        return {}


def _fits(spec: InputSpec | None, value: Value) -> bool:
    if spec is None or spec.dtype != _dtype_of(value) or len(spec.shape) != len(value.shape):
        return False
    pairs = zip(spec.shape, value.shape, strict=True)
    return math.prod(spec.shape) <= _MOST_NUMBERS and all(
        size == declared if isinstance(declared, int) else size >= 0 for size, declared in pairs
    )


def _recorded_spec(entry: Mapping[str, object]) -> InputSpec:
    shape = tuple(int(cast("int", size)) for size in cast("Sequence[object]", entry["shape"]))
    if "value_range" not in entry:
        return InputSpec(shape, str(entry["dtype"]))
    low, high = (int(cast("int", bound)) for bound in cast("Sequence[object]", entry["value_range"]))
    return InputSpec(shape, str(entry["dtype"]), (low, max(low, high - 1)))
