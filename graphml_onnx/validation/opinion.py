"""What onnx.checker says of a model whose payloads were not read.

The checker compares sizes of tensors, and a marker is shorter than its payload: tensors with payloads are shown to it
as empty, and so are those with external data, which it would look for on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx

from graphml_onnx.model_check import check_model
from graphml_onnx.onnxfile import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from graphml_onnx.model_check import Complaint

_DATA_FIELDS = (
    "raw_data",
    "float_data",
    "int32_data",
    "int64_data",
    "double_data",
    "uint64_data",
    "external_data",
    "data_location",
)


def checker_opinion(skeleton: bytes, nonce: bytes) -> tuple[Complaint, ...]:
    """What onnx.checker has against a model.

    Args:
        skeleton: the model.
        nonce: the first half of the markers in it.

    Raises:
        ValueError: protobuf cannot read the skeleton.
    """
    model = schema.parse_model(skeleton)
    for tensor in _tensors(cast("Message", model)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or nonce in tensor.SerializeToString():
            _empty(tensor)
    shown = onnx.ModelProto()
    shown.MergeFromString(model.SerializeToString())
    return check_model(shown)


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    if schema.message_name(schema.descriptor_of(message)) == "TensorProto":
        yield cast("onnx.TensorProto", message)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _tensors(item)


def _empty(tensor: onnx.TensorProto) -> None:
    for name in _DATA_FIELDS:
        tensor.ClearField(name)
    tensor.ClearField("dims")
    tensor.dims.append(0)
