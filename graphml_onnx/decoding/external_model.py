"""Makes tensors of a decoded model refer to the sidecar and weight files, instead of holding a copy.

Source: onnx.proto, ``TensorProto.external_data``; docs/format.md, section "Sidecar".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import onnx

from graphml_onnx.codec.payloads import marked_fields
from graphml_onnx.errors import UsageError
from graphml_onnx.onnxfile.external import external_entry, tensors_of
from graphml_onnx.onnxfile.schema import parse_model, serialise
from graphml_onnx.onnxfile.source import source_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from google.protobuf.message import Message

    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.onnxfile.source import FileSource
    from graphml_onnx.parameters.store import PayloadReference, Store

# Packed, they are the bytes of raw_data, which is what a data file holds.
_AS_RAW = {"raw_data": None, "float_data": onnx.TensorProto.FLOAT, "double_data": onnx.TensorProto.DOUBLE}
_COPIED = ("sparse_", "training_info")  # runtimes read no external data there


class Targets:
    """The files that a model in some folder can refer to: its sidecar, and weight files.

    Args:
        store: the payloads of the model.
        folder: where the model goes.

    Raises:
        UsageError: there is no such file.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        if not store.tensors and not store.weights:
            raise UsageError("only a model with a sidecar can refer to it", remedy="leave out `external=True`")
        self._store, self._folder = store, folder.resolve()
        self._locations: dict[Path, str] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the model refers to, in order of first use."""
        return tuple(self._locations)

    def find(self, offset: int) -> tuple[str, int]:
        """The location of the file that has an offset of the store, and the offset in that file.

        Raises:
            UsageError: the file is not below the folder.
        """
        source, start = source_at(self._store.source, offset)
        path = cast("FileSource", source).path  # tensors with names are in a file
        if path not in self._locations:
            try:
                self._locations[path] = path.resolve().relative_to(self._folder).as_posix()
            except ValueError:
                raise UsageError(
                    "the weights have to lie in the folder of the model, or below it",
                    file=path,
                    remedy=f"write the model to {os.fspath(path.parent)}, or move the graph and its weights",
                ) from None
        return self._locations[path], start


def refer(
    model: LoadedModel,
    references: Mapping[int, PayloadReference],
    files: Mapping[str, PayloadReference],
    targets: Targets,
) -> bytes:
    """Makes the tensors of a model refer to its sidecar and weight files.

    Args:
        model: the model.
        references: its payloads, with offsets.
        files: its data files, with offsets in the sidecar, by location.
        targets: the sidecar and weight files.

    Returns:
        The skeleton of the model; payloads that it cannot refer to are left in it.

    Raises:
        UsageError: a file that it must refer to is not below its folder.
    """
    message = parse_model(model.skeleton)
    for tensor, path in tensors_of(cast("Message", message)):
        if any(part in path for part in _COPIED):
            continue
        place = _place(tensor, path, model.nonce, references, files)
        if place is not None:
            offset, length = place
            location, start = targets.find(offset)
            _set(tensor, location, start, length)
    return serialise(cast("Message", message))


def _place(
    tensor: onnx.TensorProto,
    path: str,
    nonce: bytes,
    references: Mapping[int, PayloadReference],
    files: Mapping[str, PayloadReference],
) -> tuple[int, int] | None:
    """Offset and length of a tensor in the store; None if it stays as it is."""
    entry = external_entry(tensor, path)
    if entry is not None:
        file = files.get(entry.location)
        if file is None:
            return None
        return file.offset + entry.offset, file.length - entry.offset if entry.length is None else entry.length
    found = list(marked_fields(tensor, nonce))
    if len(found) != 1 or len([field for field, _ in tensor.ListFields() if field.name.endswith("_data")]) != 1:
        return None  # no payload, or more content than one
    field, number = found[0]
    if field not in _AS_RAW or _AS_RAW[field] not in (None, tensor.data_type):
        return None
    reference = references[number]
    return None if reference.name is None else (reference.offset, reference.length)


def _set(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    for field in (*_AS_RAW, "external_data"):
        cast("Message", tensor).ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = cast("str", key.encode()), cast("str", value.encode())
