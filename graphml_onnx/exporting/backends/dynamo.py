"""PyTorch's exporter that uses `torch.export`."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import torch
from torch.utils import _pytree

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.backends.modules import (
    Exported,
    Known,
    Level,
    Weights,
    alias_of,
    class_path_of,
    identity_of,
    known_of,
    owner_of,
    recording,
)
from graphml_onnx.exporting.inputs import bound_inputs, free_name, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.sources import Exportable

_NO_MODULE: Final = "_empty_nn_module_stack"
"""Prefix of the placeholder for operators outside all modules."""

_EMPTY_AXES: Final = "noop_with_empty_axes"
"""An attribute of reductions, since opset 18."""

_LOWEST_OPSET: Final = 18
"""The exporter writes operators of this opset and later ones, and converts to earlier ones."""


def export_with_dynamo(model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path) -> Exported:
    """Writes a model as an ONNX file; see `graphml_onnx.exporting.backends.Exporter`.

    The modules of a module are those that hooks see while `torch.export` runs it, and those in the metadata of its
    operators: hooks see no compiled modules, and no run in which `torch.export` reads the byte code. The modules of a
    program are those in the metadata of its operators.
    """
    module = model if isinstance(model, torch.nn.Module) else None
    known = None if module is None else known_of(module)
    is_converted = settings.opset is not None and settings.opset < _LOWEST_OPSET
    args = inputs.args
    if args and isinstance(args[-1], dict) and not inputs.kwargs:
        args = (*args, {})  # PyTorch takes a dictionary at the end for the named arguments
    with (
        nullcontext() if module is None else recording(module) as trace,
        nullcontext() if module is None else _returning_known_types(module),
    ):
        program = torch.onnx.export(
            model,
            args,
            kwargs=dict(inputs.kwargs),
            dynamo=True,
            verbose=False,
            opset_version=_LOWEST_OPSET if is_converted else settings.opset,
            optimize=settings.flags["optimize"],
            input_names=[*settings.input_names] if module is None else [tensor.name for tensor in inputs.tensors],
            output_names=[*settings.output_names],
            dynamic_shapes=_dynamic_shapes(module, inputs, settings),
        )
    if program is None or program.exported_program is None:
        raise RuntimeError("the exporter returned nothing")
    _tell_apart(program)
    if is_converted and settings.opset is not None:
        _convert(program, settings.opset)
    program.save(
        path,
        external_data=settings.flags["external_data"],
        keep_initializers_as_inputs=settings.flags["keep_initializers_as_inputs"],
    )
    told = model if isinstance(model, torch.export.ExportedProgram) else program.exported_program
    stacks = list(_levels_of(told))
    if known is None:
        known = _known_of_program(told, stacks)
    calls = trace.calls if trace else []
    levels = [Level(call.scope, call.class_path) for call in calls]
    levels += [Level(alias_of(level.scope, known.aliases), level.class_path) for level in stacks]
    return Exported(
        levels=tuple(dict.fromkeys(levels)),
        known=known,
        output_names=_output_names(told, trace.output if trace else None),
        execution_steps=2 * len(calls),
    )


def _tell_apart(program: torch.onnx.ONNXProgram) -> None:
    """Renames tensors that have the name of an input.

    Of a model that returns an input, PyTorch calls the copy by the name of the input, and so do we the input.
    """
    graph = program.model.graph
    inputs = {value.name for value in graph.inputs}
    made = [value for node in graph.all_nodes() for value in node.outputs]
    taken = inputs | {value.name for value in made}
    for value in made:
        if value.name is not None and value.name in inputs:
            value.name = free_name(value.name, taken)
            taken.add(value.name)


@contextmanager
def _returning_known_types(module: torch.nn.Module) -> Iterator[None]:
    """Lets a module return mappings instead of dataclasses that PyTorch has not been told of, and no plain numbers.

    The exporter refuses both.
    """

    def flattened(_module: torch.nn.Module, _inputs: object, output: object) -> object:
        known = _known_types(output)
        return None if known is output else known

    handle = module.register_forward_hook(flattened)
    try:
        yield
    finally:
        handle.remove()


def _known_types(value: object) -> object:
    """A value with each dataclass in it as a mapping, and None for numbers and text; itself if it has none of these."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value) not in _pytree.SUPPORTED_NODES:
        return {entry.name: _known_types(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    match value:
        case int() | float() | complex() | str():
            return None
        case dict() if type(value) is dict:
            named = {key: _known_types(member) for key, member in value.items()}
            return named if any(named[key] is not member for key, member in value.items()) else value
        case tuple() | list() if type(value) in (tuple, list):
            members = [_known_types(member) for member in value]
            is_same = all(one is other for one, other in zip(members, value, strict=True))
            return value if is_same else type(value)(members)
    return value


class _Evidence(NamedTuple):
    """The origin of an operator, from its metadata."""

    name: str | None
    metadata: dict[str, str]


def _convert(program: torch.onnx.ONNXProgram, opset: int) -> None:
    """Converts to an opset below the exporter's own, and keeps the metadata of operators.

    The converter drops the metadata of all operators; each gets them back by the names of its outputs. It leaves
    attributes that the earlier opset does not have, and cannot convert what takes axes that are computed: optimisation
    before makes constants of these.
    """
    from onnxscript import version_converter

    for node in program.model.graph.all_nodes():
        empty = node.attributes.get(_EMPTY_AXES)
        if empty is not None and not empty.value:
            del node.attributes[_EMPTY_AXES]  # the default
    before = {
        value.name: _Evidence(node.name, dict(node.metadata_props))
        for node in program.model.graph.all_nodes()
        for value in node.outputs
        if value.name
    }
    version_converter.convert_version(program.model, opset, fallback=True)
    for node in program.model.graph.all_nodes():
        evidence = next((before[value.name] for value in node.outputs if value.name in before), None)
        if evidence is not None and not node.metadata_props:
            node.metadata_props.update(evidence.metadata)
            node.name = node.name or evidence.name


def _dynamic_shapes(
    module: torch.nn.Module | None, inputs: ExampleInputs, settings: ExporterSettings
) -> dict[str, object] | None:
    """The dynamic dimensions in the form of `torch.export`: nested like the inputs, by parameter."""
    if not settings.dynamic_shapes:
        return None
    if module is None:
        raise UsageError("the shapes of a torch.export program are fixed", remedy="leave `dynamic_shapes` out")
    tensors = iter(inputs.tensors)

    def dimensions(value: object) -> dict[int, str] | None:
        axes = settings.dynamic_shapes.get(next(tensors).name) if isinstance(value, torch.Tensor) else None
        return dict(axes) if axes else None

    return {name: _mapped(value, dimensions) for name, value in bound_inputs(module, inputs).items()}


def _mapped(value: object, function: Callable[[object], object]) -> object:
    shapes: object = _pytree.tree_map(function, value)
    return shapes


def _output_names(program: torch.export.ExportedProgram, output: object) -> tuple[str | None, ...]:
    """The names of the outputs: from the module's result, or from the structure that a program returns."""
    kinds = torch.export.graph_signature
    if output is None:
        spec = program.call_spec.out_spec
        try:
            output = _pytree.tree_unflatten([torch.empty(0)] * spec.num_leaves, spec)
        except Exception:  # noqa: BLE001 - what a structure raises that is not made of any tensors
            return ()
    made = [entry for entry in program.graph_signature.output_specs if entry.kind is kinds.OutputKind.USER_OUTPUT]
    found = list(leaves(output))
    if len(found) != len(made):
        return ()
    return tuple(
        leaf.name for leaf, entry in zip(found, made, strict=True) if not isinstance(entry.arg, kinds.ConstantArgument)
    )


def _levels_of(program: torch.export.ExportedProgram) -> Iterator[Level]:
    """The modules in the metadata of a program's operators, in its order."""
    for node in program.graph.nodes:
        stack = cast("dict[str, tuple[str, type | str]]", node.meta.get("nn_module_stack") or {})
        for scope, kind in stack.values():
            if not scope.startswith(_NO_MODULE):
                yield Level(scope, kind if isinstance(kind, str) else class_path_of(kind))


def levels_of_program(program: torch.export.ExportedProgram) -> tuple[Level, ...]:
    """The modules of a program, each once, in the order in which its operators name them."""
    levels = list(_levels_of(program))
    aliases = _known_of_program(program, levels).aliases
    return tuple(dict.fromkeys(Level(alias_of(scope, aliases), kind) for scope, kind in levels))


def _known_of_program(program: torch.export.ExportedProgram, levels: Sequence[Level]) -> Known:
    """Finds modules that are registered twice, which a program has under both paths, and the owners of weights.

    They have the same class, and the same tensors under the same names. For modules without tensors, the module around
    them decides.
    """
    tensors = {**program.state_dict, **{n: t for n, t in program.constants.items() if isinstance(t, torch.Tensor)}}
    identity = {name: identity_of(tensor) for name, tensor in tensors.items()}
    paths = [entry.fqn for entry in program.module_call_graph]
    order = {scope: number for number, scope in enumerate(dict.fromkeys((*paths, *(level.scope for level in levels))))}
    class_of = {level.scope: level.class_path for level in levels}
    within: dict[str, list[tuple[str, object]]] = {}
    for name, tensor in identity.items():
        scope = owner_of(name)
        while scope:
            within.setdefault(scope, []).append((name.removeprefix(f"{scope}."), tensor))
            scope = owner_of(scope)
    aliases: dict[str, str] = {}
    first: dict[object, str] = {}
    for scope in sorted(within, key=lambda scope: order.get(scope, len(order))):
        if alias_of(scope, aliases) == scope:
            known = first.setdefault(frozenset(within[scope]), scope)
            classes = {class_of[path] for path in (known, scope) if path in class_of}
            if known != scope and len(classes) < 2:
                aliases[scope] = known
    owners: dict[object, set[str]] = {}
    for name, tensor in identity.items():
        owners.setdefault(tensor, set()).add(alias_of(owner_of(name), aliases))
    parameters = {*program.graph_signature.parameters}
    owned = {name: frozenset(owners[identity[name]]) for name in identity if name in parameters}
    return Known(aliases, (), Weights(owned, {}, {name: tensors[name] for name in owned}))
