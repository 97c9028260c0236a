"""Runs an export step by step, from the options to the published files."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.parameter import is_lazy

from graphml_onnx.encoding.api import encode
from graphml_onnx.errors import GraphmlOnnxError, StorageError
from graphml_onnx.exporting.backends import export_onnx, run_once
from graphml_onnx.exporting.huggingface import load_pretrained, opened
from graphml_onnx.exporting.inputs import example_inputs, fitted
from graphml_onnx.exporting.metadata import metadata_json
from graphml_onnx.exporting.module_tree import class_name_of, module_tree, with_idle
from graphml_onnx.exporting.onnx_output import (
    opset_version,
    read_output,
    record_inputs,
    tag_operators,
    tensor_records,
)
from graphml_onnx.exporting.options import checked
from graphml_onnx.exporting.outputs import Outputs
from graphml_onnx.exporting.placement import (
    few_exact,
    finder_of,
    levels_by_weights,
    operator_records,
    place,
    unclear_scopes,
    with_transposed,
)
from graphml_onnx.exporting.record import ExporterRecord, ExportRecord, ExportResult, ModelRecord, StepRecord
from graphml_onnx.exporting.report import report_markdown
from graphml_onnx.exporting.sources import load_model
from graphml_onnx.support.notices import Notice
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from graphml_onnx.exporting.backends.modules import Level
    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.options import ExportOptions, Plan
    from graphml_onnx.exporting.sources import Exportable, LoadedModel
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.results import EncodeResult, Progress

_PACKAGES: Final = ("graphml-onnx", "onnx", "onnxscript", "torch", "transformers")


class _Steps:
    """Times the steps of an export while it reports them as stages."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done: list[StepRecord] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step; ``name`` is its name in HTP metadata, with underscores."""
        start = time.perf_counter()
        with Stage(self._progress, name.replace("_", " "), 1, "steps"):
            yield
        self._done.append(StepRecord(name, time.perf_counter() - start))

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """The steps so far, in order."""
        return tuple(self._done)


def run_export(
    model: str | os.PathLike[str] | Exportable, output: str | os.PathLike[str], options: ExportOptions
) -> ExportResult:
    """Exports a model; see `graphml_onnx.exporting.api.export` for the errors."""
    started = datetime.now(UTC)
    steps = _Steps(options.progress)
    plan = checked(options)
    outputs = Outputs.named(Path(output), options)
    outputs.check(overwrite=options.overwrite)
    with ExitStack() as stack:
        with steps.step("model_preparation"):
            loaded = load_model(model, plan.task, load_pretrained)
        with steps.step("input_generation"):
            settings = plan.settings
            if plan.part is None:
                inputs = example_inputs(loaded, plan)
            else:
                part = stack.enter_context(opened(loaded, plan))
                loaded, inputs, settings = replace(loaded, model=part.model), part.inputs, part.settings(settings)
            inputs, settings = fitted(loaded.model, inputs, settings)
        record, printed = _converted(plan._replace(settings=settings), outputs, loaded, inputs, steps, started)
    graphml, failure = None, None
    if outputs.graphml is not None:
        with steps.step("graphml"):
            graphml, failure = _encoded(outputs, options)
        record = _with_graphml(replace(record, steps=steps.records), outputs, graphml)
        record = _with_report(record, outputs, failure, started)
    return _result(replace(record, steps=steps.records), outputs, graphml, failure, printed)


def run_trace(model: str | os.PathLike[str] | Exportable, options: ExportOptions) -> tuple[Module, ...]:
    """Runs a model once; see `graphml_onnx.exporting.api.trace`."""
    plan = checked(options)
    loaded = load_model(model, options.task, load_pretrained)
    ran, registered = run_once(loaded.model, loaded.name, example_inputs(loaded, plan))
    return with_idle(ran, registered, plan.torch_modules)


def _converted(
    plan: Plan, outputs: Outputs, loaded: LoadedModel, inputs: ExampleInputs, steps: _Steps, started: datetime
) -> tuple[ExportRecord, str]:
    """Converts a model, and publishes the ONNX file, its data file, the metadata and the report in one step.

    Returns:
        The record, without the files of the GraphML, and the printed text.
    """
    options, settings = plan.options, plan.settings
    with ExitStack() as stack:
        staging = stack.enter_context(outputs.staging(overwrite=options.overwrite))
        with steps.step("onnx_export"):
            exported = export_onnx(loaded.model, loaded.name, inputs, settings, staging.raw, outputs.onnx)
            file, unmet = read_output(staging.raw, outputs.onnx, exported, inputs, settings, stack)
            graph = file.model.graph
        with steps.step("hierarchy_building"):
            clear = {level.scope for level in exported.levels} - unclear_scopes(exported.calls or ())
            weights = with_transposed(exported.known.weights, graph, clear, file.values)
            levels = [*exported.levels, *levels_by_weights(weights, graph, exported.levels)]
            modules = module_tree(levels, plan.torch_modules)
        with steps.step("node_tagging"):
            places = place(graph, modules, finder_of(exported, modules, weights, graph.node), weights)
            operators = operator_records(places)
            vague = few_exact(operators)
        with steps.step("tag_injection"):
            if not options.clean_onnx:
                tag_operators((placed.operator, modules[placed.found.module].tag) for placed in places)
                record_inputs(file.model, inputs.tensors)
            size, sha256 = file.write(staging.onnx.file, outputs.onnx)
            files = staging.files(size, sha256)
            leftovers = staging.leftovers(files)
        ran = {level.scope for level in levels}
        record = ExportRecord(
            exporter=ExporterRecord(
                name=settings.exporter,
                versions=_versions_of(_PACKAGES),
                opset_version=opset_version(file.model),
                folds_constants=settings.folds_constants,
                embeds_tags=not options.clean_onnx,
                execution_steps=exported.execution_steps,
            ),
            model=_model_record(loaded, levels),
            input_method=inputs.method,
            inputs=tensor_records(graph.input),
            outputs=tensor_records(graph.output),
            modules=modules,
            operators=operators,
            files=files,
            steps=steps.records,
            findings=(*settings.findings, *exported.findings, *unmet, *vague, *_earlier(leftovers)),
            idle=tuple(
                (level.scope, class_name_of(level.class_path))
                for level in exported.known.registered
                if level.scope not in ran
            ),
            options=plan.repeatable,
        )
        metadata = metadata_json(record, started)
        report = None if outputs.report is None else report_markdown(record, started)
        with steps.step("publication"):
            staging.publish(metadata, report)
    return record, exported.printed


def _earlier(names: list[str]) -> list[Notice]:
    """The finding for files of an earlier export that stay."""
    text = f"files of an earlier export are beside the model, and do not belong to it: {', '.join(names)}"
    return [Notice("earlier-files", text)] if names else []


def _model_record(loaded: LoadedModel, levels: Iterable[Level]) -> ModelRecord:
    """Describes a model.

    Args:
        loaded: the model.
        levels: the modules that ran; for a program of `torch.export`, all modules that it contains.
    """
    model = loaded.model
    if isinstance(model, torch.nn.Module):
        model_type = getattr(getattr(model, "config", None), "model_type", None)
        return ModelRecord(
            source=loaded.name,
            class_name=type(model).__name__,
            framework=type(model).__module__.partition(".")[0],
            torch_modules=sum(1 for _ in model.modules()),
            parameters=sum(parameter.numel() for parameter in model.parameters() if not is_lazy(parameter)),
            model_type=model_type if isinstance(model_type, str) and model_type else None,
            task=loaded.task,
        )
    class_of = {level.scope: level.class_path for level in levels}
    root = class_of.get("", "Module")
    return ModelRecord(
        source=loaded.name,
        class_name=root.rpartition(".")[2],
        framework=root.partition(".")[0],
        torch_modules=len(class_of),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _encoded(outputs: Outputs, options: ExportOptions) -> tuple[EncodeResult | None, GraphmlOnnxError | None]:
    """Writes the GraphML; a failure is recorded, because the ONNX file is already published."""
    try:
        made = encode(
            outputs.onnx,
            outputs.graphml,
            metadata=outputs.metadata,
            parameters=options.graphml_parameters,
            overwrite=options.overwrite,
            progress=options.progress,
        )
    except GraphmlOnnxError as error:
        return None, error
    except MemoryError:
        return None, StorageError("not enough memory for the GraphML", file=outputs.graphml)
    return made, None


def _with_graphml(record: ExportRecord, outputs: Outputs, graphml: EncodeResult | None) -> ExportRecord:
    """The record with the files of the GraphML, if there are any; the metadata are written by then, without them."""
    written = (("graphml", graphml.graphml), ("parameters", graphml.sidecar)) if graphml else ()
    files = [outputs.record(role, path, path.stat().st_size) for role, path in written if path is not None]
    return replace(record, files=(*record.files, *files))


def _with_report(
    record: ExportRecord, outputs: Outputs, failure: GraphmlOnnxError | None, started: datetime
) -> ExportRecord:
    """The record after the report is published again, with the GraphML or the reason why there is none.

    If that fails, for example on a full disk, the report from before the GraphML stays.
    """
    if outputs.report is None:
        return record
    told = record
    if failure is not None:
        told = _finding(record, Notice("graphml-failed", f"no GraphML was written: {failure}"))
    try:
        outputs.replace_report(report_markdown(told, started))
    except GraphmlOnnxError as error:
        return _finding(record, Notice("report-incomplete", f"the report does not mention the GraphML: {error}"))
    return record


def _finding(record: ExportRecord, notice: Notice) -> ExportRecord:
    return replace(record, findings=(*record.findings, notice))


def _versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the installed ones of these packages, by name."""
    return {package: found for package in packages if (found := _version_of(package)) is not None}


@cache
def _version_of(package: str) -> str | None:
    """The version of an installed package, which takes milliseconds to find."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _result(
    record: ExportRecord,
    outputs: Outputs,
    graphml: EncodeResult | None,
    failure: GraphmlOnnxError | None,
    printed: str,
) -> ExportResult:
    return ExportResult(
        onnx=outputs.onnx,
        external=tuple(outputs.data for file in record.files if file.role == "onnx_data"),
        metadata=outputs.metadata,
        report=outputs.report,
        graphml=graphml,
        graphml_error=failure,
        sha256=next(file.sha256 or "" for file in record.files if file.role == "onnx_model"),
        nodes=len(record.operators),
        modules=len(record.modules),
        exact=record.exact,
        placements=dict(Counter(operator.rule.name for operator in record.operators)),
        seconds={step.name: step.seconds for step in record.steps},
        findings=record.findings,
        printed=printed,
        record=record,
    )
