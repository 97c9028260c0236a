"""Reads ``--input-specs``: shape, type and range of each input, by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs.forms import read_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphml_onnx.inputs.forms import JsonForm, JsonSource
    from graphml_onnx.support.strictjson import Json

FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
INTEGERS: Final = ("uint8", "int8", "int16", "int32", "int64")
DTYPES: Final = ("bool", *INTEGERS, *FLOATS)
"""The types of generated inputs, by the names that torch and numpy share."""

_ALIASES: Final = {"int": "int64", "long": "int64", "float": "float32", "double": "float64", "half": "float16"}
_BATCH: Final = 2
_LENGTHS: Final = range(16, 1 << 16, 2)
"""Different sizes for symbolic dimensions: exporters treat equal ones as one dimension."""

SCHEMA: Final = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["shape", "dtype"],
        "additionalProperties": False,
        "properties": {
            "shape": {"type": "array", "items": {"type": ["integer", "string"], "minimum": 0, "minLength": 1}},
            "dtype": {"type": "string"},
            "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        },
    },
}


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A tensor to make.

    Attributes:
        shape: its dimensions.
        dtype: one of `DTYPES`.
        span: least and greatest value, both included; None for normally distributed floating-point numbers, and for
            integers of 0 and 1.
        symbols: names of the dimensions that are dynamic, by their number.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    span: tuple[float, float] | None = None
    symbols: Mapping[int, str] = field(default_factory=dict)


def read_input_specs(
    source: JsonSource, batch: int | None = None, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, InputSpec]:
    """Reads ``{"input_ids": {"shape": ["batch", 16], "dtype": "int64", "range": [0, 99]}}``.

    A name in a shape makes that dimension dynamic. ``range`` is the least and the greatest value; it is optional.

    Args:
        source: a JSON file or its content.
        batch: size of the first dimension of each input, instead of the one in the specs.
        shapes: shapes of some inputs, likewise; or sizes of dimensions by the names that the specs give them.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it does not have this form; the place is its path of keys.
    """
    form = read_form(source, "input_specs", SCHEMA)
    named = {name: shape for name, shape in (shapes or {}).items() if name not in form.value and len(shape) == 1}
    sizes: dict[str, int] = {name: shape[0] for name, shape in named.items()}
    specs = {name: _spec(form, name, cast("dict[str, Json]", value), sizes) for name, value in form.value.items()}
    symbols = {symbol for spec in specs.values() for symbol in spec.symbols.values()}
    for name, shape in (shapes or {}).items():
        if name in named and name in symbols:
            continue
        if name not in specs:
            remedy = f"the inputs are {', '.join(specs)}"
            remedy += f"; the dimensions are {', '.join(sorted(symbols))}" if symbols else ""
            raise UsageError(f"a shape is given for {name!r}, which is not an input", remedy=remedy)
        specs[name] = replace(specs[name], shape=tuple(shape))
    if batch is not None:
        specs = {
            name: replace(spec, shape=(batch, *spec.shape[1:])) if spec.shape and name not in (shapes or {}) else spec
            for name, spec in specs.items()
        }
    return specs


def _spec(form: JsonForm, name: str, members: dict[str, Json], sizes: dict[str, int]) -> InputSpec:
    dtype = str(members["dtype"]).removeprefix("torch.")
    dtype = _ALIASES.get(dtype, dtype)
    if dtype not in DTYPES:
        known = ", ".join((*DTYPES, *_ALIASES))
        raise form.wrong(f"{dtype!r} is not a type of tensors", f"{name}.dtype", f"the types are {known}")
    given = cast("list[int | str]", members["shape"])
    symbols = {number: size for number, size in enumerate(given) if isinstance(size, str)}
    for number, symbol in symbols.items():
        sizes.setdefault(symbol, _LENGTHS[len(sizes)] if number else _BATCH)
    shape = tuple(sizes[size] if isinstance(size, str) else size for size in given)
    span = (
        _span(form, f"{name}.range", cast("list[int | float]", members["range"]), dtype) if "range" in members else None
    )
    return InputSpec(shape, dtype, span, symbols)


def _span(form: JsonForm, place: str, bounds: list[int | float], dtype: str) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise form.wrong("is not a list of the least and the greatest value", place)
    if dtype not in FLOATS:
        if not all(isinstance(bound, int) for bound in bounds):
            raise form.wrong("is not of integers", place)
        limits = np.iinfo(dtype) if dtype in INTEGERS else None
        if bounds[0] < (limits.min if limits else 0) or bounds[1] > (limits.max if limits else 1):
            raise form.wrong(f"goes beyond what {dtype} holds", place)
        return bounds[0], bounds[1]
    try:
        return float(bounds[0]), float(bounds[1])
    except OverflowError:
        raise form.wrong(f"goes beyond what {dtype} holds", place) from None
