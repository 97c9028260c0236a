"""The public functions `export` and `trace`; torch is only imported when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.errors import UsageError
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from graphml_onnx.exporting.options import Part, TorchModules
    from graphml_onnx.exporting.record import ExporterName, ExportResult
    from graphml_onnx.exporting.sources import Exportable
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.results import ParameterStrategy, Progress


def export(
    model: str | os.PathLike[str] | Exportable,
    output: str | os.PathLike[str],
    *,
    inputs: object = None,
    input_specs: JsonSource | None = None,
    batch_size: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    task: str | None = None,
    part: Part | None = None,
    seed: int = 0,
    exporter: ExporterName | None = None,
    opset: int | None = None,
    dynamic_shapes: JsonSource | None = None,
    export_config: JsonSource | None = None,
    torch_modules: TorchModules = "all",
    clean_onnx: bool = False,
    with_report: bool = False,
    with_graphml: bool = False,
    graphml_parameters: ParameterStrategy = "sidecar",
    graphml_output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Exports a PyTorch model to ONNX with its module hierarchy.

    Beside ``NAME.onnx`` it writes ``NAME_htp_metadata.json`` and, on request, ``NAME_htp_export_report.md``,
    ``NAME_hierarchical_graph.graphml`` and ``NAME_hierarchical_graph.onnxdata``. The ONNX file, the metadata and the
    report become visible together; the GraphML follows, and if that fails, the others stay.

    Args:
        model: a module or a `torch.export` program; a folder or hub name of a Hugging Face model; a ``.pt2`` file; or
            ``package.module:callable``, which returns a module, or a module and its example inputs. A module is not
            changed.
        output: the ONNX file; its name ends in ``.onnx``.
        inputs: example inputs for a module: a tensor, a sequence of arguments, a mapping of named ones, or a pair of
            both. Without them and without ``input_specs``, they are generated from the module's config.
        input_specs: descriptions of random example inputs, by name; a JSON file or its content:
            ``{"input_ids": {"shape": ["batch", 16], "dtype": "int64", "range": [0, 99]}}``, the range being optional;
            a name in a shape makes that dimension dynamic.
        batch_size: first dimension of generated inputs.
        shapes: shapes of some generated inputs: ``{"input_ids": (2, 32)}``.
        task: for a folder or hub name, what the model is to do, such as ``fill-mask``; it chooses the class. With
            ``-with-past`` at its end, as in ``text-generation-with-past``, ``part`` is ``decoder-with-past``.
        part: of a model of transformers that generates, what is exported: ``encoder``; ``decoder``, which gives the
            keys and values of its tokens too; or ``decoder-with-past``, which takes those of the tokens before.
        seed: for the random numbers in example inputs.
        exporter: which of PyTorch's exporters; by default dynamo, unless ``export_config`` says otherwise.
        opset: version of ONNX's default operator set; by default the exporter's choice.
        dynamic_shapes: names of dynamic dimensions, a JSON file or its content:
            ``{"input_ids": {"0": "batch"}}``.
        export_config: keyword arguments for the exporter, a JSON file or its content; see `read_export_config`.
        torch_modules: which classes of ``torch.nn`` are levels of the hierarchy.
        clean_onnx: whether to leave the tags out of the ONNX file.
        with_report: whether to write a report.
        with_graphml: whether to write the GraphML.
        graphml_parameters: where its weights go; see `graphml_onnx.encode`.
        graphml_output: path of the GraphML, with or without its suffix; implies ``with_graphml``.
        overwrite: whether existing files may be replaced.
        progress: called as each step begins and ends.

    Raises:
        UsageError: the options contradict each other, or inputs cannot be generated.
        InputError: there is no such model, or a file is missing.
        ModelError: the model cannot be loaded, is pickled, or the exporter failed.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    _require_torch()
    from graphml_onnx.exporting.options import ExportOptions
    from graphml_onnx.exporting.run import run_export

    options = ExportOptions(
        inputs=inputs,
        input_specs=input_specs,
        batch_size=batch_size,
        shapes=shapes or {},
        task=task,
        part=part,
        seed=seed,
        exporter=exporter,
        opset=opset,
        dynamic_shapes=dynamic_shapes,
        export_config=export_config,
        torch_modules=torch_modules,
        clean_onnx=clean_onnx,
        with_report=with_report,
        with_graphml=with_graphml,
        graphml_parameters=graphml_parameters,
        graphml_output=graphml_output,
        overwrite=overwrite,
        progress=progress,
    )
    return run_export(model, output, options)


def trace(
    model: str | os.PathLike[str] | Exportable,
    *,
    inputs: object = None,
    input_specs: JsonSource | None = None,
    task: str | None = None,
    seed: int = 0,
    torch_modules: TorchModules = "all",
) -> tuple[Module, ...]:
    """Traces the module tree of a PyTorch model without exporting it: the model runs once.

    Args:
        model: see `export`; a program of `torch.export` does not run, since it contains its modules.
        inputs: see `export`.
        input_specs: see `export`.
        task: see `export`.
        seed: see `export`.
        torch_modules: see `export`.

    Returns:
        The modules that ran, as in the tree of `export`: parents before their children, the root first. Modules that
        never ran follow, without an ``execution_order``.

    Raises:
        UsageError: the options contradict each other, or inputs cannot be generated.
        InputError: there is no such model, or a file is missing.
        ModelError: the model cannot be loaded, is pickled, or fails.
    """
    _require_torch()
    from graphml_onnx.exporting.options import ExportOptions
    from graphml_onnx.exporting.run import run_trace

    options = ExportOptions(inputs=inputs, input_specs=input_specs, task=task, seed=seed, torch_modules=torch_modules)
    return run_trace(model, options)


_LOWEST_TORCH = (2, 13)


def _require_torch() -> None:
    """Checks that a tested PyTorch is installed (docs/export.md), without importing it.

    Raises:
        UsageError: it is not installed, or too old.
    """
    require("torch")
    require("onnxscript")
    from importlib.metadata import version

    installed = version("torch")
    numbers = tuple(int(part) for part in installed.split(".")[:2] if part.isdecimal())
    if numbers < _LOWEST_TORCH:
        lowest = ".".join(map(str, _LOWEST_TORCH))
        raise UsageError(
            f"export needs PyTorch {lowest} or later, and this is {installed}", remedy="pip install --upgrade torch"
        )
