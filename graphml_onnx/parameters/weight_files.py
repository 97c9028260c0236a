"""Weight files: the user's own safetensors files. A GraphML refers to their tensors instead of storing them again.

Source: docs/format.md, section "Weight files".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.errors import ExternalDataError, PayloadError
from graphml_onnx.onnxfile.external import LocationError, check_location, open_external
from graphml_onnx.onnxfile.source import FileSource, JoinedSource
from graphml_onnx.parameters.safetensors import MAX_HEADER, read_header
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.files import Watch
    from graphml_onnx.parameters.safetensors import StoredTensor
    from graphml_onnx.parameters.store import PayloadReference, Store

_WAY_OUT = (
    "put the file itself there; or, of the Hugging Face hub's cache, have the GraphML in the folder of the repository, "
    "which has the links and the files: models--NAME"
)

_INDEX = ".json"


class WeightFile(NamedTuple):
    """A weight file that is open.

    Attributes:
        location: its path relative to the folder of the GraphML, with ``/`` between folders.
        source: its bytes.
        tensors: its tensors, by name.
    """

    location: str
    source: FileSource
    tensors: Mapping[str, StoredTensor]


def open_weight_file(folder: Path, location: str, stack: ExitStack) -> WeightFile:
    """Opens a weight file below a folder; no link may lead out of it. ``stack`` closes the file.

    Raises:
        PayloadError: a link leads out of the folder; it is not a regular file, or not safetensors.
        InputError: it is missing, or may not be read.
    """
    path = folder / location
    try:
        source = stack.enter_context(open_external(folder, location))
    except ExternalDataError as error:
        raise PayloadError(error.message, file=path, remedy=_WAY_OUT) from None
    try:
        return WeightFile(location, source, read_header(source).tensors)
    except PayloadError as error:
        raise error.at(file=path) from None


def open_weights(
    folder: Path, references: Iterable[PayloadReference], stack: ExitStack, watch: Watch | None = None
) -> list[WeightFile]:
    """Opens the weight files that a GraphML refers to, and checks that they have its tensors.

    Args:
        folder: where the GraphML is.
        references: all of its payloads.
        stack: closes the files.
        watch: records the files before they are opened.

    Raises:
        PayloadError: as `open_weight_file`; or a file or tensor is missing, or a tensor has another length.
        InputError: a file may not be read.
    """
    wanted: dict[str, list[PayloadReference]] = {}
    for reference in references:
        if reference.file is not None:
            wanted.setdefault(reference.file, []).append(reference)
    files = []
    for location, parts in wanted.items():
        if watch is not None:
            watch.note([folder / location])
        if not os.path.lexists(folder / location):
            remedy = "put it there, or name the folder that it is in: `parameter_folder=...`"
            raise PayloadError("has weights of the model, and is missing", file=folder / location, remedy=remedy)
        file = open_weight_file(folder, location, stack)
        problem = next(_problems(file, parts), None)
        if problem is not None:
            raise changed_weights(problem).at(file=file.source.path)
        files.append(file)
    return files


def _problems(file: WeightFile, references: Iterable[PayloadReference]) -> Iterator[str]:
    for reference in references:
        tensor = file.tensors.get(reference.name or "")
        if tensor is None:
            yield f"lacks {reference.label}"
        elif tensor.spec.length != reference.length:
            yield f"{reference.label} has {tensor.spec.length:,} bytes, but the GraphML says {reference.length:,}"


def changed_weights(problem: str) -> PayloadError:
    """The error for a weight file that was changed."""
    return PayloadError(
        problem, remedy="the weights were saved again since the model was encoded: get the former file back"
    )


def with_weights(store: Store, files: Iterable[WeightFile]) -> Store:
    """A store that also has the tensors of weight files."""
    source = JoinedSource()
    source.add(store.source)
    places: dict[tuple[str, str], int] = {}
    for file in files:
        start = source.add(file.source)
        places |= {(file.location, name): start + tensor.offset for name, tensor in file.tensors.items()}
    return store._replace(source=source, weights=places) if places else store


def shards_of(index: Path) -> list[Path]:
    """The files that an index file names, in its order; for a safetensors file, the file itself.

    Raises:
        PayloadError: the index is not one.
        InputError: it is missing, or may not be read.
    """
    if index.suffix != _INDEX:
        return [index]
    with FileSource.open(index, PayloadError) as source:
        if source.size > MAX_HEADER:
            raise _no_index(index, f"has {source.size:,} bytes, more than the limit of {MAX_HEADER:,}")
        content = source.read(0, source.size)
    try:
        value = parse(content.decode())
    except (UnicodeDecodeError, JsonError) as error:
        raise _no_index(index, f"is not JSON: {error}") from None
    names = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(names, dict):
        raise _no_index(index, "has no weight_map, which names a file for each tensor")
    shards = []
    for name in dict.fromkeys(name if isinstance(name, str) else "" for name in names.values()):
        try:
            shards.append(index.parent / check_location(name))
        except LocationError as error:
            raise _no_index(index, f"weight_map: {error}") from None
    return shards


def _no_index(index: Path, problem: str) -> PayloadError:
    return PayloadError(problem, file=index, remedy="name the safetensors files themselves")
