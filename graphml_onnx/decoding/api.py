"""Decodes a GraphML file to the ONNX file that it describes, checks every digest, and publishes the result."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.decoding.edited_model import findings_of_edited
from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.decoding.output import DataFiles, Folders, check_not_store, write_pieces
from graphml_onnx.decoding.payloads import naming, open_payloads
from graphml_onnx.decoding.records import LoadedModel, check_head
from graphml_onnx.errors import GraphMLError, InputError, NotExactError, PayloadError, StorageError, writing_failed
from graphml_onnx.files import Publication, StagedFile, Watch, with_suffix
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.source import FileSource, changed
from graphml_onnx.parameters.transfer import check_payloads
from graphml_onnx.results import DecodeResult, Progress, Trust
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os


_ATTEMPTS = 20
"""How often a pair is read that is replaced again and again while it is read."""


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
    infer_shapes: bool = False,
) -> DecodeResult:
    """Gives back the ONNX file that a GraphML file describes.

    Where another program replaces the GraphML and its payloads meanwhile, the new pair is read from its start.

    Args:
        graphml: the GraphML file.
        output: the ONNX file; by default the GraphML's name with the suffix ``.onnx``.
        metadata_output: where to write the HTP metadata file; by default it is not written.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.
        require_exact: raise, and write nothing, unless the result is the file that was encoded.
        trust: which side to believe where edges and the operators' inputs disagree: ``nodes``, or ``edges``, which
            rebuilds the inputs. Without it, a graph in which they disagree is refused.
        parameter_folder: where the payloads lie (the sidecar, or the original model); by default beside the GraphML.
        infer_shapes: whether the model of an edited graph, which ``onnx.checker`` checks in any case, goes through
            strict shape inference too; what they find is among the findings.

    Raises:
        GraphMLError: the GraphML is damaged, incomplete, or not of this format.
        PayloadError: the payloads are missing, or not those that were encoded.
        NotExactError: the graph was edited, and ``require_exact`` is set.
        InputError: a file is missing or may not be read.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path = Path(graphml)
    target = with_suffix(path, ".onnx") if output is None else Path(output)
    read = partial(
        _decode,
        path,
        target,
        None if metadata_output is None else Path(metadata_output),
        path.parent if parameter_folder is None else Path(parameter_folder),
        overwrite=overwrite,
        progress=progress,
        require_exact=require_exact,
        trust=trust,
        infer_shapes=infer_shapes,
    )
    for _ in range(_ATTEMPTS):
        watch = Watch()
        try:
            return read(watch)
        except (PayloadError, InputError, StorageError):  # the halves of two pairs look like a damaged one
            if not watch.has_changed():
                raise
    raise changed(path)


def _decode(
    path: Path,
    target: Path,
    metadata_output: Path | None,
    folder: Path,
    watch: Watch,
    *,
    overwrite: bool,
    progress: Progress | None,
    require_exact: bool,
    trust: Trust | None,
    infer_shapes: bool,
) -> DecodeResult:
    with ExitStack() as stack:
        watch.note([path])
        source = stack.enter_context(FileSource.open(path, GraphMLError))
        check_head(source, path)  # a model would be taken for its own output
        folders = stack.enter_context(Folders(target.parent))
        publication = stack.enter_context(Publication(overwrite=overwrite, inputs=[path]))
        # Staged in the order of publication: the model comes last, and refusals come before the work.
        metadata_file = None if metadata_output is None else publication.stage(metadata_output)
        model_file = publication.stage(target)
        with Stage(progress, "read graph", source.size, "bytes") as stage:
            model = load_graphml(
                source,
                path,
                stack,
                stage.advance,
                trust=trust,
                spool_folder=target.parent,
                parameter_folder=folder,
            )
        if metadata_file is not None:
            _write_metadata(model, path, metadata_file)
        try:
            store = open_payloads(model, folder, stack, watch)
        except PayloadError as error:
            raise error.at(file=path) from None
        for output in (target, metadata_output):
            check_not_store(output, store)
        with Stage(progress, "write model", model.size, "bytes") as stage, naming(path, store):
            sha256 = write_pieces(model.pieces(), model.references, store, model_file, stage, model.size)
        exact = sha256 == model.sha256
        findings = list(model.findings)
        if not exact:
            with naming(path, store):
                check_payloads(model.references.values(), store)
            _check_edited(model, path, require_exact=require_exact, found=sha256)
        data_files = DataFiles(model, folder, folders, target)
        with naming(path, store):
            data_files.stage(publication, store, progress)
        publication.publish(last=model_file)
        findings += data_files.findings
        if not exact:
            findings += findings_of_edited(target, source, path, infer_shapes=infer_shapes)
    return DecodeResult(target, sha256, exact, metadata_output, data_files.written, tuple(findings), model.older)


def _check_edited(model: LoadedModel, path: Path, *, require_exact: bool, found: str) -> None:
    if require_exact:
        raise NotExactError(
            f"the model has SHA-256 {found}, but {(model.sha256 or 'no digest')[:64]} was encoded",
            file=path,
            remedy="the graph was edited since; without `require_exact=True` the edited model is written",
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
            "holds no HTP metadata",
            file=path,
            remedy="encode with `metadata=...` to keep the metadata file in the graph",
        )
    try:
        staged.file.write(model.metadata)
    except OSError as error:
        raise writing_failed(error, staged.path) from error
