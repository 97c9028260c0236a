"""The options of an export, in Python and as JSON.

JSON is checked against schemas; what a schema cannot express (a range within its type) is checked afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

import torch

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs import specs
from graphml_onnx.inputs.forms import read_form
from graphml_onnx.parameters.store import STRATEGIES
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence

    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.specs import InputSpec
    from graphml_onnx.results import ParameterStrategy, Progress
    from graphml_onnx.support.strictjson import Json

TorchModules: TypeAlias = "Literal['all', 'none'] | Collection[str]"
"""Which classes of ``torch.nn`` are levels of the hierarchy: all, none, or those of these names."""

Part: TypeAlias = Literal["encoder", "decoder", "decoder-with-past"]
"""The encoder; the decoder for the first run, which returns keys and values; and for later runs, which takes them."""

DECODER_WITH_PAST: Final = "decoder-with-past"
PARTS: Final[tuple[Part, ...]] = ("encoder", "decoder", DECODER_WITH_PAST)

_WITH_PAST: Final = "-with-past"
"""The end of the name of a task, as optimum has it, with keys and values of the tokens before."""

EXPORTERS: Final[tuple[ExporterName, ...]] = ("dynamo", "torchscript")

DTYPES: Final[Mapping[str, torch.dtype]] = {name: getattr(torch, name) for name in specs.DTYPES}
"""The types of generated inputs by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The options of a caller; `graphml_onnx.exporting.api.export` describes them."""

    inputs: object = None
    input_specs: JsonSource | None = None
    batch_size: int | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    task: str | None = None
    part: Part | None = None
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
class ExporterSettings:
    """The settings for one of PyTorch's exporters.

    Attributes:
        exporter: its name.
        opset: version of the default domain; None for the exporter's own choice.
        dynamic_shapes: for each input the names of its dynamic dimensions, by their number.
        input_names: names for the inputs, instead of those of the parameters; may be fewer than there are.
        output_names: names for the outputs, likewise.
        flags: switches of the exporters by the names of their keyword arguments.
        tries_sizes: whether a trace with dynamic dimensions is tried with other sizes.
        findings: requests that cannot be met.
    """

    exporter: ExporterName = "dynamo"
    opset: int | None = None
    dynamic_shapes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=lambda: _FLAGS)
    tries_sizes: bool = True
    findings: tuple[Notice, ...] = ()

    @property
    def folds_constants(self) -> bool:
        """Whether the exporter computes constant parts of the graph."""
        return self.flags["optimize" if self.exporter == "dynamo" else "do_constant_folding"]


class Plan(NamedTuple):
    """The options, checked before anything is loaded.

    Attributes:
        options: as the caller gave them.
        settings: for the exporter, before the inputs of the model are known.
        specs: descriptions of example inputs, if given.
        torch_modules: which classes of ``torch.nn`` are levels.
        repeatable: the options that determine the content of the ONNX file; see `repeatable`.
        task: the task by its name in transformers.
        part: the part of the model that is asked for.
    """

    options: ExportOptions
    settings: ExporterSettings
    specs: Mapping[str, InputSpec] | None
    torch_modules: TorchModules
    repeatable: Mapping[str, Json]
    task: str | None
    part: Part | None


_FLAGS: Final[Mapping[str, bool]] = {
    "keep_initializers_as_inputs": False,
    "optimize": True,
    "external_data": False,
    "do_constant_folding": True,
    "verbose": False,
}
"""Switches with their defaults."""

_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}}
_NUMBERED_NAMES: Final = {
    "type": "object",
    "propertyNames": {"pattern": "^[0-9]+$"},
    "additionalProperties": {"type": "string", "minLength": 1},
}
_SHAPES: Final = {"type": "object", "additionalProperties": _NUMBERED_NAMES}
_CONFIG: Final = {
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
}
_OWN_FLAGS: Final[Mapping[str, ExporterName]] = {
    "optimize": "dynamo",
    "external_data": "dynamo",
    "do_constant_folding": "torchscript",
}


def checked(options: ExportOptions) -> Plan:
    """Checks all options.

    Raises:
        InputError: a JSON file is missing or may not be read.
        UsageError: an option is wrong, or contradicts another.
    """
    if options.graphml_parameters not in STRATEGIES:
        raise UsageError(f"parameters is {options.graphml_parameters!r}, not one of {', '.join(STRATEGIES)}")
    shapes = {} if options.dynamic_shapes is None else read_dynamic_shapes(options.dynamic_shapes)
    settings = make_settings(options.exporter, options.opset, shapes, options.export_config)
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError(f"the batch size is {options.batch_size}", remedy="give 1 or more")
    given = None
    if options.input_specs is not None:
        given = specs.read_input_specs(options.input_specs, options.batch_size, options.shapes)
        symbols = {name: spec.symbols for name, spec in given.items() if spec.symbols}
        settings = replace(settings, dynamic_shapes={**symbols, **settings.dynamic_shapes})
    task, part = _task_and_part(options)
    torch_modules = checked_torch_modules(options.torch_modules)
    return Plan(options, settings, given, torch_modules, repeatable(options), task, part)


def _task_and_part(options: ExportOptions) -> tuple[str | None, Part | None]:
    """The task by its name in transformers, and the part of the model that is asked for.

    Raises:
        UsageError: there is no such part, or its inputs are given, which follow from the model.
    """
    task, part = options.task, options.part
    if task is not None and task.endswith(_WITH_PAST):
        task, part = task.removesuffix(_WITH_PAST), part or DECODER_WITH_PAST
    if part is not None and part not in PARTS:
        raise UsageError(f"part is {part!r}, not one of {', '.join(PARTS)}")
    if part is not None and (options.inputs is not None or options.input_specs is not None or options.shapes):
        raise UsageError("the inputs of a part of a model follow from the model", remedy="give `batch_size` alone")
    return task, part


def read_dynamic_shapes(source: JsonSource) -> dict[str, dict[int, str]]:
    """Reads ``{"input_ids": {"0": "batch", "1": "sequence"}}``: for each input the names of its dynamic dimensions.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not of this form; the place is its path of keys.
    """
    return {name: _dimensions(axes) for name, axes in read_form(source, "dynamic_shapes", _SHAPES).value.items()}


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
    """Checks the settings for an exporter.

    Raises:
        InputError: the config file is missing or may not be read.
        UsageError: no such exporter; an unknown keyword, or a value of another type.
    """
    values = {} if config is None else read_form(config, "export_config", _CONFIG).value
    by_config = {True: "dynamo", False: "torchscript", None: None}[cast("bool | None", values.get("dynamo"))]
    if exporter is not None and by_config is not None and exporter != by_config:
        raise UsageError("`exporter` and dynamo in `export_config` differ", remedy="give one of them")
    wanted = exporter or by_config or "dynamo"
    known = next((name for name in EXPORTERS if name == wanted), None)
    if known is None:
        raise UsageError(f"exporter is {exporter!r}, not one of {', '.join(EXPORTERS)}")
    version = cast("int | None", values.get("opset_version"))
    if opset is not None and version is not None and opset != version:
        raise UsageError("`opset` and opset_version in `export_config` differ", remedy="give one of them")
    axes = cast("dict[str, Json]", values.get("dynamic_axes", {}))
    flags = {name: bool(values[name]) for name in _FLAGS if name in values}
    foreign = [name for name in flags if _OWN_FLAGS.get(name, known) != known or name == "verbose"]
    return ExporterSettings(
        exporter=known,
        opset=version if opset is None else opset,
        dynamic_shapes={name: _dimensions(value, name) for name, value in axes.items()} | dict(dynamic_shapes),
        input_names=tuple(cast("list[str]", values.get("input_names", []))),
        output_names=tuple(cast("list[str]", values.get("output_names", []))),
        flags={**_FLAGS, **flags},
        findings=tuple(
            Notice("option-without-effect", f"{name} in `export_config` has no effect with the exporter {known}")
            for name in foreign
        ),
    )


def checked_torch_modules(choice: TorchModules) -> TorchModules:
    """Checks the caller's choice of modules.

    Raises:
        UsageError: it is a word other than all and none, or has a name that is no class of ``torch.nn``.
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


def repeatable(options: ExportOptions) -> dict[str, Json]:
    """The options that determine the content of the ONNX file, as keyword arguments of `graphml_onnx.export`.

    JSON files are included by content, and defaults are left out. Inputs that were given as tensors are not included.

    Raises:
        InputError: a JSON file is missing or may not be read.
        UsageError: it is not of its form.
    """
    told: dict[str, Json] = {}
    for name, schema in _SCHEMAS.items():
        source = cast("JsonSource | None", getattr(options, name))
        if source is not None:
            told[name] = read_form(source, name, schema).value
    for name in ("batch_size", "task", "part", "seed", "exporter", "opset", "clean_onnx"):
        value = getattr(options, name)
        if value != _DEFAULTS[name]:
            told[name] = value
    if options.shapes:
        told["shapes"] = {name: [*shape] for name, shape in options.shapes.items()}
    if options.torch_modules != "all":
        choice = options.torch_modules
        told["torch_modules"] = choice if isinstance(choice, str) else [*sorted(choice)]
    return told


_SCHEMAS: Final[Mapping[str, Mapping[str, object]]] = {
    "input_specs": specs.SCHEMA,
    "dynamic_shapes": _SHAPES,
    "export_config": _CONFIG,
}
_DEFAULTS: Final = {entry.name: entry.default for entry in fields(ExportOptions)}
