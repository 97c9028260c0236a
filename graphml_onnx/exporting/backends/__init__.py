"""PyTorch's two exporters, and everything that is used of PyTorch without being public.

These parts of PyTorch may change without notice; `tests/export/test_edges.py` tries each:

- ``pkg.torch.onnx.name_scopes`` and ``class_hierarchy`` in the metadata of operators, and the placeholder for operators
  without a module (`graphml_onnx.hierarchy.exporter` reads them);
- ``ONNXProgram.model`` (onnx_ir), ``ONNXProgram.exported_program``, and that opsets below 18 are converted from 18;
- ``node.meta["nn_module_stack"]`` in the graphs of programs (`dynamo`);
- that TorchScript names operators after the calls of modules (`graphml_onnx.exporting.placement` reads the names);
- `torch._jit_internal.get_torchscript_modifier`, which makes tracing compile a module instead of running it
  (`modules`);
- ``Tensor._version``, which counts changes in place (`state`);
- `torch.utils._pytree`, with which PyTorch flattens the inputs and outputs of modules (`state`, the exporters, and
  `graphml_onnx.exporting.inputs`);
- `torch.overrides.TorchFunctionMode`, and ``Tensor._base`` of views (`torchscript`);
- `torch.backends.mha`, the switch of the fused attention (`state`).

Each exporter writes an ONNX file, and returns the modules that ran and what it knows about the place of each operator.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import torch

from graphml_onnx.errors import GraphmlOnnxError, ModelError, storage_failure
from graphml_onnx.exporting.backends.dynamo import export_with_dynamo, levels_of_program
from graphml_onnx.exporting.backends.modules import Exported, Level, known_of, recording
from graphml_onnx.exporting.backends.state import (
    FROM_OUTSIDE,
    copied,
    deep_enough,
    evaluating,
    keeping_state,
    listening,
    one_line,
    prepared,
    running_on_copies,
    same_random_numbers,
    versions,
)
from graphml_onnx.exporting.backends.torchscript import export_with_torchscript, tried
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from graphml_onnx.exporting.backends.state import Heard
    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.exporting.sources import Exportable


class Exporter(Protocol):
    """One of PyTorch's exporters."""

    def __call__(self, model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path) -> Exported:
        """Writes a model as an ONNX file; data that do not fit into it go into the same folder.

        Args:
            model: a module in evaluation mode, or a program.
            inputs: the inputs of the module; a program has its own.
            settings: how to call the exporter.
            path: the ONNX file.

        Raises:
            UsageError: the settings do not fit the model.
            Exception: any exception of PyTorch.
        """


_EXPORTERS: Final[Mapping[ExporterName, Exporter]] = {
    "dynamo": export_with_dynamo,
    "torchscript": export_with_torchscript,
}
_STATIC: Final = "tracing inferred a static shape"
"""In PyTorch's error for a dynamic dimension that cannot be one."""


def export_onnx(
    model: Exportable, name: str, inputs: ExampleInputs, settings: ExporterSettings, path: Path, output: Path
) -> Exported:
    """Writes a model as an ONNX file. The module and the inputs are not changed.

    Args:
        model: the model.
        name: the user's name for it, for messages.
        inputs: the inputs of a module.
        settings: the exporter, and how to call it.
        path: the ONNX file; data that do not fit into it go into the same folder.
        output: the user's path for it, for messages.

    Raises:
        UsageError: the settings do not fit the model.
        ModelError: the exporter failed.
        StorageError: no space, or a broken disk.
    """
    with listening() as heard:
        try:
            exported, changed = _exported(model, inputs, settings, path, heard)
        except (GraphmlOnnxError, MemoryError, *FROM_OUTSIDE):
            raise
        except BaseException as error:
            if heard.printed:
                error.add_note(heard.printed)  # PyTorch prints whole graphs: for those who look at the traceback
            cause = _root_cause(error)
            failure = storage_failure(cause, output)
            if failure is not None:
                raise failure from error
            problem = ModelError(
                f"the {settings.exporter} exporter failed: {type(cause).__name__}: {one_line(cause)}",
                file=name,
                remedy=_remedy(model, inputs, settings, cause),
            )
            raise problem from error
    findings = [Notice("torch-warning", f"PyTorch warns: {text}") for text in heard.warned]
    if changed:
        text = f"parameters that the model changes as it runs, and that were not restored: {', '.join(changed)}"
        findings.append(Notice("parameters-changed", text))
    return replace(exported, printed=heard.printed, findings=(*findings, *exported.findings))


def _exported(
    model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path, heard: Heard
) -> tuple[Exported, list[str]]:
    """Exports a model, and gives the names of the parameters that its runs changed."""
    exporter = _EXPORTERS[settings.exporter]
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(same_random_numbers())
        if not isinstance(model, torch.nn.Module):
            return exporter(model, inputs, settings, path), []
        module = prepared(model)
        stack.enter_context(deep_enough(module))
        stack.enter_context(evaluating(module))
        if module is not model:
            own = copied(inputs)
            module(*own.args, **own.kwargs)  # makes the parameters of the copy
        state = stack.enter_context(keeping_state(module))
        own = copied(inputs)
        before = versions(own)
        exported = exporter(module, own, settings, path)
        changed = state.changed_buffers()
        if changed or versions(own) != before:  # a trace leaves out how a run changes its inputs and buffers
            state.restore()
            heard.forget()
            try:
                with running_on_copies(module, changed):
                    exported = exporter(module, copied(inputs), settings, path)
            except torch.onnx.errors.UnsupportedOperatorError:  # as for `copy_` of all of a copy
                state.restore()
                heard.forget()
                exported = exporter(module, copied(inputs), settings, path)
        parameters = state.changed_parameters()
        if settings.exporter == "torchscript" and settings.tries_sizes and settings.dynamic_shapes:
            state.restore()
            with listening():
                exported = replace(exported, trial=tried(module, inputs, settings))
        return exported, parameters


def _remedy(model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, cause: BaseException) -> str:
    """What may help where an exporter fails."""
    parts = model.named_modules() if isinstance(model, torch.nn.Module) else ()
    compiled = [name for name, part in parts if isinstance(part, torch.jit.ScriptModule)]
    if compiled:
        return f"give the module that {compiled[0]} was compiled from: PyTorch's exporters hardly take compiled ones"
    if settings.dynamic_shapes and _STATIC in str(cause):
        fixed = [tensor.name for tensor in inputs.tensors if not settings.dynamic_shapes.get(tensor.name)]
        together = f"; these inputs have no dynamic dimension: {', '.join(fixed)}" if fixed else ""
        return f"the code of the model fixes this dimension, or another input that has the same size{together}"
    return "see --debug, try the other `exporter`, or give other inputs with `input_specs`"


def run_once(model: Exportable, name: str, inputs: ExampleInputs) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """Runs a module once, without exporting it; for a program, only reads its modules.

    Returns:
        The modules that ran, in the order of their first run, and all modules.

    Raises:
        ModelError: the module fails.
    """
    if not isinstance(model, torch.nn.Module):
        return levels_of_program(model), ()
    with _ready_to_run(model) as module, recording(module) as trace:
        _run(module, name, inputs)
    calls = dict.fromkeys(Level(call.scope, call.class_path) for call in trace.calls)
    return tuple(calls), known_of(module).registered


def run_model(model: torch.nn.Module, name: str, inputs: ExampleInputs) -> object:
    """Runs a module once; it is in the same state afterwards.

    Returns:
        What it returns.

    Raises:
        ModelError: it fails.
    """
    with _ready_to_run(model) as module:
        return _run(module, name, inputs)


@contextmanager
def _ready_to_run(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    with listening(), torch.no_grad(), same_random_numbers():
        module = prepared(model)
        with evaluating(module), keeping_state(module):
            yield module


def _run(module: torch.nn.Module, name: str, inputs: ExampleInputs) -> object:
    own = copied(inputs)
    try:
        return module(*own.args, **own.kwargs)
    except FROM_OUTSIDE:
        raise
    except BaseException as error:
        told = f"the model failed: {type(error).__name__}: {one_line(error)}"
        raise ModelError(told, file=name, remedy="give other inputs") from error


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
