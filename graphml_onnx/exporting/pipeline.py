"""Exports a PyTorch model: ONNX, HTP metadata, report and hierarchical GraphML, step by step."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from graphml_onnx.encoding.api import encode
from graphml_onnx.errors import GraphmlOnnxError, StorageError, UsageError
from graphml_onnx.exporting.about import model_name
from graphml_onnx.exporting.conversion import Conversion, publish_report
from graphml_onnx.exporting.inputs import ExampleInputs, given_inputs, inputs_from_config, inputs_from_specs
from graphml_onnx.exporting.modules import checked_torch_modules
from graphml_onnx.exporting.outputs import Outputs
from graphml_onnx.exporting.result import ExportResult
from graphml_onnx.exporting.settings import make_settings
from graphml_onnx.exporting.source import LoadedModel, load_model
from graphml_onnx.exporting.specs import read_dynamic_shapes, read_input_specs
from graphml_onnx.exporting.steps import Steps
from graphml_onnx.parameters.store import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.exporting.jsonfiles import JsonSource
    from graphml_onnx.exporting.modules import TorchModules
    from graphml_onnx.exporting.record import ExporterName, ExportRecord
    from graphml_onnx.exporting.source import Exportable
    from graphml_onnx.exporting.specs import TensorSpec
    from graphml_onnx.results import EncodeResult, ParameterStrategy, Progress


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for; see `graphml_onnx.exporting.api.export`."""

    model: str | os.PathLike[str] | Exportable
    output: str | os.PathLike[str]
    inputs: object
    input_specs: JsonSource | None
    task: str | None
    seed: int
    exporter: ExporterName
    opset: int | None
    dynamic_shapes: JsonSource | None
    export_config: JsonSource | None
    torch_modules: TorchModules
    clean_onnx: bool
    with_report: bool
    with_graphml: bool
    graphml_parameters: ParameterStrategy
    graphml_output: str | os.PathLike[str] | None
    overwrite: bool
    progress: Progress | None


def run_export(request: Request) -> ExportResult:
    """Exports a model; see `graphml_onnx.exporting.api.export` for the errors."""
    outputs = _outputs(request)
    conversion = _conversion(request, outputs)
    specs = None if request.input_specs is None else read_input_specs(request.input_specs)
    outputs.check(overwrite=request.overwrite)
    started = datetime.now(UTC)
    steps = Steps(request.progress)
    with steps.step("model_preparation"):
        loaded = _loaded(request.model, request.task)
    with steps.step("input_generation"):
        examples = _examples(loaded, request.inputs, specs, request.seed)
    record = conversion.run(loaded, examples, steps, started)
    graphml, failure = None, None
    if outputs.graphml is not None:
        with steps.step("graphml"):
            graphml, failure = _encoded(request, outputs)
        record = _completed(record, steps, graphml)
        record = _with_report(record, outputs, failure, started)
    return _result(record, outputs, graphml, failure)


def _outputs(request: Request) -> Outputs:
    if request.graphml_parameters not in STRATEGIES:
        raise UsageError(f"parameters is {request.graphml_parameters!r}, not one of {', '.join(STRATEGIES)}")
    output = Path(request.output)
    base = None if request.graphml_output is None else Path(request.graphml_output)
    if base is not None and request.graphml_parameters == "reference" and not _is_same_folder(base, output):
        raise UsageError(
            "a GraphML that refers to the weights in the ONNX file has to lie beside it",
            file=base,
            remedy="name it in the folder of the ONNX file, or let the weights go to a sidecar or into the GraphML",
        )
    return Outputs.beside(
        output,
        report=request.with_report,
        graphml=request.with_graphml or base is not None,
        graphml_base=base,
        parameters=request.graphml_parameters,
    )


def _is_same_folder(one: Path, other: Path) -> bool:
    return one.parent.resolve() == other.parent.resolve()


def _conversion(request: Request, outputs: Outputs) -> Conversion:
    shapes = {} if request.dynamic_shapes is None else read_dynamic_shapes(request.dynamic_shapes)
    return Conversion(
        settings=make_settings(request.exporter, request.opset, shapes, request.export_config),
        torch_modules=checked_torch_modules(request.torch_modules),
        embeds_tags=not request.clean_onnx,
        outputs=outputs,
        overwrite=request.overwrite,
    )


def _loaded(model: str | os.PathLike[str] | Exportable, task: str | None) -> LoadedModel:
    if isinstance(model, str | os.PathLike):
        return load_model(model, task)
    if task is not None:
        raise UsageError("a task is only for a folder or hub name", remedy="leave it out")
    return LoadedModel(model, model_name(model))


def _examples(loaded: LoadedModel, inputs: object, specs: Mapping[str, TensorSpec] | None, seed: int) -> ExampleInputs:
    if not isinstance(loaded.model, torch.nn.Module):
        if inputs is not None or specs is not None:
            raise UsageError("a torch.export program has its own inputs", file=loaded.name, remedy="give none")
        return ExampleInputs()
    if inputs is not None and specs is not None:
        raise UsageError("inputs are given as well as input_specs", remedy="give one of them")
    if specs is not None:
        return inputs_from_specs(loaded.model, specs, seed)
    given = loaded.inputs if inputs is None else inputs
    return inputs_from_config(loaded.model, seed) if given is None else given_inputs(given)


def _encoded(request: Request, outputs: Outputs) -> tuple[EncodeResult | None, GraphmlOnnxError | None]:
    """The GraphML, or why there is none: the ONNX file is published by now, and no failure takes it back."""
    try:
        made = encode(
            outputs.onnx,
            outputs.graphml,
            metadata=outputs.metadata,
            parameters=request.graphml_parameters,
            overwrite=request.overwrite,
            progress=request.progress,
        )
    except GraphmlOnnxError as error:
        return None, error
    except MemoryError:
        return None, StorageError("not enough memory for the GraphML", file=outputs.graphml)
    return made, None


def _completed(record: ExportRecord, steps: Steps, graphml: EncodeResult | None) -> ExportRecord:
    """The record after the GraphML step: with its time, and with its files if there are any."""
    written = {"graphml": graphml.graphml, "parameters": graphml.sidecar} if graphml else {}
    sizes = {role: path.stat().st_size for role, path in written.items() if path is not None}
    files = tuple(
        replace(file, size=sizes.get(file.role, file.size))
        for file in record.files
        if file.role not in ("graphml", "parameters") or file.role in sizes
    )
    return replace(record, files=files, steps=steps.records)


def _with_report(
    record: ExportRecord, outputs: Outputs, failure: GraphmlOnnxError | None, started: datetime
) -> ExportRecord:
    """The record after the report is published anew, with the GraphML or why there is none.

    If that fails, on a full disk, the report of before the GraphML stays.
    """
    if outputs.report is None:
        return record
    told = record if failure is None else _finding(record, f"no GraphML was written: {failure}")
    try:
        publish_report(told, outputs.report, started)
    except GraphmlOnnxError as error:
        return _finding(record, f"the report does not tell of the GraphML: {error}")
    return record


def _finding(record: ExportRecord, text: str) -> ExportRecord:
    return replace(record, findings=(*record.findings, text))


def _result(
    record: ExportRecord, outputs: Outputs, graphml: EncodeResult | None, failure: GraphmlOnnxError | None
) -> ExportResult:
    placed = Counter(operator.rule.match for operator in record.operators)
    folder = outputs.onnx.parent
    return ExportResult(
        onnx=outputs.onnx,
        external=tuple(folder / file.path for file in record.files if file.role.startswith("onnx_data")),
        metadata=outputs.metadata,
        report=outputs.report,
        graphml=graphml,
        graphml_error=failure,
        sha256=next(file.sha256 or "" for file in record.files if file.role == "onnx_model"),
        nodes=len(record.operators),
        modules=len(record.modules),
        exact=100.0 * placed["direct"] / len(record.operators) if record.operators else 0.0,
        placements=dict(Counter(operator.rule.name for operator in record.operators)),
        seconds={step.name: step.seconds for step in record.steps},
        findings=record.findings,
    )
