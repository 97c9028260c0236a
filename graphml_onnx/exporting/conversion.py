"""One conversion: a loaded model becomes a tagged ONNX file, HTP metadata and a report, published together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphml_onnx.exporting.about import model_record
from graphml_onnx.exporting.exporters import export_onnx
from graphml_onnx.exporting.extra import versions_of
from graphml_onnx.exporting.metadata import metadata_json
from graphml_onnx.exporting.modelfile import ModelFile, opset_version, tensor_records
from graphml_onnx.exporting.modules import TorchModules, module_tree
from graphml_onnx.exporting.names import name_operators
from graphml_onnx.exporting.outputs import Outputs, stage_data_files, write_staged
from graphml_onnx.exporting.placement import operator_records, place
from graphml_onnx.exporting.record import ExporterRecord, ExportRecord
from graphml_onnx.exporting.report import report_markdown
from graphml_onnx.exporting.tagging import tag_operators
from graphml_onnx.exporting.workspace import workspace
from graphml_onnx.files import Publication

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.settings import ExporterSettings
    from graphml_onnx.exporting.source import LoadedModel
    from graphml_onnx.exporting.steps import Steps

_PACKAGES: Final = ("graphml-onnx", "onnx", "onnxscript", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How models are converted, and where the results go.

    Attributes:
        settings: which exporter, and how to call it.
        torch_modules: which classes of ``torch.nn`` are levels of the hierarchy.
        embeds_tags: whether operators in the ONNX file get their tags.
        outputs: the files to be published.
        overwrite: whether existing ones may be replaced.
    """

    settings: ExporterSettings
    torch_modules: TorchModules
    embeds_tags: bool
    outputs: Outputs
    overwrite: bool

    def run(self, loaded: LoadedModel, examples: ExampleInputs, steps: Steps, started: datetime) -> ExportRecord:
        """Converts a model, and publishes the ONNX file, its data files, the metadata and the report as one step.

        Args:
            loaded: the model.
            examples: what a module is called with.
            steps: takes the steps, and has those that came before.
            started: when the export started.

        Returns:
            All there is to tell, the files of the GraphML still without their sizes.

        Raises:
            UsageError: the settings do not fit the model.
            ModelError: the exporter failed.
            OutputError: an output cannot be created.
            StorageError: no space, or a broken disk.
        """
        outputs = self.outputs
        with ExitStack() as stack:
            publication = stack.enter_context(Publication(overwrite=self.overwrite))
            onnx = publication.stage(outputs.onnx)
            metadata = publication.stage(outputs.metadata)
            report = publication.stage(outputs.report) if outputs.report else None
            raw = stack.enter_context(workspace(outputs.onnx)) / outputs.onnx.name
            with steps.step("onnx_export"):
                exported = export_onnx(loaded.model, loaded.name, examples, self.settings, raw)
                file = ModelFile.read(raw, stack)
            graph = file.model.graph
            with steps.step("hierarchy_building"):
                modules = module_tree(exported.levels, self.torch_modules)
            with steps.step("node_tagging"):
                renamed = name_operators(graph.node)
                finder = exported.finder(modules, graph.node)
                places = place(graph, modules, finder)
            with steps.step("tag_injection"):
                if self.embeds_tags:
                    tag_operators(graph, places, modules, finder)
                size, sha256 = file.write(onnx.file, outputs.onnx)
                data = stage_data_files(publication, outputs.onnx, raw)
            record = ExportRecord(
                exporter=ExporterRecord(
                    name=self.settings.exporter,
                    versions=versions_of(_PACKAGES),
                    opset_version=opset_version(file.model),
                    folds_constants=self.settings.folds_constants,
                    embeds_tags=self.embeds_tags,
                    execution_steps=exported.execution_steps,
                ),
                model=model_record(loaded, exported),
                input_method=examples.method,
                inputs=tensor_records(graph.input),
                outputs=tensor_records(graph.output),
                modules=modules,
                operators=operator_records(graph, places),
                files=(
                    outputs.record("onnx_model", outputs.onnx, size, sha256),
                    *data,
                    *outputs.planned(has_weights=bool(data or file.lengths)),
                ),
                steps=steps.records,
                findings=(f"operators without a name of their own, named anew: {renamed}",) if renamed else (),
            )
            write_staged(metadata, metadata_json(record, started))
            if report:
                write_staged(report, report_markdown(record, started).encode())
            with steps.step("publication"):
                publication.publish()
        return record


def publish_report(record: ExportRecord, path: Path, started: datetime) -> None:
    """Replaces the report, once there is more to tell.

    Raises:
        StorageError: no space, or a broken disk.
    """
    with Publication(overwrite=True) as publication:
        write_staged(publication.stage(path), report_markdown(record, started).encode())
        publication.publish()
