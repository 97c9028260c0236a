"""The files that an export writes: their names, their staging and their publication."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.errors import UsageError, writing_failed
from graphml_onnx.exporting.record import FileRecord
from graphml_onnx.files import Publication, StagedFile
from graphml_onnx.parameters.chunks import write_all

if TYPE_CHECKING:
    from graphml_onnx.results import ParameterStrategy


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where everything goes, by the HTP convention beside the ONNX file.

    Attributes:
        onnx: the ONNX file.
        metadata: the HTP metadata.
        report: the report, or None if there will be none.
        graphml: the GraphML, or None.
        sidecar: its weights, or None.
    """

    onnx: Path
    metadata: Path
    report: Path | None
    graphml: Path | None
    sidecar: Path | None

    @classmethod
    def beside(
        cls,
        onnx: Path,
        *,
        report: bool,
        graphml: bool,
        graphml_base: Path | None,
        parameters: ParameterStrategy,
    ) -> Outputs:
        """Names the files.

        Args:
            onnx: the ONNX file.
            report: whether there will be a report.
            graphml: whether there will be a GraphML.
            graphml_base: its name, with or without the suffix; by default ``NAME_hierarchical_graph``.
            parameters: where its weights go.
        """
        stem = onnx.stem
        base = graphml_base or onnx.with_name(f"{stem}_hierarchical_graph")
        name = base.name.removesuffix(".graphml")
        return cls(
            onnx=onnx,
            metadata=onnx.with_name(f"{stem}_htp_metadata.json"),
            report=onnx.with_name(f"{stem}_htp_export_report.md") if report else None,
            graphml=base.with_name(f"{name}.graphml") if graphml else None,
            sidecar=base.with_name(f"{name}.onnxdata") if graphml and parameters == "sidecar" else None,
        )

    def check(self, *, overwrite: bool) -> None:
        """Refuses outputs that cannot be created, before any work is done.

        Raises:
            OutputError: one exists and may not be replaced, or its folder is missing or read-only.
            UsageError: two outputs have the same name, or the ONNX file is not named as one.
        """
        if self.onnx.suffix != ".onnx":
            raise UsageError("the output is not named as an ONNX file", file=self.onnx, remedy="let it end in .onnx")
        with Publication(overwrite=overwrite) as trial:
            for path in (self.onnx, self.metadata, self.report, self.graphml, self.sidecar):
                if path is not None:
                    trial.stage(path)

    def relative(self, path: Path) -> str:
        """A path as the metadata has it: relative to the folder of the ONNX file, with ``/``."""
        return Path(os.path.relpath(path, self.onnx.parent)).as_posix()

    def record(self, role: str, path: Path, size: int | None = None, sha256: str | None = None) -> FileRecord:
        """A file for the record of the export."""
        return FileRecord(role, self.relative(path), size, sha256)

    def planned(self, *, has_weights: bool) -> tuple[FileRecord, ...]:
        """The files that are written after the ONNX file.

        Args:
            has_weights: whether the model has any tensors that would go into a sidecar.
        """
        named = (
            ("metadata", self.metadata),
            ("report", self.report),
            ("graphml", self.graphml),
            ("parameters", self.sidecar if has_weights else None),
        )
        return tuple(self.record(role, path) for role, path in named if path is not None)


def write_staged(staged: StagedFile, data: bytes) -> None:
    """Writes all of a staged file.

    Raises:
        StorageError: no space, or a broken disk.
    """
    try:
        write_all(staged.file, data)
    except OSError as error:
        raise writing_failed(error, staged.path) from error


def stage_data_files(publication: Publication, onnx: Path, raw: Path) -> list[FileRecord]:
    """Moves the data files that an exporter wrote beside its model to where they are published.

    Args:
        publication: takes them.
        onnx: the ONNX file to be published.
        raw: the ONNX file that the exporter wrote, in a folder of its own.

    Returns:
        The files, for the record of the export.

    Raises:
        OutputError: one exists and may not be replaced.
        StorageError: no space, or a broken disk.
    """
    records: list[FileRecord] = []
    for file in sorted(raw.parent.iterdir()):
        if file == raw:
            continue
        size = file.stat().st_size
        staged = publication.stage(onnx.with_name(file.name))
        staged.file.close()
        try:
            file.replace(staged.temporary)
        except OSError as error:
            raise writing_failed(error, staged.path) from error
        role = f"onnx_data_{len(records) + 1}" if records else "onnx_data"
        records.append(FileRecord(role, file.name, size))
    return records
