"""Which module a parameter belongs to."""

from __future__ import annotations

import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from graphml_onnx import to_networkx
from graphml_onnx.hierarchy import Operator
from tests.hierarchy.htp_samples import FOLDER, build_hierarchy, metadata, module, sample

TREE = metadata(
    module("/M", "", module("/M/Layer.1", "layer.1"), module("/M/Layer.10", "layer.10", module("/M/X", "layer.10.x"))),
    {},
)


@pytest.mark.parametrize(
    ("parameter", "scope"),
    [
        ("layer.1.weight", "layer.1"),
        ("layer.10.bias", "layer.10"),
        ("layer.10.x.deep.weight", "layer.10.x"),
        ("/layer.10/x/Constant_output_0", "layer.10.x"),
    ],
)
def test_the_longest_dotted_prefix_owns_a_parameter(parameter: str, scope: str) -> None:
    hierarchy = build_hierarchy([], TREE)
    assert hierarchy.modules[hierarchy.owner(parameter)].scope == scope


@pytest.mark.parametrize("parameter", ["layer.100.weight", "layer", "onnx::MatMul_290", "", "/Constant_output_0"])
def test_a_name_that_tells_of_no_module_has_no_owner(parameter: str) -> None:
    """Not even the root module: those that use it know better where it belongs."""
    assert build_hierarchy([], TREE).owner(parameter) == -1


def test_without_a_root_module_nobody_owns_what_no_scope_begins() -> None:
    hierarchy = build_hierarchy([Operator("/encoder/Add")], None)
    assert hierarchy.owner("encoder.weight") == 0
    assert hierarchy.owner("decoder.weight") == -1
    assert build_hierarchy([], None).owner("encoder.weight") == -1


@pytest.mark.parametrize("with_metadata", [True, False])
def test_parameters_of_a_real_model_find_their_modules(with_metadata: bool) -> None:
    bert = sample("winml-bert-mini-dynamo")
    hierarchy = build_hierarchy(bert.operators, bert.metadata if with_metadata else None)
    found = {name: hierarchy.owner(name) for name in bert.initializers}
    owners = {name: hierarchy.modules[owner].scope for name, owner in found.items() if owner >= 0}
    assert owners["encoder.layer.0.intermediate.dense.bias"] == "encoder.layer.0.intermediate.dense"
    assert owners["embeddings.LayerNorm.weight"] == "embeddings.LayerNorm"
    known = {module.scope for module in hierarchy.modules}
    assert all(scope == name.rpartition(".")[0] for name, scope in owners.items() if name.rpartition(".")[0] in known)


def test_a_name_that_tells_nothing_stands_with_its_users() -> None:
    folder = FOLDER / "winml-resnet-mini-torchscript"
    graph = to_networkx(folder / "model.onnx", metadata=folder / "model_htp_metadata.json", show_parameters=True)
    labels = {node: data["label"] for node, data in graph.nodes(data=True)}
    places = {data["label"]: labels[data["parent"]] for data in graph.nodes.values() if data["kind"] == "parameter"}
    assert places["onnx::Conv_59"] == "convolution: Conv2d"
    assert places["onnx::Conv_60"] == "ResNetModel"  # which modules in different places share


def body(output: str, *nodes: NodeProto, initializer: tuple[TensorProto, ...] = ()) -> GraphProto:
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1])
    return helper.make_graph(nodes, "body", [], [value], initializer)


def choice(name: str, output: str, then: GraphProto, otherwise: GraphProto) -> NodeProto:
    return helper.make_node("If", ["c"], [output], name=name, then_branch=then, else_branch=otherwise)


def test_bodies_use_parameters_for_the_operator_that_has_them() -> None:
    own = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0])
    nodes = [
        choice(
            "/first/If",
            "f",
            body("g", choice("in", "g", body("h", helper.make_node("Add", ["x", "inner"], ["h"])), body("direct"))),
            body("k", helper.make_node("Add", ["hidden", "shared"], ["k"]), initializer=(own,)),
        ),
        helper.make_node("Add", ["f", "hidden"], ["s"], name="/second/Add"),
        helper.make_node("Add", ["s", "shared"], ["y"], name="/second/Add_1"),
    ]
    names = ("inner", "direct", "hidden", "shared")
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [helper.make_tensor(name, TensorProto.FLOAT, [1], [0]) for name in names],
    )
    found = to_networkx(helper.make_model(graph), show_parameters=True)
    labels = {node: data["label"] for node, data in found.nodes(data=True)}
    places = {(data["label"], labels[data["parent"]]) for data in found.nodes.values() if data["kind"] == "parameter"}
    assert places == {
        ("inner", "first"),
        ("direct", "first"),
        ("hidden", "second"),
        ("hidden", "body"),
        ("shared", "g"),
    }
