"""``--trust edges``: what was drawn in a graph tool is what the operators consume from then on."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from graphml_onnx import GraphMLError, decode, encode, from_networkx, to_networkx
from tests.common import seeds
from tests.common.command import in_process
from tests.common.roundtrip import through_memory
from tests.editing import edits as editing
from tests.editing import rewriting
from tests.editing.edits import Text
from tests.faults import graph_text
from tests.roundtrip.test_suites import node_models
from tests.strategies.models import model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx import Trust

RELU, ADD, MATMUL, SOFTMAX, CHOICE = "/first/relu", "/first/add", "/second/matmul", "/second/softmax", "/second/choice"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Text:
    """The graph of the model, with its payloads in it, so that it can be decoded wherever it lies."""
    folder = tmp_path_factory.mktemp("original")
    graph = encode(editing.model(), folder / "graph.graphml", layout="flat", parameters="embedded").graphml
    return Text(graph.read_text("utf-8"))


def op(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def drawn(text: Text, source: str, target: str, **data: object) -> Text:
    """The text with one more edge."""
    return text.insert(edge(text.xml_id(source), text.xml_id(target), **data))


def edge(source: str, target: str, **data: object) -> str:
    values = "".join(f'<data key="{key}">{value}</data>' for key, value in data.items())
    return f'<edge source="{source}" target="{target}">{values}</edge>\n'


def without_edge(text: Text, source: str, target: str) -> Text:
    return text.once(text.edge(source, target), "")


def moved_start(text: Text, source: str, target: str, new: str) -> Text:
    """The text with an edge that starts elsewhere; what it says of its tensor stays."""
    line = text.edge(source, target)
    return text.once(line, line.replace(f'source="{text.xml_id(source)}"', f'source="{text.xml_id(new)}"'))


def bypassed(text: Text) -> Text:
    """Without the Softmax; a plain edge is drawn over the gap."""
    text = drawn(text, MATMUL, "neg")
    text = drawn(text, MATMUL, "abs")
    return text.without(SOFTMAX)


def bypass(model: onnx.ModelProto) -> None:
    model.graph.node.remove(op(model, SOFTMAX))
    for attribute in op(model, CHOICE).attribute:
        attribute.g.node[0].input[0] = "product"


def inserted(text: Text) -> Text:
    new = graph_text.operator("new", text.xml_id("/second/dead"), "model", op_type="Sigmoid", outputs='["s"]')
    text = text.insert(new + edge(text.xml_id(RELU), "new"))
    return moved_start_to(text, RELU, ADD, "new")


def moved_start_to(text: Text, source: str, target: str, xml_id: str) -> Text:
    line = text.edge(source, target)
    return text.once(line, line.replace(f'source="{text.xml_id(source)}"', f'source="{xml_id}"'))


def insert(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sigmoid", ["h"], ["s"]))
    op(model, ADD).input[0] = "s"


@dataclass(frozen=True)
class Wiring:
    """An edit of edges, and the same edit of the model."""

    name: str
    of_text: Callable[[Text], Text]
    of_model: Callable[[onnx.ModelProto], object]


def set_inputs(name: str, *inputs: str) -> Callable[[onnx.ModelProto], object]:
    return lambda model: op(model, name).input.__setitem__(slice(None), inputs)


def rename(model: onnx.ModelProto) -> None:
    op(model, RELU).output[0] = "hidden"
    op(model, ADD).input[0] = "hidden"
    op(model, "/second/dead").input[0] = "hidden"


def output_is(name: str) -> Callable[[onnx.ModelProto], object]:
    return lambda model: setattr(model.graph.output[0], "name", name)


WIRINGS = (
    Wiring("an edge starts elsewhere", lambda t: moved_start(t, RELU, ADD, "x"), set_inputs(ADD, "x", "w")),
    Wiring("an edge deleted, and one drawn", lambda t: drawn(without_edge(t, RELU, ADD), "x", ADD),
           set_inputs(ADD, "x", "w")),
    Wiring("an edge drawn to a free place", lambda t: drawn(t, "x", ADD, input_index=2),
           set_inputs(ADD, "h", "w", "x")),
    Wiring("an edge drawn to nowhere", lambda t: drawn(t, "x", ADD), set_inputs(ADD, "h", "w", "x")),
    Wiring("an edge drawn beyond the end", lambda t: drawn(t, "x", SOFTMAX, input_index=3),
           set_inputs(SOFTMAX, "product", "", "", "x")),
    Wiring("an edge in the place of a weight", lambda t: drawn(t, "x", ADD, input_index=1), set_inputs(ADD, "h", "x")),
    Wiring("an edge deleted", lambda t: without_edge(t, RELU, ADD), set_inputs(ADD, "", "w")),
    Wiring("the only edge deleted", lambda t: without_edge(t, MATMUL, SOFTMAX), set_inputs(SOFTMAX)),
    Wiring("an operator bypassed", bypassed, bypass),
    Wiring("an operator inserted", inserted, insert),
    Wiring("an output renamed", lambda t: t.set(RELU, "outputs", '["hidden"]'), rename),
    Wiring("another tensor is the output", lambda t: moved_start(t, CHOICE, "y", SOFTMAX), output_is("soft")),
    Wiring("an input is the output", lambda t: moved_start(t, CHOICE, "y", "x"), output_is("x")),
    Wiring("columns of numbers", lambda t: drawn(drawn(t, "x", ADD, input_index="2.0"), "c", ADD, input_index="NaN"),
           set_inputs(ADD, "h", "w", "x", "c")),
)  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in WIRINGS])
def test_the_model_follows_the_edges(original: Text, tmp_path: Path, case: Wiring) -> None:
    expected = editing.model()
    case.of_model(expected)
    graph = tmp_path / "graph.graphml"
    graph.write_text(case.of_text(original).text, "utf-8")
    assert onnx.load(decode(graph, trust="edges").onnx) == expected
    assert from_networkx(to_networkx(graph), trust="edges") == expected


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in WIRINGS])
def test_other_tools_may_have_saved_the_edges(original: Text, tmp_path: Path, case: Wiring) -> None:
    """Ids of nodes and keys renumbered, as yEd does, an empty value where there is none, the order of elements kept."""
    expected = editing.model()
    case.of_model(expected)
    habits = ["renumbered", "keys_renumbered", "in_columns", "with_own_keys", "attributes_reordered"]
    saved = rewriting.rewritten(case.of_text(original).text.encode(), habits, random.Random(case.name))
    (tmp_path / "graph.graphml").write_bytes(saved)
    assert onnx.load(decode(tmp_path / "graph.graphml", trust="edges").onnx) == expected


@dataclass(frozen=True)
class Refusal:
    """Edges that cannot be followed, and what is told of them; ``{name}`` stands for XML ids."""

    name: str
    of_text: Callable[[Text], Text]
    told: str


REFUSALS = (
    Refusal("a place taken twice", lambda t: drawn(t, "x", ADD, input_index=0),
            r"line \d+: the edge from \S+ '\S+' to Add '/first/add' is input 0, but so is line \d+"),
    Refusal("a place far away", lambda t: drawn(t, "x", ADD, input_index=5000),
            "the edge from input 'x' to Add '/first/add' is input 5000, but there are only 2"),
    Refusal("a place that is none", lambda t: drawn(t, "x", ADD, input_index="first"),
            "the edge from input 'x' to Add '/first/add': the input_index 'first' is not a number"),
    Refusal("an edge to an input", lambda t: drawn(t, RELU, "x"),
            "the edge from Relu '/first/relu' to input 'x', which consumes no tensor"),
    Refusal("an edge from an output", lambda t: drawn(t, "y", ADD),
            "the edge from output 'y' to Add '/first/add' starts at a node which produces 0 tensors"),
    Refusal("an edge from a group", lambda t: t.insert(edge("model", t.xml_id(ADD))),
            "the edge from model 'editable' to Add '/first/add' starts at a node which produces 0 tensors"),
    Refusal("an edge out of a body", lambda t: drawn(t, "neg", ADD),
            "the edge from Neg 'neg' to Add '/first/add' ends in a graph that cannot see 'inner'"),
    Refusal("an edge into the other body", lambda t: drawn(t, "neg", "abs"),
            "to Abs 'abs' ends in a graph where the name 'inner' means a tensor of Abs 'abs'"),
    Refusal("one of several tensors", lambda t: drawn(t.set(RELU, "outputs", '["h","i"]'), RELU, SOFTMAX,
                                                      tensor_name="j"),
            "which produces 2 tensors, and tensor_name names none of them"),
    Refusal("no edge to an output", lambda t: without_edge(t, CHOICE, "y"), "no edge leads to output 'y'"),
    Refusal("two edges to an output", lambda t: drawn(t, RELU, "y"),
            r"the edge from If '/second/choice' to output 'y' is its second; the first is line \d+"),
)  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in REFUSALS])
def test_edges_that_cannot_be_followed_are_refused(original: Text, tmp_path: Path, case: Refusal) -> None:
    (tmp_path / "graph.graphml").write_text(case.of_text(original).text, "utf-8")
    refused = in_process(tmp_path, "decode", "graph.graphml", "--trust", "edges")
    assert (refused.code, refused.out) == (65, "")
    assert re.match(r"g2o: graph\.graphml: line \d+: ", refused.err), refused.err
    assert re.search(case.told, refused.err), refused.err
    assert not (tmp_path / "graph.onnx").exists()


def test_one_of_several_tensors_is_named_by_the_edge(original: Text, tmp_path: Path) -> None:
    text = original.set(RELU, "outputs", '["h","i"]')
    line = text.edge(RELU, ADD)
    (tmp_path / "graph.graphml").write_text(text.once(line, line.replace(">h<", ">i<")).text, "utf-8")
    model = onnx.load(decode(tmp_path / "graph.graphml", trust="edges").onnx)
    assert list(op(model, ADD).input) == ["i", "w"]
    assert list(op(model, "/second/dead").input) == ["h"]


@pytest.mark.parametrize("trust", ["nodes", "edges"])
def test_unedited_graphs_are_exact(trust: Trust, tmp_path: Path) -> None:
    for data in [*seeds.small_models().values(), *seeds.fixtures().values(), *node_models()[::40]]:
        model = tmp_path / "model.onnx"
        model.write_bytes(data)
        graph = encode(model, tmp_path / "graph.graphml", overwrite=True).graphml
        assert decode(graph, trust=trust, overwrite=True, output=tmp_path / "copy.onnx").exact
        bare = rewriting.rewritten(graph.read_bytes(), ["without_derived", "shuffled"], random.Random(0))
        graph.write_bytes(bare)
        assert decode(graph, trust=trust, overwrite=True, output=tmp_path / "copy.onnx").exact


@given(data=model_bytes(), trust=st.sampled_from(("nodes", "edges")), show_parameters=st.booleans())
def test_any_unedited_graph_is_exact(data: bytes, trust: Trust, show_parameters: bool) -> None:
    trip = through_memory(data, show_parameters=show_parameters, trust=trust)
    assert trip.decoded == data


def test_two_edges_between_the_same_nodes_can_be_exchanged(tmp_path: Path) -> None:
    """The pairs of nodes are the same; only what the edges say of their places differs."""
    graph = helper.make_graph(
        [helper.make_node("Split", ["x"], ["a", "b"], name="split"), helper.make_node("Sub", ["a", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [2])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    nxgraph = to_networkx(helper.make_model(graph))
    for _, _, data in nxgraph.edges(data=True):
        if data["tensor_name"] in ("a", "b"):
            data["input_index"] = 1 - data["input_index"]
    assert list(from_networkx(nxgraph, trust="edges").graph.node[1].input) == ["b", "a"]
    assert list(from_networkx(nxgraph).graph.node[1].input) == ["a", "b"]


def test_all_disagreements_are_named_up_to_ten(tmp_path: Path) -> None:
    count = 14
    nodes = [helper.make_node("Relu", ["x"], [f"y{i}"], name=f"relu {i}") for i in range(count)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, [2])], [])
    nxgraph = to_networkx(helper.make_model(graph))
    nxgraph.remove_edges_from(list(nxgraph.edges))
    with pytest.raises(GraphMLError) as caught:
        from_networkx(nxgraph)
    told = re.findall(
        r"node 'relu_[\w.]+': no edge says that Relu 'relu (\d+)' takes 'x' from input 'x'", str(caught.value)
    )
    assert told == [str(i) for i in range(10)]
    assert "and 4 more" in caught.value.message


@given(data=st.data())
def test_any_drawing_is_followed_or_refused(data: st.DataObject) -> None:
    """Where edges can be followed, the edges of the model that comes out are those that were drawn."""
    drawing = to_networkx(editing.model())
    nodes = sorted(drawing)
    for source, target, key in data.draw(st.sets(st.sampled_from(sorted(drawing.edges)), max_size=3)):
        drawing.remove_edge(source, target, key)
    for source, target in data.draw(st.lists(st.tuples(*[st.sampled_from(nodes)] * 2), max_size=3)):
        values = data.draw(
            st.fixed_dictionaries(
                {}, optional={"input_index": st.integers(0, 3), "tensor_name": st.sampled_from(("h", "x", "?"))}
            )
        )
        drawing.add_edge(source, target, **values)
    try:
        model = from_networkx(drawing, trust="edges")
    except GraphMLError:
        return
    found = to_networkx(model)
    ids = dict(zip(found, drawing, strict=True))  # an output of another name has another identity
    assert sorted((ids[source], ids[target]) for source, target in found.edges()) == sorted(drawing.edges())
    assert from_networkx(found, trust="edges") == model
