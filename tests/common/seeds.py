"""Models from which mutants are made: the fixtures, models of the onnx package, and small ones with rare features."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

FIXTURES = Path(__file__).parents[2] / "fixtures" / "htp"
ONNX_FILES = Path(onnx.__file__).parent


def fixtures() -> dict[str, bytes]:
    """The models that the repository holds, by the name of their folder."""
    return {path.parent.name: path.read_bytes() for path in sorted(FIXTURES.glob("*/model.onnx"))}


def onnx_files() -> dict[str, bytes]:
    """The models in the onnx package, by their path there."""
    return {path.relative_to(ONNX_FILES).as_posix(): path.read_bytes() for path in sorted(ONNX_FILES.rglob("*.onnx"))}


def small_models() -> dict[str, bytes]:
    """Models of a few hundred bytes with typed, sparse, large and string tensors, subgraphs, functions, training."""
    return {
        "typed": _model(_graph("typed", initializer=_typed_tensors())).SerializeToString(),
        "large": _model(_graph("large", initializer=_large_tensors())).SerializeToString(),
        "sparse": _model(_sparse_graph()).SerializeToString(),
        "if": _model(_if_graph(2)).SerializeToString(),
        "function": _function_model().SerializeToString(),
        "training": _training_model().SerializeToString(),
        "types": _model(_typed_values()).SerializeToString(),
    }


def model_of_payloads(size: int) -> bytes:
    """A model with payloads of this many bytes and about it, raw and typed: more than a chunk, or less by a byte."""
    tensors = [
        helper.make_tensor(f"raw{more}", TensorProto.UINT8, [size + more], bytes(size + more), raw=True)
        for more in (-1, 0, 1)
    ]
    tensors.append(helper.make_tensor("floats", TensorProto.FLOAT, [size // 4], [0.25] * (size // 4)))
    return _model(_graph("payloads", initializer=tensors)).SerializeToString()


def variants(count: int) -> list[bytes]:
    """Models that differ in the bytes of a payload, and so in their sidecars."""
    first = small_models()["large"]
    return [first.replace(bytes(range(240)), bytes([number]) * 240) for number in range(count)]


def _model(graph: onnx.GraphProto, **fields: object) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], producer_name="test", **fields)


def _graph(name: str, **fields: object) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], name, [x], [y], **fields)


def _typed_tensors() -> list[onnx.TensorProto]:
    return [
        helper.make_tensor("floats", TensorProto.FLOAT, [3], [0.1, -0.0, float("nan")]),
        helper.make_tensor("doubles", TensorProto.DOUBLE, [2], [0.1, float("inf")]),
        helper.make_tensor("int32", TensorProto.INT32, [2], [-1, 5]),
        helper.make_tensor("int64", TensorProto.INT64, [2], [-(2**63), 5]),
        helper.make_tensor("uint64", TensorProto.UINT64, [1], [2**64 - 1]),
        helper.make_tensor("half", TensorProto.FLOAT16, [1], [0.5]),
        helper.make_tensor("int4", TensorProto.INT4, [3], [1, -2, 3]),
        helper.make_tensor("bools", TensorProto.BOOL, [2], [True, False]),
        helper.make_tensor("strings", TensorProto.STRING, [2], [b"one", b"\xff"]),
        helper.make_tensor("raw", TensorProto.FLOAT, [2], b"\x00\x00\x80\x3f\x01\x00\x80\x7f", raw=True),
    ]


def _large_tensors() -> list[onnx.TensorProto]:
    """Each over the limit up to which tensors stand inline."""
    return [
        helper.make_tensor("raw", TensorProto.FLOAT, [300], bytes(range(240)) * 5, raw=True),
        helper.make_tensor("floats", TensorProto.FLOAT, [300], [0.5] * 300),
        helper.make_tensor("int64", TensorProto.INT64, [1100], list(range(1100))),
        helper.make_tensor("strings", TensorProto.STRING, [1], [b"\xff" * 1100]),
    ]


def _sparse_graph() -> onnx.GraphProto:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("", TensorProto.INT64, [2], [1, 4])
    sparse = helper.make_sparse_tensor(values, indices, [6])
    constant = helper.make_node("Constant", [], ["c"], sparse_value=sparse)
    graph = helper.make_graph([constant], "sparse", [], [helper.make_empty_tensor_value_info("c")])
    graph.sparse_initializer.append(sparse)
    return graph


def _if_graph(depth: int) -> onnx.GraphProto:
    """If within If, with a constant of the outer graph in the innermost branch."""
    if depth == 0:
        add = helper.make_node("Add", ["k", "k"], ["inner"])
        return helper.make_graph([add], "leaf", [], [helper.make_empty_tensor_value_info("inner")])
    branch = _if_graph(depth - 1)
    node = helper.make_node("If", ["c"], ["inner"], then_branch=branch, else_branch=branch, name=f"if{depth}")
    k = helper.make_node("Constant", [], ["k"], value_float=1.5)
    output = helper.make_empty_tensor_value_info("inner")
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    return helper.make_graph([k, node], f"level {depth}", [condition], [output])


def _function_model() -> onnx.ModelProto:
    body = [helper.make_node("Add", ["a", "a"], ["b"]), helper.make_node("Elu", ["b"], ["o"])]
    body[1].attribute.add(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function(
        "local", "Twice", ["a"], ["o"], body, [helper.make_opsetid("", 21)], attributes=["alpha"]
    )
    graph = _graph("function")
    graph.node[0].op_type, graph.node[0].domain = "Twice", "local"
    return _model(graph, functions=[function])


def _training_model() -> onnx.ModelProto:
    model = _model(_graph("training"))
    info = model.training_info.add()
    info.initialization.CopyFrom(_if_graph(1))
    info.algorithm.CopyFrom(_graph("step", initializer=_large_tensors()))
    info.initialization_binding.add(key="a", value="b")
    model.metadata_props.add(key="k", value=' "v" ')
    model.graph.quantization_annotation.add(tensor_name="x").quant_parameter_tensor_names.add(key="SCALE", value="s")
    model.configuration.add(name="two devices", num_devices=2, device=["0", "1"])
    return model


def _typed_values() -> onnx.GraphProto:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, "n"])
    values = [
        helper.make_value_info("sequence", helper.make_sequence_type_proto(tensor)),
        helper.make_value_info("optional", helper.make_optional_type_proto(tensor)),
        helper.make_value_info("map", helper.make_map_type_proto(TensorProto.STRING, tensor)),
        helper.make_value_info("sparse", helper.make_sparse_tensor_type_proto(TensorProto.INT8, [3])),
    ]
    return helper.make_graph([], "types", values, [helper.make_empty_tensor_value_info("map")], value_info=values)
