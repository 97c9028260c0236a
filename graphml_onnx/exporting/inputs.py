"""Example inputs: from the caller, from specs, or generated from a model's config and signature.

Inputs may be nested as far as PyTorch flattens them; `leaves` gives each tensor the name that both exporters use.

Generated inputs follow from the names of the parameters of ``forward``, which mean the same in every architecture of
transformers, and from the config (sizes of the vocabulary, of images, of spectrograms). No model class is named here;
other models need specs.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import torch
from torch.utils import _pytree

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.options import DTYPES
from graphml_onnx.inputs.specs import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from graphml_onnx.exporting.options import ExporterSettings, Plan
    from graphml_onnx.exporting.sources import Exportable, LoadedModel

_BATCH: Final = 2  # exporters treat a dimension of 1 as a constant
_SEQUENCE: Final = 16
_IMAGE: Final = 224
_SAMPLES: Final = 16_000  # a second of sound
_REMEDY: Final = "describe the inputs with `input_specs`"
_NO_NAME: Final = re.compile(r"\W+")


class ExampleRecord(NamedTuple):
    """The description of an example input.

    Attributes:
        name: its name in the ONNX graph.
        dtype: name of its type in torch, without the package.
        shape: its dimensions.
        span: for integers, the least value and one more than the greatest; None for other inputs.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    span: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ExampleInputs:
    """The arguments of the model for the exporter.

    Attributes:
        args: positional arguments.
        kwargs: named arguments, in the order of the model's signature.
        method: where they come from, in the terms of HTP metadata.
        tensors: the tensors among the arguments of a module, in the order of the graph's inputs (`fitted` finds them).
    """

    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    method: Literal["from_config", "specs", "provided"] = "provided"
    tensors: tuple[ExampleRecord, ...] = ()


class Leaf(NamedTuple):
    """One value within nested inputs or outputs: its name (None at the top if it has none), and the value."""

    name: str | None
    value: object


def leaves(value: object, name: str | None = None) -> Iterator[Leaf]:
    """The values within a nested one, in the order in which PyTorch flattens it.

    A member is named after its container and its key or number: ``pair_0``, ``past_key``.

    Args:
        value: an input or result of a module.
        name: its name; None for a result.
    """
    members = _members(value)
    if members is None:
        yield Leaf(name, value)
        return
    for key, member in members:
        part = _NO_NAME.sub("_", str(key))
        if name is None and isinstance(key, int):
            inner = None if _members(member) is None else part
        else:
            inner = part or None if name is None else f"{name}_{part}"
        yield from leaves(member, inner)


def _members(value: object) -> list[tuple[object, object]] | None:
    """The members of a container by key, field or number; None for a leaf."""
    match value:
        case torch.Tensor() | None | str():
            return None
        case Mapping():
            return list(value.items())
        case tuple() if hasattr(value, "_fields"):
            return list(zip(value._fields, value, strict=True))
        case tuple() | list():
            return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(entry.name, getattr(value, entry.name)) for entry in dataclasses.fields(value)]
    flat = _pytree.tree_leaves(value)
    return None if len(flat) == 1 and flat[0] is value else list(enumerate(flat))


def free_name(name: str, taken: Container[str | None], numbers: Iterable[int] | None = None) -> str:
    """A name that is not taken: the name itself, or ``name_1``, ``name_2``, ….

    Args:
        name: the name.
        taken: the names that are taken.
        numbers: the numbers to try, 0 for none; by default 0, 1, 2, ….
    """
    tried = itertools.count() if numbers is None else numbers
    return next(free for number in tried if (free := f"{name}_{number}" if number else name) not in taken)


def unique_names(names: list[str | None]) -> list[str | None]:
    """The names, with a number added to each that repeats an earlier one."""
    taken: set[str] = set()
    unique: list[str | None] = []
    for name in names:
        free = None if name is None else free_name(name, taken)
        if free is not None:
            taken.add(free)
        unique.append(free)
    return unique


def bound_inputs(module: torch.nn.Module, inputs: ExampleInputs) -> dict[str, object]:
    """The inputs by the parameters of ``forward``; ``*args`` and ``**kwargs`` are one entry each.

    Raises:
        UsageError: ``forward`` does not take these arguments.
    """
    try:
        return dict(inspect.signature(module.forward).bind(*inputs.args, **inputs.kwargs).arguments)
    except TypeError as error:
        raise UsageError(f"the model does not take these inputs: {error}", remedy=_REMEDY) from None


def named_inputs(module: torch.nn.Module, inputs: ExampleInputs) -> list[tuple[str, object]]:
    """All values within the inputs with their names, those that are constants in the graph included."""
    parameters = parameters_of(module)
    found: list[Leaf] = []
    for name, value in bound_inputs(module, inputs).items():
        own_names = parameters[name].kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, Mapping)
        found += leaves(value, None if own_names else name)
    names = unique_names([leaf.name for leaf in found])
    return [(name or "input", leaf.value) for name, leaf in zip(names, found, strict=True)]


def example_inputs(loaded: LoadedModel, plan: Plan) -> ExampleInputs:
    """The example inputs of a model: the caller's, those that came with it, or generated ones; none for a program.

    Raises:
        UsageError: the options contradict each other or do not fit the model, or inputs cannot be generated.
    """
    options, specs = plan.options, plan.specs
    module = loaded.model
    has_shapes = bool(options.shapes) or options.batch_size is not None
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "is compiled TorchScript, which does not show the modules that run",
            file=loaded.name,
            remedy="give the module that it was compiled from; it may call compiled functions",
        )
    if not isinstance(module, torch.nn.Module):
        if options.inputs is not None or specs is not None or has_shapes:
            raise UsageError("a torch.export program has its own inputs", file=loaded.name, remedy="give none")
        return ExampleInputs()
    if options.inputs is not None and specs is not None:
        raise UsageError("inputs are given as well as input_specs", remedy="give one of them")
    if specs is not None:
        return inputs_from_specs(module, specs, options.seed)
    given = loaded.inputs if options.inputs is None else options.inputs
    if given is not None:
        if has_shapes:
            raise UsageError("given inputs have their own shapes", remedy="leave out the shapes and `batch_size`")
        return given_inputs(given, module)
    shapes = {name: tuple(shape) for name, shape in options.shapes.items()}
    return inputs_from_config(module, options.seed, options.batch_size, shapes)


def fitted(
    model: Exportable, inputs: ExampleInputs, settings: ExporterSettings
) -> tuple[ExampleInputs, ExporterSettings]:
    """The inputs with the names of their tensors, and the settings with dynamic dimensions by these names.

    Of an input with a new name in the settings, the dimensions may be given by either name.

    Raises:
        UsageError: dynamic dimensions are given for a name that is no input, or that the input does not have.
    """
    if not isinstance(model, torch.nn.Module):
        return inputs, settings
    tensors = {name: value for name, value in named_inputs(model, inputs) if isinstance(value, torch.Tensor)}
    names = [*settings.input_names[: len(tensors)], *[*tensors][len(settings.input_names) :]]
    records = tuple(_record(name, tensor) for name, tensor in zip(names, tensors.values(), strict=True))
    new_name = dict(zip(tensors, names, strict=True))
    shape_of = {record.name: record.shape for record in records}
    dynamic = {}
    for name, axes in settings.dynamic_shapes.items():
        told = name if name in shape_of else new_name.get(name, name)
        if told not in shape_of and told not in settings.output_names:
            raise UsageError(
                "is no input of the model",
                file="dynamic_shapes",
                place=name,
                remedy=f"its inputs are {', '.join(tensors)}",
            )
        for axis in axes if told in shape_of else ():
            if not 0 <= axis < len(shape_of[told]):
                raise UsageError(
                    f"has no dimension {axis}",
                    file="dynamic_shapes",
                    place=name,
                    remedy=f"its shape is {[*shape_of[told]]}, and the first dimension is 0",
                )
        dynamic[told] = axes
    return replace(inputs, tensors=records), replace(settings, dynamic_shapes=dynamic)


def _record(name: str, tensor: torch.Tensor) -> ExampleRecord:
    dtype = str(tensor.dtype).removeprefix("torch.")
    has_span = tensor.numel() > 0 and not (tensor.is_floating_point() or tensor.is_complex()) and dtype != "bool"
    span = (int(tensor.min()), int(tensor.max()) + 1) if has_span else None
    return ExampleRecord(name, dtype, tuple(tensor.shape), span)


def given_inputs(inputs: object, module: torch.nn.Module) -> ExampleInputs:
    """Reads example inputs from the caller: a tensor, a sequence of arguments, or a mapping of named ones.

    A tuple of a sequence and a mapping is both: arguments by position, and named ones.

    Raises:
        UsageError: they are none of these, or ``forward`` does not take them.
    """
    match inputs:
        case torch.Tensor():
            given = ExampleInputs((inputs,))
        case Mapping():
            given = ExampleInputs(kwargs=_in_order(module, dict(inputs)))
        case (tuple() | list() as args, Mapping() as kwargs) if all(isinstance(name, str) for name in kwargs) and (
            _takes(module, tuple(args), kwargs)
        ):
            given = ExampleInputs(tuple(args), _in_order(module, dict(kwargs)))
        case tuple() | list():
            given = ExampleInputs(tuple(inputs))
        case _:
            kind = type(inputs).__name__
            raise UsageError(f"example inputs are a {kind}", remedy="give a tensor, a tuple of arguments, or a mapping")
    bound_inputs(module, given)
    return given


def _takes(module: torch.nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bool:
    """Whether a pair means arguments and named ones that fit ``forward``, rather than two arguments."""
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return bool(bound.arguments)


def _in_order(module: torch.nn.Module, kwargs: Mapping[str, object]) -> dict[str, object]:
    names = [*parameters_of(module), *kwargs]
    return {name: kwargs[name] for name in names if name in kwargs}


def inputs_from_specs(module: torch.nn.Module, specs: Mapping[str, InputSpec], seed: int) -> ExampleInputs:
    """Creates the inputs that specs describe, by the names of the parameters of ``forward``.

    ``pair_0`` and ``pair_1`` describe the members of a parameter ``pair``, or those of ``*pair``.

    Raises:
        UsageError: the module's ``forward`` has no parameter of that name, or a tensor cannot be created.
    """
    parameters = parameters_of(module)
    tensors = make_tensors(specs, seed, module)
    args: list[object] = []
    kwargs: dict[str, object] = {}
    left = dict(tensors)
    for name, parameter in parameters.items():
        members = _numbered(name, left) if name not in left else []
        if parameter.kind is parameter.VAR_POSITIONAL:
            args = [*args, *kwargs.values(), *(left.pop(member) for member in members)]
            kwargs = {}
        elif name in left and parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(left.pop(name))
        elif name in left and parameter.kind is not parameter.VAR_KEYWORD:
            kwargs[name] = left.pop(name)
        elif members:
            kwargs[name] = tuple(left.pop(member) for member in members)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        kwargs |= left
        left = {}
    for name in left:
        raise UsageError(
            f"the model has no input {name!r}",
            file="input_specs",
            place=name,
            remedy=f"it has {', '.join(parameters)}",
        )
    return ExampleInputs(tuple(args), kwargs, "specs")


def _numbered(name: str, tensors: Mapping[str, object]) -> list[str]:
    """The names ``name_0``, ``name_1``, … among those of the tensors."""
    return [*itertools.takewhile(tensors.__contains__, (f"{name}_{number}" for number in itertools.count()))]


def make_tensors(specs: Mapping[str, InputSpec], seed: int, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Creates the tensors of some specs on the device of a module.

    The same seed gives the same tensors, independent of earlier random numbers.

    Raises:
        UsageError: one is too large, or the seed is.
    """
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    generator = torch.Generator()
    try:
        generator.manual_seed(seed)
    except (RuntimeError, OverflowError, ValueError):
        raise UsageError("is too large for a seed of PyTorch", file="seed", remedy="give fewer digits") from None
    made: dict[str, torch.Tensor] = {}
    for name, spec in specs.items():
        try:
            made[name] = _tensor(spec, generator).to(device)
        except (RuntimeError, OverflowError, ValueError, MemoryError, TypeError):
            raise UsageError(
                "cannot be made: too large, or a range beyond its type",
                file="input_specs",
                place=name,
                remedy="give a smaller shape or range",
            ) from None
    return made


def _tensor(spec: InputSpec, generator: torch.Generator) -> torch.Tensor:
    dtype = DTYPES[spec.dtype]
    shape = spec.shape
    if not dtype.is_floating_point:
        low, high = spec.span or (0, 1)
        above = min(int(high) + 1, torch.iinfo(torch.int64).max)
        return torch.randint(int(low), above, shape, generator=generator).to(dtype)
    if spec.span is None:
        return torch.randn(shape, generator=generator).to(dtype)
    least, greatest = spec.span
    return (torch.rand(shape, generator=generator) * (greatest - least) + least).to(dtype)


def inputs_from_config(
    module: torch.nn.Module, seed: int, batch: int | None, shapes: Mapping[str, tuple[int, ...]]
) -> ExampleInputs:
    """Generates inputs for a model with a config, such as those of transformers.

    Args:
        module: the model.
        seed: for the random numbers.
        batch: the first dimension of all; None for a size that exporters do not treat as a constant.
        shapes: shapes of some inputs, instead of those from the config.

    Raises:
        UsageError: the model has no config, or needs an input that the config does not describe.
    """
    config = getattr(module, "config", None)
    if config is None:
        raise UsageError("the inputs of this model are unknown: it has no config", remedy=_REMEDY)
    parameters = parameters_of(module)
    facts = Facts(config, parameters)
    main = getattr(module, "main_input_name", None)
    specs: dict[str, InputSpec] = {}
    for name, parameter in parameters.items():
        rule = _RULES.get(name)
        spec = rule(facts) if rule is not None else None
        if spec is not None:
            shape = shapes.get(name, spec.shape if batch is None else (batch, *spec.shape[1:]))
            specs[name] = replace(spec, shape=shape)
        elif name == main or (parameter.default is parameter.empty and parameter.kind not in _VARIADIC):
            raise UsageError(f"the config does not describe the input {name!r}", remedy=_REMEDY)
    if not specs:
        raise UsageError("the config does not describe the inputs of this model", remedy=_REMEDY)
    for name in shapes:
        if name not in specs:
            raise UsageError(
                "is not a generated input", file="shapes", place=name, remedy=f"they are {', '.join(specs)}"
            )
    return ExampleInputs(kwargs=make_tensors(specs, seed, module), method="from_config")


class Facts:
    """The numbers in a config and in the configs within it (``text_config``, ``vision_config``, ``encoder``, …).

    Args:
        config: the config.
        parameters: names of the parameters of ``forward``.
    """

    def __init__(self, config: object, parameters: Container[str]) -> None:
        self._configs = list(_configs_in(config))
        self.parameters = parameters

    def value(self, *names: str) -> object:
        """The first of these members that any of the configs has, the outermost config first; or None."""
        for config in self._configs:
            for name in names:
                value: object = config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
                if value is not None:
                    return value
        return None

    def number(self, *names: str) -> int | None:
        """The same, if it is a positive integer."""
        value = self.value(*names)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _configs_in(config: object) -> Iterator[object]:
    waiting = [config]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        members = getattr(current, "__dict__", {})  # a config may be anything, even a string
        waiting.extend(member for member in members.values() if hasattr(member, "model_type"))


def parameters_of(module: torch.nn.Module) -> Mapping[str, inspect.Parameter]:
    """The parameters of ``forward`` by their names."""
    return inspect.signature(module.forward).parameters


_VARIADIC: Final = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _length(facts: Facts) -> int:
    most = facts.number("max_position_embeddings", "n_positions", "max_target_positions")
    return _SEQUENCE if most is None else max(1, min(_SEQUENCE, most // 2))


def _tokens(facts: Facts) -> InputSpec | None:
    size = facts.number("vocab_size")
    return None if size is None else InputSpec((_BATCH, _length(facts)), "int64", (0, size - 1))


def _decoder_tokens(facts: Facts) -> InputSpec | None:
    return _tokens(facts) if facts.value("is_encoder_decoder") else None


def _token_mask(facts: Facts) -> InputSpec | None:
    tokens = _tokens(facts) if "input_ids" in facts.parameters else None  # no model needs a mask for audio
    return None if tokens is None else InputSpec(tokens.shape, "int64", (1, 1))


def _decoder_mask(facts: Facts) -> InputSpec | None:
    tokens = _decoder_tokens(facts)
    return None if tokens is None else InputSpec(tokens.shape, "int64", (1, 1))


def _token_types(facts: Facts) -> InputSpec | None:
    tokens, types = _tokens(facts), facts.number("type_vocab_size")
    return None if tokens is None or types is None else InputSpec(tokens.shape, "int64", (0, types - 1))


def _boxes(facts: Facts) -> InputSpec | None:
    size = facts.number("max_2d_position_embeddings")
    return None if size is None else InputSpec((_BATCH, _length(facts), 4), "int64", (0, 0))


def _images(facts: Facts) -> InputSpec | None:
    channels = facts.number("num_channels", "in_channels", "in_chans")
    if channels is None:
        return None
    frames = facts.number("num_frames")
    shape = (_BATCH, channels, *_height_and_width(facts.value("image_size")))
    return InputSpec(shape if frames is None else (_BATCH, frames, *shape[1:]))


def _height_and_width(size: object) -> tuple[int, int]:
    match size:
        case int():
            return size, size
        case [int(height), int(width)]:
            return height, width
        case {"height": int(height), "width": int(width)}:
            return height, width
        case _:
            return _IMAGE, _IMAGE


def _features(facts: Facts) -> InputSpec | None:
    """Spectrograms: bins by frames if a convolution takes them, otherwise frames by bins."""
    bins, positions = facts.number("num_mel_bins"), facts.number("max_source_positions")
    if bins is not None and positions is not None:
        return InputSpec((_BATCH, bins, 2 * positions))
    bins = facts.number("input_feat_per_channel", "feature_projection_input_dim")
    return None if bins is None else InputSpec((_BATCH, 4 * _SEQUENCE, bins))


def _sound(facts: Facts) -> InputSpec | None:
    bins, frames = facts.number("num_mel_bins"), facts.number("max_length")
    if bins is not None and frames is not None:
        return InputSpec((_BATCH, frames, bins))
    return None if facts.value("conv_kernel") is None else InputSpec((_BATCH, _SAMPLES))


_RULES: Final[Mapping[str, Callable[[Facts], InputSpec | None]]] = {
    "input_ids": _tokens,
    "attention_mask": _token_mask,
    "token_type_ids": _token_types,
    "decoder_input_ids": _decoder_tokens,
    "decoder_attention_mask": _decoder_mask,
    "bbox": _boxes,
    "pixel_values": _images,
    "input_features": _features,
    "input_values": _sound,
}
