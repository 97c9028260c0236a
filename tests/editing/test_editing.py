"""The graph is the model: what is edited in the text is changed in the model, there and nowhere else."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import helper

from graphml_onnx import GraphMLError, NotExactError, decode, encode, validate
from graphml_onnx.support.text import unescape
from tests.common import seeds
from tests.common.command import contents, in_process
from tests.editing import edits as editing
from tests.editing.edits import Text
from tests.faults import graph_text
from tests.strategies import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from graphml_onnx import Layout


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The graph of the model in each layout."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "model.onnx").write_bytes(editing.model().SerializeToString())
    layouts: tuple[Layout, ...] = ("nested", "flat")
    return {name: encode(folder / "model.onnx", folder / f"{name}.graphml", layout=name).graphml for name in layouts}


@pytest.fixture(params=["nested", "flat"])
def original(originals: dict[str, Path], request: pytest.FixtureRequest) -> Path:
    return originals[request.param]


@pytest.fixture
def text(original: Path) -> Text:
    return Text(original.read_text("utf-8"))


def saved(original: Path, folder: Path, edited: Text) -> Path:
    """A copy of the graph's folder with the edited text."""
    sidecar = original.with_suffix(".onnxdata")
    (folder / sidecar.name).write_bytes(sidecar.read_bytes())
    graph = folder / "edited.graphml"
    graph.write_text(edited.text, "utf-8")
    return graph


# --- edits that change the model --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """An edit of the text, the same edit of the model, and what ONNX's checker has against it, in few words."""

    name: str
    of_text: Callable[[Text], Text]
    of_model: Callable[[onnx.ModelProto], object]
    complaint: str = ""


def op(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def body(model: onnx.ModelProto, name: str) -> onnx.GraphProto:
    return next(a.g for a in op(model, "/second/choice").attribute if a.g.name == name)


def rename_h(model: onnx.ModelProto) -> None:
    op(model, "/first/relu").output[0] = "hidden"
    op(model, "/first/add").input[0] = "hidden"
    op(model, "/second/dead").input[0] = "hidden"


def renamed_h(text: Text) -> Text:
    text = text.set("/first/relu", "outputs", '["hidden"]').set("/first/add", "inputs", '["hidden","w"]')
    return text.set("/second/dead", "inputs", '["hidden"]')


def inserted(text: Text) -> Text:
    last = text.xml_id("/second/dead")
    new = graph_text.operator("new", last, "model", op_type="Sigmoid", name="added", inputs='["h"]', outputs='["s"]')
    return text.insert(new + graph_text.edge(text.xml_id("/first/relu"), "new"))


def add_sigmoid(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sigmoid", ["h"], ["s"], name="added"))


def swapped(text: Text) -> Text:
    text = text.set("/first/relu", "after", text.xml_id("/first/add")).set("/first/add", "after", "model")
    return text.set("/second/matmul", "after", text.xml_id("/first/relu"))


def swap(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[1], nodes[0], *nodes[2:]])


def change_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"".join(map(editing.float32, (0.1, 1, 0.25, 3e-7)))


def add_alpha(model: onnx.ModelProto) -> None:
    op(model, "/first/relu").attribute.append(helper.make_attribute("alpha", 0.5))


def with_domain(text: Text) -> Text:
    """Only keys in use are declared: who uses another one declares it."""
    key = '<key id="domain" for="node" attr.name="domain" attr.type="string"/>\n'
    return text.once('<graph id="g"', f'{key}<graph id="g"').add("/first/relu", "domain", "com.example")


def exchange_bodies(model: onnx.ModelProto) -> None:
    one, other = (attribute.g for attribute in op(model, "/second/choice").attribute)
    kept = onnx.GraphProto()
    kept.CopyFrom(one)
    one.CopyFrom(other)
    other.CopyFrom(kept)


EDITS = (
    Edit("the type of an operator", lambda t: t.set("/first/relu", "op_type", "Elu"),
         lambda m: setattr(op(m, "/first/relu"), "op_type", "Elu")),
    Edit("the name of an operator", lambda t: t.set("/first/relu", "name", "anything else"),
         lambda m: setattr(op(m, "/first/relu"), "name", "anything else")),
    Edit("the domain of an operator", with_domain,
         lambda m: setattr(op(m, "/first/relu"), "domain", "com.example"),
         "Relu '/first/relu': No opset import for domain 'com.example'"),
    Edit("the value of an attribute", lambda t: t.within("/second/softmax", '"i":1', '"i":-1'),
         lambda m: setattr(op(m, "/second/softmax").attribute[0], "i", -1)),
    Edit("a new attribute",
         lambda t: t.add("/first/relu", "attributes", '[{"name":"alpha","f":0.5,"type":"FLOAT"}]'), add_alpha,
         "Relu '/first/relu': Unrecognized attribute: alpha"),
    Edit("no attribute", lambda t: t.set("/second/softmax", "attributes", ""),
         lambda m: op(m, "/second/softmax").ClearField("attribute")),
    Edit("an attribute's tensor", lambda t: t.within("/second/fill", "[0.5,1.5]", "[0.5,-1.5]"),
         lambda m: op(m, "/second/fill").attribute[0].t.float_data.__setitem__(1, -1.5)),
    Edit("the name of a tensor", renamed_h, rename_h),
    Edit("the name of a tensor, on its edges too",
         lambda t: renamed_h(t).every('"tensor_name">h<', '"tensor_name">hidden<'), rename_h),
    Edit("inline numbers of a weight", lambda t: t.once("[0.1,1.0,-2.0,3e-07]", "[0.1, 1, 0.25, 3e-7]"),
         change_weights),
    Edit("dims of an initializer", lambda t: t.once('{"dims":[2,2],', '{"dims":[4],'),
         lambda m: m.graph.initializer[0].dims.__setitem__(slice(None), [4])),
    Edit("dims of a payload", lambda t: t.once('{"dims":[2,600],', '{"dims":[600,2],'),
         lambda m: m.graph.initializer[1].dims.__setitem__(slice(None), [600, 2])),
    Edit("an initializer removed, whose payload stays in the sidecar",
         lambda t: t.every(r',\n\{"dims":\[2,600\].*\n', "\n"), lambda m: m.graph.initializer.pop(),
         "MatMul '/second/matmul': Nodes in a graph must be topologically sorted, however input 'big' is not"),
    Edit("the type of an initializer", lambda t: t.once('600],"data_type":"FLOAT"', '600],"data_type":"INT32"'),
         lambda m: setattr(m.graph.initializer[1], "data_type", onnx.TensorProto.INT32)),
    Edit("the model's doc_string", lambda t: t.once(">first draft<", ">second draft: 1 &lt; 2<"),
         lambda m: setattr(m, "doc_string", "second draft: 1 < 2")),
    Edit("the graph's doc_string", lambda t: t.once(">a graph<", '>"\\u0001"<'),
         lambda m: setattr(m.graph, "doc_string", "\1")),
    Edit("an operator's doc_string, emptied", lambda t: t.once(">adds<", '>""<'),
         lambda m: setattr(op(m, "/first/add"), "doc_string", "")),
    Edit("an operator's doc_string, removed", lambda t: t.once('  <data key="doc_string">adds</data>\n', ""),
         lambda m: op(m, "/first/add").ClearField("doc_string")),
    Edit("an operator removed, with its edges", lambda t: t.without("/second/dead"),
         lambda m: m.graph.node.remove(op(m, "/second/dead"))),
    Edit("an operator inserted, with its edge", inserted, add_sigmoid),
    Edit("two operators swapped", swapped, swap,
         "Add '/first/add': Nodes in a graph must be topologically sorted, however input 'h' is not"),
    Edit("an operator in a body", lambda t: t.set("neg", "op_type", "Sign"),
         lambda m: setattr(body(m, "Neg branch").node[0], "op_type", "Sign")),
    Edit("the name of a body", lambda t: t.set("Neg branch", "name", "renamed"),
         lambda m: setattr(body(m, "Neg branch"), "name", "renamed")),
    Edit("the bodies exchanged",
         lambda t: t.within("Neg branch", '"index">1<', '"index">0<').within("Abs branch", '"index">0<', '"index">1<'),
         exchange_bodies),
    Edit("the version of an operator set", lambda t: t.once('"version":21', '"version":20'),
         lambda m: setattr(m.opset_import[0], "version", 20)),
    Edit("another operator set",
         lambda t: t.once('"version":21}', '"version":21},{"domain":"com.example","version":1}'),
         lambda m: m.opset_import.append(helper.make_opsetid("com.example", 1))),
    Edit("the shape of an input", lambda t: t.within("x", '"dim_param":"batch"', '"dim_value":8'),
         lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 8)),
    Edit("the type of the output", lambda t: t.within("y", '"FLOAT"', '"FLOAT16"'),
         lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", onnx.TensorProto.FLOAT16)),
    Edit("the version of the IR", lambda t: t.set("editable", "ir_version", "9"),
         lambda m: setattr(m, "ir_version", 9)),
)  # fmt: skip


def line_of(edit: Edit, graph: Path) -> int:
    """The line where the operator starts that the complaint is about."""
    name = edit.complaint.split("'")[1]
    edited = Text(graph.read_text("utf-8"))
    return edited.line_of(edited.block(name))


def differences(left: Message, right: Message, path: str = "") -> Iterator[str]:
    """The fields in which two messages differ."""
    fields = {field.name: field for message in (left, right) for field, _ in message.ListFields()}
    for name, field in fields.items():
        one, other = getattr(left, name), getattr(right, name)
        if field.is_repeated:
            if len(one) != len(other):
                yield f"{path}{name}: {len(one)} instead of {len(other)}"
            pairs = [(f"{path}{name}[{index}]", *pair) for index, pair in enumerate(zip(one, other, strict=False))]
        else:
            if field.has_presence and left.HasField(name) != right.HasField(name):
                yield f"{path}{name}: {'absent' if right.HasField(name) else 'present'}"
            pairs = [(path + name, one, other)]
        for place, a, b in pairs:
            if field.message_type is not None:
                yield from differences(a, b, f"{place}.")
            elif a != b:
                yield f"{place}: {a!r} instead of {b!r}"


@pytest.mark.parametrize("edit", [pytest.param(edit, id=edit.name) for edit in EDITS])
def test_an_edit_changes_that_and_nothing_else(original: Path, text: Text, tmp_path: Path, edit: Edit) -> None:
    expected = editing.model()
    edit.of_model(expected)
    assert list(differences(editing.model(), expected))
    graph = saved(original, tmp_path, edit.of_text(text))
    result = decode(graph)
    decoded = onnx.ModelProto.FromString(result.onnx.read_bytes())

    assert list(differences(decoded, expected)) == []
    assert result.onnx.read_bytes() == expected.SerializeToString()
    assert not result.exact
    assert len(result.findings) == bool(edit.complaint)
    for finding in result.findings:
        assert finding.startswith(f"onnx.checker: line {line_of(edit, graph)}: {edit.complaint}")


def test_an_edited_graph_is_not_exact_on_the_command_line(original: Path, text: Text, tmp_path: Path) -> None:
    graph = saved(original, tmp_path, EDITS[0].of_text(text)).name
    before = contents(tmp_path)
    required = in_process(tmp_path, "decode", graph, "-o", "a.onnx", "--require-exact")
    assert (required.code, required.out) == (1, "")
    assert re.fullmatch(r"g2o: edited\.graphml: .*SHA-256.*\(.*edited.*\)\n", required.err)
    assert contents(tmp_path) == before

    told = in_process(tmp_path, "decode", graph, "-o", "a.onnx")
    assert (told.code, told.err) == (0, "")
    assert "edited" in told.out
    assert json.loads(in_process(tmp_path, "decode", graph, "-o", "b.onnx", "--json").out)["exact"] is False
    with pytest.raises(NotExactError):
        decode(tmp_path / graph, tmp_path / "c.onnx", require_exact=True)


# --- edits that change nothing ----------------------------------------------------------------------------------------

DERIVED = (
    "label|hierarchy_tag|class_name|scope|traced_tag|hierarchy_source|tensor_name|tensor_type|tensor_shape|input_index"
)


def other_identities(text: Text) -> Text:
    return text.every(r'(<data key="(?:node_id|parent|after)">)([^<]+)<', r"\1the node \2<")


def other_module(text: Text) -> Text:
    first = re.search(r'"parent">([^<]+)<', text.block("/first/relu"))
    assert first is not None
    return text.set("/second/matmul", "parent", first[1])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda t: t.every(rf'(<data key="(?:{DERIVED})">)[^<]*<', r"\1edited<"), id="derived keys"),
        pytest.param(lambda t: t.every(rf'\n?(  )?<data key="(?:{DERIVED})">[^<]*</data>', ""), id="no derived keys"),
        pytest.param(other_identities, id="other identities"),
        pytest.param(other_module, id="an operator in another module"),
        pytest.param(lambda t: t.set("/second/matmul", "parent", "model"), id="an operator out of its module"),
        pytest.param(lambda t: t.within("/second/softmax", '"name":"axis","i":1', '"i": 1, "name": "axis"'), id="JSON"),
        pytest.param(lambda t: t.set("/second/dead", "after", "nobody"), id="the last one stands after nobody"),
        pytest.param(lambda t: t.every('  <data key="after">.*\n', ""), id="no order"),
        pytest.param(lambda t: t.set("x", "name", '"x"'), id="a name as a JSON literal"),
    ],
)
def test_the_model_does_not_depend_on_it(
    original: Path, text: Text, tmp_path: Path, edit: Callable[[Text], Text]
) -> None:
    result = decode(saved(original, tmp_path, edit(text)), require_exact=True)
    assert result.onnx.read_bytes() == editing.model().SerializeToString()


def test_graphics_are_for_the_eye_only(originals: dict[str, Path], tmp_path: Path) -> None:
    text = Text(originals["nested"].read_text("utf-8"))
    text = text.every(r'color="#\w+"', 'color="#000000"').every(r'(width|height|x|y)="\d+"', r'\1="7.5"')
    text = text.every(r"(<y:NodeLabel[^>]*>)[^<]*<", r"\1moved<")
    assert decode(saved(originals["nested"], tmp_path, text), require_exact=True).exact


# --- edges that disagree ----------------------------------------------------------------------------------------------

IN_ADD = '["h","w"]'


@dataclass(frozen=True)
class Contradiction:
    """An edit after which edges and operators disagree, what is told of it, and the names of the two nodes.

    ``of_model`` is what remains of it where the nodes are believed.
    """

    name: str
    of_text: Callable[[Text], Text]
    told: str
    ends: tuple[str, str]
    of_model: Callable[[onnx.ModelProto], object] = lambda _: None


def redirected(text: Text) -> Text:
    edge = text.edge("/first/relu", "/first/add")
    return text.once(edge, edge.replace(text.xml_id("/first/add"), text.xml_id("/second/matmul")))


def doubled(text: Text) -> Text:
    edge = text.edge("/first/relu", "/first/add")
    return text.once(edge, edge + edge)


RELU, ADD = "Relu '/first/relu'", "Add '/first/add'"

CONTRADICTIONS = (
    Contradiction("deleted", lambda t: t.once(t.edge("/first/relu", "/first/add"), ""),
                  f"no edge says that {ADD} takes 'h' from {RELU}", ("/first/relu", "/first/add")),
    Contradiction("redirected", redirected, f"the edge from {RELU} to MatMul '/second/matmul' matches no input",
                  ("/first/relu", "/second/matmul")),
    Contradiction("added", lambda t: t.insert(graph_text.edge(t.xml_id("x"), t.xml_id("/second/softmax"))),
                  "the edge from input 'x' to Softmax '/second/softmax' matches no input", ("x", "/second/softmax")),
    Contradiction("doubled", doubled, f"the edge from {RELU} to {ADD} matches no input",
                  ("/first/relu", "/first/add")),
    Contradiction("turned round",
                  lambda t: t.once(t.edge("x", "/first/relu"), graph_text.edge(t.xml_id("/first/relu"), t.xml_id("x"))),
                  f"the edge from {RELU} to input 'x' matches no input", ("/first/relu", "x")),
    Contradiction("an input renamed", lambda t: t.set("/first/add", "inputs", '["x","w"]'),
                  f"the edge from {RELU} to {ADD} matches no input", ("/first/relu", "/first/add"),
                  lambda m: op(m, "/first/add").input.__setitem__(0, "x")),
    Contradiction("an output renamed", lambda t: t.set("/second/matmul", "outputs", '["p"]'),
                  "the edge from MatMul '/second/matmul' to Softmax '/second/softmax' matches no input",
                  ("/second/matmul", "/second/softmax"),
                  lambda m: op(m, "/second/matmul").output.__setitem__(0, "p")),
)  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CONTRADICTIONS])
def test_edges_that_disagree_are_refused_unless_nodes_are_trusted(
    original: Path, text: Text, tmp_path: Path, case: Contradiction
) -> None:
    edited = case.of_text(text)
    graph = saved(original, tmp_path, edited)
    before = contents(tmp_path)
    refused = in_process(tmp_path, "decode", graph.name)
    assert (refused.code, refused.out) == (65, "")
    line = re.search(rf"line (\d+): {case.told}", refused.err)
    assert line is not None, refused.err
    source, target = map(text.xml_id, case.ends)
    at = edited.text.splitlines()[int(line[1]) - 1]
    assert at.startswith((f'<edge source="{source}" target="{target}"', f'<node id="{target}"'))
    assert "--trust nodes" in refused.err
    assert contents(tmp_path) == before

    expected = editing.model()
    case.of_model(expected)
    assert in_process(tmp_path, "decode", graph.name, "--trust", "nodes").code == 0
    assert graph.with_suffix(".onnx").read_bytes() == expected.SerializeToString()


def test_of_equal_edges_the_last_is_too_many(tmp_path: Path) -> None:
    ends = [graph_text.operator("a", outputs='["t"]'), graph_text.operator("b", "a", inputs='["t","t"]')]
    text = graph_text.graph(*ends, *[graph_text.edge("a", "b")] * 4)
    (tmp_path / "graph.graphml").write_text(text, "utf-8")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<edge")]
    with pytest.raises(GraphMLError) as caught:
        decode(tmp_path / "graph.graphml")
    told = [int(line) for line in re.findall(r"line (\d+): the edge", caught.value.message)]
    found = [finding.line for finding in validate(tmp_path / "graph.graphml") if finding.code == "edge-mismatch"]
    assert told == found == lines[2:]


# --- slips of the pen in JSON -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slip:
    """A mistake in the node of a name, and the path that is told."""

    node: str
    old: str
    new: str
    path: str


SLIPS = (
    Slip("/second/softmax", '"name":"axis"', '"naem":"axis"', "attributes[0].naem"),
    Slip("/second/softmax", '"i":1', '"axiss":1', "attributes[0].axiss"),
    Slip("/second/softmax", '"i":1', '"$i":1', "attributes[0].$i"),
    Slip("/second/softmax", '"i":1', '"i":"1"', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', '"i":1.0', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', '"i":true', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', '"i":null', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', '"i":[1]', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', f'"i":{2**63}', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', f'"i":{-(2**63) - 1}', "attributes[0].i"),
    Slip("/second/softmax", '"i":1', '"f":1e39', "attributes[0].f"),
    Slip("/second/softmax", '"i":1', '"f":1e999', "attributes[0].f"),
    Slip("/second/softmax", '"i":1', '"f":"nan"', "attributes[0].f"),
    Slip("/second/softmax", '"i":1', '"f":"NaN:1"', "attributes[0].f"),
    Slip("/second/softmax", '"i":1', '"floats":[0,1e39]', "attributes[0].floats[1]"),
    Slip("/second/softmax", '"i":1', '"ints":[0,"1"]', "attributes[0].ints[1]"),
    Slip("/second/softmax", '"i":1', '"ints":{}', "attributes[0].ints"),
    Slip("/second/softmax", '"i":1', '"s":7', "attributes[0].s"),
    Slip("/second/softmax", '"i":1', '"s":"\\ud800"', "attributes[0].s"),
    Slip("/second/softmax", '"i":1', '"s":{"$base64":"*"}', "attributes[0].s"),
    Slip("/second/softmax", '"i":1', '"s":{"$base64":"YQ==","more":1}', "attributes[0].s"),
    Slip("/second/softmax", '"i":1', '"strings":["a",1]', "attributes[0].strings[1]"),
    Slip("/second/softmax", '"i":1', '"i":1,"i":2', "attributes"),
    Slip("/second/softmax", '"i":1', '"i":NaN', "attributes"),
    Slip("/second/softmax", '"i":1', '"i":1,', "attributes"),
    Slip("/second/softmax", '"i":1', '"g":{"$graph":0}', "attributes[0].g"),
    Slip("/second/softmax", '"type":"INT"', '"type":"INTEGER"', "attributes[0].type"),
    Slip("/second/softmax", '"type":"INT"', '"type":2147483648', "attributes[0].type"),
    Slip("/second/softmax", '[{"name"', '{"name"', "attributes"),
    Slip("/second/softmax", '[{"name"', '["name",{"name"', "attributes[0]"),
    Slip("/second/softmax", '["product"]', '["product"', "inputs"),
    Slip("/second/softmax", '["product"]', '"product"', "inputs"),
    Slip("/second/softmax", '["product"]', '["product",1]', "inputs[1]"),
    Slip("/second/fill", '"dims":[1,2]', '"dims":[1,"2"]', "attributes[0].t.dims[1]"),
    Slip("/second/fill", '"dims":[1,2]', f'"dims":[1,{2**63}]', "attributes[0].t.dims[1]"),
    Slip("/second/fill", '"data_type":"FLOAT"', '"data_type":"FLOAT33"', "attributes[0].t.data_type"),
    Slip("/second/fill", "[0.5,1.5]", "[0.5,false]", "attributes[0].t.float_data[1]"),
    Slip("/second/fill", "[0.5,1.5]", '{"$payload":{"offset":0}}', "attributes[0].t.float_data"),
    Slip("/second/choice", '"$graph":1', '"$graph":2', "attributes[1].g"),
    Slip("/second/choice", '"$graph":1', '"$graph":0', "attributes[1].g"),
    Slip("/second/choice", '"$graph":1', '"$graph":"1"', "attributes[1].g"),
    Slip("/second/choice", '"$graph":1', '"$grahp":1', "attributes[1].g"),
    Slip("x", '"elem_type":"FLOAT"', '"elem_type":"float"', "type.tensor_type.elem_type"),
    Slip("x", '"dim_value":2', '"dim_value":2.5', "type.tensor_type.shape.dim[1].dim_value"),
    Slip("editable", '"version":21', '"version":"21"', "opset_imports[0].version"),
    Slip("editable", f'"ir_version">{onnx.IR_VERSION}', '"ir_version">fourteen', "ir_version"),
    Slip("editable", f'"ir_version">{onnx.IR_VERSION}', f'"ir_version">{2**63}', "ir_version"),
    Slip("editable", ">a graph<", '>"a graph<', "graph_doc_string"),
    Slip("editable", '"length":4800', '"length":"4800"', "initializers[1].raw_data"),
    Slip("editable", '"length":4800', '"length":-1', "initializers[1].raw_data"),
    Slip("editable", '"length":4800', '"length":4800,"more":1', "initializers[1].raw_data"),
    Slip("editable", '"length":4800,', "", "initializers[1].raw_data"),
    Slip("editable", '"$payload"', '"$paylaod"', "initializers[1].raw_data"),
    Slip("editable", '"sha256":"', '"sha256":"z', "initializers[1].raw_data"),
)  # fmt: skip


@pytest.mark.parametrize("slip", [pytest.param(slip, id=f"{slip.path}: {slip.new}") for slip in SLIPS])
def test_a_slip_is_told_with_line_and_path(original: Path, text: Text, tmp_path: Path, slip: Slip) -> None:
    edited = text.within(slip.node, slip.old, slip.new)
    graph = saved(original, tmp_path, edited)
    before = contents(tmp_path)
    with pytest.raises(GraphMLError) as caught:
        decode(graph)

    assert caught.value.place == f"line {edited.line_of(edited.block(slip.node))}"
    assert caught.value.message.startswith(f"{slip.path}: ")
    assert caught.value.remedy
    assert contents(tmp_path) == before


def test_a_slip_on_the_command_line(original: Path, text: Text, tmp_path: Path) -> None:
    graph = saved(original, tmp_path, text.within("/second/fill", "[1,2]", "[1,-2.5]"))
    ran = in_process(tmp_path, "decode", graph.name)
    assert (ran.code, ran.out) == (65, "")
    assert re.fullmatch(r"g2o: edited\.graphml: line \d+: attributes\[0\]\.t\.dims\[1\]: .*\)\n", ran.err)


# --- a model that is not canonical ------------------------------------------------------------------------------------


def test_an_edit_of_a_model_with_a_residue_keeps_what_onnx_does_not_know(tmp_path: Path) -> None:
    """Fields in another order, and unknown ones in the model and in an operator: the order is lost, they are not."""
    unknown = wire.Field(999, wire.BYTES, b"of a newer release")
    fields = wire.parse(editing.model().SerializeToString())
    graph = next(field for field in fields if field.number == 7)
    node = graph.value[0]._replace(value=(unknown, *reversed(graph.value[0].value)))
    changed = graph._replace(value=(node, *graph.value[1:]))
    data = wire.serialise((unknown, *(changed if field is graph else field for field in reversed(fields))))
    (tmp_path / "model.onnx").write_bytes(data)
    encoded = encode(tmp_path / "model.onnx", tmp_path / "model.graphml")
    assert encoded.residue_bytes
    text = Text(encoded.graphml.read_text("utf-8"))
    encoded.graphml.write_text(text.set("/first/add", "op_type", "Sub").text, "utf-8")
    result = decode(encoded.graphml, tmp_path / "edited.onnx")

    expected = onnx.ModelProto.FromString(data)
    op(expected, "/first/add").op_type = "Sub"
    assert onnx.ModelProto.FromString(result.onnx.read_bytes()) == expected
    assert result.onnx.read_bytes().count(b"of a newer release") == 2
    assert not result.exact
    assert any("edited" in finding for finding in result.findings)


# --- all of it is readable --------------------------------------------------------------------------------------------

_UNREADABLE = {"residue", "parameter_data"}


def readable_models() -> dict[str, bytes]:
    package = {name: data for name, data in seeds.onnx_files().items() if len(data) < 50_000}
    some = dict(sorted(package.items())[:: max(1, len(package) // 40)])
    small = {name: data for name, data in seeds.small_models().items() if name not in ("typed", "large", "training")}
    return seeds.fixtures() | small | some | {"editable": editing.model().SerializeToString()}


@pytest.mark.parametrize("name", readable_models())
def test_the_whole_graph_is_readable_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(readable_models()[name])
    text = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml.read_text("utf-8")

    assert "$base64" not in text
    for key, value in re.findall(r'<data key="(\w+)">([^<]*)</data>', text):
        assert key not in _UNREADABLE
        for run in re.findall(r"[A-Za-z0-9+/]{100,}={0,2}", unescape(value)):
            assert not is_binary(run), f"{key} holds base64: {run[:80]}"


def is_binary(text: str) -> bool:
    """Whether a text is base64 of something that is no text."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return not content.isascii()


def test_this_would_notice_base64() -> None:
    assert is_binary(base64.b64encode(bytes(range(256))).decode())
