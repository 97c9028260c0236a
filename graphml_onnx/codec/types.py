"""Types and shapes of tensors as people read them: ``FLOAT`` and ``[2, "batch", null]``."""

from __future__ import annotations

from typing import cast

import onnx

from graphml_onnx.support.text import json_string

_NAMES = {number: name for name, number in onnx.TensorProto.DataType.items()}


def _element(number: int) -> str:
    return _NAMES.get(number, str(number))


def _shape(shape: onnx.TensorShapeProto) -> str:
    dims = []
    for dim in shape.dim:
        if dim.HasField("dim_value"):
            dims.append(str(dim.dim_value))
        elif dim.HasField("dim_param"):
            # The exact classes hold strings as bytes.
            dims.append(json_string(cast("bytes", dim.dim_param).decode("utf-8", "surrogateescape")))
        else:
            dims.append("null")
    return f"[{','.join(dims)}]"


def type_and_shape(value: onnx.TypeProto) -> tuple[str, str]:
    """Type and shape of a value, as texts; the shape is ``null`` if it is unknown.

    Args:
        value: the exact message.
    """
    wrappers: list[str] = []
    while True:
        if value.HasField("tensor_type"):
            tensor = value.tensor_type
            shape = _shape(tensor.shape) if tensor.HasField("shape") else "null"
            return _wrapped(_element(tensor.elem_type), wrappers), shape
        if value.HasField("sparse_tensor_type"):
            sparse = value.sparse_tensor_type
            shape = _shape(sparse.shape) if sparse.HasField("shape") else "null"
            return _wrapped(f"sparse({_element(sparse.elem_type)})", wrappers), shape
        if value.HasField("sequence_type"):
            wrappers.append("sequence")
            value = value.sequence_type.elem_type
        elif value.HasField("optional_type"):
            wrappers.append("optional")
            value = value.optional_type.elem_type
        elif value.HasField("map_type"):
            wrappers.append(f"map({_element(value.map_type.key_type)})")
            value = value.map_type.value_type
        else:
            return _wrapped("opaque" if value.HasField("opaque_type") else "unknown", wrappers), "null"


def _wrapped(element: str, wrappers: list[str]) -> str:
    for wrapper in reversed(wrappers):
        element = f"{wrapper}({element})"
    return element
