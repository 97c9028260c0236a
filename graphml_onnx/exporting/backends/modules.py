"""What is known of the modules of a model: their paths, classes and weights, and which of them ran, in what order.

Forward hooks record the calls while PyTorch's exporters trace a model: `torch.export` calls each module with fake
tensors, and the TorchScript exporter with the example inputs. Both show the same calls, without an extra run.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphml_onnx.support.notices import Notice

CONTAINERS: Final = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
"""Modules that hold others or parameters, and do not run."""

TORCH_CLASSES: Final = "torch.nn."

OUTSIDE: Final = -1
"""The index of the call around the outermost one, which does not exist."""


class Level(NamedTuple):
    """A module: its dotted path from the root, and its class with the package."""

    scope: str
    class_path: str


@dataclass(frozen=True, slots=True)
class Weights:
    """The modules that own the parameters.

    Attributes:
        owners: for each parameter, the paths of the modules that have it; several for tied ones.
        classes: classes of the modules, with the package, by their path.
        tensors: the parameters themselves.
    """

    owners: Mapping[str, frozenset[str]]
    classes: Mapping[str, str]
    tensors: Mapping[str, torch.Tensor]


class Known(NamedTuple):
    """What is known of the modules of a model without a run.

    Attributes:
        aliases: for each dotted path of a module its first one; a module that is registered twice has two paths.
        registered: all modules, each under its first path, without containers that never run; none for a program.
        weights: the modules that own the weights.
    """

    aliases: Mapping[str, str]
    registered: tuple[Level, ...]
    weights: Weights


def known_of(module: nn.Module) -> Known:
    """What is known of a module; the weights of a container belong to the module around it."""
    parts = dict(module.named_modules(remove_duplicate=False))
    first: dict[int, str] = {}
    aliases = {path: first.setdefault(id(part), path) for path, part in parts.items()}
    registered = tuple(
        Level(scope, class_path_of(type(parts[scope])))
        for scope in first.values()
        if not isinstance(parts[scope], CONTAINERS)
    )
    tensors = {name: weight for name, weight in module.named_parameters(remove_duplicate=False) if not is_lazy(weight)}
    identities: dict[str, object] = {}
    owners: dict[object, set[str]] = {}
    for name, tensor in tensors.items():
        scope = owner_of(name)
        while scope and isinstance(parts[scope], CONTAINERS):
            scope = owner_of(scope)
        identities[name] = identity_of(tensor)
        owners.setdefault(identities[name], set()).add(aliases[scope])
    owned = {name: frozenset(owners[identity]) for name, identity in identities.items()}
    return Known(aliases, registered, Weights(owned, dict(registered), tensors))


def identity_of(tensor: torch.Tensor) -> object:
    """The same for tensors that are one: those of tied weights."""
    return tensor.data_ptr() or id(tensor), tuple(tensor.shape), tensor.stride(), tensor.dtype


def class_path_of(kind: type) -> str:
    """A class with its package, as PyTorch's exporter writes it: ``torch.nn.modules.linear.Linear``."""
    return f"{kind.__module__}.{kind.__qualname__}"


def owner_of(weight: str) -> str:
    """The path of the module that a weight belongs to, by its name: ``encoder.dense`` for ``encoder.dense.bias``."""
    return weight.rpartition(".")[0]


def alias_of(scope: str, aliases: Mapping[str, str]) -> str:
    """The path of a module in the tree: its own, or that of an alias of it or of a module around it."""
    outer, rest = scope, ""
    while outer:
        if outer in aliases:
            return aliases[outer] + rest
        outer, _, last = outer.rpartition(".")
        rest = f".{last}{rest}"
    return scope


class Trial(NamedTuple):
    """A run with other sizes than those of the example.

    Attributes:
        sizes: the sizes by the names of the dimensions.
        shapes: the shapes of the tensors that it returned.
        refusal: why it failed with these sizes and others; empty if it did not.
    """

    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """The results of an exporter besides the ONNX file.

    Attributes:
        levels: the modules that ran, in the order of their first run.
        known: what is known of all modules.
        output_names: names of the outputs, from what the model returned; None if unknown.
        calls: the calls that the names of operators tell; None if their metadata tell the modules.
        execution_steps: how often a hook was called; 0 if no module ran, as for a program of `torch.export`.
        trial: a run with other sizes, if there was one.
        findings: what the exporter left out, and what else the reader should know.
        printed: what the model and the exporter printed.
    """

    levels: tuple[Level, ...]
    known: Known
    output_names: tuple[str | None, ...]
    calls: tuple[Call, ...] | None = None
    execution_steps: int = 0
    trial: Trial | None = None
    findings: tuple[Notice, ...] = ()
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module.

    Attributes:
        scope: dotted path of the module from the root; the first one, if it has several.
        class_path: its class with the package.
        around: index of the call around it, or -1.
    """

    scope: str
    class_path: str
    around: int


@dataclass(slots=True)
class Trace:
    """The calls of the last run of the root module, in the order in which they began.

    Attributes:
        calls: the calls.
        output: what the root module returned; None if it did not run.
    """

    calls: list[Call] = field(default_factory=list)
    output: object = None
    _open: list[int] = field(default_factory=list)

    def begin(self, scope: str, class_path: str) -> None:
        """Records that a module is called."""
        if not self._open and not scope:
            self.calls.clear()  # an exporter whose first attempt failed runs the model again
        self.calls.append(Call(scope, class_path, self._open[-1] if self._open else OUTSIDE))
        self._open.append(len(self.calls) - 1)

    def end(self, scope: str, output: object) -> None:
        """Records that the innermost call has ended, if it is a call of this module."""
        if self._open and self.calls[self._open[-1]].scope == scope:
            self._open.pop()
            if not self._open and not scope:
                self.output = output


@contextmanager
def recording(module: torch.nn.Module) -> Iterator[Trace]:
    """Records the calls within a module while the context is open; afterwards it removes its hooks.

    A call begins after all other hooks before ``forward``, and ends before those after it. Calls by these hooks are
    outside, as in the names of the TorchScript exporter.

    Modules with methods that are exported to TorchScript (those of torch.ao) get no hooks: tracing compiles them, hooks
    included. Global hooks see their calls.
    """
    trace = Trace()
    compiled: dict[torch.nn.Module, str] = {}
    with_exports: dict[type, bool] = {}
    handles = []
    try:
        for scope, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue  # compiled code calls no Python
            if _is_compiled_in_traces(part, with_exports):
                compiled[part] = scope
                continue
            handles.append(part.register_forward_pre_hook(partial(_begin, trace, scope)))
            handles.append(part.register_forward_hook(partial(_end, trace, scope), prepend=True, always_call=True))
        if compiled:
            handles.append(register_module_forward_pre_hook(partial(_begin_compiled, trace, compiled)))
            handles.append(register_module_forward_hook(partial(_end_compiled, trace, compiled), always_call=True))
        yield trace
    finally:
        for handle in handles:
            handle.remove()


def _is_compiled_in_traces(module: torch.nn.Module, with_exports: dict[type, bool]) -> bool:
    """Whether tracing compiles a module instead of running it: it has a method under ``torch.jit.export``.

    PyTorch checks each module (`torch._jit_internal.module_has_exports`), this function each class once: for the 282
    modules of a ResNet-50, the check of each module took a tenth of the whole export.

    Args:
        module: the module.
        with_exports: the answers for classes so far; new answers are added.
    """
    kind = type(module)
    if kind not in with_exports:
        with_exports[kind] = any(_is_export(getattr(kind, name, None)) for name in dir(kind))
    return with_exports[kind] or any(_is_export(value) for value in vars(module).values())


def _is_export(member: object) -> bool:
    modifier = torch._jit_internal.get_torchscript_modifier(member)  # type: ignore[no-untyped-call]
    return callable(member) and modifier is torch._jit_internal.FunctionModifiers.EXPORT


# A hook must not hold modules: byte code refers to what it holds, and modules would get their names from there.
def _begin(trace: Trace, scope: str, module: torch.nn.Module, _inputs: object) -> None:
    if not torch.compiler.is_dynamo_compiling():  # it traces the branches of control flow, without side effects
        trace.begin(scope, class_path_of(type(module)))


def _end(trace: Trace, scope: str, _module: torch.nn.Module, _inputs: object, output: object) -> None:
    if not torch.compiler.is_dynamo_compiling():
        trace.end(scope, output)


def _begin_compiled(
    trace: Trace, scopes: Mapping[torch.nn.Module, str], module: torch.nn.Module, inputs: object
) -> None:
    if module in scopes:
        _begin(trace, scopes[module], module, inputs)


def _end_compiled(
    trace: Trace, scopes: Mapping[torch.nn.Module, str], module: torch.nn.Module, inputs: object, output: object
) -> None:
    if module in scopes:
        _end(trace, scopes[module], module, inputs, output)
