"""PyTorch's exporter that goes by `torch.export`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import torch

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.exported import Exported
from graphml_onnx.exporting.inputs import input_names
from graphml_onnx.exporting.modules import Level
from graphml_onnx.exporting.scopes import ScopeFinder, owner_of
from graphml_onnx.exporting.tracing import class_path_of, recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.settings import ExporterSettings
    from graphml_onnx.exporting.source import Exportable


def export_with_dynamo(
    model: Exportable,
    inputs: ExampleInputs,
    settings: ExporterSettings,
    path: Path,
) -> Exported:
    """Writes a model as an ONNX file; see `graphml_onnx.exporting.exported.Exporter`.

    The modules of a module are those that hooks see while `torch.export` runs it, and what its operators tell of
    besides: hooks see no modules that are compiled, and no run in which `torch.export` goes by the byte code. Those of
    a program are what its operators tell of.
    """
    watched = recording(model) if isinstance(model, torch.nn.Module) else nullcontext()
    with watched as trace:
        program = torch.onnx.export(
            model,
            inputs.args,
            kwargs=dict(inputs.kwargs),
            dynamo=True,
            verbose=False,
            opset_version=settings.opset,
            optimize=settings.flag("optimize", default=True),
            input_names=settings.names("input_names"),
            output_names=settings.names("output_names"),
            dynamic_shapes=_dynamic_shapes(model, inputs, settings),
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    program.save(
        path,
        external_data=settings.flag("external_data", default=False),
        keep_initializers_as_inputs=settings.flag("keep_initializers_as_inputs", default=False),
    )
    aliases = trace.aliases if trace else {}
    calls = trace.calls if trace else []
    told = model if isinstance(model, torch.export.ExportedProgram) else program.exported_program
    levels = [Level(call.scope, call.class_path) for call in calls]
    levels += _levels_of(told, aliases)
    if isinstance(model, torch.nn.Module):
        levels += _levels_in_branches(model, program, aliases)
    return Exported(
        levels=tuple(dict.fromkeys(levels)),
        execution_steps=2 * len(calls),
        finder=lambda modules, _: ScopeFinder(modules, aliases),
    )


def _dynamic_shapes(
    model: Exportable, inputs: ExampleInputs, settings: ExporterSettings
) -> dict[str, dict[int, str] | None] | None:
    if not settings.dynamic_shapes:
        return None
    if not isinstance(model, torch.nn.Module):
        raise UsageError("the shapes of a torch.export program are fixed", remedy="leave --dynamic-shapes out")
    names = input_names(model, inputs)
    return {name: dict(settings.dynamic_shapes[name]) if name in settings.dynamic_shapes else None for name in names}


def _levels_of(program: torch.export.ExportedProgram | None, aliases: Mapping[str, str]) -> Iterator[Level]:
    """The modules that the operators of a program tell of, in its order."""
    for node in program.graph.nodes if program else ():
        stack = cast("dict[str, tuple[str, type | str]]", node.meta.get("nn_module_stack") or {})
        for scope, kind in stack.values():
            yield Level(aliases.get(scope, scope), kind if isinstance(kind, str) else class_path_of(kind))


def _levels_in_branches(
    model: torch.nn.Module, program: torch.onnx.ONNXProgram, aliases: Mapping[str, str]
) -> Iterator[Level]:
    """The modules whose weights the bodies of control flow use: no hook sees them run."""
    modules = dict(model.named_modules())
    main = program.model.graph
    for node in main.all_nodes():
        if node.graph is not main:
            for value in node.inputs:
                scope = aliases.get(owner_of(value.name)) if value is not None and value.name else None
                if scope:
                    yield Level(scope, class_path_of(type(modules[scope])))
