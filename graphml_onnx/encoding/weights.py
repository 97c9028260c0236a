"""Finds the weights of a model in weight files, byte for byte, so that they are not stored twice.

Source: docs/format.md, section "Weight files".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.payload_names import find_payloads
from graphml_onnx.encoding.placement import TensorPlace, place
from graphml_onnx.errors import ModelError, PayloadError, UsageError
from graphml_onnx.onnxfile.external import LocationError, check_location
from graphml_onnx.parameters.store import sha256_of
from graphml_onnx.parameters.weight_files import WeightFile, open_weight_file, shards_of
from graphml_onnx.results import WeightsFound
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import ExitStack

    from graphml_onnx.encoding.prepare import PreparedModel
    from graphml_onnx.onnxfile.skeleton import Payload
    from graphml_onnx.results import Progress


def refer_to_weights(
    prepared: PreparedModel,
    weights: Sequence[str | os.PathLike[str]],
    folder: Path,
    stack: ExitStack,
    progress: Progress | None,
) -> PreparedModel:
    """Places the payloads of a model in weight files that have them.

    Args:
        prepared: the model.
        weights: safetensors files, and index files that name their shards.
        folder: where the GraphML goes.
        stack: closes the files.
        progress: called as the work goes on.

    Raises:
        PayloadError: a file is a link, or not safetensors; an index is not one.
        UsageError: a file is not below the folder.
        ModelError: the names of the other tensors do not fit into the header of a sidecar.
        InputError: a file is missing, or may not be read.
    """
    paths = [Path(path) for path in weights]
    shards = [shard for path in paths for shard in shards_of(path)]
    locations = dict.fromkeys(_location(shard, folder) for shard in shards)
    files = tuple(open_weight_file(folder, location, stack) for location in locations)
    found = _find(prepared, files, progress)
    data_files = {file.location: file.size for file in prepared.externals}
    try:
        placement = place(prepared.options.parameters, prepared.model, prepared.skeleton, data_files, found)
    except ModelError as error:
        raise error.at(file=prepared.inputs.path) from None
    read = (*prepared.inputs.files, *paths, *(file.source.path for file in files))
    return prepared._replace(placement=placement, weights=files, inputs=prepared.inputs._replace(files=read))


def _location(path: Path, folder: Path) -> str:
    """The name of a file, relative to the folder of a GraphML."""
    try:
        location = (path.parent.resolve() / path.name).relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            "the weights have to lie in the folder of the GraphML, or below it",
            file=path,
            remedy="move them there, or write the GraphML to their folder with `output=...`",
        ) from None
    except OSError as error:  # links in a circle
        raise PayloadError(f"cannot be found: {error.strerror}", file=path) from None
    try:
        return check_location(location)
    except LocationError as error:
        raise UsageError(str(error), file=path, remedy="rename the file") from None


def _find(prepared: PreparedModel, files: Sequence[WeightFile], progress: Progress | None) -> dict[int, TensorPlace]:
    """The payloads that weight files have, by offset."""
    model, payloads = prepared.inputs.source, prepared.skeleton.payloads
    tensors = _Tensors(files)
    wanted = [payload for payload in payloads if tensors.of_length(payload.length)]
    named = find_payloads(prepared.model, prepared.skeleton.nonce, payloads)
    found = {}
    with Stage(progress, "find weights", sum(payload.length for payload in wanted), "bytes") as stage:
        for payload in wanted:
            digest = sha256_of(model, payload.offset, payload.offset + payload.length)
            tensor = tensors.find(payload, named[payload.offset].name, digest)
            if tensor is not None:
                found[payload.offset] = tensor
            stage.advance(payload.length)
    return found


class _Tensors:
    """The tensors of weight files, by length; digests are computed on demand."""

    def __init__(self, files: Sequence[WeightFile]) -> None:
        self._files = {file.location: file for file in files}
        self._digests: dict[TensorPlace, str] = {}
        self._by_digest: dict[int, dict[str, TensorPlace]] = {}
        self._by_length: dict[int, list[TensorPlace]] = {}
        for file in files:
            for name, tensor in file.tensors.items():
                self._by_length.setdefault(tensor.spec.length, []).append(TensorPlace(file.location, name))

    def of_length(self, length: int) -> Sequence[TensorPlace]:
        """All that have this length in bytes."""
        return self._by_length.get(length, ())

    def find(self, payload: Payload, name: str, sha256: str) -> TensorPlace | None:
        """The tensor with the content of a payload: the one with its name if there is one, else the first."""
        for file in self._files.values():
            tensor = file.tensors.get(name)
            if tensor is not None and tensor.spec.length == payload.length:
                place = TensorPlace(file.location, name)
                if self._digest(place) == sha256:
                    return place
        if payload.length not in self._by_digest:
            candidates = reversed(self.of_length(payload.length))  # of equal ones the first stays
            self._by_digest[payload.length] = {self._digest(place): place for place in candidates}
        return self._by_digest[payload.length].get(sha256)

    def _digest(self, place: TensorPlace) -> str:
        if place not in self._digests:
            file = self._files[place.file]
            tensor = file.tensors[place.name]
            self._digests[place] = sha256_of(file.source, tensor.offset, tensor.end)
        return self._digests[place]


def weights_found(prepared: PreparedModel) -> tuple[WeightsFound, ...]:
    """How much of a model was found in each weight file."""
    return tuple(_found_in(file, prepared) for file in prepared.weights)


def _found_in(file: WeightFile, prepared: PreparedModel) -> WeightsFound:
    lengths = [place.length for place in prepared.placement.payloads if place.file == file.location]
    return WeightsFound(file.source.path, len(lengths), sum(lengths))
