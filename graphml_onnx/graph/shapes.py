"""Infers missing types and shapes with ONNX's shape inference, without reading weights."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, cast

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx.codec.calls import problem_of_calls
from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.graph.types import lacks_shape
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

    from graphml_onnx.graph.elements import Body
    from graphml_onnx.graph.weights import Storage

_FAILURES = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError)
_MADE_UP_START = b"unk__"
_MADE_UP = re.compile(_MADE_UP_START + rb"\d+")
"""Names that inference gives to dimensions that it does not know."""
_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def inferred_model(model: onnx.ModelProto, storage: Storage) -> tuple[onnx.ModelProto | None, tuple[Notice, ...]]:
    """The model with what shape inference finds in ``value_info``, without its weights.

    Args:
        model: an exact message with markers in place of payloads.
        storage: knows the markers.

    Returns:
        The model, or None if inference fails; and findings, one line each.
    """
    if (problem := problem_of_calls(model)) is not None:
        return None, (_not_inferred(problem),)
    copy = cast("onnx.ModelProto", schema.message_class("ModelProto")())
    cast("Message", copy).CopyFrom(cast("Message", model))
    _empty_payloads(copy, storage)
    given = copy.SerializeToString()
    try:
        inferred = onnx.shape_inference.infer_shapes(given, data_prop=True)
    except (*_FAILURES, DecodeError, RuntimeError, ValueError, TypeError) as error:
        return None, (_not_inferred(" ".join(str(error).split())),)
    content = inferred.SerializeToString()
    read = schema.parse_model(content)
    if _MADE_UP_START in content:  # which takes a fraction of the time of looking for names
        made_up = frozenset(_MADE_UP.findall(content)) - frozenset(_MADE_UP.findall(given))
        _forget_names(read.graph, made_up)
    return read, ()


def _forget_names(graph: onnx.GraphProto, names: frozenset[bytes]) -> None:
    """Leaves dimensions unknown that have one of these names, in a graph and the bodies in it."""
    for value in (*graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if cast("bytes", dim.dim_param) in names:
                dim.ClearField("dim_param")
    for node in graph.node:
        for body in graphs_of(node):
            _forget_names(body, names)


def _not_inferred(reason: str) -> Notice:
    return Notice("shapes-not-inferred", f"shapes could not be inferred: {reason}")


def set_sizes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Gives dynamic dimensions of the main graph their sizes by their names; what depends on them is to be inferred."""
    names = {name.encode(): size for name, size in sizes.items()}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            size = names.get(cast("bytes", dim.dim_param))
            if size is not None:
                dim.dim_value = size
    for values in (model.graph.value_info, model.graph.output):
        for value in values:  # a name that the exporter made for an expression of other dimensions
            if any(dim.dim_param for dim in value.type.tensor_type.shape.dim):
                value.ClearField("type")


def _empty_payloads(model: onnx.ModelProto, storage: Storage) -> None:
    """Says of tensors without their elements that they lie elsewhere: inference then goes by type and dims."""
    left = storage.payload_count  # most are initializers, which come first: few operators are searched
    for tensor in _tensors(model) if left else ():
        if storage.payload(tensor) is None:
            continue
        for name in _DATA_FIELDS:
            cast("Message", tensor).ClearField(name)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        left -= 1
        if not left:
            return


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of graphs, operators and functions."""
    todo: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while todo:
        holder = todo.pop()
        if not isinstance(holder, _FUNCTION):
            graph = cast("onnx.GraphProto", holder)
            yield from graph.initializer
            yield from chain.from_iterable((tensor.values, tensor.indices) for tensor in graph.sparse_initializer)
        for node in holder.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                sparse = [*attribute.sparse_tensors, *([attribute.sparse_tensor] * attribute.HasField("sparse_tensor"))]
                yield from chain.from_iterable((tensor.values, tensor.indices) for tensor in sparse)
            todo += graphs_of(node)


_FUNCTION = schema.message_class("FunctionProto")


def add_types(body: Body, inferred: onnx.GraphProto) -> None:
    """Gives the tensors of a body, and of the bodies in it, the types that were inferred; what the model says stays."""
    tensors = body.tensors
    for values in (inferred.value_info, inferred.output):
        for value in values:
            tensor = tensors.get(string_of(value.name))
            if tensor is not None and lacks_shape(tensor._message) and value.HasField("type"):
                tensor._message = value.type
    for operator in body.operators:
        if operator.bodies:
            for inner, graph in zip(operator.bodies, graphs_of(inferred.node[operator.index]), strict=True):
                add_types(inner, graph)
