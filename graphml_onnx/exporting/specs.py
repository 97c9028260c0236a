"""Descriptions of tensors: `--input-specs` and `--dynamic-shapes`, and the tensors that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from graphml_onnx.exporting.jsonfiles import JsonSource, Place, as_object, check_keys, integer, items, read_object, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.support.strictjson import Json

_FLOATS: Final = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}
_INTEGERS: Final = {name: getattr(torch, name) for name in ("uint8", "int8", "int16", "int32", "int64")}
_DTYPES: Final[Mapping[str, torch.dtype]] = {"bool": torch.bool, **_INTEGERS, **_FLOATS}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor to be made.

    Attributes:
        shape: its dimensions.
        dtype: name of its type in torch.
        span: least and greatest value, both included; None for normally distributed floating-point numbers, and for
            integers of 0 and 1.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    span: tuple[float, float] | None = None

    def tensor(self, generator: torch.Generator) -> torch.Tensor:
        """Makes the tensor with random values."""
        dtype = _DTYPES[self.dtype]
        if not dtype.is_floating_point:
            low, high = self.span or (0, 1)
            return torch.randint(int(low), int(high) + 1, self.shape, generator=generator).to(dtype)
        if self.span is None:
            return torch.randn(self.shape, generator=generator).to(dtype)
        low, high = self.span
        return (torch.rand(self.shape, generator=generator) * (high - low) + low).to(dtype)


def make_tensors(specs: Mapping[str, TensorSpec], seed: int) -> dict[str, torch.Tensor]:
    """Makes the tensors of some specs; the same seed gives the same tensors, whatever was drawn before."""
    generator = torch.Generator().manual_seed(seed)
    return {name: spec.tensor(generator) for name, spec in specs.items()}


def read_input_specs(source: JsonSource) -> dict[str, TensorSpec]:
    """Reads ``{"input_ids": {"shape": [2, 16], "dtype": "int64", "range": [0, 99]}}``.

    ``range`` holds the least and the greatest value, and may be left out.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not of this form; the place is its path of keys.
    """
    members, place = read_object(source, "--input-specs")
    if not members:
        raise place.wrong("describes no input")
    return {name: _spec(value, place.at(name)) for name, value in members.items()}


def read_dynamic_shapes(source: JsonSource) -> dict[str, dict[int, str]]:
    """Reads ``{"input_ids": {"0": "batch", "1": "sequence"}}``: for each input the names of its dynamic dimensions.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not of this form; the place is its path of keys.
    """
    members, place = read_object(source, "--dynamic-shapes")
    return {name: _dimensions(value, place.at(name)) for name, value in members.items()}


def _spec(value: Json, place: Place) -> TensorSpec:
    members = as_object(value, place)
    check_keys(members, ("shape", "dtype", "range"), place)
    for key in ("shape", "dtype"):
        if key not in members:
            raise place.wrong(f"has no {key!r}", 'describe it as {"shape": [2, 16], "dtype": "int64"}')
    at_shape = place.at("shape")
    shape = tuple(integer(size, at_shape, least=0) for size in items(members["shape"], at_shape))
    dtype = text(members["dtype"], place.at("dtype"))
    if dtype not in _DTYPES:
        raise place.at("dtype").wrong(f"{dtype!r} is no type of a tensor", f"the types are {', '.join(_DTYPES)}")
    span = _span(members["range"], dtype, place.at("range")) if "range" in members else None
    return TensorSpec(shape, dtype, span)


def _span(value: Json, dtype: str, place: Place) -> tuple[float, float]:
    bounds = items(value, place)
    numbers = [number for number in bounds if isinstance(number, int | float) and not isinstance(number, bool)]
    if len(bounds) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
        raise place.wrong("is not a list of the least and the greatest value")
    if dtype in _FLOATS:
        return float(numbers[0]), float(numbers[1])
    least, greatest = (integer(number, place) for number in bounds)
    limits = torch.iinfo(_INTEGERS[dtype]) if dtype in _INTEGERS else None
    if least < (limits.min if limits else 0) or greatest > (limits.max if limits else 1):
        raise place.wrong(f"goes beyond what {dtype} holds")
    return least, greatest


def _dimensions(value: Json, place: Place) -> dict[int, str]:
    named: dict[int, str] = {}
    for key, name in as_object(value, place).items():
        if not str(key).isdecimal():
            raise place.at(str(key)).wrong("is not the number of a dimension", "count dimensions from 0")
        named[int(key)] = text(name, place.at(str(key)))
    return named
