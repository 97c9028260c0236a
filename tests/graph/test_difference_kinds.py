"""Each kind of change on its own: what the diff says of it, and that an ignored aspect says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from tests.graph.models import with_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx.graph.difference import Change

FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)


def small() -> onnx.ModelProto:
    """A chain with attributes of every kind that a diff has to look into."""
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("", TensorProto.FLOAT, [2], [1.0, 2.0]),
        helper.make_tensor("", TensorProto.INT64, [2], [1, 5]),
        [2, 3],
    )
    lists = helper.make_node(
        "Lists", ["h", "s"], ["i"], "/enc/lists", domain="own", texts=["a", "b"], ints=[1, 2], text="t"
    )
    tensors = lists.attribute.add(name="tensors", type=onnx.AttributeProto.TENSORS)
    tensors.tensors.extend([numpy_helper.from_array(FLOATS), numpy_helper.from_array(FLOATS + 1)])
    nodes = [
        helper.make_node("Constant", [], ["c"], "/enc/few", value=numpy_helper.from_array(FLOATS)),
        helper.make_node("Constant", [], ["s"], "/enc/sparse", sparse_value=sparse),
        helper.make_node("Add", ["x", "c"], ["h"], "/enc/Add"),
        lists,
        helper.make_node("Clip", ["i", "", "top"], ["y"], "/head/Clip"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y", "h")]
    top = numpy_helper.from_array(np.array(6, np.float32), "top")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:2], [top], value_info=values[2:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="p")
    model.metadata_props.add(key="k", value="v")
    return model


def told(changes: tuple[Change, ...]) -> list[tuple[object, ...]]:
    return [(change.kind, change.subject, change.name, *change.details) for change in changes]


def found(model: Callable[[], onnx.ModelProto], edit: Callable[[onnx.ModelProto], object], *ignored: str) -> list:  # type: ignore[type-arg]
    old, new = model(), model()
    edit(new)
    with graphml_onnx.open(old) as left, graphml_onnx.open(new) as right:
        assert graphml_onnx.diff(left, left).is_empty
        return told(graphml_onnx.diff(left, right, ignore=ignored).changes)  # type: ignore[arg-type]


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def value(model: onnx.ModelProto, name: str, attribute: str) -> onnx.AttributeProto:
    return next(entry for entry in node(model, name).attribute if entry.name == attribute)


def digits(array: np.ndarray) -> str:
    return f"FLOAT[2, 3] {array.tolist()}"


@pytest.mark.parametrize(
    ("edit", "expected", "aspect"),
    [
        (lambda m: setattr(m, "doc_string", "d"), ("model", "g", ("doc_string", "", "d")), "doc_string"),
        (lambda m: setattr(m, "producer_name", "q"), ("model", "g", ("producer_name", "p", "q")), "producer"),
        (lambda m: setattr(m, "producer_version", "2"), ("model", "g", ("producer_version", "", "2")), "producer"),
        (lambda m: setattr(m, "domain", "d"), ("model", "g", ("domain", "", "d")), None),
        (lambda m: setattr(m, "model_version", 7), ("model", "g", ("model_version", "0", "7")), None),
        (lambda m: setattr(m, "ir_version", 9), ("model", "g", ("ir_version", "8", "9")), None),
        (lambda m: setattr(m.graph, "name", "f"), ("model", "f", ("graph name", "g", "f")), "names"),
        (lambda m: setattr(m.metadata_props[0], "value", "w"), ("model", "g", ("metadata k", "v", "w")), "metadata"),
        (lambda m: m.metadata_props.add(key="l", value="w"), ("model", "g", ("metadata l", None, "w")), "metadata"),
        (lambda m: m.metadata_props.pop(), ("model", "g", ("metadata k", "v", None)), "metadata"),
        (lambda m: m.opset_import.pop(), ("model", "g", ("opset own", "1", None)), None),
        (
            lambda m: setattr(node(m, "/enc/Add"), "doc_string", "d"),
            ("operator", "/enc/Add", ("doc_string", "", "d")),
            "doc_string",
        ),
        (
            lambda m: node(m, "/enc/Add").metadata_props.add(key="k", value="v"),
            ("operator", "/enc/Add", ("metadata k", None, "v")),
            "metadata",
        ),
        (
            lambda m: setattr(m.graph.value_info[0].type.tensor_type.shape.dim[0], "dim_value", 9),
            ("operator", "/enc/Add", ("type of h", "FLOAT[2, 3]", "FLOAT[9, 3]")),
            "types",
        ),
        (
            lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE),
            ("input", "x", ("type", "FLOAT[2, 3]", "DOUBLE[2, 3]")),
            "types",
        ),
        (
            lambda m: value(m, "/enc/few", "value").t.CopyFrom(numpy_helper.from_array(FLOATS * 2)),
            ("operator", "/enc/few", ("value", digits(FLOATS), digits(FLOATS * 2))),
            None,
        ),
        (
            lambda m: value(m, "/enc/lists", "ints").ints.append(3),
            ("operator", "/enc/lists", ("ints", "[1, 2]", "[1, 2, 3]")),
            None,
        ),
        (
            lambda m: value(m, "/enc/lists", "texts").strings.__setitem__(1, b"c"),
            ("operator", "/enc/lists", ("texts", "['a', 'b']", "['a', 'c']")),
            None,
        ),
        (
            lambda m: setattr(value(m, "/enc/lists", "text"), "s", b"\xff"),
            ("operator", "/enc/lists", ("text", "t", "{'bytes': 'ff'}")),
            None,
        ),
        (
            lambda m: node(m, "/enc/lists").attribute.add(name="more", type=onnx.AttributeProto.INT, i=1),
            ("operator", "/enc/lists", ("more", None, "1")),
            None,
        ),
        (
            lambda m: node(m, "/enc/lists").attribute.remove(value(m, "/enc/lists", "texts")),
            ("operator", "/enc/lists", ("texts", "['a', 'b']", None)),
            None,
        ),
        (
            lambda m: node(m, "/head/Clip").input.__setitem__(1, "c"),
            ("operator", "/head/Clip", ("input 1", None, "c")),
            None,
        ),
        (
            lambda m: node(m, "/enc/Add").output.append("spare"),
            ("operator", "/enc/Add", ("outputs", "1", "2")),
            None,
        ),
        (
            lambda m: m.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "top")),
            ("parameter", "top", ("type", "FLOAT[]", "FLOAT[1]")),
            None,
        ),
    ],
)
def test_a_change_is_told_as_what_it_is(
    edit: Callable[[onnx.ModelProto], object], expected: tuple[object, ...], aspect: str | None
) -> None:
    assert found(small, edit) == [("changed", *expected)]
    if aspect is not None:
        assert found(small, edit, aspect) == []
    for other in {"doc_string", "metadata", "types", "names", "producer"} - {aspect}:
        assert found(small, edit, other) == [("changed", *expected)]


@pytest.mark.parametrize("part", ["values", "indices", "dims"])
def test_a_sparse_attribute(part: str) -> None:
    def edit(model: onnx.ModelProto) -> None:
        sparse = value(model, "/enc/sparse", "sparse_value").sparse_tensor
        match part:
            case "values":
                sparse.values.float_data[0] = 9
            case "indices":
                sparse.indices.int64_data[0] = 2
            case _:
                sparse.dims[0] = 4

    ((kind, subject, name, detail),) = found(small, edit)
    assert (kind, subject, name, detail[0]) == ("changed", "operator", "/enc/sparse", "sparse_value")


@pytest.mark.parametrize("place", [0, 1])
def test_a_tensor_in_a_list(place: int) -> None:
    def edit(model: onnx.ModelProto) -> None:
        value(model, "/enc/lists", "tensors").tensors[place].CopyFrom(numpy_helper.from_array(-FLOATS))

    assert [(kind, name, detail[0]) for kind, _, name, detail in found(small, edit)] == [
        ("changed", "/enc/lists", "tensors")
    ]


def test_a_tensor_of_many_elements_is_told_by_its_digest() -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.node[0].attribute[0].t.float_data[7] = 9

    ((kind, _, name, (what, old, new)),) = found(with_body, edit)
    assert (kind, name, what) == ("changed", "/enc/Constant", "value")
    assert old != new
    assert all(text.startswith("FLOAT[300] ") and len(text) == len("FLOAT[300] ") + 16 for text in (old, new))


def test_functions() -> None:
    def added(model: onnx.ModelProto) -> None:
        model.functions.add().CopyFrom(model.functions[0])
        model.functions[1].name = "Thrice"

    def signature(model: onnx.ModelProto) -> None:
        model.functions[0].input.append("b2")

    def body(model: onnx.ModelProto) -> None:
        model.functions[0].node[0].doc_string = "twice"

    assert found(with_body, added) == [("added", "function", "own::Thrice")]
    assert found(with_body, signature) == [
        ("changed", "function", "own::Twice", ("signature", "(['a'], ['b'])", "(['a', 'b2'], ['b'])")),
        ("added", "input", "b2", ("type", None, "None")),
    ]
    assert found(with_body, body) == [("changed", "operator", "Add -> b", ("doc_string", "", "twice"))]
    old, new = with_body(), with_body()
    added(old)
    assert told(graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes) == [
        ("removed", "function", "own::Thrice")
    ]


def test_what_a_body_gives_and_takes() -> None:
    def other_output(model: onnx.ModelProto) -> None:
        then = model.graph.node[2].attribute[0].g
        then.output[0].name = "m"

    def other_capture(model: onnx.ModelProto) -> None:
        model.graph.node[2].attribute[0].g.node[0].input[0] = "c"

    assert found(with_body, other_output) == [("changed", "output", "m", ("output 0", "r", "m"))]
    assert found(with_body, other_capture) == [
        ("changed", "operator", "/enc/0/Neg/MatMul", ("input 0", "h", "c")),
    ]


def test_inputs_outputs_and_weights_come_and_go() -> None:
    def more(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.INT64, ["n"]))
        model.graph.output.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [2, 3]))
        model.graph.initializer.append(numpy_helper.from_array(FLOATS, "enc.w"))

    old, new = small(), small()
    more(new)
    sides = [graphml_onnx.open(model) for model in (old, new)]
    assert told(graphml_onnx.diff(*sides).changes) == [
        ("added", "input", "z", ("type", None, "INT64[n]")),
        ("added", "output", "h", ("type", None, "FLOAT[2, 3]")),
        ("added", "parameter", "enc.w", ("content", None, "FLOAT[2, 3], 24 bytes")),
    ]
    assert told(graphml_onnx.diff(*sides[::-1]).changes) == [
        ("removed", "input", "z", ("type", "INT64[n]", None)),
        ("removed", "output", "h", ("type", "FLOAT[2, 3]", None)),
        ("removed", "parameter", "enc.w", ("content", "FLOAT[2, 3], 24 bytes", None)),
    ]


def test_an_output_that_another_operator_makes() -> None:
    def edit(model: onnx.ModelProto) -> None:
        node(model, "/head/Clip").output[0] = "clipped"
        model.graph.node.append(helper.make_node("Relu", ["h"], ["y"], "/head/Relu"))

    assert ("changed", "output", "y", ("producer", "/head/Clip", "/head/Relu")) in found(small, edit)


def test_whole_operators_say_their_flow() -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Split", ["h", ""], ["one", "", "two"], "/enc/Split"))

    assert found(small, edit) == [("added", "operator", "/enc/Split", ("flow", None, "h, - -> one, -, two"))]


def test_a_long_value_is_cut() -> None:
    def edit(model: onnx.ModelProto) -> None:
        value(model, "/enc/lists", "ints").ints.extend(range(100))

    (*_, (what, old, new)) = found(small, edit)[0]
    assert (what, old, len(new), new[-1]) == ("ints", "[1, 2]", 80, "…")


def test_json_has_every_fact() -> None:
    old, new = small(), small()
    new.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(7, np.float32), "top"))
    with graphml_onnx.open(old) as left, graphml_onnx.open(new) as right:
        (plain,) = graphml_onnx.diff(left, right).changes
        (change,) = graphml_onnx.diff(left, right, stats=True).changes
    assert plain.to_dict()["values"] is None
    facts = change.to_dict()
    assert {key: facts[key] for key in ("kind", "subject", "module", "body", "op_type", "name")} == {
        "kind": "changed",
        "subject": "parameter",
        "module": "head",
        "body": "",
        "op_type": "",
        "name": "top",
    }
    assert facts["values"] == {"count": 1, "changed": 1, "largest": 1.0, "relative": pytest.approx(1 / 6)}
