"""Writes a model that was made from another one: payloads byte for byte, external data copied or referred to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.decoding.output import check_not_store, write_pieces
from graphml_onnx.graph.building import bodies_of
from graphml_onnx.graph.weights import TensorData
from graphml_onnx.onnxfile.schema import serialise
from graphml_onnx.onnxfile.skeleton import join
from graphml_onnx.parameters.chunks import write_all
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.files import Publication, StagedFile
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.results import Progress

_PAGE = 4096


def stage_model(
    graph: ModelGraph,
    message: onnx.ModelProto,
    path: Path,
    target: Path,
    publication: Publication,
    progress: Progress | None,
) -> tuple[StagedFile, Path | None]:
    """Writes a model to a staged file.

    Args:
        graph: the model that its weights come from.
        message: the exact message, with the markers of that model; references to copied external data change in it.
        path: the file of that model.
        target: the ONNX file to write.
        publication: publishes it later.
        progress: called as the work goes on.

    Returns:
        The staged file, and its data file, or None if it has none of its own.

    Raises:
        PayloadError, ExternalDataError, InputError: what is read is damaged or missing.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    storage = graph._storage
    check_not_store(target, storage.store)
    staged = publication.stage(target)
    data = _carry_external(graph, message, path, target, publication)
    skeleton = serialise(cast("Message", message))
    references = storage.located
    lengths = {number: reference.length for number, reference in references.items()}
    with Stage(progress, "write model", len(skeleton), "bytes") as stage:
        pieces = join(skeleton, storage.nonce, lengths)
        size = sum(TensorData(tensor, storage).nbytes for tensor in message.graph.initializer)
        write_pieces(pieces, references, storage.store, staged, stage, size)
    return staged, data


def _external(message: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The tensors of operators and initializers with external data."""
    none = message.graph.__class__()
    todo = [(message.graph.initializer, message.graph.sparse_initializer, message.graph.node)]
    todo += [(none.initializer, none.sparse_initializer, function.node) for function in message.functions]
    while todo:
        tensors, sparse, nodes = todo.pop()
        found = [*tensors, *(part for item in sparse for part in (item.values, item.indices))]
        for node in nodes:
            for attribute in node.attribute:
                found += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
                for item in (*attribute.sparse_tensors, attribute.sparse_tensor):
                    found += [item.values, item.indices]
            todo += [(g.initializer, g.sparse_initializer, g.node) for _, g in bodies_of(node)]
        yield from (tensor for tensor in found if tensor.data_location == 1 and len(tensor.external_data))


def _carry_external(
    graph: ModelGraph, message: onnx.ModelProto, path: Path, target: Path, publication: Publication
) -> Path | None:
    """Copies the external data of a part to its own data file, unless they can stay in their place."""
    tensors = list(_external(message))
    if not tensors:
        return None
    locations = {TensorData(tensor, graph._storage).location.file for tensor in tensors}
    in_store = any(graph._storage.in_store(file.relative_to(path.parent).as_posix()) for file in locations if file)
    if path.parent.resolve() == target.parent.resolve() and not in_store:
        return None
    data = target.with_name(f"{target.name}.data")
    staged = publication.stage(data)
    position = 0
    for tensor in tensors:
        position = -(-position // _PAGE) * _PAGE
        position += _copy(TensorData(tensor, graph._storage), tensor, staged, position, data.name)
    return data


def _copy(data: TensorData, tensor: onnx.TensorProto, staged: StagedFile, position: int, location: str) -> int:
    staged.file.seek(position)
    length = 0
    for chunk in data.chunks():
        write_all(staged.file, chunk)
        length += len(chunk)
    cast("Message", tensor).ClearField("external_data")
    for key, value in (("location", location), ("offset", str(position)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key = cast("str", key.encode())
        entry.value = cast("str", value.encode())
    return length
