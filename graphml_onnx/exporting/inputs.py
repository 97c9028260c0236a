"""Example inputs: as the caller gives them, as specs describe them, or as a model's config and signature ask for.

What is generated follows from the names of the parameters of ``forward``, which mean the same in every architecture
of transformers, and from facts in the config (sizes of the vocabulary, of images, of spectrograms). No class of model
is named here; a model that needs something else takes specs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import torch

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.specs import TensorSpec, make_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

_BATCH: Final = 2  # exporters take a dimension of 1 for a constant
_SEQUENCE: Final = 16
_IMAGE: Final = 224
_SAMPLES: Final = 16_000  # a second of sound
_REMEDY: Final = "describe the inputs with --input-specs"


@dataclass(frozen=True, slots=True)
class ExampleInputs:
    """What the exporter calls the model with.

    Attributes:
        args: positional arguments.
        kwargs: named arguments, in the order of the model's signature.
        method: where they come from, in the words of HTP metadata.
    """

    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    method: Literal["from_config", "specs", "provided"] = "provided"


def given_inputs(inputs: object) -> ExampleInputs:
    """Takes example inputs as a caller has them: a tensor, a sequence of arguments, or a mapping of named ones.

    Raises:
        UsageError: they are none of these.
    """
    if isinstance(inputs, torch.Tensor):
        return ExampleInputs((inputs,))
    if isinstance(inputs, Mapping):
        return ExampleInputs(kwargs=dict(inputs))
    if isinstance(inputs, tuple | list):
        return ExampleInputs(tuple(inputs))
    raise UsageError(
        f"example inputs are a {type(inputs).__name__}", remedy="give a tensor, a tuple of arguments, or a mapping"
    )


def inputs_from_specs(module: torch.nn.Module, specs: Mapping[str, TensorSpec], seed: int) -> ExampleInputs:
    """Makes the inputs that specs describe, by the names of the parameters of ``forward``.

    Raises:
        UsageError: the module's ``forward`` has no parameter of such a name.
    """
    parameters = _parameters(module)
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in specs:
            if name not in parameters:
                known = ", ".join(parameters)
                raise UsageError(
                    f"the model has no input {name!r}", file="--input-specs", place=name, remedy=f"it has {known}"
                )
    tensors = make_tensors(specs, seed)
    ordered = {name: tensors[name] for name in (*parameters, *tensors) if name in tensors}
    return ExampleInputs(kwargs=ordered, method="specs")


def inputs_from_config(module: torch.nn.Module, seed: int) -> ExampleInputs:
    """Generates inputs for a model that has a config, as those of transformers do.

    Raises:
        UsageError: the model has no config, or needs an input of which the config does not tell enough.
    """
    config = getattr(module, "config", None)
    if config is None:
        raise UsageError("nothing tells the inputs of this model", remedy=_REMEDY)
    parameters = _parameters(module)
    facts = Facts(config, parameters)
    main = getattr(module, "main_input_name", None)
    specs: dict[str, TensorSpec] = {}
    for name, parameter in parameters.items():
        rule = _RULES.get(name)
        spec = rule(facts) if rule is not None else None
        if spec is not None:
            specs[name] = spec
        elif name == main or (parameter.default is parameter.empty and parameter.kind not in _VARIADIC):
            raise UsageError(f"the config does not tell how input {name!r} looks", remedy=_REMEDY)
    if not specs:
        raise UsageError("the config does not tell the inputs of this model", remedy=_REMEDY)
    return ExampleInputs(kwargs=make_tensors(specs, seed), method="from_config")


def input_names(module: torch.nn.Module, inputs: ExampleInputs) -> list[str]:
    """The names of the inputs: those of the parameters of ``forward`` that take them; ``x_0``, ``x_1`` for ``*x``."""
    names: list[str] = []
    for name, parameter in _parameters(module).items():
        rest = len(inputs.args) - len(names)
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{name}_{number}" for number in range(rest)]
        elif rest > 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            names.append(name)
    return [*names, *inputs.kwargs]


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
                value: object = getattr(config, name, None)
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
        waiting.extend(member for member in vars(current).values() if hasattr(member, "model_type"))


def _parameters(module: torch.nn.Module) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(module.forward).parameters


_VARIADIC: Final = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _length(facts: Facts) -> int:
    most = facts.number("max_position_embeddings", "n_positions", "max_target_positions")
    return _SEQUENCE if most is None else max(1, min(_SEQUENCE, most // 2))


def _tokens(facts: Facts) -> TensorSpec | None:
    size = facts.number("vocab_size")
    return None if size is None else TensorSpec((_BATCH, _length(facts)), "int64", (0, size - 1))


def _decoder_tokens(facts: Facts) -> TensorSpec | None:
    return _tokens(facts) if facts.value("is_encoder_decoder") else None


def _token_mask(facts: Facts) -> TensorSpec | None:
    tokens = _tokens(facts) if "input_ids" in facts.parameters else None  # no model needs the mask of a sound
    return None if tokens is None else TensorSpec(tokens.shape, "int64", (1, 1))


def _decoder_mask(facts: Facts) -> TensorSpec | None:
    tokens = _decoder_tokens(facts)
    return None if tokens is None else TensorSpec(tokens.shape, "int64", (1, 1))


def _token_types(facts: Facts) -> TensorSpec | None:
    tokens, types = _tokens(facts), facts.number("type_vocab_size")
    return None if tokens is None or types is None else TensorSpec(tokens.shape, "int64", (0, types - 1))


def _boxes(facts: Facts) -> TensorSpec | None:
    size = facts.number("max_2d_position_embeddings")
    return None if size is None else TensorSpec((_BATCH, _length(facts), 4), "int64", (0, 0))


def _images(facts: Facts) -> TensorSpec | None:
    channels = facts.number("num_channels", "in_channels", "in_chans")
    if channels is None:
        return None
    frames = facts.number("num_frames")
    shape = (_BATCH, channels, *_height_and_width(facts.value("image_size")))
    return TensorSpec(shape if frames is None else (_BATCH, frames, *shape[1:]))


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


def _features(facts: Facts) -> TensorSpec | None:
    """Spectrograms: bins by frames where a convolution takes them, and frames by bins elsewhere."""
    bins, positions = facts.number("num_mel_bins"), facts.number("max_source_positions")
    if bins is not None and positions is not None:
        return TensorSpec((_BATCH, bins, 2 * positions))
    bins = facts.number("input_feat_per_channel", "feature_projection_input_dim")
    return None if bins is None else TensorSpec((_BATCH, 4 * _SEQUENCE, bins))


def _sound(facts: Facts) -> TensorSpec | None:
    bins, frames = facts.number("num_mel_bins"), facts.number("max_length")
    if bins is not None and frames is not None:
        return TensorSpec((_BATCH, frames, bins))
    return None if facts.value("conv_kernel") is None else TensorSpec((_BATCH, _SAMPLES))


_RULES: Final[Mapping[str, Callable[[Facts], TensorSpec | None]]] = {
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
