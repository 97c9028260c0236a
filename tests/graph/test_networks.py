"""A model's graph for networkx."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx.graph.weights import TensorData
from tests.graph.models import with_body

FIXTURES = Path(__file__).parents[2] / "fixtures"


def test_nodes_and_edges_say_what_the_model_has() -> None:
    with graphml_onnx.open(with_body(), infer_shapes=True) as graph:
        network = graph.to_networkx()

    assert network.nodes["/enc/0/act"] == {
        "kind": "op",
        "body": "",
        "name": "/enc/0/act",
        "op_type": "LeakyRelu",
        "domain": "",
        "index": 1,
        "module": "enc.0",
        "module_class": "",
        "attributes": {"alpha": 0.1},
    }
    assert network.nodes["Transpose -> t"]["attributes"] == {"perm": (1, 0)}
    assert isinstance(network.nodes["/enc/Constant"]["attributes"]["value"], TensorData)
    assert network.nodes["x"] == {"kind": "input", "body": "", "dtype": "FLOAT", "shape": ("batch", 32)}
    weight = network.nodes["enc.0.weight"]
    assert (weight["kind"], weight["module"], weight["shape"], weight["nbytes"]) == (
        "parameter",
        "enc.0",
        (32, 32),
        4096,
    )
    assert network.edges["x", "/enc/0/act", 0] == {
        "tensor": "x",
        "input_index": 0,
        "dtype": "FLOAT",
        "shape": ("batch", 32),
    }
    assert network.graph["opsets"] == {"": 17, "own": 1}
    assert (network.graph["name"], network.graph["hierarchy_source"]) == ("g", "names")


def test_the_flow_goes_into_bodies_and_out_of_them() -> None:
    with graphml_onnx.open(with_body()) as graph:
        network = graph.to_networkx(parameters=False)

    branches = ["/enc/0/If/else_branch//enc/0/Neg", "/enc/0/If/then_branch//enc/0/Relu"]
    end = ["/enc/0/If", "/head/Twice", "Transpose -> t", "t"]
    assert sorted(nx.all_simple_paths(network, "x", "t")) == [
        ["x", "/enc/0/act", f"{branch}/MatMul", f"{branch}/act", *end] for branch in branches
    ]
    assert {network.nodes[f"{branch}/act"]["body"] for branch in branches} == {
        "/enc/0/If/else_branch",
        "/enc/0/If/then_branch",
    }
    assert "enc.0.weight" not in network
    assert network.nodes["own::Twice/a"]["kind"] == "input"


def test_what_has_one_name_is_two_nodes() -> None:
    sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in "xy"]
    nodes = [
        helper.make_node("Add", ["x", "w"], ["h"], "x"),
        helper.make_node("Add", ["h", "h"], ["i"], "x"),
        helper.make_node("Add", ["i", "missing"], ["y"], "y"),
    ]
    weights = [numpy_helper.from_array(np.ones(2, np.float32), "w")]
    with graphml_onnx.open(helper.make_model(helper.make_graph(nodes, "g", *sides, weights))) as graph:
        network = graph.to_networkx()

    kinds = {node: data["kind"] for node, data in network.nodes(data=True)}
    assert kinds == {"x": "op", "x#2": "op", "y": "op", "x#3": "input", "w": "parameter", "y#2": "output"}
    edges = [(source, target, data["tensor"], data["input_index"]) for source, target, data in network.edges(data=True)]
    assert edges == [
        ("x", "x#2", "h", 0),
        ("x", "x#2", "h", 1),
        ("x#2", "y", "i", 0),
        ("y", "y#2", "y", None),
        ("x#3", "x", "x", 0),
        ("w", "x", "w", 1),
    ]


@pytest.mark.parametrize("path", sorted((FIXTURES / "real").glob("*.onnx")), ids=lambda path: path.stem)
def test_every_operator_of_a_real_model_is_a_node(path: Path) -> None:
    with graphml_onnx.open(path) as graph:
        network = graph.to_networkx()
        operators = [*graph.all_operators()]
    found = [node for node, kind in network.nodes(data="kind") if kind == "op"]
    assert len(found) == len(operators)
    assert nx.is_directed_acyclic_graph(network)
