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


def other_shape(part: onnx.ModelProto) -> None:
    part.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def nothing_left(part: onnx.ModelProto) -> None:
    del part.graph.node[:]


def unmade(part: onnx.ModelProto) -> None:
    part.graph.node[2].input[0] = "nowhere"


def made_twice(part: onnx.ModelProto) -> None:
    part.graph.node[1].output[0] = "/enc/layer.2/mm"


def made_by_the_rest(part: onnx.ModelProto) -> None:
    """By an operator that makes nothing else: it was left out without a word."""
    part.graph.node.append(helper.make_node("Relu", ["/enc/layer.2/mm"], ["/enc/layer.0/mm"]))


def weight_of_the_rest(part: onnx.ModelProto) -> None:
    """Named as a tensor that an operator of the rest makes."""
    value = numpy_helper.from_array(np.ones((4, 4), np.float32), "/enc/layer.0/mm")
    part.graph.initializer.append(value)
    part.graph.node[0].input[1] = value.name


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_shape, "'/enc/layer.2/out' is FLOAT[1, 7] in the part, and FLOAT[1, 4] in the model"),
        (nothing_left, "nothing makes '/enc/layer.2/out'"),
        (unmade, "nothing makes 'nowhere'"),
        (made_by_the_rest, "makes '/enc/layer.0/mm', and so does the rest of the model"),
        (made_twice, "two operators make '/enc/layer.2/mm'"),
        (weight_of_the_rest, "has a weight '/enc/layer.0/mm', and the rest of the model another tensor of that name"),
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


def with_sparse(tmp_path: Path) -> onnx.ModelProto:
    """The part of a model of one layer, whose Add takes a sparse weight."""
    model = layers(1)
    model.graph.node[1].input[1] = "enc.layer.0.bias"
    model.graph.sparse_initializer.append(sparse("enc.layer.0.bias", [1.0, 2.0]))
    onnx.save(model, tmp_path / "m.onnx")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "p.onnx", module="enc.layer.0")
    return onnx.load(tmp_path / "p.onnx")


def sparse(name: str, values: list[float]) -> onnx.SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [len(values)], list(range(len(values))))
    return helper.make_sparse_tensor(helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values), indices, [4])


def put_back(part: onnx.ModelProto, tmp_path: Path) -> onnx.GraphProto:
    onnx.save(part, tmp_path / "p.onnx")
    graphml_onnx.replace(tmp_path / "m.onnx", tmp_path / "p.onnx", tmp_path / "n.onnx", module="enc.layer.0")
    return onnx.load(tmp_path / "n.onnx").graph


def test_an_edited_sparse_weight_goes_back(tmp_path: Path) -> None:
    part = with_sparse(tmp_path)
    del part.graph.sparse_initializer[:]
    part.graph.sparse_initializer.append(sparse("enc.layer.0.bias", [3.0]))

    assert [list(w.values.float_data) for w in put_back(part, tmp_path).sparse_initializer] == [[3.0]]


def test_a_sparse_weight_may_become_dense(tmp_path: Path) -> None:
    part = with_sparse(tmp_path)
    del part.graph.sparse_initializer[:]
    part.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "enc.layer.0.bias"))

    graph = put_back(part, tmp_path)

    assert not graph.sparse_initializer
    assert [tensor.name for tensor in graph.initializer] == ["enc.layer.0.weight", "enc.layer.0.bias"]


def test_a_new_sparse_weight_is_added(tmp_path: Path) -> None:
    part = with_sparse(tmp_path)
    part.graph.node[1].input[1] = "enc.layer.0.other"
    part.graph.sparse_initializer[0].values.name = "enc.layer.0.other"

    assert [w.values.name for w in put_back(part, tmp_path).sparse_initializer] == ["enc.layer.0.other"]
