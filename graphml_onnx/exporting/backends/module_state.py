"""Puts a module into the state for export, and back into its former state."""

from __future__ import annotations

import copy
from collections import OrderedDict
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from operator import is_
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

import torch
from torch.backends import mha
from torch.nn.parameter import UninitializedBuffer, is_lazy
from torch.utils import _pytree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

_EXPORTABLE_EXPERTS: Final = "batched_mm"


def prepared(module: torch.nn.Module) -> torch.nn.Module:
    """The module itself; if it has lazy parameters, which the first run creates, a copy that shares all others."""
    tensors = [*module.parameters(), *module.buffers()]
    if not any(is_lazy(tensor) for tensor in tensors):
        return module
    kept = {id(tensor): tensor for tensor in tensors if not is_lazy(tensor)}
    for tensor in tensors:
        if isinstance(tensor, UninitializedBuffer):  # PyTorch copies lazy parameters, and no lazy buffers
            made = cast("Callable[..., torch.Tensor]", UninitializedBuffer)  # it is typed as a tensor's constructor
            kept[id(tensor)] = made(tensor.requires_grad, tensor.data.device, tensor.data.dtype)
    return copy.deepcopy(module, kept)


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Switches off what cannot be exported while the context is open.

    - Training: modules are in evaluation mode; one that refuses the mode stays in its own.
    - Caches of keys and values (``use_cache`` in the configs of transformers): objects that no ONNX graph has.
    - Grouped products of a mixture of experts, for which ONNX has no operator: transformers has the same with
      batched products.
    - The fused attention of ``torch.nn`` for inference, likewise, within which no module runs.
    """
    with ExitStack() as stack:
        stack.enter_context(_in_evaluation_mode(module))
        stack.enter_context(_without_caches(module))
        stack.enter_context(_with_exportable_experts(module))
        stack.enter_context(_without_fused_attention())
        yield


class KeptState:
    """The state of a module that a run of ``forward`` may change: attributes, and the values of buffers.

    Attributes that are lists, dictionaries or sets get their members back, but the members themselves are not restored.
    Parameters are not copied, since that would double the memory.

    Args:
        module: the module, before the run.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
        self._restores = [_attributes_of(part) for part in parts]
        self._buffers = [(buffer, buffer.detach().clone(), buffer._version) for buffer in module.buffers()]
        self._parameters = [(name, weight, weight._version) for name, weight in module.named_parameters()]

    def changed_buffers(self) -> list[torch.Tensor]:
        """The buffers that were changed in place."""
        return [buffer for buffer, _, version in self._buffers if buffer._version != version]

    def changed_parameters(self) -> list[str]:
        """The names of the parameters that were changed in place."""
        return [name for name, weight, version in self._parameters if weight._version != version]

    def restore(self) -> None:
        """Restores everything but parameters."""
        for restore in self._restores:
            restore()
        with torch.no_grad():
            for buffer, value, _ in self._buffers:
                if buffer.shape != value.shape:
                    buffer.data = value
                else:
                    buffer.copy_(value)


@contextmanager
def keeping_state(module: torch.nn.Module) -> Iterator[KeptState]:
    """Restores what a run of ``forward`` may change, when the context closes."""
    state = KeptState(module)
    try:
        yield state
    finally:
        state.restore()


@contextmanager
def running_on_copies(module: torch.nn.Module, buffers: Iterable[torch.Tensor]) -> Iterator[None]:
    """Lets a module compute with copies of its inputs and of some buffers while the context is open.

    Args:
        module: the module.
        buffers: the buffers. Each is copied at the beginning of a run, so that a trace shows the copy.
    """
    original: Callable[..., object] = module.forward
    chosen = {id(buffer) for buffer in buffers}
    places = [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None and id(buffer) in chosen
    ]
    is_running = False

    @wraps(original)
    def forward(*args: object, **kwargs: object) -> object:
        nonlocal is_running
        if is_running:  # a module that calls itself
            return original(*args, **kwargs)
        is_running = True
        copies = {id(buffer): buffer.clone() for _, _, buffer in places}
        for part, name, buffer in places:
            part._buffers[name] = copies[id(buffer)]
        try:
            return original(*_cloned(args), **_cloned(kwargs))
        finally:
            is_running = False
            for part, name, buffer in places:
                part._buffers[name] = buffer

    with calling(module, forward):
        yield


@contextmanager
def calling(module: torch.nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Gives a module another ``forward`` while the context is open."""
    attributes = vars(module)
    own = attributes.get("forward")
    attributes["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del attributes["forward"]
        else:
            attributes["forward"] = own


def _cloned(inputs: T) -> T:
    cloned: T = _pytree.tree_map_only(torch.Tensor, torch.clone, inputs)
    return cloned


def copied(inputs: object) -> object:
    """The inputs with each tensor copied, so that a module that writes into its inputs does not change the caller's."""
    return _pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.detach().clone(), inputs)


def _attributes_of(module: torch.nn.Module) -> Callable[[], None]:
    """Takes a snapshot of the attributes of one module, and gives a function that restores it."""
    attributes = vars(module)
    before = dict(attributes)
    members = {name: members for name, value in before.items() if (members := _members_of(value)) is not None}

    def restore() -> None:
        if attributes.keys() != before.keys() or any(attributes[name] is not before[name] for name in before):
            attributes.clear()
            attributes.update(before)
        for name, value in members.items():
            _refill(before[name], value)

    return restore


def _members_of(container: object) -> dict[object, object] | list[object] | set[object] | None:
    """The content of a container, independent of how its class is copied; None for anything else."""
    match container:
        case dict():
            return dict.copy(container)
        case list():
            return list.copy(container)
        case set():
            return set.copy(container)
    return None


def _refill(container: object, members: object) -> None:
    """Gives a container its content back, if that has changed, past what its class does on a change or forbids."""
    match container, members:
        case dict(), dict() if not _is_same(container, members):
            kind = OrderedDict if isinstance(container, OrderedDict) else dict
            kind.clear(container)
            for key, value in members.items():
                kind.__setitem__(container, key, value)
        case list(), list() if not (len(container) == len(members) and all(map(is_, container, members))):
            list.__setitem__(container, slice(None), members)
        case set(), set() if not (len(container) == len(members) and {*map(id, container)} == {*map(id, members)}):
            set.clear(container)
            set.update(container, members)


def _is_same(one: dict[object, object], other: dict[object, object]) -> bool:
    """Whether dictionaries have the same objects in the same order."""
    same = len(one) == len(other) and all(map(is_, dict.keys(one), dict.keys(other)))
    return same and all(map(is_, dict.values(one), dict.values(other)))


@contextmanager
def _in_evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Calls ``eval``, and afterwards ``train`` of each module that was training, as its owner would.

    A module may do more in ``train`` than set its flag: one of LoRA merges its weights for evaluation. Programs of
    `torch.export`, and what is quantised from them, refuse both modes.
    """
    modes = [(part, part.training) for part in module.modules()]
    refused = False
    try:
        module.eval()
    except NotImplementedError:
        refused = True
    try:
        yield
    finally:
        for part, training in () if refused else modes:  # modules before what is in them
            if part.training != training:
                part.train(training)
        for part, training in modes:
            if part.training != training:
                part.training = training


class _CachingConfig(Protocol):
    use_cache: bool


@contextmanager
def _without_caches(module: torch.nn.Module) -> Iterator[None]:
    configs = [vars(part).get("config") for part in module.modules()]
    caching = {id(config): cast("_CachingConfig", config) for config in configs if _uses_cache(config)}
    for config in caching.values():
        with suppress(AttributeError, TypeError):  # a config that is frozen stays as it is
            config.use_cache = False
    try:
        yield
    finally:
        for config in caching.values():
            with suppress(AttributeError, TypeError):
                config.use_cache = True


def _uses_cache(config: object) -> bool:
    return getattr(config, "use_cache", False) is True


class _ModelWithExperts(Protocol):
    """What `transformers.PreTrainedModel` offers to snapshot and restore how experts are computed."""

    def get_experts_implementation(self) -> Mapping[str, str | None]: ...
    def set_experts_implementation(self, experts_implementation: str | Mapping[str, str | None]) -> None: ...


@contextmanager
def _with_exportable_experts(module: torch.nn.Module) -> Iterator[None]:
    if not all(hasattr(module, name) for name in ("get_experts_implementation", "set_experts_implementation")):
        yield
        return
    model = cast("_ModelWithExperts", module)
    earlier = model.get_experts_implementation()
    model.set_experts_implementation(_EXPORTABLE_EXPERTS)
    try:
        yield
    finally:
        model.set_experts_implementation(earlier)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    earlier = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(value=earlier)
