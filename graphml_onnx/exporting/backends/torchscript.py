"""PyTorch's exporter that uses TorchScript traces, and what its traces leave out or take for fixed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.backends.modules import Exported, Level, Trial, known_of, recording
from graphml_onnx.exporting.backends.state import FROM_OUTSIDE, calling, copied, one_line, with_tensors
from graphml_onnx.exporting.inputs import leaves
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.sources import Exportable

_INDEXING: Final = frozenset({"__getitem__", "select"})
_CHANGES: Final = frozenset(
    {"__setitem__", "__iadd__", "__isub__", "__imul__", "__idiv__", "__itruediv__", "__ipow__", "__iand__", "__ior__"}
)


def export_with_torchscript(
    model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path
) -> Exported:
    """Writes a module as an ONNX file; see `graphml_onnx.exporting.backends.Exporter`."""
    if not isinstance(model, torch.nn.Module):
        raise UsageError("TorchScript cannot export a torch.export program", remedy="use `exporter='dynamo'`")
    output: list[object] = []
    views = ViewChanges()
    known = known_of(model)
    with recording(model) as trace, _taking_tensors(model, inputs, output, views) as tensors:
        torch.onnx.export(
            model,
            tensors,
            str(path),  # a Path is refused for a model of more than 2 GB
            dynamo=False,
            verbose=False,
            opset_version=settings.opset,
            do_constant_folding=settings.flags["do_constant_folding"],
            keep_initializers_as_inputs=settings.flags["keep_initializers_as_inputs"],
            input_names=[tensor.name for tensor in inputs.tensors],
            output_names=[*settings.output_names],
            dynamic_axes={name: dict(axes) for name, axes in settings.dynamic_shapes.items()} or None,
        )
    return Exported(
        levels=tuple(dict.fromkeys(Level(call.scope, call.class_path) for call in trace.calls)),
        known=known,
        output_names=tuple(leaf.name for leaf in leaves(output[-1]) if isinstance(leaf.value, torch.Tensor)),
        calls=tuple(trace.calls),
        execution_steps=2 * len(trace.calls),
        findings=tuple(
            Notice("change-left-out", f"{name} changes a tensor through a view, which the exporter left out")
            for name in views.left_out
        ),
    )


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


def tried(module: torch.nn.Module, inputs: ExampleInputs, settings: ExporterSettings) -> Trial | None:
    """Runs a module with dynamic dimensions of twice the size; if it refuses these, of half the size.

    A trace may only hold for the sizes of its example, although its dimensions are called dynamic. The other exporter
    checks this itself.

    Args:
        module: the module.
        inputs: the example inputs.
        settings: with the names of the dynamic dimensions.

    Returns:
        The run; None if no dimension is dynamic, or one is 0.
    """
    values = _pytree.tree_leaves((inputs.args, dict(inputs.kwargs)))
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    axes = {
        id(tensor): settings.dynamic_shapes.get(record.name, {})
        for tensor, record in zip(tensors, inputs.tensors, strict=True)
    }
    sizes = {symbol: tensor.shape[axis] for tensor in tensors for axis, symbol in axes[id(tensor)].items()}
    if not sizes or 0 in sizes.values():
        return None
    refusals = []
    for others in ({key: 2 * size for key, size in sizes.items()}, {key: -(-size // 2) for key, size in sizes.items()}):
        own = _with_sizes(inputs, axes, others)
        try:
            output = module(*own.args, **own.kwargs)
        except FROM_OUTSIDE:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the model raises
            refusals.append(Trial(others, (), f"{type(error).__name__}: {one_line(error)}"))
            continue
        results = [leaf.value for leaf in leaves(output) if isinstance(leaf.value, torch.Tensor)]
        return Trial(others, tuple(tuple(result.shape) for result in results))
    return refusals[0]


def _with_sizes(
    inputs: ExampleInputs, axes: Mapping[int, Mapping[int, str]], sizes: Mapping[str, int]
) -> ExampleInputs:
    """Copies of the inputs with other sizes; ``axes`` has the dynamic dimensions by the `id` of each tensor."""
    return copied(with_tensors(inputs, lambda tensor: _resized(tensor, axes[id(tensor)], sizes)))


def _resized(tensor: torch.Tensor, axes: Mapping[int, str], sizes: Mapping[str, int]) -> torch.Tensor:
    """A tensor with other sizes, filled with the values that it has."""
    for axis, symbol in axes.items():
        places = torch.arange(sizes[symbol], device=tensor.device) % tensor.shape[axis]
        tensor = tensor.index_select(axis, places)
    return tensor


class ViewChanges(TorchFunctionMode):
    """While it is open, watches PyTorch's functions for changes through views, which traces leave out.

    ``y.view(-1).mul_(2)`` changes ``y``, and the exported model goes on with the earlier one. Changes through indices
    (``y[0] = 1``) are exported. A change does no harm if only the view is used afterwards.

    Attributes:
        left_out: the functions that changed a tensor through a view, and whose change a trace leaves out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, None] = {}
        self._indexed: WeakValueDictionary[int, torch.Tensor] = WeakValueDictionary()
        self._changed: dict[int, tuple[torch.Tensor, str]] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Calls the function, and remembers what it changes."""
        named = kwargs or {}
        if self._changed:
            self.look_for((args, dict(named)))
        result = func(*args, **named)
        name = getattr(func, "__name__", "")
        tensor = args[0] if args else None
        if isinstance(tensor, torch.Tensor):
            if name in _INDEXING and isinstance(result, torch.Tensor) and self._is_kept(tensor):
                self._indexed[id(result)] = result
            elif _is_change(name, named) and not self._is_kept(tensor) and tensor._base is not None:
                self._changed[id(tensor._base)] = (tensor._base, name)
        return result

    def look_for(self, values: object) -> None:
        """Looks whether a tensor that was changed through a view is among the arguments of a function, or a result."""
        for value in _pytree.tree_leaves(values):
            if id(value) in self._changed:
                self.left_out[self._changed[id(value)][1]] = None

    def _is_kept(self, tensor: torch.Tensor) -> bool:
        """Whether a trace keeps changes of a tensor: it is no view, or one by indices of such a tensor."""
        return not tensor._is_view() or id(tensor) in self._indexed


def _is_change(name: str, named: Mapping[str, object]) -> bool:
    return name in _CHANGES or (name.endswith("_") and not name.endswith("__")) or named.get("inplace") is True
