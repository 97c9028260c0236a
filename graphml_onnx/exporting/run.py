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
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from graphml_onnx.encoding.api import encode
from graphml_onnx.errors import GraphmlOnnxError, StorageError, UsageError
from graphml_onnx.exporting.backends import export_onnx, run_once
from graphml_onnx.exporting.findings import few_exact, fixed_sizes, unmet_requests
from graphml_onnx.exporting.huggingface import load_pretrained
from graphml_onnx.exporting.inputs import (
    ExampleInputs,
    example_records,
    given_inputs,
    input_names,
    inputs_from_config,
    inputs_from_specs,
    named_inputs,
)
from graphml_onnx.exporting.metadata import metadata_json
from graphml_onnx.exporting.module_tree import class_name_of, module_tree
from graphml_onnx.exporting.onnx_output import (
    ModelFile,
    gather_data,
    name_operators,
    name_outputs,
    opset_version,
    record_inputs,
    separate_outputs,
    tag_operators,
    tensor_records,
)
from graphml_onnx.exporting.options import (
    ExporterSettings,
    checked_torch_modules,
    make_settings,
    read_dynamic_shapes,
    repeatable,
)
from graphml_onnx.exporting.outputs import Outputs, stage_data, workspace, write_staged
from graphml_onnx.exporting.parts import PARTS, WITH_PAST, has_encoder, opened
from graphml_onnx.exporting.placement import operator_records, place, with_transposed
from graphml_onnx.exporting.record import ExporterRecord, ExportRecord, ExportResult, StepRecord
from graphml_onnx.exporting.report import report_markdown
from graphml_onnx.exporting.sources import LoadedModel, load_model, model_name, model_record
from graphml_onnx.files import Publication
from graphml_onnx.inputs.specs import read_input_specs
from graphml_onnx.parameters.store import STRATEGIES
from graphml_onnx.support.notices import Notice
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from graphml_onnx.exporting.options import ExportOptions, TorchModules
    from graphml_onnx.exporting.sources import Exportable
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.inputs.specs import InputSpec
    from graphml_onnx.results import EncodeResult, Progress
    from graphml_onnx.support.strictjson import Json

_PACKAGES: Final = ("graphml-onnx", "onnx", "onnxscript", "torch", "transformers")
_WITH_PAST: Final = "-with-past"
"""The end of the name of a task, as optimum has it, with keys and values of the tokens before."""


class _Plan(NamedTuple):
    """The options, checked before anything is loaded."""

    options: ExportOptions
    outputs: Outputs
    settings: ExporterSettings
    specs: Mapping[str, InputSpec] | None
    torch_modules: TorchModules
    repeatable: Mapping[str, Json]
    task: str | None
    part: str | None


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
    plan = _plan(output, options)
    outputs = plan.outputs
    outputs.check(overwrite=options.overwrite)
    started = datetime.now(UTC)
    steps = _Steps(options.progress)
    with ExitStack() as stack:
        with steps.step("model_preparation"):
            loaded = _loaded(model, plan.task)
        with steps.step("input_generation"):
            loaded, examples, plan = _with_inputs(plan, loaded, stack)
        record, printed = _convert(plan, loaded, examples, steps, started)
    record = replace(record, steps=steps.records)
    graphml, failure = None, None
    if outputs.graphml is not None:
        with steps.step("graphml"):
            graphml, failure = _encoded(plan)
        record = _with_graphml(replace(record, steps=steps.records), outputs, graphml)
        record = _with_report(record, outputs, failure, started)
    return _result(record, outputs, graphml, failure, printed)


def run_trace(model: str | os.PathLike[str] | Exportable, options: ExportOptions) -> tuple[Module, ...]:
    """Runs a model once; see `graphml_onnx.exporting.api.trace`."""
    choice = checked_torch_modules(options.torch_modules)
    specs = None if options.input_specs is None else read_input_specs(options.input_specs)
    loaded = _loaded(model, options.task)
    levels, registered = run_once(loaded.model, loaded.name, _examples(loaded, options, specs))
    tree = module_tree(levels, choice)
    ran = {module.scope for module in tree}
    everything = module_tree((*levels, *registered), choice)
    place_of = {module.scope: index for index, module in enumerate(tree)}
    idle = [module for module in everything if module.scope not in ran]
    place_of |= {module.scope: len(tree) + number for number, module in enumerate(idle)}
    parents = [None if module.parent is None else everything[module.parent].scope for module in idle]
    return (
        *tree,
        *(
            module._replace(execution_order=None, parent=None if parent is None else place_of[parent])
            for module, parent in zip(idle, parents, strict=True)
        ),
    )


def _plan(output: str | os.PathLike[str], options: ExportOptions) -> _Plan:
    """Checks all options.

    Raises:
        InputError: a JSON file is missing or may not be read.
        UsageError: an option is wrong, or contradicts another.
    """
    outputs = _outputs(Path(output), options)
    shapes = {} if options.dynamic_shapes is None else read_dynamic_shapes(options.dynamic_shapes)
    settings = make_settings(options.exporter, options.opset, shapes, options.export_config)
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError(f"the batch size is {options.batch_size}", remedy="give 1 or more")
    specs = None
    if options.input_specs is not None:
        specs = read_input_specs(options.input_specs, options.batch_size, options.shapes)
        symbols = {name: spec.symbols for name, spec in specs.items() if spec.symbols}
        settings = replace(settings, dynamic_shapes={**symbols, **settings.dynamic_shapes})
    task, part = _task_and_part(options)
    torch_modules = checked_torch_modules(options.torch_modules)
    return _Plan(options, outputs, settings, specs, torch_modules, repeatable(options), task, part)


def _task_and_part(options: ExportOptions) -> tuple[str | None, str | None]:
    """The task by its name in transformers, and the part of the model that is asked for.

    Raises:
        UsageError: there is no such part, or its inputs are given, which follow from the model.
    """
    task, part = options.task, options.part
    if task is not None and task.endswith(_WITH_PAST):
        task, part = task.removesuffix(_WITH_PAST), part or WITH_PAST
    if part is not None and part not in PARTS:
        raise UsageError(f"part is {part!r}, not one of {', '.join(PARTS)}")
    if part is not None and (options.inputs is not None or options.input_specs is not None or options.shapes):
        raise UsageError("the inputs of a part of a model follow from the model", remedy="give `batch_size` alone")
    return task, part


def _outputs(output: Path, options: ExportOptions) -> Outputs:
    if options.graphml_parameters not in STRATEGIES:
        raise UsageError(f"parameters is {options.graphml_parameters!r}, not one of {', '.join(STRATEGIES)}")
    base = None if options.graphml_output is None else Path(options.graphml_output)
    if base is not None and not base.name:
        raise UsageError("the GraphML has no name", remedy="give a path such as out/model")
    if base is not None and options.graphml_parameters == "reference" and not _is_same_folder(base, output):
        raise UsageError(
            "a GraphML that refers to the weights in the ONNX file has to lie beside it",
            file=base,
            remedy="name it in the folder of the ONNX file, or let the weights go to a sidecar or into the GraphML",
        )
    return Outputs.beside(
        output,
        report=options.with_report,
        graphml=options.with_graphml or base is not None,
        graphml_base=base,
        parameters=options.graphml_parameters,
    )


def _is_same_folder(one: Path, other: Path) -> bool:
    return one.parent.resolve() == other.parent.resolve()


def _loaded(model: str | os.PathLike[str] | Exportable, task: str | None) -> LoadedModel:
    if not isinstance(model, torch.nn.Module | torch.export.ExportedProgram):
        return load_model(model, task, load_pretrained)
    if task is not None:
        raise UsageError("a task is only for a folder or hub name", remedy="leave it out")
    return LoadedModel(model, model_name(model))


def _examples(loaded: LoadedModel, options: ExportOptions, specs: Mapping[str, InputSpec] | None) -> ExampleInputs:
    module = loaded.model
    has_shapes = bool(options.shapes) or options.batch_size is not None
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "is compiled TorchScript, which does not show the modules that run",
            file=loaded.name,
            remedy="give the module that it was compiled from; it may call compiled functions",
        )
    if not isinstance(module, torch.nn.Module):
        if options.inputs is not None or specs is not None or has_shapes:
            raise UsageError("a torch.export program has its own inputs", file=loaded.name, remedy="give none")
        return ExampleInputs()
    if options.inputs is not None and specs is not None:
        raise UsageError("inputs are given as well as input_specs", remedy="give one of them")
    if specs is not None:
        return inputs_from_specs(module, specs, options.seed)
    given = loaded.inputs if options.inputs is None else options.inputs
    if given is not None:
        if has_shapes:
            raise UsageError("given inputs have their own shapes", remedy="leave out the shapes and `batch_size`")
        return given_inputs(given, module)
    shapes = {name: tuple(shape) for name, shape in options.shapes.items()}
    return inputs_from_config(module, options.seed, options.batch_size, shapes)


def _with_inputs(plan: _Plan, loaded: LoadedModel, stack: ExitStack) -> tuple[LoadedModel, ExampleInputs, _Plan]:
    """The model or the part of it that is asked for, its inputs, and the plan with the names and dimensions of these.

    Args:
        plan: the plan.
        loaded: the model.
        stack: turns a part into the model again, when it closes.
    """
    options = plan.options
    if plan.part is None:
        return loaded, _examples(loaded, options, plan.specs), plan
    if options.part is None and has_encoder(loaded.model):
        raise UsageError(
            "is made of an encoder and a decoder, which are exported one by one",
            file=loaded.name,
            remedy=f"give `part`: {', '.join(PARTS)}",
        )
    opening = opened(loaded.model, loaded.name, plan.part, options.seed, options.batch_size)
    part = stack.enter_context(opening)
    settings = replace(
        plan.settings,
        input_names=plan.settings.input_names or part.input_names,
        output_names=plan.settings.output_names or part.output_names,
        dynamic_shapes=plan.settings.dynamic_shapes or part.dynamic_shapes,
    )
    return replace(loaded, model=part.model), part.inputs, plan._replace(settings=settings)


def _convert(
    plan: _Plan, loaded: LoadedModel, examples: ExampleInputs, steps: _Steps, started: datetime
) -> tuple[ExportRecord, str]:
    """Converts a model, and publishes the ONNX file, its data file, the metadata and the report in one step.

    Returns:
        The record, without the files of the GraphML, and the printed text.
    """
    outputs, options = plan.outputs, plan.options
    settings = _fitted(plan.settings, loaded.model, examples)
    with ExitStack() as stack:
        publication = stack.enter_context(Publication(overwrite=options.overwrite))
        onnx = publication.stage(outputs.onnx)
        metadata = publication.stage(outputs.metadata)
        report = publication.stage(outputs.report) if outputs.report else None
        # The model may change the current folder as it runs.
        raw = stack.enter_context(workspace(outputs.onnx)).absolute() / outputs.onnx.name
        with steps.step("onnx_export"):
            outcome = export_onnx(loaded.model, loaded.name, examples, settings, raw, outputs.onnx)
            exported = outcome.exported
            file = ModelFile.read(raw, stack)
            graph = file.model.graph
            separate_outputs(graph)
            names = _names_of_inputs(loaded.model, examples, settings)
            broken = unmet_requests(settings, names, file)
            file.check(outputs.onnx)
            if plan.part is None and isinstance(loaded.model, torch.nn.Module):
                broken += fixed_sizes(loaded.model, loaded.name, examples, settings, file)
            gather_data(file.model, raw.parent, outputs.data.name)
        with steps.step("hierarchy_building"):
            weights = with_transposed(exported.weights, graph, {level.scope for level in exported.levels}, file.values)
            levels = [*exported.levels, *weights.levels_of(graph, exported.levels)]
            modules = module_tree(levels, plan.torch_modules)
        with steps.step("node_tagging"):
            renamed = name_operators(graph.node)
            if not settings.output_names:
                name_outputs(graph, exported.output_names, weights.owners)
            places = place(graph, modules, exported.finder(modules, graph.node), weights)
        with steps.step("tag_injection"):
            if not options.clean_onnx:
                tag_operators(places, modules)
                records = example_records(loaded.model, examples)
                record_inputs(file.model, dict(zip(names, records, strict=True)))
            size, sha256 = file.write(onnx.file, outputs.onnx)
            data = stage_data(publication, outputs, raw)
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
            model=model_record(loaded, levels),
            input_method=examples.method,
            inputs=tensor_records(graph.input),
            outputs=tensor_records(graph.output),
            modules=modules,
            operators=operator_records(places),
            files=(
                outputs.record("onnx_model", outputs.onnx, size, sha256),
                *data,
                outputs.record("metadata", outputs.metadata),
                *((outputs.record("report", outputs.report),) if outputs.report else ()),
            ),
            steps=steps.records,
            findings=(
                *settings.findings,
                *outcome.findings,
                *broken,
                *(
                    [Notice("operators-renamed", f"operators without a unique name, renamed: {renamed}")]
                    if renamed
                    else ()
                ),
            ),
            idle=tuple(
                (level.scope, class_name_of(level.class_path))
                for level in exported.registered
                if level.scope not in ran
            ),
            options=plan.repeatable,
        )
        record = replace(record, findings=(*record.findings, *few_exact(record)))
        write_staged(metadata, metadata_json(record, started))
        if report:
            write_staged(report, report_markdown(record, started).encode())
        with steps.step("publication"):
            publication.publish()
    leftovers = outputs.leftovers() + ([] if data or not outputs.data.exists() else [outputs.data.name])
    if leftovers:
        told = f"files of an earlier export are beside the model, and do not belong to it: {', '.join(leftovers)}"
        record = _finding(record, Notice("earlier-files", told))
    return record, outcome.printed


def _fitted(settings: ExporterSettings, model: Exportable, examples: ExampleInputs) -> ExporterSettings:
    """The settings with the model's own names of inputs; a caller may give dynamic dimensions by the new names too.

    Raises:
        UsageError: dynamic dimensions are given for a name that is no input, or that the input does not have.
    """
    if not isinstance(model, torch.nn.Module) or not settings.dynamic_shapes:
        return settings
    tensors = {name: value for name, value in named_inputs(model, examples) if isinstance(value, torch.Tensor)}
    names = list(tensors)
    renamed = dict(zip(settings.input_names, names, strict=False))
    shapes = {renamed.get(name, name): axes for name, axes in settings.dynamic_shapes.items()}
    for name, axes in shapes.items():
        if name not in names and name not in settings.output_names:
            raise UsageError(
                "is no input of the model",
                file="dynamic_shapes",
                place=name,
                remedy=f"its inputs are {', '.join(names)}",
            )
        for axis in axes if name in tensors else ():
            if not 0 <= axis < tensors[name].dim():
                raise UsageError(
                    f"has no dimension {axis}",
                    file="dynamic_shapes",
                    place=name,
                    remedy=f"its shape is {list(tensors[name].shape)}, and the first dimension is 0",
                )
    known = {*names, *settings.output_names}
    return replace(settings, dynamic_shapes={name: axes for name, axes in shapes.items() if name in known})


def _names_of_inputs(model: Exportable, examples: ExampleInputs, settings: ExporterSettings) -> list[str]:
    """The names that the inputs of a module get in the file; none for a program, which has its own."""
    if not isinstance(model, torch.nn.Module):
        return []
    names = input_names(model, examples)
    return [*settings.input_names[: len(names)], *names[len(settings.input_names) :]]


def _encoded(plan: _Plan) -> tuple[EncodeResult | None, GraphmlOnnxError | None]:
    """Writes the GraphML; a failure is recorded, because the ONNX file is already published."""
    outputs, options = plan.outputs, plan.options
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
    told = (
        record if failure is None else _finding(record, Notice("graphml-failed", f"no GraphML was written: {failure}"))
    )
    try:
        publish_report(told, outputs.report, started)
    except GraphmlOnnxError as error:
        return _finding(record, Notice("report-incomplete", f"the report does not mention the GraphML: {error}"))
    return record


def publish_report(record: ExportRecord, path: Path, started: datetime) -> None:
    """Replaces the report by a more complete one.

    Raises:
        StorageError: no space, or a broken disk.
    """
    with Publication(overwrite=True) as publication:
        write_staged(publication.stage(path), report_markdown(record, started).encode())
        publication.publish()


def _renamed(number: int) -> list[Notice]:
    return [Notice("operators-renamed", f"operators without a unique name, renamed: {number}")] if number else []


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
