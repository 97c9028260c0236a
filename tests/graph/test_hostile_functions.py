"""Functions that call each other or themselves: what ONNX's inference, its inliner and onnxruntime would follow."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

import graphml_onnx
from graphml_onnx.codec.calls import problem_of_calls
from graphml_onnx.errors import ModelError
from graphml_onnx.graph.functions import DOMAIN

if TYPE_CHECKING:
    from pathlib import Path

MANY = "its calls of functions come to more than 1,000,000 operators"
DOMAINS = pytest.mark.parametrize("domain", [DOMAIN, "own"])


def calling(domain: str, depth: int, times: int, innermost: str = "Neg") -> onnx.ModelProto:
    """Functions that call the one before them some times; the first one calls an operator, or any of them."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    functions = []
    for number in range(depth):
        op_type = f"F{number - 1}" if number else innermost
        is_call = op_type != "Neg"
        count = times if number else 1
        names = ["x", *(f"t{index}" for index in range(1, count)), "y"]
        nodes = [
            helper.make_node(op_type, [a], [b], domain=domain if is_call else "") for a, b in itertools.pairwise(names)
        ]
        functions.append(helper.make_function(domain, f"F{number}", ["x"], ["y"], nodes, opsets))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    call = helper.make_node(f"F{depth - 1}", ["x"], ["called"], domain=domain)
    graph = helper.make_graph([call, helper.make_node("Neg", ["called"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@DOMAINS
def test_calls_are_counted(domain: str) -> None:
    assert problem_of_calls(calling(domain, 3, 2)) is None
    assert problem_of_calls(calling(domain, 18, 2)) is None
    assert problem_of_calls(calling(domain, 20, 2)) == MANY
    assert problem_of_calls(calling(domain, 3000, 2)) == MANY
    assert problem_of_calls(calling(domain, 3000, 1)) is None
    assert problem_of_calls(calling(domain, 3, 1, innermost="F2")) == "the function 'F0' calls itself"


def test_calls_in_bodies_count() -> None:
    model = calling("own", 30, 2)
    body = helper.make_graph([*model.graph.node], "body", [], [helper.make_empty_tensor_value_info("y")])
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body))
    assert problem_of_calls(model) == MANY


def test_a_large_model_may_be_large() -> None:
    model = calling("own", 2, 1)
    model.graph.node.extend([helper.make_node("Neg", ["x"], ["z"])] * 11_000)
    model.functions[0].node.extend([helper.make_node("Neg", ["x"], ["z"])] * 99)
    model.graph.node.extend([model.graph.node[0]] * 10_500)
    assert problem_of_calls(model) is None  # a hundred times what it says


@DOMAINS
@pytest.mark.parametrize(("depth", "innermost", "told"), [(40, "Neg", MANY), (3, "F2", "'F0' calls itself")])
def test_what_follows_calls_refuses_to(domain: str, depth: int, innermost: str, told: str, tmp_path: Path) -> None:
    path = saved(tmp_path, calling(domain, depth, 2, innermost))
    with graphml_onnx.open(path, infer_shapes=True) as graph:
        assert graph.tensor("called").type is None
        assert any(told in finding for finding in graph.findings)
    with pytest.raises(ModelError, match=told):
        graphml_onnx.inline(path, tmp_path / "flat.onnx")
    complaints = graphml_onnx.check_model(path, infer_shapes=True)
    assert any(told in complaint.message for complaint in complaints)
    graphml_onnx.encode(path, tmp_path / "graph.graphml")
    assert graphml_onnx.decode(tmp_path / "graph.graphml", tmp_path / "back.onnx").exact
    assert not (tmp_path / "flat.onnx").exists()


@pytest.mark.parametrize("depth", [40, 18, 3])  # 18: inlined in 3 s, but onnxruntime would take minutes
def test_what_cannot_be_run_is_not_given_to_onnxruntime(depth: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = saved(tmp_path, calling("own", depth, 2, "Neg" if depth > 3 else "F2"))
    (check,) = (check for check in graphml_onnx.verify(path, numeric=True).checks if check.name == "numeric")
    assert check.skipped
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        graphml_onnx.times(path)
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        graphml_onnx.numeric_diff(path, path)


def test_calls_may_be_deep_and_the_same_name_may_come_often(tmp_path: Path) -> None:
    path = saved(tmp_path, calling(DOMAIN, 3000, 1))
    assert graphml_onnx.inline(path, tmp_path / "deep.onnx").operators == 2
    path = saved(tmp_path, calling(DOMAIN, 13, 2))
    graphml_onnx.inline(path, tmp_path / "wide.onnx")
    names = [node.output[0] for node in onnx.load(tmp_path / "wide.onnx").graph.node]
    assert len({*names}) == len(names) == (1 << 12) + 1
