"""Damaged models, found by mutants of models for every command: each is answered, or refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

import graphml_onnx
from graphml_onnx.errors import ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def written(path: Path, op_type: str = "Relu", *, version: int = 17, name: str = "") -> Path:
    nodes = [helper.make_node(op_type, ["x"], ["y"], name=name)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", version)])
    path.write_bytes(model.SerializeToString())
    return path


def test_view_of_a_type_that_is_not_utf8(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", "Relu")
    path.write_bytes(path.read_bytes().replace(b"Relu", b"Rel\xff"))
    assert graphml_onnx.view(path).operators == 1


@pytest.mark.parametrize("version", [2**31, 2**62, -(2**31) - 1, -1])
def test_view_of_operator_sets_that_do_not_exist(tmp_path: Path, version: int) -> None:
    assert graphml_onnx.view(written(tmp_path / "m.onnx", version=version)).operators == 1


def test_a_tensor_that_cannot_be_read_has_a_remedy(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[3], float_data=[1.0])
    path.write_bytes(model.SerializeToString())
    with graphml_onnx.open(path) as graph, pytest.raises(ModelError, match="cannot be read as") as raised:
        graph.parameters[0].data.numpy()
    assert raised.value.remedy is not None


def test_functions_that_cannot_be_inlined_have_a_remedy(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", "F")
    model = onnx.load(path)
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"])], opsets)
    )  # calls itself
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="cannot be put in") as raised:
        graphml_onnx.inline(path, tmp_path / "flat.onnx")
    assert raised.value.remedy is not None


def test_long_names_are_not_suggested_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", name=f"/{'a' * 5000}/Relu")
    with pytest.raises(UsageError, match="the nearest are") as raised:
        graphml_onnx.extract(path, tmp_path / "part.onnx", module="a" * 90)
    assert len(str(raised.value)) < 1000


def test_an_attribute_without_its_graph_has_no_value(tmp_path: Path) -> None:
    """The next attribute keeps its own graph, and one beside a number belongs to nobody else."""
    path = written(tmp_path / "m.onnx", "If")
    model = onnx.load(path)
    body = helper.make_graph([], "inner", [], [])
    attributes = model.graph.node[0].attribute
    attributes.add(name="then_branch", type=onnx.AttributeProto.GRAPH)
    attributes.add(name="number", type=onnx.AttributeProto.INT, i=7, g=helper.make_graph([], "other", [], []))
    attributes.add(name="else_branch", type=onnx.AttributeProto.GRAPH, g=body)
    attributes.add(name="several", type=onnx.AttributeProto.GRAPHS, g=body, graphs=[body, body])
    path.write_bytes(model.SerializeToString())
    with graphml_onnx.open(path) as graph:
        operator = graph.operators[0]
        values = operator.attributes
        assert values["then_branch"] is None
        assert values["number"] == 7
        assert values["else_branch"] is operator.bodies[1]
        assert values["several"] == tuple(operator.bodies[3:])
    for name in ("tables", "view", "diff"):
        made = {"tables": (tmp_path / "t",), "view": (tmp_path / "v.html",), "diff": (path,)}[name]
        getattr(graphml_onnx, name)(path, *made)
