"""The files that an export writes: their names, their temporary folder, and their staging."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import UsageError, writing_failed
from graphml_onnx.exporting.record import FileRecord
from graphml_onnx.files import Publication, StagedFile
from graphml_onnx.files.locks import try_lock
from graphml_onnx.parameters.chunks import write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphml_onnx.results import ParameterStrategy

_SUFFIX: Final = ".g2o-export"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The paths of all outputs, beside the ONNX file by the HTP convention.

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
            for path in (self.onnx, self.data, self.metadata, self.report, self.graphml, self.sidecar):
                if path is not None:
                    trial.stage(path)

    def relative(self, path: Path) -> str:
        """A path for the metadata: relative to the folder of the ONNX file, with ``/``."""
        return Path(os.path.relpath(path, self.onnx.parent)).as_posix()

    def record(self, role: str, path: Path, size: int | None = None, sha256: str | None = None) -> FileRecord:
        """A file for the record of the export."""
        return FileRecord(role, self.relative(path), size, sha256)

    @property
    def data(self) -> Path:
        """The weights of a model that is too large for one file."""
        return self.onnx.with_name(f"{self.onnx.name}.data")

    def leftovers(self) -> list[str]:
        """Names of files of an earlier export beside the model that this one does not replace."""
        everything = Outputs.beside(self.onnx, report=True, graphml=True, graphml_base=None, parameters="sidecar")
        possible = (everything.report, everything.graphml, everything.sidecar)
        mine = {self.report, self.graphml, self.sidecar}
        return [path.name for path in possible if path is not None and path not in mine and path.exists()]


def write_staged(staged: StagedFile, data: bytes) -> None:
    """Writes all of a staged file.

    Raises:
        StorageError: no space, or a broken disk.
    """
    try:
        write_all(staged.file, data)
    except OSError as error:
        raise writing_failed(error, staged.path) from error


def stage_data(publication: Publication, outputs: Outputs, raw: Path) -> tuple[FileRecord, ...]:
    """Moves the data file of an exporter to its place of publication.

    Args:
        publication: takes it.
        outputs: the paths of all outputs.
        raw: the ONNX file that the exporter wrote, in a separate folder.

    Returns:
        The file, for the record of the export; none for a model in one file.

    Raises:
        OutputError: it exists and may not be replaced.
        StorageError: no space, or a broken disk.
    """
    made = raw.with_name(outputs.data.name)
    if not made.exists():
        return ()
    size = made.stat().st_size
    staged = publication.stage(outputs.data)
    staged.file.close()
    try:
        made.replace(staged.temporary)
    except OSError as error:
        raise writing_failed(error, staged.path) from error
    return (outputs.record("onnx_data", outputs.data, size),)


@contextmanager
def workspace(output: Path) -> Iterator[Path]:
    """A new, empty folder beside an output, and on its file system; removed when the context closes.

    Args:
        output: the file to publish.

    Raises:
        OutputError: the folder cannot be created.
        StorageError: no space, or a broken disk.
    """
    prefix = f".{output.name}."
    _remove_abandoned(output.parent, prefix)
    try:
        folder = Path(tempfile.mkdtemp(suffix=_SUFFIX, prefix=prefix, dir=output.parent))
    except OSError as error:
        raise writing_failed(error, output) from error
    descriptor = None
    try:
        with suppress(OSError):  # a file system without locks: no other run mistakes the folder for abandoned
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
            try_lock(descriptor)
        content = folder / "content"
        content.mkdir()
        yield content
    finally:
        if descriptor is not None:
            os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """Removes the folders of runs that have ended: their locks are free."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if folder.name.startswith(prefix) and folder.name.endswith(_SUFFIX) and not folder.is_symlink():
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
        try:
            abandoned = try_lock(descriptor)
        finally:
            os.close(descriptor)
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
