"""Every code is found where a sound graph is broken in just that way, in the line where it is broken."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper

from graphml_onnx import encode, validate
from graphml_onnx.graphml.xml import MAX_DEPTH
from graphml_onnx.validation.codes import CODES
from graphml_onnx.validation.findings import MAX_LISTED
from tests.editing import edits as editing
from tests.editing.edits import Text
from tests.faults import graph_text
from tests.validation.broken_graphs import Broken, codes, of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx import Finding

FIXTURES = Path(__file__).parents[2] / "fixtures"
RELU, ADD, SOFTMAX, MATMUL = "/first/relu", "/first/add", "/second/softmax", "/second/matmul"
KIND = '<key id="kind" for="node" attr.name="kind" attr.type="string"/>\n'
GRAPH = '<graph id="g" edgedefault="directed">\n'


@dataclass(frozen=True)
class Named:
    """The node of a name."""

    name: str


@dataclass(frozen=True)
class Break:
    """A way to break the text of a graph.

    Attributes:
        code: what is found.
        of_text: breaks it.
        at: a text that then stands in the line of the finding, or the node whose first line it is.
        told: a part of the message.
    """

    code: str
    of_text: Callable[[Text], Text]
    at: str | Named | None = None
    told: str = ""


def replaced(old: str, new: str) -> Callable[[Text], Text]:
    return lambda text: text.once(old, new)


def on_edge(old: str, new: str) -> Callable[[Text], Text]:
    """Changes the edge from the input to the first operator."""
    return lambda text: text.once(text.edge("x", RELU), text.edge("x", RELU).replace(old, new))


def node(node_id: str, kind: str, **data: object) -> str:
    return graph_text.node(node_id, kind=kind, **data)


def copied(text: Text) -> Text:
    """A second Relu: the same node again, with an XML id of its own."""
    block = text.block(RELU) + "</node>\n"
    return text.insert(block.replace(f'id="{text.xml_id(RELU)}"', 'id="copy"', 1))


def module_of(text: Text, name: str) -> str:
    found = re.search(r'"parent">([^<]+)<', text.block(name))
    assert found is not None
    return found[1]


def in_a_circle(text: Text) -> Text:
    """Relu consumes what Add produces of it."""
    old = text.edge("x", RELU)
    new = graph_text.edge(text.xml_id(ADD), text.xml_id(RELU))
    return text.once(old, new).set(RELU, "inputs", '["sum"]')


def exchanged(text: Text) -> Text:
    text = text.set(RELU, "after", text.xml_id(ADD)).set(ADD, "after", "model")
    return text.set(MATMUL, "after", text.xml_id(RELU))


def bodies_of_each_other(text: Text) -> Text:
    choice = text.block("/second/choice")
    body = re.search(r'id="([^"]+)"[^>]*>\s*<data key="kind">subgraph</data>\s*<data key="node_id">([^<]+)', text.text)
    assert body is not None
    parent = re.search(r'"parent">([^<]+)<', choice)
    assert parent is not None
    return text.once(choice, choice.replace(f'"parent">{parent[1]}<', f'"parent">{body[2]}<'))


def deep(text: Text) -> Text:
    return text.once(GRAPH, GRAPH + "<desc>" + "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH + "</desc>\n")


BREAKS = (
    Break("passed-over", lambda t: t.insert('<node id="note"/>\n'), '<node id="note"/>'),
    # document
    Break("not-graphml", lambda t: Text("")),
    Break("not-graphml", lambda t: Text("{}"), told="JSON"),
    Break("not-graphml", lambda t: Text("<svg/>\n"), "<svg/>", "<svg>"),
    Break("not-well-formed", lambda t: Text(t.text[: len(t.text) // 2])),
    Break("not-well-formed", replaced("</graphml>", "</graphml>x"), "</graphml>x"),
    Break("encoding", replaced('encoding="UTF-8"', 'encoding="latin-1"'), "<?xml", "latin-1"),
    Break("doctype", replaced("<graphml ", "<!DOCTYPE graphml>\n<graphml "), "<!DOCTYPE"),
    Break("limit", deep, told="2,000 deep"),
    Break("misplaced-element", replaced(GRAPH, GRAPH + '<key id="late" for="node"/>\n'), '"late"', "<key> element"),
    Break("unknown-element", replaced(GRAPH, GRAPH + "<vertex/>\n"), "<vertex/>", "<vertex>"),
    Break("missing-attribute", lambda t: t.insert('<edge source="model"/>\n'), '<edge source="model"/>', "no target"),
    Break("edgedefault-missing", replaced(GRAPH, '<graph id="g">\n'), '<graph id="g">', "no edgedefault"),
    Break("missing-attribute", lambda t: t.insert("<node/>\n"), "<node/>", "no id"),
    Break("element-in-value", lambda t: t.within(RELU, '["h"]', '["h"]<b/>'), '<data key="outputs">["h"]<b/>',
          "'outputs'"),
    Break("not-supported", lambda t: t.insert("<hyperedge/>\n"), "<hyperedge/>"),
    # keys
    Break("key-undeclared", lambda t: t.add(RELU, "colour", "red"), '<data key="colour">', '"colour"'),
    Break("key-twice", replaced(KIND, KIND + KIND.replace("/>", "  />")), 'string"  />', '"kind"'),
    Break("key-default", replaced(KIND, KIND.replace("/>", "><default>op</default></key>")), "<default>", "'kind'"),
    Break("key-scope", replaced(KIND, '<key id="domain" for="edge" attr.name="domain"/>\n' + KIND), 'id="domain"',
          "'domain'"),
    Break("key-scope", on_edge("</edge>", '<data key="op_type">no</data></edge>'), '<data key="op_type">no',
          "'op_type'"),
    Break("value-twice", lambda t: t.add(RELU, "op_type", "Elu"), ">Elu<", "'op_type'"),
    Break("keys-renumbered", lambda t: t.every('id="kind" ', 'id="d0" ').every('key="kind"', 'key="d0"'),
          told='"kind"'),
    Break("keys-gone", lambda t: t.every("<key .*\n", "")),
    Break("keys-of-other-tools", replaced(KIND, KIND + '<key id="q" for="node" attr.name="colour"/>\n'),
          told='"colour"'),
    Break("foreign", lambda t: Text('<graphml><key id="a" for="node" attr.name="a"/><graph edgedefault="directed">'
                                    '<node id="n"/></graph></graphml>')),
    # nodes
    Break("format-version", lambda t: t.set("editable", "format_version", "5.0.0"), Named("editable"), "5.0.0"),
    Break("format-version", lambda t: t.every('.*"format_version">.*\n', ""), Named("editable"), "no format_version"),
    Break("model-missing", lambda t: t.set("editable", "kind", "module")),
    Break("model-twice", lambda t: t.insert(node("z", "model", format_version="4.0.0")), 'id="z"'),
    Break("incomplete-node", lambda t: t.insert(graph_text.node("z", op_type="Relu")), 'id="z"', "no kind"),
    Break("incomplete-node", lambda t: t.insert(node("z", "op", after="model")), 'id="z"', "no parent"),
    Break("incomplete-node", lambda t: t.within("Neg branch", '"index">1<', '"index"> <'),
          Named("Neg branch"), "no index"),
    Break("incomplete-node", lambda t: t.within(RELU, f'  <data key="node_id">{t.xml_id(RELU)}</data>\n', ""),
          Named(RELU), "no node_id"),
    Break("unknown-kind", lambda t: t.set(RELU, "kind", "operator"), Named(RELU), '"operator"'),
    Break("key-on-wrong-kind", lambda t: t.add("x", "op_type", "Relu"), Named("x"), "'op_type'"),
    Break("bad-value", lambda t: t.set(RELU, "inputs", "[x]"), Named(RELU), "inputs: not valid JSON"),
    Break("bad-value", lambda t: t.within(SOFTMAX, '"i":1', '"i":"1"'), Named(SOFTMAX), "attributes[0].i: "),
    Break("bad-value", lambda t: t.set("Neg branch", "index", "first"), Named("Neg branch"), '"first"'),
    Break("id-twice", lambda t: copied(t).once('id="copy"', f'id="{t.xml_id(RELU)}" '), None, "second node"),
    Break("node-twice", copied, 'id="copy"', "already"),
    Break("index-twice", lambda t: t.set("Neg branch", "index", "0"), None, "the index 0"),
    Break("order-open", lambda t: t.set(MATMUL, "after", "nobody"), Named(MATMUL), '"nobody", which is not'),
    Break("order-open", lambda t: t.set(MATMUL, "after", t.xml_id(RELU)), None, "comes after the same node as"),
    Break("order-open", lambda t: t.every(rf'({t.xml_id(ADD)}</data>\n.*\n).*"after".*\n', r"\1"), Named(ADD),
          "does not name the node before it"),
    Break("order-circle", lambda t: t.set(RELU, "after", t.xml_id(MATMUL)), Named(RELU), "come after it"),
    Break("parent-missing", lambda t: t.set(RELU, "parent", "nobody"), Named(RELU), '"nobody"'),
    Break("parent-kind", lambda t: t.set(RELU, "parent", t.xml_id(ADD)), Named(RELU), "/first/add"),
    Break("parent-cycle", lambda t: t.every(rf'("node_id">{module_of(t, RELU)}</data>\n.*"parent">)[^<]*',
                                            rf"\g<1>{module_of(t, RELU)}"), None, "cycle"),
    Break("parent-cycle", bodies_of_each_other, None, "contain each other"),
    Break("body-missing", lambda t: t.within("/second/choice", '"$graph":1', '"$graph":7'),
          Named("/second/choice"), "7"),
    Break("body-unnamed", lambda t: t.within("/second/choice", '"$graph":1', '"$graph":7'),
          Named("/second/choice"), "body 1"),
    Break("body-unnamed", lambda t: t.within("/second/choice", '"$graph":1', '"$graph":0'),
          Named("/second/choice"), "once"),
    Break("edge-end-missing", lambda t: t.insert(graph_text.edge("model", "nowhere")), '"nowhere"', '"nowhere"'),
    # graph
    Break("edge-mismatch", lambda t: t.once(t.edge("x", RELU), ""),
          Named(RELU), 'input 0 of operator "/first/relu" (Relu)'),
    Break("edge-mismatch", lambda t: t.insert('<edge source="model"  target="model"/>\n'), '"model"  target', "flows"),
    Break("dangling-input", lambda t: t.set(MATMUL, "outputs", '["p"]'),
          Named(SOFTMAX), '"product", is produced by nothing'),
    Break("dangling-output", lambda t: t.set("/second/choice", "outputs", '["z"]'), Named("y"), '"y"'),
    Break("tensor-twice", lambda t: t.set("/second/dead", "outputs", '["h"]'), Named("/second/dead"), '"h"'),
    Break("tensor-twice", lambda t: t.set("/second/dead", "outputs", '["w"]'), Named("/second/dead"), '"w"'),
    Break("tensor-twice", lambda t: t.set("/second/dead", "outputs", '["q","q"]'), Named("/second/dead"), '"q"'),
    Break("tensor-shadowed", lambda t: t.set("neg", "outputs", '["h"]'), Named("neg"), '"h"'),
    Break("name-twice", lambda t: t.every(">/second/dead<", ">/second/fill<"), None, "/second/fill"),
    Break("name-empty", lambda t: t.insert(node("z", "input", after="c")), 'id="z"', "input has no name"),
    Break("not-sorted", exchanged, Named(ADD), "comes later"),
    Break("cycle", in_a_circle, None, "/first/add"),
    Break("stale-edge", on_edge(">x<", ">z<"), ">z<",
          "tensor_name"),
    Break("stale-edge", on_edge("FLOAT", "INT8"), "INT8",
          "tensor_type"),
    # hierarchy
    Break("stale-tag", lambda t: t.set(RELU, "parent", module_of(t, MATMUL)), Named(RELU), "/first"),
    Break("stale-scope", lambda t: t.every('("traced_tag">)/first<', r"\1/other<"), None, "/other"),
    Break("nesting-differs", lambda t: t.set(RELU, "parent", module_of(t, MATMUL)), Named(RELU), "drawn in"),
    # store
    Break("store-value", lambda t: t.set("editable", "parameter_strategy", "zip"), Named("editable"), "'zip'"),
    Break("store-value", lambda t: t.set("editable", "parameter_file", "../x"), Named("editable"), "'../x'"),
    Break("store-value", lambda t: t.set("editable", "parameter_size", "big"), Named("editable"), "'big'"),
    Break("store-value", lambda t: t.set("editable", "parameter_checksum", "0"), Named("editable"), "SHA-256"),
    Break("store-value", lambda t: t.add("editable", "external_files", "{}").once(
        KIND, KIND + KIND.replace("kind", "external_files")), Named("editable"), "external_files"),
    Break("store-value", lambda t: t.every(r'  <data key="parameter_file">.*\n', ""),
          Named("editable"), "parameter_file"),
    Break("store-missing", lambda t: t.set("editable", "parameter_file", "gone"), Named("editable"), "'gone'"),
    Break("store-size", lambda t: t.set("editable", "parameter_size", "4801"), Named("editable"), "4,801"),
    Break("payload-range", lambda t: t.within("editable", '"name":"big","l', '"offset":0,"l'),
          Named("editable"), "needs a name"),
    Break("payload-digest", lambda t: t.every('("sha256":")[0-9a-f]{64}', r"\g<1>" + "0" * 64),
          Named("editable"), "0" * 64),
    # outcome
    Break("edited", lambda t: t.set(RELU, "op_type", "Elu"), Named("editable"), "SHA-256"),
    Break("onnx-checker", lambda t: t.set(RELU, "op_type", "Nonsense"), Named(RELU), "Nonsense"),
    Break("not-decodable", lambda t: t.set(RELU, "inputs", "[x]"), Named(RELU), "does not come back"),
    Break("not-listed", lambda t: t.insert('<node id="z"/>\n' * (MAX_LISTED + 5)), None, "5 more findings of"),
)  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.code}-{n}") for n, case in enumerate(BREAKS)])
def test_a_broken_text(broken: Broken, case: Break) -> None:
    text = case.of_text(broken.text)
    found = of(broken.found_in(text), case.code)

    assert found, case.code
    assert any(case.told in finding.message for finding in found), found
    assert all(finding.severity == CODES[case.code].severity and finding.remedy for finding in found)
    if case.at is not None:
        at = text.block(case.at.name) if isinstance(case.at, Named) else case.at
        assert text.line_of(at) in {finding.line for finding in found}, found


def test_the_sidecar_is_damaged(broken: Broken) -> None:
    content = bytearray(broken.sidecar.read_bytes())
    content[-100] ^= 1
    broken.sidecar.write_bytes(content)
    found = validate(broken.path)
    assert codes(found) == {"payload-digest"}


def test_the_sidecar_cannot_be_read(broken: Broken) -> None:
    broken.sidecar.unlink()
    broken.sidecar.mkdir()
    assert codes(validate(broken.path)) == {"store-unreadable"}


def test_the_sidecar_is_a_link(broken: Broken) -> None:
    broken.sidecar.rename(broken.sidecar.with_name("elsewhere"))
    try:
        broken.sidecar.symlink_to("elsewhere")
    except OSError:
        pytest.skip("no links here")
    assert codes(validate(broken.path)) == {"store-unreadable"}


def test_the_header_of_the_sidecar_was_changed(broken: Broken) -> None:
    content = broken.sidecar.read_bytes()
    broken.sidecar.write_bytes(content.replace(b"graphml-onnx", b"graphml-ONNX"))
    assert codes(validate(broken.path)) == {"store-header"}


def test_the_sidecar_lies_under_its_alias(broken: Broken) -> None:
    checksum = re.search(r'"parameter_checksum">(\w+)<', broken.text.text)
    assert checksum is not None
    broken.sidecar.rename(f"{broken.sidecar}.{checksum[1][:16]}")
    assert codes(validate(broken.path)) == {"store-alias"}


@pytest.mark.parametrize("change", ["missing", "other"])
def test_a_data_file_has_changed(tmp_path: Path, change: str) -> None:
    original = FIXTURES / "small" / "external_data"
    (tmp_path / "weights").mkdir()
    for file in ("model.onnx", "weights/first.bin", "weights/second.bin"):
        (tmp_path / file).write_bytes((original / file).read_bytes())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters="reference").graphml
    assert validate(graph) == []
    if change == "missing":
        (tmp_path / "weights" / "first.bin").unlink()
    else:
        (tmp_path / "weights" / "first.bin").write_bytes(b"other")
    (finding,) = validate(graph)
    assert finding.code == "data-file"
    assert "'weights/first.bin'" in finding.message


def test_the_document_does_not_follow_the_schema(broken: Broken) -> None:
    pytest.importorskip("xmlschema")
    broken.found_in(on_edge("<edge ", '<edge weight="1" ')(broken.text))
    (finding,) = validate(broken.path, schema=True)
    assert finding.code == "schema"
    assert "weight" in finding.message


@pytest.mark.parametrize(("file", "code"), [("chain_1_3", "older-lacks"), ("weights_1_1", "older-format")])
def test_a_file_of_an_earlier_format(file: str, code: str) -> None:
    assert code in codes(validate(FIXTURES / "legacy" / f"{file}.graphml"))


@dataclass(frozen=True)
class NearMiss:
    """Nearly the same as what breaks a graph, and nothing that this code is about.

    Attributes:
        code: what is not found.
        of_text: changes the text of a sound graph.
        of_files: changes the files.
    """

    code: str
    of_text: Callable[[Text], Text] = lambda text: text
    of_files: Callable[[Broken], object] = lambda broken: None


def added_at_the_end(text: Text) -> Text:
    """Another operator, after the last one of the model."""
    new = node("z", "op", parent="model", after=text.xml_id("/second/dead"), name="z", op_type="Relu", domain="",
               inputs='["h"]', outputs='["q"]')  # fmt: skip
    return text.insert(new + graph_text.edge(text.xml_id(RELU), "z"))


def another_last_byte(broken: Broken) -> None:
    broken.sidecar.write_bytes(broken.sidecar.read_bytes()[:-1] + b"x")


def renamed_everywhere(text: Text) -> Text:
    return text.set("/second/dead", "outputs", '["gone"]')


NEAR_MISSES = (
    # document
    NearMiss("not-graphml", lambda t: t.every(r"^(<\?xml[^>]*>)", r"\1\n<!-- by hand -->\n")),
    NearMiss("not-well-formed", lambda t: Text(t.text + "<!-- the end -->\n")),
    NearMiss("encoding", replaced('encoding="UTF-8"', 'encoding="utf-8"')),
    NearMiss("doctype", replaced("<graphml ", "<!-- DOCTYPE -->\n<graphml ")),
    NearMiss("limit", replaced(GRAPH, GRAPH + "<desc>" + "<a>" * 100 + "</a>" * 100 + "</desc>\n")),
    NearMiss("misplaced-element", replaced(GRAPH, GRAPH + "<desc>early</desc>\n")),
    NearMiss("unknown-element", lambda t: t.insert('<node id="vertex"><desc>vertex</desc></node>\n')),
    NearMiss("missing-attribute", lambda t: t.insert('<edge target="model" source="model"/>\n')),
    NearMiss("edgedefault-missing", replaced(GRAPH, '<graph edgedefault="directed" id="g">\n')),
    NearMiss("element-in-value", lambda t: t.within(RELU, '["h"]', '["h"]<!-- b -->')),
    NearMiss("not-supported", replaced(GRAPH, GRAPH + "<desc>hyperedge</desc>\n")),
    # keys
    NearMiss("key-undeclared", lambda t: t.once(KIND, KIND + KIND.replace("kind", "colour"))
             .add(RELU, "colour", "red")),
    NearMiss("key-twice", replaced(KIND, KIND + KIND.replace("kind", "kind2"))),
    NearMiss("key-default", replaced(KIND, KIND.replace("/>", "></key>"))),
    NearMiss("key-scope", replaced(KIND, KIND.replace('"node"', '"all"'))),
    NearMiss("value-twice", lambda t: t.set(RELU, "op_type", "Elu")),
    NearMiss("keys-renumbered", replaced(KIND, KIND.replace('id="kind" for="node"', 'for="node" id="kind"'))),
    NearMiss("keys-gone", lambda t: t.once(KIND, KIND.replace("/>", " />"))),
    NearMiss("keys-of-other-tools", replaced(KIND, "<!-- colour -->\n" + KIND)),
    NearMiss("foreign", lambda t: t.insert('<node id="n"/>\n')),
    # nodes
    NearMiss("format-version", lambda t: t.set("editable", "format_version", "4.0.9")),
    NearMiss("model-missing", lambda t: t.set("editable", "name", "other")),
    NearMiss("model-twice", lambda t: t.insert(node("z", "module", parent="model", name="model"))),
    NearMiss("incomplete-node", added_at_the_end),
    NearMiss("passed-over", added_at_the_end),
    NearMiss("unknown-kind", lambda t: t.within(RELU, '"kind">op<', '"kind"><![CDATA[op]]><')),
    NearMiss("key-on-wrong-kind", lambda t: t.set(RELU, "op_type", "Elu")),
    NearMiss("bad-value", lambda t: t.set(RELU, "inputs", ' [ "x" ] ')),
    NearMiss("id-twice", lambda t: copied(t)),
    NearMiss("node-twice", added_at_the_end),
    NearMiss("index-twice", lambda t: t.within("/second/choice", '"$graph":1', '"$graph":2').set(
        "Neg branch" if '"index">1<' in t.block("Neg branch") else "Abs branch", "index", "2")),
    NearMiss("order-open", added_at_the_end),
    NearMiss("order-circle", added_at_the_end),
    NearMiss("parent-missing", lambda t: t.set(RELU, "parent", "model")),
    NearMiss("parent-kind", lambda t: t.set(RELU, "parent", module_of(t, MATMUL))),
    NearMiss("parent-cycle", lambda t: t.set(RELU, "parent", module_of(t, MATMUL))),
    NearMiss("body-missing", lambda t: t.every('then_branch', "then_branch_")),
    NearMiss("body-unnamed", lambda t: t.every('then_branch', "then_branch_")),
    NearMiss("edge-end-missing", lambda t: t.insert(graph_text.edge("model", "model"))),
    # graph
    NearMiss("edge-mismatch", renamed_everywhere),
    NearMiss("dangling-input", lambda t: t.set("/second/dead", "inputs", '["w"]')),
    NearMiss("dangling-output", renamed_everywhere),
    NearMiss("tensor-twice", lambda t: t.set("neg", "outputs", '["h"]')),
    NearMiss("tensor-shadowed", lambda t: t.set("/second/dead", "outputs", '["h"]')),
    NearMiss("name-twice", lambda t: t.every(">/second/dead<", "><")),
    NearMiss("name-empty", lambda t: t.insert(node("n", "input", after="c", name="z"))),
    NearMiss("not-sorted", lambda t: t.set("/second/dead", "inputs", '["fill"]')),
    NearMiss("cycle", lambda t: t.set("/second/dead", "inputs", '["sum"]')),
    NearMiss("stale-edge", on_edge(">x<", "><![CDATA[x]]><")),
    # hierarchy
    NearMiss("stale-tag", lambda t: t.every(">/first/relu<", ">/first/rectify<")),
    NearMiss("stale-scope", lambda t: t.every(">/first/relu<", ">/first/rectify<")),
    NearMiss("nesting-differs", lambda t: t.every(">/first/relu<", ">/second/relu<")),
    # store
    NearMiss("store-value", lambda t: t.set("editable", "parameter_file", "moved.onnxdata"),
             lambda broken: broken.sidecar.rename(broken.sidecar.with_name("moved.onnxdata"))),
    NearMiss("store-missing", lambda t: t.set("editable", "parameter_file", "moved.onnxdata"),
             lambda broken: broken.sidecar.rename(broken.sidecar.with_name("moved.onnxdata"))),
    NearMiss("store-size", of_files=another_last_byte),
    NearMiss("store-unreadable", of_files=lambda broken: broken.sidecar.unlink()),
    NearMiss("store-header", of_files=another_last_byte),
    NearMiss("store-alias", of_files=lambda broken: broken.sidecar.with_name("graph.onnxdata.0123").write_bytes(b"")),
    NearMiss("payload-digest", of_files=lambda broken: broken.sidecar.write_bytes(broken.sidecar.read_bytes())),
    # outcome
    NearMiss("edited", replaced(KIND, KIND.replace("/>", " />"))),
    NearMiss("onnx-checker", lambda t: t.set(RELU, "op_type", "Elu")),
    NearMiss("not-decodable", lambda t: t.set(RELU, "op_type", "Nonsense")),
    NearMiss("older-format", lambda t: t.every('id="kind" ', 'id="d0" ').every('key="kind"', 'key="d0"')),
    NearMiss("not-listed", lambda t: t.insert("".join(f'<node id="z{n}"/>\n' for n in range(MAX_LISTED)))),
)  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.code) for case in NEAR_MISSES])
def test_a_near_miss(broken: Broken, case: NearMiss) -> None:
    case.of_files(broken)
    assert case.code not in codes(broken.found_in(case.of_text(broken.text)))


def follows_the_schema(folder: Path) -> list[Finding]:
    pytest.importorskip("xmlschema")
    broken = Broken(folder)
    broken.found_in(on_edge("<edge ", "<!-- weight --><edge ")(broken.text))
    return validate(broken.path, schema=True)


def weight_among_the_inputs(folder: Path) -> list[Finding]:
    model = editing.model()
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 2]))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return validate(encode(folder / "model.onnx", folder / "graph.graphml").graphml)


def side_by_side(folder: Path) -> list[Finding]:
    """Payloads that lie next to each other, in a store and in data files."""
    shutil.copytree(FIXTURES / "small" / "external_data", folder / "copy")
    graph = encode(folder / "copy" / "model.onnx", folder / "graph.graphml").graphml
    kept = encode(folder / "copy" / "model.onnx", folder / "copy" / "kept.graphml", parameters="reference").graphml
    return validate(graph) + validate(kept)


def older_without_a_model(_: Path) -> list[Finding]:
    return validate(FIXTURES / "legacy" / "weights_1_1.graphml")


OTHER_NEAR_MISSES: dict[str, Callable[[Path], list[Finding]]] = {
    "schema": follows_the_schema,
    "weight-input": weight_among_the_inputs,
    "payload-range": side_by_side,
    "data-file": side_by_side,
    "older-lacks": older_without_a_model,
}


@pytest.mark.parametrize("code", OTHER_NEAR_MISSES)
def test_another_near_miss(tmp_path: Path, code: str) -> None:
    assert code not in codes(OTHER_NEAR_MISSES[code](tmp_path))


def test_no_code_is_forgotten() -> None:
    """Each has a case that raises it, and a near miss.

    Cases of the functions above, which need more than another text, are listed here by hand; `test_codes_of_runs`
    and `test_codes_of_exports` have those of other commands.
    """
    validated = {name for name, code in CODES.items() if code.layer not in ("run", "export")}
    assert sorted([*(case.code for case in NEAR_MISSES), *OTHER_NEAR_MISSES]) == sorted(validated)
    others = {"store-unreadable", "store-header", "store-alias", "data-file", "schema", "older-format", "older-lacks"}
    others.add("weight-input")  # tests/codec/test_name_scopes.py
    assert {case.code for case in BREAKS} | others == validated
