"""The public function `export`; torch is imported when it is called, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.exporting.extra import require

if TYPE_CHECKING:
    import os

    from graphml_onnx.exporting.jsonfiles import JsonSource
    from graphml_onnx.exporting.modules import TorchModules
    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.exporting.result import ExportResult
    from graphml_onnx.exporting.source import Exportable
    from graphml_onnx.results import ParameterStrategy, Progress


def export(
    model: str | os.PathLike[str] | Exportable,
    output: str | os.PathLike[str],
    *,
    inputs: object = None,
    input_specs: JsonSource | None = None,
    task: str | None = None,
    seed: int = 0,
    exporter: ExporterName = "dynamo",
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

    Beside ``NAME.onnx`` it writes ``NAME_htp_metadata.json`` and, where asked for, ``NAME_htp_export_report.md``,
    ``NAME_hierarchical_graph.graphml`` and ``NAME_hierarchical_graph.onnxdata``. The ONNX file, the metadata and the
    report become visible together; the GraphML follows, and if that fails, the others stay.

    Args:
        model: a module or a `torch.export` program; a folder or hub name of a Hugging Face model; a ``.pt2`` file; or
            ``package.module:callable``, which returns a module, or a module and its example inputs. A module is left
            as it was.
        output: the ONNX file; its name ends in ``.onnx``.
        inputs: example inputs for a module: a tensor, a sequence of arguments, or a mapping of named ones. Without
            them and without ``input_specs``, they are generated from the module's config.
        input_specs: descriptions of random example inputs, by name; a JSON file or its content:
            ``{"input_ids": {"shape": [2, 16], "dtype": "int64", "range": [0, 99]}}``, the range being optional.
        task: for a folder or hub name, what the model is to do, such as ``fill-mask``; it chooses the class.
        seed: for the random numbers in example inputs.
        exporter: which of PyTorch's exporters.
        opset: version of ONNX's default operator set; by default the exporter's choice.
        dynamic_shapes: names of dynamic dimensions, a JSON file or its content:
            ``{"input_ids": {"0": "batch"}}``.
        export_config: keyword arguments for the exporter, a JSON file or its content; see `read_export_config`.
        torch_modules: which classes of ``torch.nn`` are levels of the hierarchy.
        clean_onnx: whether to leave the tags out of the ONNX file.
        with_report: whether to write a report.
        with_graphml: whether to write the GraphML.
        graphml_parameters: where its weights go; see `graphml_onnx.encode`.
        graphml_output: path of the GraphML, with or without its suffix; asks for it.
        overwrite: whether existing files may be replaced.
        progress: called as each step begins and ends.

    Raises:
        UsageError: options that do not go together, or inputs that cannot be generated.
        InputError: there is no such model, or a file is missing.
        ModelError: the model cannot be loaded, is pickled, or the exporter failed.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    require("torch", "torch")
    require("onnxscript", "torch")
    from graphml_onnx.exporting.pipeline import Request, run_export

    return run_export(
        Request(
            model=model,
            output=output,
            inputs=inputs,
            input_specs=input_specs,
            task=task,
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
    )
