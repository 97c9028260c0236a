"""PyTorch's exporter that uses TorchScript traces."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.utils import _pytree

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.backends.calls import recording
from graphml_onnx.exporting.backends.exported import Exported
from graphml_onnx.exporting.backends.module_state import calling
from graphml_onnx.exporting.backends.views import ViewChanges
from graphml_onnx.exporting.inputs import input_names, leaves
from graphml_onnx.exporting.module_tree import Level, registered_levels
from graphml_onnx.exporting.placement import NameFinder, weights_of_module
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import onnx

    from graphml_onnx.exporting.backends.calls import Trace
    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.sources import Exportable
    from graphml_onnx.hierarchy.tree import Module


def export_with_torchscript(
    model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path
) -> Exported:
    """Writes a module as an ONNX file; see `graphml_onnx.exporting.backends.exported.Exporter`."""
    if not isinstance(model, torch.nn.Module):
        raise UsageError("TorchScript cannot export a torch.export program", remedy="use `exporter='dynamo'`")
    own_names = input_names(model, inputs)
    names = [*settings.input_names, *own_names[len(settings.input_names) :]]
    axes = {
        name: dict(settings.dynamic_shapes[own])
        for name, own in zip(names, own_names, strict=False)
        if own in settings.dynamic_shapes
    }
    axes |= {
        name: dict(settings.dynamic_shapes[name]) for name in settings.output_names if name in settings.dynamic_shapes
    }
    output: list[object] = []
    views = ViewChanges()
    with recording(model) as trace, _taking_tensors(model, inputs, output, views) as tensors:
        torch.onnx.export(
            model,
            tensors,
            str(path),  # a Path is refused for a model of more than 2 GB
            dynamo=False,
            verbose=False,
            opset_version=settings.opset,
            do_constant_folding=settings.flag("do_constant_folding", default=True),
            keep_initializers_as_inputs=settings.flag("keep_initializers_as_inputs", default=False),
            input_names=names,
            output_names=[*settings.output_names],
            dynamic_axes=axes or None,
        )
    return Exported(
        levels=tuple(dict.fromkeys(Level(call.scope, call.class_path) for call in trace.calls)),
        registered=registered_levels(model),
        execution_steps=2 * len(trace.calls),
        weights=weights_of_module(model),
        output_names=tuple(leaf.name for leaf in leaves(output[-1]) if isinstance(leaf.value, torch.Tensor)),
        finder=partial(_finder, trace),
        findings=tuple(
            Notice("change-left-out", f"{name} changes a tensor through a view, which the exporter left out")
            for name in views.left_out
        ),
    )


def _finder(trace: Trace, modules: Sequence[Module], operators: Sequence[onnx.NodeProto]) -> NameFinder:
    return NameFinder(modules, trace, operators)


@contextmanager
def _taking_tensors(
    model: torch.nn.Module, inputs: ExampleInputs, outputs: list[object], views: ViewChanges
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Makes ``forward`` take and return only tensors, as a flat list, while the context is open.

    Otherwise, the exporter also passes every default of the signature, by position, although a decorator may set the
    same argument by name; and numbers become inputs of the graph. It names nested inputs in the wrong order, and sorts
    the outputs of a mapping.

    Args:
        model: the module.
        inputs: its inputs.
        outputs: gets the unchanged result of ``forward``.
        views: watches ``forward``.

    Yields:
        The tensors among the inputs.
    """
    original: Callable[..., object] = model.forward
    given = (list(inputs.args), dict(inputs.kwargs))
    flat, structure = _pytree.tree_flatten(given)
    is_running = False

    def forward(*values: object, **named: object) -> object:
        nonlocal is_running
        if is_running:  # a module that calls itself
            return original(*values, **named)
        is_running = True
        try:
            rest = iter(values)
            filled = [next(rest) if isinstance(value, torch.Tensor) else value for value in flat]
            args, kwargs = _pytree.tree_unflatten(filled, structure)
            with views:
                outputs.append(original(*args, **kwargs))
            views.look_for(tuple(leaf.value for leaf in leaves(outputs[-1])))
        finally:
            is_running = False
        return tuple(leaf.value for leaf in leaves(outputs[-1]) if isinstance(leaf.value, torch.Tensor))

    with calling(model, forward):
        yield tuple(value for value in flat if isinstance(value, torch.Tensor))
