"""Calls one of PyTorch's exporters, and turns what it raises into an error of this library."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Final

import torch

from graphml_onnx.errors import GraphmlOnnxError, ModelError, UsageError
from graphml_onnx.exporting.dynamo import export_with_dynamo
from graphml_onnx.exporting.evaluation import evaluating
from graphml_onnx.exporting.inputs import input_names
from graphml_onnx.exporting.source import one_line
from graphml_onnx.exporting.torchscript import export_with_torchscript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.exporting.exported import Exported, Exporter
    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.exporting.settings import ExporterSettings
    from graphml_onnx.exporting.source import Exportable

_EXPORTERS: Final[Mapping[ExporterName, Exporter]] = {
    "dynamo": export_with_dynamo,
    "torchscript": export_with_torchscript,
}


def export_onnx(
    model: Exportable,
    name: str,
    inputs: ExampleInputs,
    settings: ExporterSettings,
    path: Path,
) -> Exported:
    """Writes a model as an ONNX file. A module is in the same state afterwards.

    Args:
        model: the model.
        name: what the user calls it, for messages.
        inputs: what a module is called with.
        settings: which exporter, and how to call it.
        path: the ONNX file; data that do not fit into it go beside it, in the same folder.

    Raises:
        UsageError: the settings do not fit the model, or it is compiled.
        ModelError: the exporter failed.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError(
            "is compiled TorchScript, which does not tell the modules that run",
            file=name,
            remedy="give the module that it was compiled from; it may call compiled functions",
        )
    exporter = _EXPORTERS[settings.exporter]
    printed = StringIO()
    try:
        # Exporters warn of themselves and print graphs, and models print what they like: standard output is not theirs.
        with (
            redirect_stdout(printed),
            redirect_stderr(printed),
            warnings.catch_warnings(action="ignore"),
            torch.no_grad(),
        ):
            exported = _exported(exporter, model, inputs, settings, path)
    except (GraphmlOnnxError, MemoryError):
        raise
    except Exception as error:
        if printed.tell():
            error.add_note(printed.getvalue())  # PyTorch prints whole graphs: for those who look at the traceback
        cause = _root_cause(error)
        raise ModelError(
            f"the {settings.exporter} exporter failed: {type(cause).__name__}: {one_line(cause)}",
            file=name,
            remedy="see --debug, try the other --exporter, or give other inputs with --input-specs",
        ) from error
    sys.stderr.write(printed.getvalue())
    return exported


def _exported(
    exporter: Exporter, model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path
) -> Exported:
    if not isinstance(model, torch.nn.Module):
        return exporter(model, inputs, settings, path)
    _check_dynamic_shapes(settings, input_names(model, inputs))
    with evaluating(model):
        return exporter(model, inputs, settings, path)


def _check_dynamic_shapes(settings: ExporterSettings, names: list[str]) -> None:
    for name in settings.dynamic_shapes:
        if name not in names:
            known = ", ".join(names)
            raise UsageError(
                "is no input of the model", file="--dynamic-shapes", place=name, remedy=f"its inputs are {known}"
            )


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
