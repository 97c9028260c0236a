"""Decodes a GraphML file to the ONNX file that it describes, checks every digest, and publishes the result."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from graphml_onnx.errors import (
    ExternalDataError,
    GraphMLError,
    GraphmlOnnxError,
    NotExactError,
    OutputError,
    PayloadError,
    UsageError,
    writing_failed,
)
from graphml_onnx.files import Publication, StagedFile
from graphml_onnx.loading import EMBEDDED_KEY, LoadedModel, load_graphml
from graphml_onnx.onnxfile.external import open_external
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.skeleton import MarkerError, Stored
from graphml_onnx.onnxfile.source import BytesSource, FileSource, Source
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.lanes import WINDOW
from graphml_onnx.parameters.store import open_store, sha256_of
from graphml_onnx.parameters.transfer import assemble, check_digest, check_payloads
from graphml_onnx.progress import Stage
from graphml_onnx.results import DecodeResult, Progress, Trust

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from graphml_onnx.codec.externals import ExternalFile
    from graphml_onnx.onnxfile.skeleton import FilePiece
    from graphml_onnx.parameters.store import PayloadReference


def decode(
    graphml: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    metadata_output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    require_exact: bool = False,
    trust: Trust | None = None,
    parameter_folder: str | os.PathLike[str] | None = None,
) -> DecodeResult:
    """Gives back the ONNX file that a GraphML file describes.

    Args:
        graphml: the GraphML file.
        output: the ONNX file; by default the GraphML's name with the suffix ``.onnx``.
        metadata_output: where to write the HTP metadata file; by default it is not written.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.
        require_exact: raise, and write nothing, unless the result is the file that was encoded.
        trust: ``nodes`` goes by the operators' inputs and outputs where edges disagree with them.
        parameter_folder: where the payloads lie (the sidecar, or the original model); by default beside the GraphML.

    Raises:
        GraphMLError: the GraphML is damaged, incomplete, or not of this format.
        PayloadError: the payloads are missing, or not those that were encoded.
        NotExactError: the graph was edited, and ``require_exact`` is set.
        InputError: a file is missing or may not be read.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path = Path(graphml)
    target = path.with_suffix(".onnx") if output is None else Path(output)
    folder = path.parent if parameter_folder is None else Path(parameter_folder)
    with ExitStack() as stack:
        source = stack.enter_context(FileSource.open(path, GraphMLError))
        folders = stack.enter_context(_Folders(target.parent))
        publication = stack.enter_context(Publication(overwrite=overwrite, inputs=[path]))
        # Staged in the order of publication: the model comes last, and refusals come before the work.
        metadata_file = None if metadata_output is None else publication.stage(Path(metadata_output))
        model_file = publication.stage(target)
        with Stage(progress, "read graph", source.size, "bytes") as stage:
            model = load_graphml(source, path, stack, stage.advance, trust=trust, spool_folder=target.parent)
        if metadata_file is not None:
            _write_metadata(model, path, metadata_file)
        try:
            store = open_payloads(model, folder, stack)
        except PayloadError as error:
            raise error.at(file=path) from None
        for output in (target, metadata_output):
            _check_not_store(output, store)
        with Stage(progress, "write model", model.size, "bytes") as stage, naming(path, store):
            sha256 = _write(model.pieces(), model.references, store, model_file, stage, model.size)
        exact = sha256 == model.sha256
        findings = list(model.findings)
        if not exact:
            with naming(path, store):
                check_payloads(model.references.values(), store)
            _check_edited(model, path, require_exact=require_exact, found=sha256)
        external = _Externals(model, folder, folders)
        with naming(path, store):
            external.stage(publication, store, progress)
        publication.publish(last=model_file)
    return DecodeResult(
        target,
        sha256,
        exact,
        None if metadata_output is None else Path(metadata_output),
        external.written,
        (*findings, *external.findings),
    )


def open_payloads(model: LoadedModel, folder: Path, stack: ExitStack) -> Source:
    """Opens the store of a model's payloads; an empty one where nothing has to be read.

    Raises:
        PayloadError: it is missing, or cannot be the one that the GraphML means.
    """
    if model.embedded is not None:
        return model.embedded
    kept = model.store.strategy != "reference" and any(file.content.length for file in model.externals)
    if not model.references and not kept:
        return BytesSource(b"")
    if model.store.file is None:
        raise PayloadError("the GraphML has payloads, but does not say where", remedy="encode the model again")
    return stack.enter_context(open_store(folder, model.store, model.stored))


@contextmanager
def naming(path: Path, store: Source) -> Iterator[None]:
    """Adds the file to errors that come from the depths of the codec."""
    try:
        yield
    except PayloadError as error:
        if not isinstance(store, FileSource):
            raise error.at(file=path) from None
        raise error.at(file=store.path, place=EMBEDDED_KEY if store.path == path else None) from None
    except (MarkerError, WireError) as error:
        raise GraphMLError(str(error), file=path, remedy="encode the model again") from None


def _write(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    staged: StagedFile,
    stage: Stage,
    size: int,
) -> str:
    try:
        return assemble(pieces, references, store, staged.file, stage.advance, threaded=size > WINDOW)
    except OSError as error:  # of the output: a store reports its own errors
        raise writing_failed(error, staged.path) from error


def _check_edited(model: LoadedModel, path: Path, *, require_exact: bool, found: str) -> None:
    if require_exact:
        raise NotExactError(
            f"the model has SHA-256 {found}, but {model.sha256 or 'no digest'} was encoded",
            file=path,
            remedy="the graph was edited since; without --require-exact the edited model is written",
        )
    try:
        parse_model(model.skeleton)
    except ValueError as error:
        raise GraphMLError(
            f"the edited model could not be read back: {error}", file=path, remedy="take the last edit back"
        ) from None


def _write_metadata(model: LoadedModel, path: Path, staged: StagedFile) -> None:
    if model.metadata is None:
        raise GraphMLError(
            "holds no HTP metadata", file=path, remedy="encode with --meta to keep the metadata file in the graph"
        )
    try:
        staged.file.write(model.metadata)
    except OSError as error:
        raise writing_failed(error, staged.path) from error


def _check_not_store(output: str | os.PathLike[str] | None, store: Source) -> None:
    """Raises UsageError where an output would replace the file that the payloads come from."""
    if isinstance(store, FileSource) and output is not None:
        try:
            status = Path(output).stat()
        except (OSError, ValueError):  # whoever creates the file reports what is wrong with its name
            return
        if (status.st_dev, status.st_ino) == store.identity:
            raise UsageError("is an input as well as an output", file=output, remedy="name another output")


class _Folders:
    """Makes folders for data files; removes them again when left by an exception.

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
                folder.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise writing_failed(error, folder) from error
            self._made.append(folder)

    def __enter__(self) -> _Folders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for folder in reversed(self._made):
                with suppress(OSError):
                    folder.rmdir()


class _Externals:
    """The model's data files: written beside the model, or checked where they are.

    Args:
        model: the model.
        folder: where the GraphML's files lie.
        folders: makes those of the decoded model.
    """

    def __init__(self, model: LoadedModel, folder: Path, folders: _Folders) -> None:
        self._model, self._folder, self._folders = model, folder, folders
        self.written: tuple[Path, ...] = ()
        self.findings: tuple[str, ...] = ()

    def stage(self, publication: Publication, store: Source, progress: Progress | None) -> None:
        """Stages them, or checks them where they are."""
        files = self._model.externals
        total = sum(file.content.length for file in files)
        with Stage(progress if files else None, "data files", total, "bytes") as stage:
            if self._model.store.strategy == "reference":
                self._check_in_place(stage)
                return
            for file in files:
                self._stage(file, publication, store, stage)

    def _check_in_place(self, stage: Stage) -> None:
        for file in self._model.externals:
            with open_external(self._folder, file.location) as source:
                found = sha256_of(source)
                if found != file.content.sha256:
                    raise ExternalDataError(
                        f"has SHA-256 {found}, but the GraphML says {file.content.sha256}",
                        file=source.path,
                        remedy="the file was changed since the model was encoded",
                    )
                stage.advance(source.size)
        if self._model.externals and not _same_folder(self._folder, self._folders.root):
            names = ", ".join(file.location for file in self._model.externals)
            self.findings = (f"the model needs its data files, which stay in {self._folder}: {names}",)

    def _stage(self, file: ExternalFile, publication: Publication, store: Source, stage: Stage) -> None:
        path = self._folders.root / file.location
        _check_not_store(path, store)
        if _holds(path, file):
            stage.advance(file.content.length)
            return
        self._folders.make(PurePosixPath(file.location))
        staged = publication.stage(path)
        references = {file.content.offset: file.content}
        found = _write([Stored(file.content.offset)], references, store, staged, stage, file.content.length)
        check_digest(file.content, found)
        staged.file.close()  # a model may have more data files than a process may have open
        self.written = (*self.written, path)


def _same_folder(left: Path, right: Path) -> bool:
    try:
        return left.samefile(right)
    except OSError:
        return False


def _holds(path: Path, file: ExternalFile) -> bool:
    """Whether the very file is there already, as it is where a model is decoded in its own folder."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with FileSource.open(path) as source:
            return source.size == file.content.length and sha256_of(source) == file.content.sha256
    except (GraphmlOnnxError, OSError, ValueError):  # whoever creates the file reports what is wrong with its name
        return False
