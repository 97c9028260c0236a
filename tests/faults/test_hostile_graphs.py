"""GraphML made to do harm: the library's own error, or a model; never anything else, and never much memory."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from graphml_onnx import DecodeResult, GraphmlOnnxError, decode, encode, validate
from graphml_onnx.codec.dataflow import Dataflow
from graphml_onnx.codec.keys import FORMAT_VERSION
from graphml_onnx.graphml.xml import CHUNK, MAX_MARKUP
from tests.common import seeds
from tests.common.command import contents
from tests.faults.graph_text import (
    ZERO_DIGEST,
    body,
    document,
    edge,
    graph,
    initializers,
    module,
    named,
    node,
    operator,
    payload,
)
from tests.strategies import wire

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = '{"name":"b","g":{"$graph":%s},"type":"GRAPH"}'
TENSOR = '[{"data_type":"%s","raw_data":%s}]'
SEQUENCE = '{"sequence_type":{"elem_type":'
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STORE = {"parameter_file": "s", "parameter_size": 8, "parameter_checksum": ZERO_DIGEST}
IN_FILE = {"parameter_strategy": "reference", "parameter_file": "s", "parameter_size": 8}


def nested(depth: int, names: int = 1) -> str:
    """Operators within bodies within operators; each body is named ``names`` times."""
    parts = []
    for level in range(depth):
        attributes = "[" + ",".join([BODY % 0] * names) + "]"
        parts.append(operator(f"o{level}", parent=f"b{level - 1}" if level else "m", attributes=attributes))
        parts.append(body(f"b{level}", f"o{level}"))
    return graph(*parts)


def attribute(text: str) -> str:
    return graph(operator("o", attributes=text))


def unknown(text: str) -> str:
    return graph(operator("o", other_fields=f'{{"$unknown":{text}}}'))


def external(location: str, strategy: str = "sidecar") -> str:
    content = named(location, 0, EMPTY) if strategy == "sidecar" else payload(0, 0, EMPTY)
    files = [{"location": location, "content": json.loads(content)}]
    return graph(external_files=json.dumps(files), parameter_strategy=strategy)


def embedded(text: str) -> str:
    return graph(parameter_strategy="embedded", parameter_size=3, parameter_data=text)


def many(count: int, make: Callable[[int], str]) -> str:
    return "".join(make(index) for index in range(count))


REFUSED = {
    # identity and structure
    "a format of 5,000 digits": (graph(format_version="9" * 5000), "newer"),
    "two models": (graph(node("z", kind="model", format_version=FORMAT_VERSION)), "second model"),
    "a kind that is none": (graph(node("z", kind="tensor")), "'tensor' is not one of"),
    "truth on the wrong kind": (graph(node("z", kind="module", parent="m", inputs="[]")), "'inputs' has no m"),
    "an index of ten digits": (graph(operator("o"), body("b", "o", 10**9)), "at most 9 digits"),
    "an index that is no decimal": (graph(operator("o"), body("b", "o", "²")), "not a number"),  # type: ignore[arg-type]
    "modules in a circle": (graph(*(module(f"k{i}", f"k{i - 1}") for i in range(1, 9)), module("k0", "k8")), "cycle"),
    "20,000 modules in a circle": (
        graph(many(20_000, lambda i: module(f"k{i}", f"k{(i + 1) % 20_000}")), operator("o", "m", "k7")),
        "cycle",
    ),
    "a function in a module": (graph(module("k", "m"), node("f", kind="function", parent="k")), "function"),
    "an input in the model": (
        graph(node("i", kind="input", parent="m")), r"line \d+: .* this input is a model .*none"),
    "an output in a module": (
        graph(module("k", "m"), node("o", kind="output", parent="k")), "'k' of this output is a module"),
    "a parameter in a function": (
        graph(node("f", kind="function", parent="m"), node("p", kind="parameter", parent="f")),
        "'f' of this parameter is a function .*model or module or subgraph"),
    "a module in an operator": (graph(operator("o"), module("k", "o")), "is not a compound"),
    "a function that stands nowhere": (graph(node("f", kind="function", parent="z")), "node_id 'z'"),
    "a model in a module": (graph(module("k", "m"), parent="k"), "the model has a parent"),
    "two nodes with one id": (graph(operator("o"), operator("o").replace(">o<", ">p<")), "second node has the id"),
    "an edge that ends nowhere": (graph(edge("m", "nowhere")), "'nowhere', which does not exist .*remove the edges"),
    # bodies
    "a body that is missing": (attribute(f"[{BODY % 7}]"), r"attributes\[0\]\.g: .*no body"),
    "a body of 2**31": (attribute(f"[{BODY % 2**40}]"), r"attributes\[0\]\.g: "),
    "a body that is named twice": (nested(1, 2), r"attributes\[1\]\.g: .*named twice"),
    "2**30 bodies": (nested(30, 2), "named twice"),
    "a body that nobody names": (graph(operator("o", attributes=f"[{BODY % 0}]"), body("b", "o"), body("c", "o", 1)),
                                 "no attribute names"),
    "two bodies with one index": (graph(operator("o", attributes=f"[{BODY % 0}]"), body("b", "o"), body("c", "o")),
                                  "second body"),
    "a body of the model": (graph(body("b", "m")), "not an operator with bodies"),
    "a body within itself": (graph(operator("o", "m", "b", attributes=f"[{BODY % 0}]"), body("b", "o")), "each other"),
    "bodies within each other": (
        graph(operator("o", "m", "c", attributes=f"[{BODY % 0}]"), body("b", "o"),
              operator("p", "m", "b", attributes=f"[{BODY % 0}]"), body("c", "p")), "each other"),
    "34 bodies": (nested(34), "line .* more than 33 deep"),
    "99 bodies": (nested(99), "line .* more than 33 deep"),
    "20,000 bodies": (nested(20_000), "more than 33 deep"),
    # JSON
    "JSON 100,000 deep": (attribute("[" * 100_000), "nested too deeply"),
    "objects 100,000 deep": (attribute('[{"t":' * 100_000), "nested too deeply"),
    "a type 60 deep": (
        graph(node("i", kind="input", type=SEQUENCE * 60 + "{}" + "}}" * 60)),
        "more than 100 deep",
    ),
    "a type 3,000 deep": (graph(node("i", kind="input", type=SEQUENCE * 3000 + "{}" + "}}" * 3000)), "deepl"),
    "training 40 deep": (
        graph(training_info='[{"algorithm":' + '{"node":[{"attribute":[{"g":' * 40 + "{}" + "}]}]}" * 40 + "}]"),
        "100 deep",
    ),
    "a number of 5,000 digits": (attribute(f'[{{"i":{"9" * 5000}}}]'), "more than 4,300 digits"),
    "a name with half a surrogate": (graph(name='"\\ud800"'), "name: .*surrogate"),
    "metadata with half a surrogate": (graph(htp_metadata='"\\ud800"'), "htp_metadata: .*surrogate"),
    "a sidecar with half a surrogate": (
        graph(**{**STORE, "parameter_file": '"\\ud800"'}, initializers=initializers([named()])), "plain file name"),
    # numbers
    "NaN with bits that do not fit": (graph(initializers=TENSOR % ("FLOAT4E2M1", '["NaN:ff"]')), "not a NaN of float4"),
    "NaN with bits of a number": (graph(initializers=TENSOR % ("FLOAT", '["NaN:00000000"]')), "not a NaN of float32"),
    "NaN where there is none": (graph(initializers=TENSOR % ("FLOAT4E2M1", '["NaN"]')), "has no NaN"),
    "infinity where there is none": (graph(initializers=TENSOR % ("FLOAT8E4M3FN", '["Infinity"]')), "has no Infinity"),
    "a number beyond FLOAT16": (graph(initializers=TENSOR % ("FLOAT16", "[65520]")), "beyond the range"),
    "309 digits as FLOAT": (graph(initializers=TENSOR % ("FLOAT", f"[1{'0' * 308}]")), r"10*\.\.\. is beyond"),
    "8 as INT4": (graph(initializers=TENSOR % ("INT4", "[8]")), "outside -8 to 7"),
    "numbers as STRING": (graph(initializers=TENSOR % ("STRING", "[1]")), "no numbers"),
    # fields that ONNX does not know
    "a known field as unknown": (unknown('[[1,"bytes","x"]]'), "field 1 is known"),
    "field 0": (unknown('[[0,"varint",1]]'), "outside 1 to"),
    "field 2**29": (unknown(f'[[{2**29},"varint",1]]'), "outside 1 to"),
    "65 bits": (unknown(f'[[999,"varint",{2**64}]]'), "outside 0 to"),
    "a kind of field that is none": (unknown('[[999,["varint"],1]]'), "kind of an unknown field"),
    "groups 200 deep": (unknown('[[999,"group",' * 200 + "[]" + "]]" * 200), "too deeply"),
    # payloads
    "two payloads in one place": (
        graph(**STORE, initializers=initializers([payload(0, 4), payload(0, 5)])), "different lengths or digests"),
    "payloads that overlap": (graph(**IN_FILE, initializers=initializers([payload(0, 5), payload(4, 4)])), "overlaps"),
    "a payload of 2**61 bytes": (
        graph(**IN_FILE, initializers=initializers([payload(2**61, 2**61)])), "beyond its store"),
    "two tensors of one name": (
        graph(**STORE, initializers=initializers([named("w", 4), named("w", 5)])), "different lengths or digests"),
    "a tensor by offset": (graph(**STORE, initializers=initializers([payload()])), "needs a name"),
    "a payload by name": (graph(**IN_FILE, initializers=initializers([named()])), "needs an offset"),
    "a name that is a number": (
        graph(**STORE, initializers=initializers([named().replace('"w"', "5")])), "name must be a string"),
    "name and offset": (
        graph(**STORE, initializers=initializers([named().replace("{", '{"offset":0,', 2)])), "nothing else"),
    "a payload at 2**63": (graph(**STORE, initializers=initializers([payload(2**63)])), "outside 0 to"),
    "a digest with a newline": (graph(**STORE, initializers=initializers([payload(0, 4, "0" * 64 + "\\n")])), "64 low"),
    "payloads without a store": (graph(parameter_size=4, initializers=initializers([named()])), "say where"),
    "a store of 19 digits": (graph(**{**STORE, "parameter_size": "9" * 19}), "parameter_size: .*not a number"),
    "a strategy that is no text": (graph(parameter_strategy='"side'), "parameter_strategy: not valid JSON"),
    "a sidecar elsewhere that nothing needs": (graph(**{**STORE, "parameter_file": "../s"}), "plain file name"),
    "a checksum that is none": (graph(**{**STORE, "parameter_checksum": "../.."}), "parameter_checksum: .*not a SHA"),
    "a strategy that is none": (graph(parameter_strategy="zip"), "parameter_strategy: 'zip' is not one of"),
    # an embedded store
    "text that is not base64": (embedded("AA=A"), "not base64"),
    "base64 that is cut off": (embedded("AAAAA"), "cut off"),
    "base64 after its end": (embedded("AA==AAAA"), "not base64|after their end"),
    "a store in an operator": (graph(operator("o", parameter_data="AAAA")), "'parameter_data' has no meaning"),
    "a store twice": (embedded("AAAA").replace("AAAA</data>", 'AAAA</data><data key="parameter_data">AAAA</data>'),
                      "second value"),
    # data files
    "a location of 3,000 folders": (external("a/" * 3000 + "b"), "longer than"),
    "the same by reference": (external("a/" * 3000 + "b", "reference"), "longer than"),
    "a location with half a surrogate": (external("\ud800"), "which not every system allows in file names"),
    "a location that leads out": (external("a/../../b"), "leads out"),
    # XML
    "1,000 keys of one name": (document(many(1000, lambda _: '<key id="q" for="node"/>')), "declared twice"),
    "a tag that is too long": (graph(f'<node id="{"z" * (MAX_MARKUP + 2 * CHUNK)}"/>'), "longer than 16,777"),
    "a comment that is too long": (graph(f"<!--{'z' * (MAX_MARKUP + 2 * CHUNK)}-->"), "longer than 16,777"),
    "an element in a value": (graph(name="NAME").replace("NAME", "a<b/>c"), "contains the element <b>"),
    "a default": (graph().replace('for="node" attr.name="domain" attr.type="string"/>',
                                  'for="node" attr.name="domain"><default>evil</default></key>'), "has a default"),
}  # fmt: skip

ACCEPTED = {
    "a chain of 20,000 modules": graph(
        many(20_000, lambda i: module(f"k{i}", f"k{i - 1}" if i else "m")), operator("o", "m", "k19999")
    ),
    "a chain of 20,000 modules from its end": graph(
        many(20_000, lambda i: module(f"k{20_000 - i}", f"k{19_999 - i}" if i < 19_999 else "m")),
        operator("o", "m", "k20000"),
    ),
    "33 bodies": nested(33),
    "100,000 empty graphs": graph(many(100_000, lambda _: '<graph edgedefault="directed"/>')),
    "10,000 foreign keys": graph().replace(
        '<key id="kind"', many(10_000, lambda i: f'<key id="f{i}" for="node" attr.name="f{i}"/>') + '<key id="kind"'
    ),
    "20,000 operators with one output": graph(
        many(20_000, lambda i: operator(f"o{i}", f"o{i - 1}" if i else "m", outputs='["y"]'))
    ),
    "100,000 comments in a value": graph(name="x").replace(">x<", ">" + "a<!---->" * 100_000 + "<"),
    "base64 with white space": embedded("A" + " \n" * 100_000 + "AAA"),
    "groups 90 deep": unknown('[[999,"group",' * 90 + "[]" + "]]" * 90),
    "a payload's name in a text": graph(doc_string=payload()),
    "an operator after one that is not there": graph(operator("o", "nobody")),
    "20,000 operators after one": graph(many(20_000, lambda i: operator(f"o{i}"))),
    "20,000 operators after each other, backwards": graph(
        many(20_000, lambda i: operator(f"o{i}", f"o{i + 1}", inputs=f'["t{i + 1}"]', outputs=f'["t{i}"]')),
        many(19_999, lambda i: edge(f"o{i + 1}", f"o{i}")),
    ),
}


@pytest.mark.parametrize("name", ["an input in the model", "an output in a module", "a parameter in a function",
                                  "a module in an operator", "a function in a module",
                                  "a model in a module"])  # fmt: skip
def test_validate_says_so_of_parents(tmp_path: Path, name: str) -> None:
    (tmp_path / "graph.graphml").write_text(REFUSED[name][0], "utf-8")
    assert "parent-kind" in {finding.code for finding in validate(tmp_path / "graph.graphml")}


@pytest.mark.parametrize(
    "name", [name for name in REFUSED if re.search("a (strategy|checksum|sidecar|store of)", name)]
)
def test_validate_says_the_same_of_the_store(tmp_path: Path, name: str) -> None:
    text, told = REFUSED[name]
    (tmp_path / "graph.graphml").write_text(text, "utf-8", errors="surrogatepass")
    messages = [finding.message for finding in validate(tmp_path / "graph.graphml") if finding.code == "store-value"]
    assert any(re.search(told, message) for message in messages), messages


def run(text: str, folder: Path) -> DecodeResult:
    (folder / "s").write_bytes(bytes(8))
    (folder / "graph.graphml").write_text(text, "utf-8", errors="surrogatepass")
    return decode(folder / "graph.graphml")


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_graph_is_refused(tmp_path: Path, name: str) -> None:
    text, told = REFUSED[name]
    (tmp_path / "before").write_bytes(b"before")
    with pytest.raises(GraphmlOnnxError) as caught:
        run(text, tmp_path)

    assert re.search(told, str(caught.value)), str(caught.value)
    assert caught.value.file
    assert caught.value.remedy
    assert contents(tmp_path).keys() == {"before", "graph.graphml", "s"}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_unusual_graph_is_a_model(tmp_path: Path, name: str) -> None:
    result = run(ACCEPTED[name], tmp_path)
    onnx.ModelProto.FromString(result.onnx.read_bytes())


def test_edges_of_a_tensor_that_many_define_start_at_the_first() -> None:
    """Whatever the order in which they come."""
    flow = Dataflow("")
    for node_number, rank in ((1, 5), (2, 3), (3, 9), (4, 3)):
        flow.define(0, "t", node_number, rank)
    flow.use(0, "t", 7, 0)
    assert flow.flows([0], {}).source.tolist() == [2]


# --- residues ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def not_canonical(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The text of a graph with a residue, and the residue."""
    folder = tmp_path_factory.mktemp("residue")
    fields = wire.parse(seeds.small_models()["typed"])
    (folder / "model.onnx").write_bytes(wire.serialise(tuple(reversed(fields))))
    text = encode(folder / "model.onnx", folder / "graph.graphml").graphml.read_text("utf-8")
    found = re.search(r'<data key="residue">(.*?)</data>', text)
    assert found is not None
    return text, found[1]


def packed(content: bytes) -> dict[str, object]:
    return {"patch": base64.b64encode(zstd.compress(content)).decode(), "size": len(content)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"size": 0}, id="a size of 0"),
        pytest.param({"size": 313}, id="one byte more"),
        pytest.param({"size": 2**31}, id="a size of 2 GiB"),
        pytest.param({"size": 2**63}, id="a size of 2**63"),
        pytest.param({"size": "312"}, id="a size that is no number"),
        pytest.param({"patch": ""}, id="no patch"),
        pytest.param({"patch": "*"}, id="no base64"),
        pytest.param({"patch": base64.b64encode(bytes(99)).decode()}, id="no Zstandard frame"),
        pytest.param({"nonce": "A" * 16}, id="a nonce in capitals"),
        pytest.param({"nonce": 5}, id="a nonce that is a number"),
        pytest.param({"payloads": [1]}, id="payloads that are none"),
        pytest.param({"payloads": [json.loads(payload(0, 4))] * 2}, id="payloads outside the store"),
        pytest.param({"more": 1}, id="a member too many"),
        pytest.param({**packed(bytes(10**8)), "size": 1000}, id="a bomb"),
        pytest.param(packed(b"no model at all"), id="no ONNX"),
        pytest.param(packed(b"\x0a\xff"), id="ONNX that is cut off"),
    ],
)
def test_a_damaged_residue_is_refused(
    tmp_path: Path, not_canonical: tuple[str, str], change: dict[str, object]
) -> None:
    text, residue = not_canonical
    (tmp_path / "graph.graphml").write_text(text.replace(residue, json.dumps(json.loads(residue) | change)))
    with pytest.raises(GraphmlOnnxError) as caught:
        decode(tmp_path / "graph.graphml")
    assert caught.value.file
    assert caught.value.remedy
    assert list(contents(tmp_path)) == ["graph.graphml"]


def test_a_residue_that_gives_another_graph_is_refused(tmp_path: Path, not_canonical: tuple[str, str]) -> None:
    text, residue = not_canonical
    graph = wire.Field(7, wire.BYTES, (wire.Field(2, wire.BYTES, b"another"),))
    changed = json.loads(residue) | packed(wire.serialise((graph,)))
    (tmp_path / "graph.graphml").write_text(text.replace(residue, json.dumps(changed)))
    with pytest.raises(GraphmlOnnxError, match="another graph"):
        decode(tmp_path / "graph.graphml")


def test_markers_in_a_residue_stand_for_no_payload(tmp_path: Path, not_canonical: tuple[str, str]) -> None:
    text, residue = not_canonical
    nonce = json.loads(residue)["nonce"]
    name = wire.serialise((wire.Field(2, wire.BYTES, f"{nonce}{0:016x}".encode()), wire.Field(7, wire.BYTES, b"")))
    changed = json.loads(residue) | packed(name)
    (tmp_path / "graph.graphml").write_text(text.replace(residue, json.dumps(changed)))
    with pytest.raises(GraphmlOnnxError, match="marker"):
        decode(tmp_path / "graph.graphml")
