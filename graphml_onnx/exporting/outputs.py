"""The files that an export writes: their names, their temporary folder, and their staging."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import UsageError, writing_failed
from graphml_onnx.exporting.record import FileRecord
from graphml_onnx.files import Publication, StagedFile
from graphml_onnx.files.locks import try_lock
from graphml_onnx.parameters.chunks import write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.exporting.options import ExportOptions

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
    def named(cls, output: Path, options: ExportOptions) -> Outputs:
        """Names the files that the options ask for.

        Args:
            output: the ONNX file.
            options: of the caller.

        Raises:
            UsageError: the GraphML has no name, or would refer to weights in another folder.
        """
        base = None if options.graphml_output is None else Path(options.graphml_output)
        if base is not None and not base.name:
            raise UsageError("the GraphML has no name", remedy="give a path such as out/model")
        parameters = options.graphml_parameters
        if base is not None and parameters == "reference" and base.parent.resolve() != output.parent.resolve():
            raise UsageError(
                "a GraphML that refers to the weights in the ONNX file has to lie beside it",
                file=base,
                remedy="name it in the folder of the ONNX file, or let the weights go to a sidecar or into the GraphML",
            )
        named = cls.beside(output, base)
        graphml = options.with_graphml or base is not None
        return replace(
            named,
            report=named.report if options.with_report else None,
            graphml=named.graphml if graphml else None,
            sidecar=named.sidecar if graphml and parameters == "sidecar" else None,
        )

    @classmethod
    def beside(cls, onnx: Path, graphml: Path | None = None) -> Outputs:
        """Names all files that an export can write.

        Args:
            onnx: the ONNX file.
            graphml: the GraphML, with or without the suffix; by default ``NAME_hierarchical_graph``.
        """
        stem = onnx.stem
        base = graphml or onnx.with_name(f"{stem}_hierarchical_graph")
        name = base.name.removesuffix(".graphml")
        return cls(
            onnx=onnx,
            metadata=onnx.with_name(f"{stem}_htp_metadata.json"),
            report=onnx.with_name(f"{stem}_htp_export_report.md"),
            graphml=base.with_name(f"{name}.graphml"),
            sidecar=base.with_name(f"{name}.onnxdata"),
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

    def replace_report(self, text: str) -> None:
        """Publishes the report again.

        Raises:
            StorageError: no space, or a broken disk.
        """
        if self.report is not None:
            with Publication(overwrite=True) as publication:
                _write(publication.stage(self.report), text.encode())
                publication.publish()

    @contextmanager
    def staging(self, *, overwrite: bool) -> Iterator[Staging]:
        """The files of an export until they are published; without `Staging.publish` none is written.

        Args:
            overwrite: whether existing files may be replaced.

        Raises:
            OutputError: a file exists and may not be replaced, or cannot be created.
            StorageError: no space, or a broken disk.
        """
        with Publication(overwrite=overwrite) as publication:
            onnx = publication.stage(self.onnx)
            metadata = publication.stage(self.metadata)
            report = publication.stage(self.report) if self.report else None
            with workspace(self.onnx) as folder:
                # The model may change the current folder as it runs.
                raw = folder.absolute() / self.onnx.name
                yield Staging(self, publication, raw, onnx, metadata, report)


@dataclass(frozen=True, slots=True)
class Staging:
    """The files of an export until they are published.

    Attributes:
        outputs: their paths.
        publication: publishes them.
        raw: the path at which the exporter writes, in an empty folder.
        onnx: the ONNX file.
        metadata: the HTP metadata.
        report: the report, if there will be one.
    """

    outputs: Outputs
    publication: Publication
    raw: Path
    onnx: StagedFile
    metadata: StagedFile
    report: StagedFile | None

    def files(self, size: int, sha256: str) -> tuple[FileRecord, ...]:
        """The files for the record of the export, once the exporter's data file is staged.

        Args:
            size: of the ONNX file, in bytes.
            sha256: its digest.

        Raises:
            OutputError: the data file exists and may not be replaced.
            StorageError: no space, or a broken disk.
        """
        outputs = self.outputs
        return (
            outputs.record("onnx_model", outputs.onnx, size, sha256),
            *self._data(),
            outputs.record("metadata", outputs.metadata),
            *((outputs.record("report", outputs.report),) if outputs.report else ()),
        )

    def _data(self) -> tuple[FileRecord, ...]:
        made = self.raw.with_name(self.outputs.data.name)
        if not made.exists():
            return ()
        size = made.stat().st_size
        staged = self.publication.stage(self.outputs.data)
        staged.file.close()
        try:
            made.replace(staged.temporary)
        except OSError as error:
            raise writing_failed(error, staged.path) from error
        return (self.outputs.record("onnx_data", self.outputs.data, size),)

    def leftovers(self, files: Sequence[FileRecord]) -> list[str]:
        """Names of files of an earlier export beside the model that this one does not replace.

        Args:
            files: the files of this one.
        """
        outputs = self.outputs
        everything = Outputs.beside(outputs.onnx)
        possible = [path for path in (everything.report, everything.graphml, everything.sidecar) if path is not None]
        mine = {outputs.report, outputs.graphml, outputs.sidecar}
        if any(file.role == "onnx_data" for file in files):
            mine.add(outputs.data)
        return [path.name for path in (*possible, outputs.data) if path not in mine and path.exists()]

    def publish(self, metadata: bytes, report: str | None) -> None:
        """Writes the metadata and, if there is one, the report, and publishes all files in one step.

        Raises:
            OutputError: a file exists and may not be replaced.
            StorageError: no space, or a broken disk.
        """
        _write(self.metadata, metadata)
        if self.report is not None and report is not None:
            _write(self.report, report.encode())
        self.publication.publish()


def _write(staged: StagedFile, data: bytes) -> None:
    """Writes all of a staged file.

    Raises:
        StorageError: no space, or a broken disk.
    """
    try:
        write_all(staged.file, data)
    except OSError as error:
        raise writing_failed(error, staged.path) from error


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
