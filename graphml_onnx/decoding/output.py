"""Writes the files of a decoded model: the model from its pieces, and its data files beside it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from graphml_onnx.errors import ExternalDataError, GraphmlOnnxError, OutputError, UsageError, writing_failed
from graphml_onnx.onnxfile.external import external_tensors, open_external
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.skeleton import Stored, split
from graphml_onnx.onnxfile.source import FileSource, Source, sources_of
from graphml_onnx.parameters.chunks import Output
from graphml_onnx.parameters.store import sha256_of
from graphml_onnx.parameters.transfer import assemble, check_digest
from graphml_onnx.support import limits
from graphml_onnx.support.notices import Notice
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from graphml_onnx.codec.externals import ExternalFile
    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.files import Publication, StagedFile
    from graphml_onnx.onnxfile.skeleton import FilePiece
    from graphml_onnx.parameters.store import PayloadReference, Store
    from graphml_onnx.results import Progress


def write_pieces(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    staged: StagedFile,
    stage: Stage,
    size: int,
) -> str:
    """Writes a staged file from its pieces.

    Args:
        pieces: what the file consists of.
        references: the payloads by number.
        store: has them.
        staged: takes the file.
        stage: progress.
        size: the approximate size in bytes.

    Returns:
        SHA-256 of the file, in lower-case hexadecimal digits.

    Raises:
        GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says; or what the store raises.
    """
    is_large = size > limits.LIMITS.threads
    descriptor = staged.file.fileno() if is_large and staged.durable else None
    with Output(staged.file, staged.path, descriptor) as file:
        sha256 = assemble(pieces, references, store, file.write, stage.advance, threaded=is_large)
        file.settle()
        return sha256


def check_not_store(output: str | os.PathLike[str] | None, store: Source) -> None:
    """Makes sure that an output does not replace a file that the payloads come from.

    Raises:
        UsageError: it would.
    """
    files = [source for source in sources_of(store) if isinstance(source, FileSource)]
    if files and output is not None:
        try:
            status = Path(output).stat()
        except (OSError, ValueError):  # creating the file reports what is wrong with its name
            return
        if any((status.st_dev, status.st_ino) == file.identity for file in files):
            raise UsageError("is an input as well as an output", file=output, remedy="name another output")


class Folders:
    """Makes folders for data files; an exception in its context removes them again.

    Args:
        root: the folder of the decoded model, which exists.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: list[Path] = []

    def make(self, location: PurePosixPath) -> None:
        """Makes the folders on the way to a file.

        Raises:
            OutputError: one of them is a symbolic link, or cannot be made.
        """
        folder = self.root
        for part in location.parts[:-1]:
            folder /= part
            try:
                if folder.is_symlink():
                    raise OutputError(
                        "is a symbolic link, which is not followed", file=folder, remedy="decode elsewhere"
                    )
                if folder.exists():
                    continue
                self._made.append(folder)  # first, so that an interrupt in between leaves nothing
                folder.mkdir()
            except FileExistsError:  # made by another program meanwhile
                self._made.remove(folder)
            except OSError as error:
                raise writing_failed(error, folder) from error

    def __enter__(self) -> Folders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for folder in reversed(self._made):
                with suppress(OSError):
                    folder.rmdir()


class DataFiles:
    """The model's data files: written beside the model, or checked in place.

    Args:
        model: the model.
        folder: where the GraphML's files are.
        folders: makes those of the decoded model.
        target: where the decoded model goes. A file that is there already is only replaced if the model there has it.
    """

    def __init__(self, model: LoadedModel, folder: Path, folders: Folders, target: Path) -> None:
        self._model, self._folder, self._folders, self._target = model, folder, folders, target
        self._replaced: set[tuple[int, int]] | None = None
        self.written: tuple[Path, ...] = ()
        self.findings: tuple[Notice, ...] = ()

    def stage(self, publication: Publication, store: Store, progress: Progress | None) -> None:
        """Stages them, or checks them in place."""
        files = self._model.externals
        total = sum(file.content.length for file in files)
        with Stage(progress if files else None, "data files", total, "bytes") as stage:
            if not self._model.store.has_data_files:
                self._check_in_place(publication, stage)
                return
            for file in files:
                self._stage(file, publication, store, stage)

    def _check_in_place(self, publication: Publication, stage: Stage) -> None:
        for file in self._model.externals:
            with open_external(self._folder, file.location) as source:
                found = sha256_of(source)
                if found != file.content.sha256:
                    raise ExternalDataError(
                        f"has SHA-256 {found}, but the GraphML says {file.content.sha256}",
                        file=source.path,
                        remedy="the file was changed since the model was encoded",
                    )
                publication.keep(source.path)
                stage.advance(source.size)
        if self._model.externals and not _same_folder(self._folder, self._folders.root):
            names = ", ".join(file.location for file in self._model.externals)
            text = f"the model needs its data files, which stay in {self._folder}: {names}"
            self.findings = (Notice("data-files-elsewhere", text),)

    def _stage(self, file: ExternalFile, publication: Publication, store: Store, stage: Stage) -> None:
        path = self._folders.root / file.location
        check_not_store(path, store.source)
        if _holds(path, file):
            publication.keep(path)
            stage.advance(file.content.length)
            return
        if os.path.lexists(path) and not self._is_replaced(path):
            raise OutputError(
                "exists, and is not a data file of the model that is replaced",
                file=path,
                remedy="move it away, or decode into another folder",
            )
        self._folders.make(PurePosixPath(file.location))
        try:
            staged = publication.stage(path)
        except UsageError as error:  # the name comes from the model, not from the call
            error.message = f"is a data file of the model, but {error.message}"
            error.remedy = "name another output, or decode into another folder"
            raise
        references = {0: store.located(file.content)} if file.content.length else {}
        found = write_pieces(map(Stored, references), references, store.source, staged, stage, file.content.length)
        check_digest(file.content, found)
        try:
            staged.file.close()  # a model may have more data files than a process may have open
        except OSError as error:
            raise writing_failed(error, path) from error
        self.written = (*self.written, path)

    def _is_replaced(self, path: Path) -> bool:
        """Whether a file belongs to the output that the user named: the model that is there has it as a data file."""
        if self._replaced is None:
            self._replaced = {path for path in map(_identity, _data_files(self._target)) if path is not None}
        return _identity(path) in self._replaced


def _data_files(model: Path) -> Iterable[Path]:
    """The data files that a model names; none if there is no model."""
    try:
        with FileSource.open(model) as source:
            skeleton = split(source, 0).data
        return [model.parent / tensor.location for tensor in external_tensors(parse_model(skeleton), skeleton)]
    except (GraphmlOnnxError, ValueError):
        return []


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _same_folder(left: Path, right: Path) -> bool:
    try:
        return left.samefile(right)
    except OSError:
        return False


def _holds(path: Path, file: ExternalFile) -> bool:
    """Whether this exact file already exists: a model may be decoded in its own folder."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with FileSource.open(path) as source:
            return source.size == file.content.length and sha256_of(source) == file.content.sha256
    except (GraphmlOnnxError, OSError, ValueError):  # creating the file reports what is wrong with its name
        return False
