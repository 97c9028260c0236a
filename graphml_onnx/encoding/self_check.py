"""The self-check: decodes the written files before they are published, and compares every byte with the model."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.errors import GraphmlOnnxError, PayloadError, RoundTripError, StorageError
from graphml_onnx.onnxfile.skeleton import Stored
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.store import Store, check_store
from graphml_onnx.parameters.transfer import first_difference
from graphml_onnx.parameters.weight_files import with_weights
from graphml_onnx.results import Difference
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.encoding.prepare import PreparedModel
    from graphml_onnx.files import StagedFile
    from graphml_onnx.results import Progress


def check_written(
    prepared: PreparedModel,
    graph: StagedFile,
    sidecar: StagedFile | None,
    target: Path,
    owner: ExitStack,
    progress: Progress | None,
) -> LoadedModel:
    """Decodes the written files and compares the result with the model.

    Args:
        prepared: the model.
        graph: the written GraphML.
        sidecar: the written sidecar, if there is one.
        target: the final name of the GraphML, for messages; its folder holds temporary files.
        owner: closes what the result needs.
        progress: called during the work.

    Returns:
        The model as it was decoded.

    Raises:
        RoundTripError: something differs, or cannot be read.
        StorageError: no space, or a broken disk.
    """
    with ExitStack() as stack:
        source = stack.enter_context(FileSource.sharing(target, graph.file.fileno()))
        total = source.size + prepared.inputs.source.size
        with Stage(progress, "check", total, "bytes") as stage:
            try:
                model = load_graphml(source, target, owner, stage.advance, trust=None, spool_folder=target.parent)
            except StorageError:
                raise
            except GraphmlOnnxError as error:
                raise _failed(prepared, f"the written files cannot be read: {error}") from error
            store = with_weights(_written_store(prepared, model, sidecar, stack), prepared.weights)
            references = store.located_by_number(model.references)
            original = prepared.inputs.source
            difference = first_difference(model.pieces(), references, store.source, original, stage.advance)
            if difference is not None:
                from graphml_onnx.onnxfile.locate import locate

                path = locate(prepared.inputs.source, difference)
                raise _failed(prepared, f"differs in {path or 'its end'}", Difference(difference, path))
            if model.store.strategy != "reference":  # there, data files stay where they are
                _check_data_files(prepared, model, store, stage)
            expected = None if prepared.inputs.metadata is None else prepared.inputs.metadata.text.encode()
            if model.metadata != expected:
                raise _failed(prepared, "the HTP metadata differ")
            return model


def _check_data_files(prepared: PreparedModel, model: LoadedModel, store: Store, stage: Stage) -> None:
    for external, file in zip(prepared.externals, model.externals, strict=True):
        pieces = [Stored(0)] if file.content.length else []
        references = {0: store.located(file.content)}
        with external.open() as original:
            difference = first_difference(pieces, references, store.source, original, stage.advance)
            if difference is not None:  # within the context, which reports a file that changed meanwhile
                reason = f"the data file {external.location} differs"
                raise _failed(prepared, reason, Difference(difference, ""))


def _written_store(prepared: PreparedModel, model: LoadedModel, sidecar: StagedFile | None, stack: ExitStack) -> Store:
    if model.embedded is not None:
        return Store(model.embedded)
    if sidecar is not None:
        source = stack.enter_context(FileSource.sharing(sidecar.path, sidecar.file.fileno()))
        try:
            return check_store(source, model.store, model.stored)
        except PayloadError as error:
            raise _failed(prepared, f"the written files cannot be read: {error}") from error
    return Store(prepared.inputs.source)


def _failed(prepared: PreparedModel, reason: str, difference: Difference | None = None) -> RoundTripError:
    error = RoundTripError(
        f"the self-check failed, and nothing was published: {reason}",
        file=prepared.inputs.path,
        place=None if difference is None else f"byte {difference.offset}",
        remedy="please report this, with the model if you can",
    )
    error.difference = difference
    return error
