"""Models of transformers: loads them by folder or hub name, and opens the parts of those that generate.

The class follows from the task or the config. A part is the encoder, or the decoder that takes and gives keys and
values as tensors. Names and dynamic dimensions are those of optimum, which runtimes for generation ask for:
``past_key_values.0.key`` in, ``present.0.key`` out; where there is an encoder, ``past_key_values.0.decoder.key`` and
``….0.encoder.key``. A part is the model itself with another ``forward`` for a while, so that its modules keep their
paths.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import torch

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, UsageError
from graphml_onnx.exporting.backends import run_model
from graphml_onnx.exporting.backends.state import calling, one_line
from graphml_onnx.exporting.inputs import ExampleInputs, inputs_from_config, parameters_of
from graphml_onnx.exporting.options import DECODER_WITH_PAST, PARTS
from graphml_onnx.exporting.sources import FORMS, PICKLED, check_not_pickled
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphml_onnx.exporting.options import ExporterSettings, Plan
    from graphml_onnx.exporting.sources import LoadedModel

_TORCHVISION: Final = (
    "the torchvision here does not fit this PyTorch: uninstall it, or install the build for the same version"
)

_PAIRS: Final = "text2text-generation"
"""A task of optimum, and of transformers before version 5."""

_CACHES: Final = ("cache", "past_key_values")
"""Names of keys and values in arguments and results of ``forward``; they differ between releases of transformers."""

_NEW: Final = 3
"""Number of new tokens in the example; no other dimension of the example has this size."""

_FROM_ENCODER: Final = "encoder_last_hidden_state"
_BATCH: Final = "batch_size"
_LENGTH: Final = "sequence_length"
_PAST: Final = "past_sequence_length"
_PAST_AND_NEW: Final = f"{_PAST} + {_LENGTH}"
_ENCODER_LENGTH: Final = "encoder_sequence_length"
_REMEDY: Final = "leave `part` and -with-past out, and export it for whole sequences"


def load_pretrained(name: str, task: str | None) -> torch.nn.Module:
    """Loads a model of transformers; no code of its repository is executed, and nothing is unpickled.

    Args:
        name: a folder, or a name on the hub.
        task: its task: ``fill-mask``; it chooses the class. None for the class that the config names.

    Raises:
        InputError: there is no such model, or it has no weights.
        ModelError: it cannot be loaded, or is pickled.
        UsageError: transformers is not installed, or the task is unknown.
    """
    require("transformers")
    if Path(name).is_dir():
        _check_folder(Path(name))
    import transformers

    with _loading(name), _without_progress_bars():
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        kind = _class_for_task(config, task, name) if task else _class_of(config)
        return kind.from_pretrained(name, config=config, trust_remote_code=False, use_safetensors=True)


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(
            "the folder holds no config.json, so no Hugging Face model",
            file=folder,
            remedy="save_pretrained writes one",
        )
    if any(folder.glob("*.safetensors")):
        return
    pickled = [file for file in sorted(folder.iterdir()) if file.suffix in PICKLED]
    if pickled:
        check_not_pickled(pickled[0])
    raise InputError("the folder holds no weights", file=folder, remedy="it needs model.safetensors")


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except GraphmlOnnxError:
        raise
    except OSError as error:  # also what transformers raises for a name that the hub does not know
        reason = f"no such folder, and no model of this name: {one_line(error)}"
        raise InputError(reason, file=name, remedy=FORMS) from error
    except Exception as error:
        told = f"cannot be loaded: {one_line(error)}"
        raise ModelError(told, file=name, remedy=_TORCHVISION if _is_torchvision(error) else "see --debug") from error


def _is_torchvision(error: BaseException | None) -> bool:
    """Whether the cause is a torchvision, which transformers imports, that was built for another PyTorch."""
    while error is not None:
        if "torchvision" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    switches = cast("_ProgressBars", logging)
    enabled = switches.is_progress_bar_enabled()
    switches.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            switches.enable_progress_bar()


class _ProgressBars(Protocol):
    def is_progress_bar_enabled(self) -> bool: ...
    def disable_progress_bar(self) -> None: ...
    def enable_progress_bar(self) -> None: ...


class _ModelClass(Protocol):
    """What transformers has for each model: a class, or one that finds it."""

    def from_pretrained(
        self, name: str, /, *, config: object, trust_remote_code: bool, use_safetensors: bool
    ) -> torch.nn.Module: ...


def _class_of(config: object) -> _ModelClass:
    """The class that the config names, if transformers has it; else the one of the bare model."""
    import transformers

    for name in getattr(config, "architectures", None) or ():
        kind = getattr(transformers, name, None)
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
            return cast("_ModelClass", kind)
    return cast("_ModelClass", transformers.AutoModel)


def _class_for_task(config: object, task: str, name: str) -> _ModelClass:
    import transformers
    from transformers.pipelines import PIPELINE_REGISTRY

    if task == _PAIRS:
        return cast("_ModelClass", transformers.AutoModelForSeq2SeqLM)
    try:
        _, facts, _ = PIPELINE_REGISTRY.check_task(task)
    except KeyError:
        known = ", ".join(PIPELINE_REGISTRY.get_supported_tasks())
        raise UsageError(f"the task {task!r} is not known", remedy=f"transformers has {known}") from None
    for kind in facts["pt"]:
        if type(config) in kind._model_mapping:
            return cast("_ModelClass", kind)
    raise UsageError(f"the model has no class for the task {task!r}", file=name, remedy="leave `task` out")


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part that is ready to be exported.

    Attributes:
        model: its root module.
        inputs: example inputs for its ``forward``.
        input_names: names of the tensors in them.
        output_names: names of the tensors that it returns; none if the model names them itself.
        dynamic_shapes: the dynamic dimensions of inputs and outputs.
    """

    model: torch.nn.Module
    inputs: ExampleInputs
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    dynamic_shapes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def settings(self, asked: ExporterSettings) -> ExporterSettings:
        """The settings that were asked for, with the names and dimensions of this part where none were."""
        return replace(
            asked,
            input_names=asked.input_names or self.input_names,
            output_names=asked.output_names or self.output_names,
            dynamic_shapes=asked.dynamic_shapes or self.dynamic_shapes,
            tries_sizes=False,  # some dimensions are sums of others
        )


@contextmanager
def opened(loaded: LoadedModel, plan: Plan) -> Iterator[OpenPart]:
    """Makes a part of a model ready, until the context closes.

    Args:
        loaded: a model of transformers.
        plan: says which part, and has the seed and the batch size of example inputs.

    Raises:
        UsageError: the model has no such part, or several, or its inputs are unknown.
        ModelError: the model fails.
    """
    model, name, part = loaded.model, loaded.name, plan.part
    seed, batch = plan.options.seed, plan.options.batch_size
    if plan.options.part is None and _has_encoder(model):
        raise UsageError(
            "is made of an encoder and a decoder, which are exported one by one",
            file=name,
            remedy=f"give `part`: {', '.join(PARTS)}",
        )
    if not isinstance(model, torch.nn.Module) or _cache_argument(model) is None:
        raise UsageError("has no parts: its forward takes no keys and values", file=name, remedy=_REMEDY)
    if part == "encoder":
        yield _encoder(model, name, seed, batch)
        return
    decoder = _Decoder(model, name, inputs_from_config(model, seed, batch, {}), with_past=part == DECODER_WITH_PAST)
    with calling(model, decoder.forward):
        yield decoder.part(seed)


def _has_encoder(model: object) -> bool:
    """Whether a model is made of an encoder and a decoder."""
    return getattr(getattr(model, "config", None), "is_encoder_decoder", False) is True


def _cache_argument(model: torch.nn.Module) -> str | None:
    names = parameters_of(model)
    return next((name for name in _CACHES if name in names and "use_cache" in names), None)


class _WithEncoder(Protocol):
    def get_encoder(self) -> torch.nn.Module: ...


def _encoder(model: torch.nn.Module, name: str, seed: int, batch: int | None) -> OpenPart:
    if not _has_encoder(model):
        raise UsageError("has no encoder of its own", file=name, remedy="ask for another `part`")
    encoder = cast("_WithEncoder", model).get_encoder()
    inputs = inputs_from_config(encoder, seed, batch, {})
    shapes = {
        key: {0: _BATCH} | ({1: _ENCODER_LENGTH} if _is_tokens(value) else {}) for key, value in inputs.kwargs.items()
    }
    return OpenPart(encoder, inputs, dynamic_shapes=shapes)


def _is_tokens(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() == 2 and not value.is_floating_point()


class _Layer(NamedTuple):
    """The keys or the values of one layer: their name, the tensor, and whether they come from the encoder."""

    name: str
    tensor: torch.Tensor
    is_cross: bool


class _Input(NamedTuple):
    """An input of a decoder: its name, an example, and its dynamic dimensions."""

    name: str
    tensor: torch.Tensor
    axes: dict[int, str]


class _Decoder:
    """A decoder whose ``forward`` takes and gives the tensors of its cache by name.

    Args:
        model: the model.
        name: the user's name for it, for messages.
        examples: inputs that follow from its config; it runs once with them.
        with_past: whether it takes the keys and values of earlier tokens.

    Raises:
        UsageError: it takes no tokens.
        ModelError: it fails, or its cache contains other things than keys and values.
    """

    def __init__(self, model: torch.nn.Module, name: str, examples: ExampleInputs, *, with_past: bool) -> None:
        self._model = model
        self._name = name
        self._examples = examples
        self._with_past = with_past
        self._original: Callable[..., object] = model.forward
        self._argument = _cache_argument(model) or ""
        self._is_composite = _has_encoder(model)
        tokens = "decoder_input_ids" if self._is_composite else "input_ids"
        if tokens not in examples.kwargs:
            raise UsageError(f"takes no {tokens}", file=name, remedy=_REMEDY)
        self._whole = cast("torch.Tensor", examples.kwargs[tokens])
        cached = replace(examples, kwargs={**examples.kwargs, "use_cache": True, "return_dict": True})
        returned = _as_mapping(run_model(model, name, cached), name)
        self._layers = _layers(returned, name)
        self._present = [layer for layer in self._layers if not (layer.is_cross and with_past)]
        self._hidden = cast("torch.Tensor | None", returned.get(_FROM_ENCODER))
        self._returned = [
            key for key, value in returned.items() if isinstance(value, torch.Tensor) and key != _FROM_ENCODER
        ]

    def part(self, seed: int) -> OpenPart:
        """The decoder with its inputs.

        Args:
            seed: for the random numbers in keys and values.
        """
        inputs = self._tokens()
        past = self._past(seed)
        outputs = {key: {0: _BATCH, 1: _LENGTH} for key in self._returned}
        length = _PAST_AND_NEW if self._with_past else _LENGTH
        for layer in self._present:
            outputs[f"present.{layer.name}"] = {0: _BATCH, 2: _ENCODER_LENGTH if layer.is_cross else length}
        named: dict[str, object] = {entry.name: entry.tensor for entry in inputs}
        if past:
            named["past_key_values"] = {entry.name.partition(".")[2]: entry.tensor for entry in past}
        return OpenPart(
            self._model,
            replace(self._examples, kwargs=named),
            tuple(entry.name for entry in (*inputs, *past)),
            tuple(outputs),
            {entry.name: entry.axes for entry in (*inputs, *past)} | outputs,
        )

    def _tokens(self) -> list[_Input]:
        """All inputs except keys and values."""
        before = self._whole.shape[1] if self._with_past else 0
        ids = self._whole[:, :_NEW].clone() if self._with_past else self._whole
        batch, length = ids.shape
        inputs = [_Input("input_ids", ids, {0: _BATCH, 1: _LENGTH})]
        if self._is_composite:
            mask = self._examples.kwargs.get("attention_mask")
            if isinstance(mask, torch.Tensor):
                inputs.append(_Input("encoder_attention_mask", mask, {0: _BATCH, 1: _ENCODER_LENGTH}))
            if not self._with_past and self._hidden is not None:
                inputs.append(_Input("encoder_hidden_states", self._hidden, {0: _BATCH, 1: _ENCODER_LENGTH}))
            return inputs
        mask = torch.ones(batch, before + length, dtype=torch.int64, device=ids.device)
        inputs.append(_Input("attention_mask", mask, {0: _BATCH, 1: _PAST_AND_NEW if self._with_past else _LENGTH}))
        if "position_ids" in parameters_of(self._model):
            positions = torch.arange(before, before + length, device=ids.device).expand(batch, length).clone()
            inputs.append(_Input("position_ids", positions, {0: _BATCH, 1: _LENGTH}))
        return inputs

    def _past(self, seed: int) -> list[_Input]:
        """Random keys and values for as many tokens as the run had, even if a sliding window keeps fewer."""
        if not self._with_past:
            return []
        generator = torch.Generator().manual_seed(seed)
        past = []
        for name, tensor, is_cross in self._layers:
            length = tensor.shape[-2] if is_cross else self._whole.shape[1]
            made = torch.randn((*tensor.shape[:-2], length, tensor.shape[-1]), generator=generator)
            axes = {0: _BATCH, 2: _ENCODER_LENGTH if is_cross else _PAST}
            past.append(_Input(f"past_key_values.{name}", made.to(tensor.device, tensor.dtype), axes))
        return past

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        past_key_values: dict[str, torch.Tensor] | None = None,
    ) -> dict[str, object]:
        """Calls the model with these inputs, and with keys and values in a cache of transformers."""
        past = past_key_values or {}
        named: dict[str, object] = {self._argument: _cache_of(past, is_composite=self._is_composite)}
        if self._is_composite:
            hidden = self._unread(past) if encoder_hidden_states is None else encoder_hidden_states
            named |= {"decoder_input_ids": input_ids, "encoder_outputs": (hidden,)}
            named |= {"attention_mask": encoder_attention_mask}
        else:
            named |= {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}
        named = {name: value for name, value in named.items() if value is not None}
        returned = _as_mapping(self._original(**named, use_cache=True, return_dict=True), self._name)
        tensors = {layer.name: layer.tensor for layer in _layers(returned, self._name)}
        present = {layer.name: tensors[layer.name] for layer in self._present}
        return {key: returned[key] for key in self._returned} | {"present": present}

    def _unread(self, past: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A placeholder for the encoder's states: the model reads its shape, and the rest from keys and values."""
        keys = next(tensor for name, tensor in past.items() if name.endswith("encoder.key"))
        width = 0 if self._hidden is None else self._hidden.shape[-1]
        return keys.new_zeros(keys.shape[0], keys.shape[-2], width)


def _as_mapping(returned: object, name: str) -> Mapping[str, object]:
    if not hasattr(returned, "keys"):
        raise ModelError("does not name what it returns", file=name, remedy=_REMEDY)
    return cast("Mapping[str, object]", returned)


class _CacheLayer(Protocol):
    keys: torch.Tensor | None
    values: torch.Tensor | None


def _layers(returned: Mapping[str, object], name: str) -> list[_Layer]:
    """The keys and values in the cache that a model of transformers returned.

    Raises:
        ModelError: there is none, or it contains other things, such as the states of a state space model.
    """
    cache = next((returned[key] for key in _CACHES if key in returned), None)
    if cache is None:
        raise ModelError("gives no keys and values", file=name, remedy=_REMEDY)
    kinds = {"self_attention_cache": ".decoder", "cross_attention_cache": ".encoder"}
    parts = {kind: getattr(cache, part) for part, kind in kinds.items() if hasattr(cache, part)} or {"": cache}
    found = []
    for kind, part in parts.items():
        layers: Sequence[_CacheLayer] = getattr(part, "layers", ())
        for number, layer in enumerate(layers):
            if hasattr(layer, "conv_states") or hasattr(layer, "recurrent_states"):
                raise _other_things(cache, name)
            for word, tensor in (("key", layer.keys), ("value", layer.values)):
                if tensor is not None:  # a layer may share those of another
                    found.append((number, _Layer(f"{number}{kind}.{word}", tensor, kind == ".encoder")))
    if not found:
        raise _other_things(cache, name)
    return [layer for _, layer in sorted(found, key=lambda entry: entry[0])]


def _other_things(cache: object, name: str) -> ModelError:
    told = f"keeps other things than keys and values in its {type(cache).__name__}"
    return ModelError(told, file=name, remedy=_REMEDY)


def _cache_of(tensors: Mapping[str, torch.Tensor], *, is_composite: bool) -> object:
    """A cache of transformers with keys and values, given by name."""
    from transformers import DynamicCache, EncoderDecoderCache

    if not is_composite:
        return DynamicCache(_pairs(tensors, ""))
    own, cross = (DynamicCache(_pairs(tensors, f".{kind}")) for kind in ("decoder", "encoder"))
    return EncoderDecoderCache(own, cross)


def _pairs(tensors: Mapping[str, torch.Tensor], kind: str) -> list[tuple[torch.Tensor | None, torch.Tensor | None]]:
    numbers = [int(name.partition(".")[0]) for name in tensors]
    return [
        (tensors.get(f"{number}{kind}.key"), tensors.get(f"{number}{kind}.value"))
        for number in range(max(numbers, default=-1) + 1)
    ]
