"""Types and shapes that a model does not say, by ONNX's shape inference, without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx

from graphml_onnx.codec.encoder import graphs_of
from graphml_onnx.onnxfile import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from graphml_onnx.graph.weights import Storage

_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def add_inferred_types(model: onnx.ModelProto, storage: Storage) -> tuple[str, ...]:
    """Adds to ``value_info`` what shape inference finds; what the model says itself stays.

    Args:
        model: an exact message with markers in place of payloads.
        storage: knows the markers.

    Returns:
        What a reader should know, one line each.
    """
    copy = type(cast("Message", model))()
    copy.CopyFrom(cast("Message", model))
    for tensor in _tensors(copy):
        _empty_payload(tensor, storage)
    try:
        inferred = onnx.shape_inference.infer_shapes(copy.SerializeToString(), data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError) as error:
        return (f"shapes could not be inferred: {' '.join(str(error).split())}",)
    exact = schema.parse_model(inferred.SerializeToString())
    _add(model.graph, exact.graph)
    return ()


def _empty_payload(tensor: onnx.TensorProto, storage: Storage) -> None:
    """Says of a tensor without its elements that they lie elsewhere: inference then goes by type and dims."""
    raw = tensor.raw_data
    if (raw and storage.reference(raw) is not None) or (
        not raw and any(len(getattr(tensor, name)) for name in _DATA_FIELDS[1:]) and _is_short(tensor)
    ):
        for name in _DATA_FIELDS:
            cast("Message", tensor).ClearField(name)
        tensor.data_location = onnx.TensorProto.EXTERNAL


def _is_short(tensor: onnx.TensorProto) -> bool:
    """Whether a typed field has fewer elements than the dims say, as a marker has."""
    count = max(len(getattr(tensor, name)) for name in _DATA_FIELDS[1:])
    size = 1
    for dim in tensor.dims:
        size *= dim
    return count < size


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """All tensors of graphs, operators and functions."""
    todo: list[Message] = [message]
    while todo:
        current = todo.pop()
        name = schema.message_name(schema.descriptor_of(current))
        if name == "TensorProto":
            yield cast("onnx.TensorProto", current)
            continue
        for field, value in current.ListFields():
            if field.message_type is None or field.name not in _HOLDERS:
                continue
            todo.extend(value if field.is_repeated else [value])


_HOLDERS = frozenset(
    {"graph", "node", "initializer", "sparse_initializer", "attribute", "t", "g", "tensors", "graphs", "functions"}
    | {"sparse_tensor", "sparse_tensors", "values", "indices"}
)


def _add(graph: onnx.GraphProto, inferred: onnx.GraphProto) -> None:
    said = {
        cast("bytes", value.name)
        for values in (graph.value_info, graph.input, graph.output)
        for value in values
        if value.HasField("type")
    }
    graph.value_info.extend(
        value for value in inferred.value_info if value.HasField("type") and cast("bytes", value.name) not in said
    )
    known = {cast("bytes", value.name): value for value in inferred.output}
    for output in graph.output:
        if not output.HasField("type") and (found := known.get(cast("bytes", output.name))) is not None:
            output.type.CopyFrom(found.type)
    for ours, theirs in zip(graph.node, inferred.node, strict=True):
        for body, with_types in zip(graphs_of(ours), graphs_of(theirs), strict=True):
            _add(body, with_types)
