"""What can be asked of an export: the options as a caller gives them, and what their JSON forms say.

The JSON forms are held against schemas; what a schema cannot say (a range within its type) is checked after it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import torch

from graphml_onnx.errors import UsageError, reading_failed
from graphml_onnx.hierarchy.schema import explained
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.results import ParameterStrategy, Progress
    from graphml_onnx.support.strictjson import Json

JsonSource: TypeAlias = "str | os.PathLike[str] | Mapping[str, object]"
"""A JSON file, or what would stand in it."""

TorchModules: TypeAlias = "Literal['all', 'none'] | Collection[str]"
"""Which classes of ``torch.nn`` are levels of the hierarchy: all, none, or those of these names."""

EXPORTERS: Final[tuple[ExporterName, ...]] = ("dynamo", "torchscript")

_FLOATS: Final = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}
_INTEGERS: Final = {name: getattr(torch, name) for name in ("uint8", "int8", "int16", "int32", "int64")}
DTYPES: Final[Mapping[str, torch.dtype]] = {"bool": torch.bool, **_INTEGERS, **_FLOATS}
"""The types of generated inputs by their names."""

_ALIASES: Final = {"int": "int64", "long": "int64", "float": "float32", "double": "float64", "half": "float16"}
_BATCH: Final = 2
_LENGTHS: Final = range(16, 1 << 16, 2)
"""Sizes for symbolic dimensions, each its own: exporters take equal ones for one dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What a caller asks for; `graphml_onnx.exporting.api.export` says what each means."""

    inputs: object = None
    input_specs: JsonSource | None = None
    batch_size: int | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    task: str | None = None
    seed: int = 0
    exporter: ExporterName | None = None
    opset: int | None = None
    dynamic_shapes: JsonSource | None = None
    export_config: JsonSource | None = None
    torch_modules: TorchModules = "all"
    clean_onnx: bool = False
    with_report: bool = False
    with_graphml: bool = False
    graphml_parameters: ParameterStrategy = "sidecar"
    graphml_output: str | os.PathLike[str] | None = None
    overwrite: bool = False
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A tensor to be made.

    Attributes:
        shape: its dimensions.
        dtype: name of its type in torch.
        span: least and greatest value, both included; None for normally distributed floating-point numbers, and for
            integers of 0 and 1.
        symbols: names of the dimensions that are dynamic, by their number.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    span: tuple[float, float] | None = None
    symbols: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """How one of PyTorch's exporters is called.

    Attributes:
        exporter: which one.
        opset: version of the default domain; None for the exporter's own choice.
        dynamic_shapes: for each input the names of its dynamic dimensions, by their number.
        input_names: names for the inputs, instead of those of the parameters; may be fewer than there are.
        output_names: names for the outputs, likewise.
        flags: switches of the exporter by the names of its keyword arguments.
        findings: what was asked for and cannot be honoured.
    """

    exporter: ExporterName = "dynamo"
    opset: int | None = None
    dynamic_shapes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def flag(self, name: str, *, default: bool) -> bool:
        """A switch, or what the exporter takes without it."""
        return self.flags.get(name, default)

    @property
    def folds_constants(self) -> bool:
        """Whether the exporter computes constant parts of the graph."""
        return self.flag("optimize" if self.exporter == "dynamo" else "do_constant_folding", default=True)


_FLAGS: Final[tuple[str, ...]] = (
    "keep_initializers_as_inputs",
    "optimize",
    "external_data",
    "do_constant_folding",
    "verbose",
)
_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}}
_NUMBERED_NAMES: Final = {
    "type": "object",
    "propertyNames": {"pattern": "^[0-9]+$"},
    "additionalProperties": {"type": "string", "minLength": 1},
}
_SHAPES: Final = {"type": "object", "additionalProperties": _NUMBERED_NAMES}
_FORMS: Final[Mapping[str, Mapping[str, object]]] = {
    "--input-specs": {
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
    },
    "--dynamic-shapes": _SHAPES,
    "--export-config": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(("input_names", "output_names"), _NAMES),
            "opset_version": {"type": "integer", "minimum": 1},
            "dynamic_axes": {
                "type": "object",
                "additionalProperties": {"anyOf": [_NUMBERED_NAMES, {"type": "array", "items": {"type": "integer"}}]},
            },
            **{name: {"type": "boolean"} for name in ("dynamo", *_FLAGS)},
            "export_params": {"enum": [True]},
        },
    },
}
_OWN_FLAGS: Final[Mapping[str, ExporterName]] = {
    "optimize": "dynamo",
    "external_data": "dynamo",
    "do_constant_folding": "torchscript",
}


@cache
def _validator(option: str) -> Callable[[Json], object]:
    from fastjsonschema import compile as compiled

    validator: Callable[[Json], object] = compiled(dict(_FORMS[option]))
    return validator


@dataclass(frozen=True, slots=True)
class _Form:
    """A JSON form that was read.

    Attributes:
        value: the object.
        file: the file, or the option where it is a mapping in memory.
    """

    value: dict[str, Json]
    file: str

    def wrong(self, message: str, place: str | None = None, remedy: str | None = None) -> UsageError:
        return UsageError(message, file=self.file, place=place, remedy=remedy)


def _read(source: JsonSource, option: str) -> _Form:
    """Reads a JSON form.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not UTF-8, not strict JSON, or not of the form; the place is the path of keys.
    """
    from fastjsonschema import JsonSchemaValueException

    if isinstance(source, Mapping):
        form = _Form(cast("dict[str, Json]", _as_json(source)), option)
    else:
        name = os.fspath(source)
        try:
            value = parse(Path(source).read_bytes().decode("utf-8"))
        except OSError as error:
            raise reading_failed(error, source) from error
        except UnicodeDecodeError as error:
            raise UsageError("is not UTF-8 text", file=name, place=f"byte {error.start}") from None
        except (JsonError, ValueError) as error:  # ValueError: a NUL in the name
            raise UsageError(str(error), file=name) from None
        form = _Form(cast("dict[str, Json]", value), name)
    try:
        _validator(option)(form.value)
    except JsonSchemaValueException as error:
        raise form.wrong(*explained(error, form.value)) from None
    return form


def _as_json(value: object) -> object:
    """A mapping in memory as JSON would have it: lists for tuples, strings for keys."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(member) for key, member in value.items()}
    return [_as_json(member) for member in value] if isinstance(value, list | tuple) else value


def read_input_specs(
    source: JsonSource, batch: int | None = None, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, InputSpec]:
    """Reads ``{"input_ids": {"shape": ["batch", 16], "dtype": "int64", "range": [0, 99]}}``.

    A name in a shape makes that dimension dynamic. ``range`` holds the least and the greatest value, and may be left
    out.

    Args:
        source: a JSON file or its content.
        batch: size of the first dimension of each input, instead of what the specs say.
        shapes: shapes of some inputs, likewise.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not of this form; the place is its path of keys.
    """
    form = _read(source, "--input-specs")
    sizes: dict[str, int] = {}
    specs = {name: _spec(form, name, cast("dict[str, Json]", value), sizes) for name, value in form.value.items()}
    for name, shape in (shapes or {}).items():
        if name not in specs:
            raise UsageError("is no input", file="--shape", place=name, remedy=f"they are {', '.join(specs)}")
        specs[name] = replace(specs[name], shape=tuple(shape))
    if batch is not None:
        specs = {
            name: replace(spec, shape=(batch, *spec.shape[1:])) if spec.shape and name not in (shapes or {}) else spec
            for name, spec in specs.items()
        }
    return specs


def _spec(form: _Form, name: str, members: dict[str, Json], sizes: dict[str, int]) -> InputSpec:
    dtype = str(members["dtype"]).removeprefix("torch.")
    dtype = _ALIASES.get(dtype, dtype)
    if dtype not in DTYPES:
        known = ", ".join((*DTYPES, *_ALIASES))
        raise form.wrong(f"{dtype!r} is no type of a tensor", f"{name}.dtype", f"the types are {known}")
    given = cast("list[int | str]", members["shape"])
    symbols = {number: size for number, size in enumerate(given) if isinstance(size, str)}
    for number, symbol in symbols.items():
        sizes.setdefault(symbol, _LENGTHS[len(sizes)] if number else _BATCH)
    shape = tuple(sizes[size] if isinstance(size, str) else size for size in given)
    span = (
        _span(form, f"{name}.range", cast("list[int | float]", members["range"]), dtype) if "range" in members else None
    )
    return InputSpec(shape, dtype, span, symbols)


def _span(form: _Form, place: str, bounds: list[int | float], dtype: str) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise form.wrong("is not a list of the least and the greatest value", place)
    if dtype not in _FLOATS:
        if not all(isinstance(bound, int) for bound in bounds):
            raise form.wrong("is not of integers", place)
        limits = torch.iinfo(_INTEGERS[dtype]) if dtype in _INTEGERS else None
        if bounds[0] < (limits.min if limits else 0) or bounds[1] > (limits.max if limits else 1):
            raise form.wrong(f"goes beyond what {dtype} holds", place)
        return bounds[0], bounds[1]
    try:
        return float(bounds[0]), float(bounds[1])
    except OverflowError:
        raise form.wrong(f"goes beyond what {dtype} holds", place) from None


def read_dynamic_shapes(source: JsonSource) -> dict[str, dict[int, str]]:
    """Reads ``{"input_ids": {"0": "batch", "1": "sequence"}}``: for each input the names of its dynamic dimensions.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not of this form; the place is its path of keys.
    """
    return {name: _dimensions(axes) for name, axes in _read(source, "--dynamic-shapes").value.items()}


def _dimensions(axes: Json, name: str = "") -> dict[int, str]:
    """The names of dimensions by their number; a list of numbers, as PyTorch has it too, gives them names."""
    if isinstance(axes, Mapping):
        return {int(number): str(symbol) for number, symbol in axes.items()}
    return {number: f"{name}_dim_{number}" for number in cast("list[int]", axes)}


def make_settings(
    exporter: str | None,
    opset: int | None,
    dynamic_shapes: Mapping[str, Mapping[int, str]],
    config: JsonSource | None,
) -> ExporterSettings:
    """Checks how an exporter is to be called.

    Raises:
        InputError: the config file is missing or may not be read.
        UsageError: no such exporter; a keyword that there is not, or a value of another type.
    """
    values = {} if config is None else _read(config, "--export-config").value
    by_config = {True: "dynamo", False: "torchscript", None: None}[cast("bool | None", values.get("dynamo"))]
    if exporter is not None and by_config is not None and exporter != by_config:
        raise UsageError("--exporter and dynamo in --export-config differ", remedy="give one of them")
    wanted = exporter or by_config or "dynamo"
    known = next((name for name in EXPORTERS if name == wanted), None)
    if known is None:
        raise UsageError(f"exporter is {exporter!r}, not one of {', '.join(EXPORTERS)}")
    version = cast("int | None", values.get("opset_version"))
    if opset is not None and version is not None and opset != version:
        raise UsageError("--opset and opset_version in --export-config differ", remedy="give one of them")
    axes = cast("dict[str, Json]", values.get("dynamic_axes", {}))
    flags = {name: bool(values[name]) for name in _FLAGS if name in values}
    foreign = [name for name in flags if _OWN_FLAGS.get(name, known) != known or name == "verbose"]
    return ExporterSettings(
        exporter=known,
        opset=version if opset is None else opset,
        dynamic_shapes={name: _dimensions(value, name) for name, value in axes.items()} | dict(dynamic_shapes),
        input_names=tuple(cast("list[str]", values.get("input_names", []))),
        output_names=tuple(cast("list[str]", values.get("output_names", []))),
        flags=flags,
        findings=tuple(f"{name} in --export-config has no effect with --exporter {known}" for name in foreign),
    )


def checked_torch_modules(choice: TorchModules) -> TorchModules:
    """Takes the choice of a caller.

    Raises:
        UsageError: it is another word than all and none, or has a name that is no class of ``torch.nn``.
    """
    if isinstance(choice, str):
        if choice not in ("all", "none"):
            raise UsageError(f"torch_modules is {choice!r}", remedy="give 'all', 'none', or a list of class names")
        return choice
    names = frozenset(choice)
    for name in sorted(names):
        kind = getattr(torch.nn, name, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            raise UsageError(f"torch.nn has no module {name!r}", remedy="give class names such as Linear,LayerNorm")
    return names
