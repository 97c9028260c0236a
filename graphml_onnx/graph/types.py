"""Types of tensors and other values as Python has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphml_onnx.codec.types import type_and_shape

if TYPE_CHECKING:
    import onnx

Dimension: TypeAlias = "int | str | None"
"""A number, the name of a dynamic dimension, or None for an unknown one."""


class TensorType(NamedTuple):
    """Type and shape of a value.

    Attributes:
        dtype: element type: ``FLOAT``, ``INT64``; for values that are not tensors ``sequence(FLOAT)``, ``optional(…)``.
        shape: the dimensions; None if even their number is unknown.
    """

    dtype: str
    shape: tuple[Dimension, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype
        return f"{self.dtype}[{', '.join('?' if dim is None else str(dim) for dim in self.shape)}]"

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape if every dimension is a number; else None."""
        if self.shape is None:
            return None
        sizes = tuple(
            dim for dim in self.shape if isinstance(dim, int) and dim >= 0
        )  # some exporters write -1 for a dynamic dimension
        return sizes if len(sizes) == len(self.shape) else None


def lacks_shape(value: onnx.TypeProto | None) -> bool:
    """Whether an exact message says no type, or of a tensor not its shape."""
    if value is None:
        return True
    kind = value.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not value.tensor_type.HasField("shape"))


class TypeReader:
    """Reads types; most tensors of a model share a few, which are read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, TensorType] = {}

    def read(self, value: onnx.TypeProto) -> TensorType:
        """The type in an exact message."""
        content = value.SerializeToString()
        if content not in self._known:
            dtype, shape = type_and_shape(value)
            dims = json.loads(shape)
            self._known[content] = TensorType(dtype, None if dims is None else tuple(dims))
        return self._known[content]
