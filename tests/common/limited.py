"""Reads and writes in small pieces, so that small models reach every boundary."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx

from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

_FEW = 1 << 12  # bytes at a time, below which inputs are made smaller
_SHORT = 1 << 10


@contextmanager
def limited(chunk: int, *, threads: bool = True) -> Iterator[None]:
    """Within the context, chunks and windows have this many bytes, and every file has threads.

    Args:
        chunk: bytes; of one byte each, no file has threads.
        threads: without them, no file has.
    """
    before = limits.LIMITS
    limits.LIMITS = limits.Limits(chunk, chunk, 0 if threads and chunk > 1 else 1 << 62)
    try:
        yield
    finally:
        limits.LIMITS = before


def scaled(count: int) -> int:
    """A count of bytes or items; a hundredth of it with ``--chunk 7``: each chunk costs as much as a megabyte does.

    What takes a second in chunks of a megabyte takes an hour in chunks of a byte, and a shorter input reaches the same
    boundaries.
    """
    return count if limits.LIMITS.chunk >= _FEW else count // 100


def shortened(data: bytes) -> bytes:
    """A model; with ``--chunk 7`` its tensors are cut to a kilobyte, for the same reason as in `scaled`."""
    if limits.LIMITS.chunk >= _FEW:
        return data
    model = onnx.ModelProto.FromString(data)
    is_cut = False
    for tensor in _tensors(model):
        elements, size = math.prod(tensor.dims), len(tensor.raw_data)
        if size > 2 * _SHORT and elements and size % elements == 0:
            width = size // elements
            count = _SHORT // width + 1  # more than what stays in the graph
            tensor.raw_data = tensor.raw_data[: count * width]
        elif elements > _SHORT and elements == len(tensor.float_data):
            count = _SHORT // 4 + 1
            del tensor.float_data[count:]
        else:
            continue
        tensor.dims[:] = [count]
        is_cut = True
    return model.SerializeToString() if is_cut else data


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _tensors(inner)
