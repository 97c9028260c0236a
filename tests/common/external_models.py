"""Models with external data, with a tensor wherever ONNX lets one stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def external(name: str, location: str, count: int = 10, **numbers: int | str) -> TensorProto:
    """A float tensor of ``count`` elements in a data file; ``numbers`` are its offset and length, as they are given."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    for key, value in numbers.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_with(*initializers: TensorProto) -> onnx.ModelProto:
    return _model(_graph(initializers))


def _graph(initializers: Sequence[TensorProto] = (), *nodes: onnx.NodeProto) -> onnx.GraphProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return helper.make_graph(
        [*nodes, helper.make_node("Identity", ["x"], ["y"])], "g", [value], [result], initializer=initializers
    )


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _sparse(tensor: TensorProto, field: str) -> onnx.SparseTensorProto:
    sparse = onnx.SparseTensorProto(dims=[100])
    getattr(sparse, field).CopyFrom(tensor)
    return sparse


def _in_sparse_values(tensor: TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.graph.sparse_initializer.append(_sparse(tensor, "values"))
    return model


def _in_sparse_indices(tensor: TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.graph.sparse_initializer.append(_sparse(tensor, "indices"))
    return model


def _constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def _in_attribute(tensor: TensorProto) -> onnx.ModelProto:
    return _model(_graph([], _constant(tensor)))


def _in_list_attribute(tensor: TensorProto) -> onnx.ModelProto:
    return _model(_graph([], helper.make_node("Custom", [], ["c"], domain="test", values=[tensor])))


def _in_sparse_attribute(tensor: TensorProto) -> onnx.ModelProto:
    return _model(_graph([], helper.make_node("Constant", [], ["c"], sparse_value=_sparse(tensor, "values"))))


def _in_subgraph(tensor: TensorProto) -> onnx.ModelProto:
    branch, other = _graph([tensor]), _graph()
    return _model(_graph([], helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=other)))


def _in_function(tensor: TensorProto) -> onnx.ModelProto:
    model = model_with()
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("test", "F", [], ["c"], [_constant(tensor)], opsets))
    return model


def _in_function_default(tensor: TensorProto) -> onnx.ModelProto:
    model = _in_function(helper.make_tensor("small", TensorProto.FLOAT, [1], [1.0]))
    model.functions[0].attribute_proto.append(helper.make_attribute("value", tensor))
    return model


def _in_training_info(tensor: TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.training_info.add().initialization.CopyFrom(_graph([tensor]))
    return model


def _in_training_algorithm(tensor: TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.training_info.add().algorithm.CopyFrom(_graph([], _constant(tensor)))
    return model


PLACES: dict[str, tuple[Callable[[TensorProto], onnx.ModelProto], str]] = {
    "initializer": (model_with, "graph.initializer[0]"),
    "sparse values": (_in_sparse_values, "graph.sparse_initializer[0].values"),
    "sparse indices": (_in_sparse_indices, "graph.sparse_initializer[0].indices"),
    "attribute": (_in_attribute, "graph.node[0].attribute[0].t"),
    "list attribute": (_in_list_attribute, "graph.node[0].attribute[0].tensors[0]"),
    "sparse attribute": (_in_sparse_attribute, "graph.node[0].attribute[0].sparse_tensor.values"),
    "subgraph": (_in_subgraph, "graph.node[0].attribute[1].g.initializer[0]"),
    "function": (_in_function, "functions[0].node[0].attribute[0].t"),
    "function default": (_in_function_default, "functions[0].attribute_proto[0].t"),
    "training_info": (_in_training_info, "training_info[0].initialization.initializer[0]"),
    "training algorithm": (_in_training_algorithm, "training_info[0].algorithm.node[0].attribute[0].t"),
}
"""Makes a model around a tensor, and says where the tensor then stands."""


def save(folder: Path, model: onnx.ModelProto, files: Mapping[str, bytes] | None = None) -> Path:
    """Writes ``model.onnx`` and its data files; returns the model's path."""
    for location, content in (files or {}).items():
        path = folder / location
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path
