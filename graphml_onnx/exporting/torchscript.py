"""PyTorch's exporter that goes by TorchScript traces."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.exported import Exported
from graphml_onnx.exporting.inputs import input_names
from graphml_onnx.exporting.modules import Level
from graphml_onnx.exporting.scopes import NameFinder
from graphml_onnx.exporting.tracing import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import onnx

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.settings import ExporterSettings
    from graphml_onnx.exporting.source import Exportable
    from graphml_onnx.exporting.tracing import Trace
    from graphml_onnx.hierarchy.tree import Module

_STDOUT: Final = 1


def export_with_torchscript(
    model: Exportable,
    inputs: ExampleInputs,
    settings: ExporterSettings,
    path: Path,
) -> Exported:
    """Writes a module as an ONNX file; see `graphml_onnx.exporting.exported.Exporter`."""
    if not isinstance(model, torch.nn.Module):
        raise UsageError("TorchScript cannot export a torch.export program", remedy="use --exporter dynamo")
    names = [
        name
        for name, value in zip(input_names(model, inputs), (*inputs.args, *inputs.kwargs.values()), strict=False)
        if _is_input(value)
    ]
    with _taking_positions(model, inputs) as args, recording(model) as trace, _silent_stdout():
        torch.onnx.export(
            model,
            args,
            path,
            dynamo=False,
            verbose=False,
            opset_version=settings.opset,
            do_constant_folding=settings.flag("do_constant_folding", default=True),
            keep_initializers_as_inputs=settings.flag("keep_initializers_as_inputs", default=False),
            input_names=settings.names("input_names") or names,
            output_names=settings.names("output_names"),
            dynamic_axes={name: dict(axes) for name, axes in settings.dynamic_shapes.items()} or None,
        )
    return Exported(
        levels=tuple(dict.fromkeys(Level(call.scope, call.class_path) for call in trace.calls)),
        execution_steps=2 * len(trace.calls),
        finder=partial(_finder, trace),
    )


def _finder(trace: Trace, modules: Sequence[Module], operators: Sequence[onnx.NodeProto]) -> NameFinder:
    return NameFinder(modules, trace, operators)


@contextmanager
def _taking_positions(model: torch.nn.Module, inputs: ExampleInputs) -> Iterator[tuple[object, ...]]:
    """Lets ``forward`` take the inputs by position, and nothing else, while the context is open; gives them.

    Left to itself, the exporter hands over every default of the signature too: by position, where a decorator may
    set the same argument by name, and with the numbers among them as inputs of the graph.
    """
    original: Callable[..., object] = model.forward

    def forward(*values: object) -> object:
        rest = iter(values)
        args = [next(rest) if _is_input(value) else value for value in inputs.args]
        kwargs = {name: next(rest) if _is_input(value) else value for name, value in inputs.kwargs.items()}
        return original(*args, **kwargs)

    own = vars(model).get("forward")
    vars(model)["forward"] = forward
    try:
        yield tuple(value for value in (*inputs.args, *inputs.kwargs.values()) if _is_input(value))
    finally:
        if own is None:
            del vars(model)["forward"]
        else:
            vars(model)["forward"] = own


def _is_input(value: object) -> bool:
    """Whether a value is an input of the graph; all else is a constant in it."""
    return isinstance(value, torch.Tensor | tuple | list | dict)


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keeps the exporter's own code, which is no Python, from writing the graph to standard output where it fails."""
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
