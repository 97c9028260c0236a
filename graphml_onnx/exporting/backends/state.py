"""Runs foreign code: changes the state of the process and of modules for it, and restores both; no other module does.

Of the process: the current folder, standard output and error (of Python, and the descriptor that PyTorch's C++ code
writes to), the filters of warnings, an environment variable of `torch.load`, random numbers, and how deep Python may
call. Of a module: its mode, its attributes, buffers and ``forward``.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import warnings
from collections import OrderedDict
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from io import StringIO
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

import numpy as np
import torch
from torch.backends import mha
from torch.nn.parameter import UninitializedBuffer, is_lazy
from torch.utils import _pytree

from graphml_onnx.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphml_onnx.exporting.inputs import ExampleInputs

T = TypeVar("T")

_EXPORTABLE_EXPERTS: Final = "batched_mm"
_LONGEST: Final = 600
_STDOUT: Final = 1
_WEIGHTS_ONLY: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_ABOUT_CODE: Final = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Warnings for the authors of PyTorch or the model; they do not concern the exported model."""

_ABOUT_NAMES: Final = "# The axis name:"
"""Prefix of a warning that an axis got the name of another, even if both are equal; the result is compared instead."""

FROM_OUTSIDE: Final = (KeyboardInterrupt, Stopped)
"""Exceptions that foreign code does not raise itself. Any other exception, even `SystemExit`, is its failure."""


def one_line(error: BaseException) -> str:
    """The message of an exception, cut to its first sentence; its class if it has no message.

    A line that ends with a colon only announces the next one.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said: list[str] = []
    for line in lines:
        said.append(line)
        if not line.endswith(":"):
            break
    return " ".join(said)[:_LONGEST].rstrip(":") or type(error).__name__


@contextmanager
def code_of_users() -> Iterator[None]:
    """While it is open, printed text goes to standard error; afterwards it restores the current folder."""
    with redirect_stdout(sys.stderr), _same_folder():
        yield


@contextmanager
def _same_folder() -> Iterator[None]:
    try:
        earlier = Path.cwd()
    except OSError:  # it was removed
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(earlier)


@dataclass(slots=True)
class Heard:
    """Output and warnings while an exporter ran.

    Attributes:
        output: collects standard output and error.
        warned: warnings, each once, on one line; complete after the context.
    """

    output: StringIO = field(default_factory=StringIO)
    warned: list[str] = field(default_factory=list)
    _caught: list[warnings.WarningMessage] = field(default_factory=list)

    @property
    def printed(self) -> str:
        """The standard output and error so far."""
        return self.output.getvalue()

    def forget(self) -> None:
        """Forgets the warnings so far, because what they are about is done again."""
        self._caught.clear()


@contextmanager
def listening() -> Iterator[Heard]:
    """Collects output and warnings while the context is open, even if it fails; nothing reaches the terminal."""
    with warnings.catch_warnings(record=True) as caught:
        heard = Heard(_caught=caught)
        warnings.simplefilter("always")
        try:
            with redirect_stdout(heard.output), redirect_stderr(heard.output), _silent_descriptor(), _same_folder():
                yield heard
        finally:
            told = (" ".join(str(entry.message).split()) for entry in caught if _is_about_model(entry.category))
            heard.warned = [text for text in dict.fromkeys(told) if not text.startswith(_ABOUT_NAMES)]


def _is_about_model(category: type[Warning]) -> bool:
    return not issubclass(category, _ABOUT_CODE)


@contextmanager
def _silent_descriptor() -> Iterator[None]:
    """Keeps the C++ code of the TorchScript exporter from writing the graph to standard output when it fails."""
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # there is no standard output
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, _STDOUT)
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)
        os.close(null)


@contextmanager
def without_unpickling() -> Iterator[None]:
    """Keeps `torch.load` from unpickling anything but tensors, which `torch.export.load` may otherwise do."""
    earlier = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = earlier


@contextmanager
def deep_enough(module: torch.nn.Module) -> Iterator[None]:
    """Raises Python's recursion limit for a deeply nested module, with the exporter's own calls at each level.

    `torch.export` needs about a dozen calls for a level, and PyTorch's hooks two more: 100 levels exceed the usual
    limit.
    """
    levels = max(name.count(".") for name, _ in module.named_modules())
    earlier = sys.getrecursionlimit()
    sys.setrecursionlimit(max(earlier, min(_DEEPEST, _CALLS + _CALLS_OF_LEVEL * levels)))
    try:
        yield
    finally:
        sys.setrecursionlimit(earlier)


_CALLS: Final = 1000
_CALLS_OF_LEVEL: Final = 40
_DEEPEST: Final = 10_000
"""Number of calls; they fit into a stack of the usual 8 MiB."""


def _devices() -> list[int]:
    """The devices whose random numbers a model may have used."""
    is_used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if is_used else []


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Restores the random generators of PyTorch, numpy and Python when the context closes."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=_devices()):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


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


def with_tensors(inputs: ExampleInputs, function: Callable[[torch.Tensor], torch.Tensor]) -> ExampleInputs:
    """The same inputs with a function applied to each tensor in them."""
    args, kwargs = _pytree.tree_map_only(torch.Tensor, function, (inputs.args, dict(inputs.kwargs)))
    return replace(inputs, args=args, kwargs=kwargs)


def copied(inputs: ExampleInputs) -> ExampleInputs:
    """The inputs with each tensor copied, so that a module that writes into its inputs does not change the caller's."""
    return with_tensors(inputs, lambda tensor: tensor.detach().clone())


def versions(inputs: ExampleInputs) -> list[int]:
    """How often each tensor among the inputs was changed in place."""
    flat = _pytree.tree_leaves((inputs.args, dict(inputs.kwargs)))
    return [value._version for value in flat if isinstance(value, torch.Tensor)]


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
