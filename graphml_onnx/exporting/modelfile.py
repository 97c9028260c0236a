"""The ONNX file that an exporter wrote: read without its weights, changed, and written as the file to publish."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from graphml_onnx.errors import ModelError, writing_failed
from graphml_onnx.exporting.record import TensorRecord
from graphml_onnx.onnxfile.skeleton import MarkerError, Stored, join, split
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.chunks import RawFile, chunks, packed, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import ExitStack
    from pathlib import Path

_INLINE: Final = 1024
"""Bytes; tensors up to this size are parsed with the graph."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file, and its graph in memory; the weights stay in the file.

    Attributes:
        model: the model without its weights; changes of it are what `write` writes.
        source: the file.
        nonce: what marks the places of the weights.
        lengths: length of each weight in bytes, by its offset in the file.
    """

    model: onnx.ModelProto
    source: FileSource
    nonce: bytes
    lengths: dict[int, int]

    @classmethod
    def read(cls, path: Path, stack: ExitStack) -> ModelFile:
        """Opens a file; ``stack`` closes it.

        Raises:
            ModelError: it is no ONNX file.
        """
        source = stack.enter_context(FileSource.open(path))
        try:
            skeleton = split(source, _INLINE, lambda offset, _: offset)
            model = onnx.ModelProto.FromString(skeleton.data)
        except (WireError, DecodeError) as error:
            raise ModelError(f"the exporter wrote no ONNX file: {error}", file=path) from error
        return cls(model, source, skeleton.nonce, {payload.address: payload.length for payload in skeleton.payloads})

    def write(self, file: RawFile, path: Path) -> tuple[int, str]:
        """Writes the changed model.

        Args:
            file: takes it, without a buffer.
            path: its name, for messages.

        Returns:
            Size in bytes and SHA-256 of what was written.

        Raises:
            StorageError: no space, or a broken disk.
            ModelError: the graph is beyond 2 GiB without its weights, or text in it looks like a marker.
        """
        digest = hashlib.sha256()
        size = 0
        try:
            for data in packed(self._parts()):
                digest.update(data)
                size += len(data)
                write_all(file, data)
        except OSError as error:
            raise writing_failed(error, path) from error
        except (MarkerError, WireError, ValueError) as error:
            raise ModelError(f"the graph cannot be written: {error}", file=path) from error
        return size, digest.hexdigest()

    def _parts(self) -> Iterator[bytes | memoryview]:
        for piece in join(self.model.SerializeToString(), self.nonce, self.lengths):
            if isinstance(piece, Stored):
                yield from chunks(self.source, piece.address, piece.address + self.lengths[piece.address])
            else:
                yield piece


def opset_version(model: onnx.ModelProto) -> int:
    """The version of the default domain."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def tensor_records(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorRecord, ...]:
    """Inputs or outputs of a graph, for the record of the export."""
    return tuple(TensorRecord(value.name, _dtype(value), _shape(value)) for value in values)


def _dtype(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    return helper.tensor_dtype_to_np_dtype(kind).name if kind else value.type.WhichOneof("value") or "unknown"


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    )
