"""What ONNX's checker and shape inference say of an edited model becomes findings that name the operator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import given
from onnx import TensorProto, helper

from graphml_onnx import Complaint, check_model, encode
from tests.common.command import as_process, in_process
from tests.editing import edits as editing
from tests.editing.edits import Text
from tests.strategies.models import model_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKER, INFERENCE = "onnx.checker", "shape inference"


def model(*nodes: onnx.NodeProto, **fields: object) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [0.0] * 6)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **fields)


def node(op_type: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "the one", **attributes: object):
    return helper.make_node(op_type, inputs, outputs, name=name, **attributes)


def broken_body() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("o", TensorProto.FLOAT, ["n", 2])
    body = helper.make_graph([node("Relu", ["gone"], ["o"], "inner")], "body", [], [value])
    made = model(node("If", ["c"], ["y"], then_branch=body, else_branch=body))
    made.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    return made


def recursive() -> onnx.ModelProto:
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    function = helper.make_function("d", "F", ["a"], ["o"], [node("F", ["a"], ["o"], domain="d")], sets)
    made = model(node("F", ["x"], ["y"], domain="d"), functions=[function])
    made.opset_import.append(sets[1])
    return made


def short_weight() -> onnx.ModelProto:
    made = model(node("Relu", ["x"], ["y"]))
    made.graph.initializer[0].dims[0] = 4
    return made


CASES = {
    "an input of nobody": (model(node("Add", ["x", "gone"], ["y"])), CHECKER, "Add", "the one", "'gone' is not output"),
    "no such operator": (model(node("Foo", ["x"], ["y"])), CHECKER, "Foo", "the one", "No Op registered for Foo"),
    "too many inputs": (model(node("Relu", ["x", "x"], ["y"])), CHECKER, "Relu", "the one", "has input size 2"),
    "a name of several lines": (model(node("Foo", ["x"], ["y"], "a\nb  c")), CHECKER, "Foo", "a\nb  c", "No Op"),
    "no name": (model(node("Foo", ["x"], ["y"], "")), CHECKER, "Foo", "", "No Op registered"),
    "a wrong attribute": (model(node("Softmax", ["x"], ["y"], axis="1")), CHECKER, "Softmax", "the one", "Mismatched"),
    "two of one name": (model(node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])), CHECKER, None, "", "SSA"),
    "no output": (model(node("Relu", ["x"], ["h"])), CHECKER, None, "", "output 'y' is not an output"),
    "in a body": (broken_body(), CHECKER, "Relu", "inner", "'gone' is not output"),
    "functions that call each other": (recursive(), CHECKER, None, "", "Cycle"),
    "a weight that is too short": (short_weight(), CHECKER, None, "", "tensor name: w"),
    "shapes that do not fit": (model(node("MatMul", ["x", "w"], ["y"])), INFERENCE, "MatMul", "the one", "dimensions"),
    "a shape of its own": (model(node("Transpose", ["x"], ["y"], perm=[0])), INFERENCE, "Transpose", "the one", ""),
}  # fmt: skip


NEEDS = {"functions that call each other": "onnx>=1.22", "a weight that is too short": "onnx>=1.23"}
"""Checks of ONNX that came later than the lowest release."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(NEEDS[name])) if name in NEEDS else name for name in CASES]
)
def test_complaints_name_the_operator(name: str, tmp_path: Path) -> None:
    made, source, op_type, operator, told = CASES[name]
    onnx.save(made, tmp_path / "model.onnx")
    for given_as in (made, tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        complaints = check_model(given_as, infer_shapes=source == INFERENCE)
        found = next(complaint for complaint in complaints if complaint.source == source)
        assert (found.op_type, found.name) == (op_type, operator)
        assert told in found.message
        assert len(str(found).splitlines()) == 1


def test_each_operator_that_shape_inference_refuses_is_named() -> None:
    made = model(node("MatMul", ["x", "w"], ["h"], "first"), node("MatMul", ["x", "w"], ["y"], ""))
    assert check_model(made) == ()
    assert [str(complaint) for complaint in check_model(made, infer_shapes=True)] == [
        "shape inference: MatMul 'first': Incompatible dimensions for matrix multiplication",
        "shape inference: MatMul without a name: Incompatible dimensions for matrix multiplication",
    ]


def test_nothing_to_complain_of() -> None:
    assert check_model(editing.model(), infer_shapes=True) == ()


@given(data=model_bytes())
def test_any_model_gives_complaints_and_no_exception(data: bytes) -> None:
    for complaint in check_model(onnx.ModelProto.FromString(data)):
        assert isinstance(complaint, Complaint)
        assert complaint.message


def test_files_that_are_no_models_give_complaints(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\x08")
    for path in (tmp_path / "damaged.onnx", tmp_path / "missing.onnx"):
        assert [complaint.source for complaint in check_model(path, infer_shapes=True)] == [CHECKER, INFERENCE]


# --- on the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def text(tmp_path: Path) -> Text:
    graph = encode(editing.model(), tmp_path / "graph.graphml", parameters="embedded").graphml
    return Text(graph.read_text("utf-8"))


def test_the_line_of_the_operator_is_told_and_the_model_is_written(text: Text, tmp_path: Path) -> None:
    edited = text.set("/second/softmax", "op_type", "Hardsoft")
    (tmp_path / "graph.graphml").write_text(edited.text, "utf-8")
    ran = in_process(tmp_path, "decode", "graph.graphml")
    line = edited.line_of(edited.block("/second/softmax"))
    assert ran.code == 0
    assert ran.err == (
        f"g2o: warning: graph.graphml: onnx.checker: line {line}: Hardsoft '/second/softmax': "
        "No Op registered for Hardsoft with domain_version of 21 [onnx-checker]\n"
    )
    assert onnx.load(tmp_path / "graph.onnx").graph.node[3].op_type == "Hardsoft"


def test_shapes_are_inferred_on_request(text: Text, tmp_path: Path) -> None:
    edited = text.within("y", '"dim_value":600', '"dim_value":601')
    (tmp_path / "graph.graphml").write_text(edited.text, "utf-8")
    assert in_process(tmp_path, "decode", "graph.graphml").err == ""
    ran = in_process(tmp_path, "decode", "graph.graphml", "--force", "--infer-shapes")
    assert ran.code == 0
    assert "warning: graph.graphml: shape inference: " in ran.err
    assert "(600) vs (601)" in ran.err


def test_of_several_operators_of_one_name_no_line_is_told(text: Text, tmp_path: Path) -> None:
    edited = text.set("/second/softmax", "op_type", "Relu").set("/second/softmax", "name", "/first/relu")
    edited = edited.every(r'"i":1,"type":"INT"', '"i":1,"type":"INT"')
    (tmp_path / "graph.graphml").write_text(edited.text, "utf-8")
    ran = in_process(tmp_path, "decode", "graph.graphml")
    assert "onnx.checker: Relu '/first/relu': Unrecognized attribute: axis" in ran.err


def test_an_unedited_graph_is_not_checked(tmp_path: Path) -> None:
    """What was encoded comes back, whatever the checker would say of it."""
    encode(CASES["no such operator"][0], tmp_path / "graph.graphml")
    ran = as_process(tmp_path, "decode", "graph.graphml", "--infer-shapes")
    assert (ran.code, ran.err) == (0, "")


def test_external_data_of_an_edited_model_are_found(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "fixtures/small/external_data"
    graph = encode(folder / "model.onnx", tmp_path / "graph.graphml").graphml
    (tmp_path / "there").mkdir()
    graph.write_text(re.sub(r'("ir_version">)\d+', r"\g<1>9", graph.read_text("utf-8")), "utf-8")
    ran = in_process(tmp_path, "decode", "graph.graphml", "-o", str(Path("there", "model.onnx")))
    assert "edited" in ran.out
    assert ran.code == 0
    assert "should be stored in" not in ran.err  # (what it does say is that it cannot read sparse ones)
