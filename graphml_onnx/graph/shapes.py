"""Types and shapes that a model does not say, by ONNX's shape inference, without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx

from graphml_onnx.codec.encoder import graphs_of
from graphml_onnx.onnxfile import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

    from graphml_onnx.graph.weights import Storage

_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def add_inferred_types(model: onnx.ModelProto, storage: Storage, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Adds to ``value_info`` what shape inference finds; what the model says itself stays.

    Args:
        model: an exact message with markers in place of payloads.
        storage: knows the markers.
        sizes: sizes of dynamic dimensions by their names, which replace them throughout.

    Returns:
        What a reader should know, one line each.
    """
    _set_sizes(model, sizes)
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


def _set_sizes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Gives dynamic dimensions of the main graph their sizes; what depends on them is inferred anew."""
    if not sizes:
        return
    names = {name.encode(): size for name, size in sizes.items()}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            size = names.get(cast("bytes", dim.dim_param))
            if size is not None:
                dim.dim_value = size
    for values in (model.graph.value_info, model.graph.output):
        for value in values:  # a name that the exporter made for an expression of the others
            if any(dim.dim_param for dim in value.type.tensor_type.shape.dim):
                value.ClearField("type")


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
    found = {
        cast("bytes", value.name): value.type
        for values in (inferred.value_info, inferred.output)
        for value in values
        if value.HasField("type")
    }
    said = {cast("bytes", value.name) for value in graph.input}
    for values in (graph.value_info, graph.output):
        for value in values:
            name = cast("bytes", value.name)
            said.add(name)
            if name in found and _lacks_shape(value.type):
                value.type.CopyFrom(found[name])
    graph.value_info.extend(value for value in inferred.value_info if cast("bytes", value.name) not in said)
    for ours, theirs in zip(graph.node, inferred.node, strict=True):
        for body, with_types in zip(graphs_of(ours), graphs_of(theirs), strict=True):
            _add(body, with_types)


def _lacks_shape(value: onnx.TypeProto) -> bool:
    kind = value.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not value.tensor_type.HasField("shape"))
