"""A part goes back to its place: unchanged, it gives the file itself; edited, it changes what it concerns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from tests.cli.g2o_process import run
from tests.graph.models import with_body
from tests.graph.test_difference import layers

HTP = sorted((Path(__file__).parents[2] / "fixtures" / "htp").glob("*/model.onnx"))


@pytest.mark.parametrize("model", HTP, ids=lambda path: path.parent.name)
def test_every_module_goes_back_to_the_identical_file(model: Path, tmp_path: Path) -> None:
    for module in graphml_onnx.open(model).root.walk():
        if module.all_operators():
            part, whole = tmp_path / "part.onnx", tmp_path / "whole.onnx"
            graphml_onnx.extract(model, part, module=module.path, overwrite=True)
            graphml_onnx.replace(model, part, whole, module=module.path, overwrite=True)
            assert whole.read_bytes() == model.read_bytes(), module


@pytest.mark.parametrize("module", ["enc", "enc.0", "head"])
def test_bodies_functions_and_constants_go_back(module: str, tmp_path: Path) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module=module)
    graphml_onnx.replace(tmp_path / "m.onnx", tmp_path / "p.onnx", tmp_path / "b.onnx", module=module)

    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def edited(tmp_path: Path) -> onnx.ModelProto:
    onnx.save(layers(3), tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module="enc.layer.1")
    return onnx.load(tmp_path / "p.onnx")


def test_an_edited_part_changes_what_it_concerns(tmp_path: Path) -> None:
    part = edited(tmp_path)
    part.graph.node[-1].input[0] = "new"
    part.graph.node.insert(2, helper.make_node("Mul", ["/enc/layer.1/sum", "big"], ["new"], name="/enc/layer.1/Mul"))
    part.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.eye(4, dtype=np.float32), "enc.layer.1.weight"))
    big = np.arange(4 * 400, dtype=np.float32).reshape(400, 4)
    part.graph.initializer.append(numpy_helper.from_array(big, "big"))
    onnx.save(part, tmp_path / "p.onnx")

    result = graphml_onnx.replace(tmp_path / "m.onnx", tmp_path / "p.onnx", tmp_path / "n.onnx", module="enc.layer.1")
    changes = graphml_onnx.diff(tmp_path / "m.onnx", tmp_path / "n.onnx").changes

    assert (result.removed, result.added) == (3, 4)
    assert {(c.kind, c.name) for c in changes} == {
        ("added", "/enc/layer.1/Mul"),
        ("added", "big"),
        ("changed", "enc.layer.1.weight"),
    }
    new = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(new)
    assert numpy_helper.to_array(new.graph.initializer[-1]).tobytes() == big.tobytes()


def other_output(part: onnx.ModelProto) -> None:
    part.graph.output[0].name = "/enc/layer.1/sum"


def other_type(part: onnx.ModelProto) -> None:
    part.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8


def other_opset(part: onnx.ModelProto) -> None:
    part.opset_import[0].version = 9


def other_input(part: onnx.ModelProto) -> None:
    part.graph.input.add().CopyFrom(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_output, "does not make '/enc/layer.2/out'"),
        (other_type, "'/enc/layer.2/out' is INT8 in the part, and FLOAT in the model"),
        (other_opset, "operator set ai.onnx 9"),
        (other_input, "takes 'other'"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(spoil: object, says: str, tmp_path: Path) -> None:
    onnx.save(layers(3), tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module="enc.layer.2")
    part = onnx.load(tmp_path / "p.onnx")
    spoil(part)
    onnx.save(part, tmp_path / "p.onnx")

    ran = run(tmp_path, "replace", "m.onnx", "p.onnx", "--module", "enc.layer.2", "-o", "n.onnx")

    assert (ran.code, ran.err.count("\n")) == (65, 1)
    assert says in ran.err
    assert not (tmp_path / "n.onnx").exists()


def test_a_function_that_differs_is_refused(tmp_path: Path) -> None:
    """The model's own would silently stay: operators of the rest may call it too."""
    onnx.save(with_body(), tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module="head")
    part = onnx.load(tmp_path / "p.onnx")
    part.functions[0].node[0].op_type = "Mul"
    onnx.save(part, tmp_path / "p.onnx")
    with pytest.raises(graphml_onnx.ModelError, match=r"the function own::Twice differs: removed Add"):
        graphml_onnx.replace(tmp_path / "m.onnx", tmp_path / "p.onnx", tmp_path / "n.onnx", module="head")
    assert not (tmp_path / "n.onnx").exists()


def test_a_function_under_another_name_is_added(tmp_path: Path) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module="head")
    part = onnx.load(tmp_path / "p.onnx")
    part.functions[0].name = part.graph.node[0].op_type = "Thrice"
    onnx.save(part, tmp_path / "p.onnx")
    graphml_onnx.replace(tmp_path / "m.onnx", tmp_path / "p.onnx", tmp_path / "n.onnx", module="head")
    assert [function.name for function in onnx.load(tmp_path / "n.onnx").functions] == ["Twice", "Thrice"]
