"""The findings of an export: what was asked for and did not come, and what the reader should know of the rest."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import onnx
import torch
from torch.utils import _pytree

from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.exporting.backends import run_model
from graphml_onnx.exporting.inputs import leaves, named_inputs
from graphml_onnx.exporting.onnx_output import opset_version
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.onnx_output import ModelFile
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.record import ExportRecord

_LOW: Final = 50.0
"""Percent; with a smaller exact share, a finding says so."""


def unmet_requests(settings: ExporterSettings, names: Sequence[str], file: ModelFile) -> list[Notice]:
    """Findings for inputs, names and dynamic dimensions that the exporter did not apply.

    Args:
        settings: what was asked for.
        names: of the inputs of a module.
        file: what the exporter wrote.

    Raises:
        UsageError: the opset is not the requested one.
    """
    graph = file.model.graph
    written = opset_version(file.model)
    if settings.opset is not None and written != settings.opset:
        raise UsageError(
            f"the {settings.exporter} exporter wrote opset {written}, not {settings.opset}",
            file="opset",
            remedy=f"ask for {written}, or try the other `exporter`",
        )
    found = []
    inputs = {value.name: value for value in graph.input}
    unused = [name for name in names if name not in inputs]
    if unused and len(graph.input) < len(names):
        text = f"the model does not use these inputs, and the file does not have them: {', '.join(unused)}"
        found.append(Notice("input-left-out", text))
    for kind, wanted, values in (
        ("inputs", settings.input_names, graph.input),
        ("outputs", settings.output_names, graph.output),
    ):
        got = [value.name for value in values]
        if wanted and got[: len(wanted)] != list(wanted):
            text = f"the {kind} were to be called {', '.join(wanted)}, and are {', '.join(got)}"
            found.append(Notice("names-not-applied", text))
    for name, axes in settings.dynamic_shapes.items():
        dimensions = inputs[name].type.tensor_type.shape.dim if name in inputs else ()
        for number, symbol in axes.items():
            axis = dimensions[number] if number < len(dimensions) else None
            if axis is not None and axis.dim_param != symbol:
                told = axis.dim_param or axis.dim_value
                text = f"dimension {number} of {name} was to be dynamic as {symbol}, and is {told}"
                found.append(Notice("dimension-not-dynamic", text))
    return found


def fixed_sizes(
    module: torch.nn.Module, name: str, inputs: ExampleInputs, settings: ExporterSettings, file: ModelFile
) -> list[Notice]:
    """Findings if a trace of TorchScript only holds for the sizes of its example, although it has dynamic dimensions.

    The model runs once more with dimensions of twice the size (if it refuses these, of half the size), and the shapes
    of its outputs are compared with those that ONNX infers. The other exporter checks this itself.

    Args:
        module: the model.
        name: the user's name for it, for messages.
        inputs: the example inputs.
        settings: with the names of the dynamic dimensions.
        file: what the exporter wrote.
    """
    if settings.exporter != "torchscript":
        return []
    tensors = {key: value for key, value in named_inputs(module, inputs) if isinstance(value, torch.Tensor)}
    axes = {key: settings.dynamic_shapes.get(key, {}) for key in tensors}
    sizes = {symbol: tensors[key].shape[axis] for key, named in axes.items() for axis, symbol in named.items()}
    if not sizes or 0 in sizes.values():
        return []
    refusal = None
    for others in ({key: 2 * size for key, size in sizes.items()}, {key: -(-size // 2) for key, size in sizes.items()}):
        told = ", ".join(f"{symbol} = {size}" for symbol, size in others.items())
        resized = {id(tensors[key]): _resized(tensors[key], named, others) for key, named in axes.items()}
        try:
            output = run_model(module, name, inputs.mapped(partial(_replaced, resized)))
        except ModelError as error:
            refusal = refusal or f"with {told}, {error.message}; the dimensions are dynamic in the file alone"
            continue
        return _unlike(output, others, told, file)
    return [Notice("sizes-fixed", refusal or "")]


def _resized(tensor: torch.Tensor, axes: Mapping[int, str], sizes: Mapping[str, int]) -> torch.Tensor:
    """A tensor with other sizes, filled with the values that it has."""
    for axis, symbol in axes.items():
        places = torch.arange(sizes[symbol], device=tensor.device) % tensor.shape[axis]
        tensor = tensor.index_select(axis, places)
    return tensor


def _replaced(tensors: Mapping[int, torch.Tensor], value: object) -> object:
    replaced: object = _pytree.tree_map_only(torch.Tensor, lambda tensor: tensors.get(id(tensor), tensor), value)
    return replaced


def _unlike(output: object, sizes: Mapping[str, int], told: str, file: ModelFile) -> list[Notice]:
    """Findings for outputs of another shape than PyTorch's."""
    try:
        shapes = file.output_shapes(sizes)
    except onnx.shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())
        return [Notice("sizes-fixed", f"with {told}, the operators of the file do not fit each other: {reason}")]
    results = [leaf.value for leaf in leaves(output) if isinstance(leaf.value, torch.Tensor)]
    found = []
    for value, shape, result in zip(file.model.graph.output, shapes, results, strict=False):
        known = len(shape) == result.dim() or None in shape
        if known and any(one not in (None, other) for one, other in zip(shape, result.shape, strict=False)):
            text = f"with {told}, {value.name} has the shape {[*shape]} in the file, and {[*result.shape]} in PyTorch"
            found.append(Notice("sizes-fixed", text.replace("None", "?")))
    return found


def few_exact(record: ExportRecord) -> list[Notice]:
    """The finding if most operators are not in the exporter's module, or it gives none."""
    rules = Counter(operator.rule.name for operator in record.operators if operator.rule.match != "direct")
    if not record.operators or record.exact >= _LOW:
        return []
    told = ", ".join(f"{name} {count:,}" for name, count in rules.most_common())
    text = f"only {record.exact:.1f} % of the operators are in exactly the module that ran them ({told})"
    return [Notice("few-exact", text)]
