"""docs/format.md is enough: a decoder that was written from it alone gives back what the package encodes."""

from __future__ import annotations

import ast
import itertools
import random
import re
import shutil
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from lxml import etree
from onnx import TensorProto, helper
from onnx.backend.test.case.node import collect_testcases

import graphml_onnx
from tests.common import seeds
from tests.spec import independent_decoder
from tests.strategies import wire

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = list(itertools.product(("plain", "flat", "nested"), ("sidecar", "embedded", "reference")))
THREE_CASES = [("plain", "embedded"), ("flat", "reference"), ("nested", "sidecar")]
NAMESPACE = "{http://graphml.graphdrawing.org/xmlns}"


def encoded(model: Path, layout: str, parameters: str, **options: object) -> Path:
    """Encodes a model that lies in a folder of its own, and returns the GraphML."""
    graph = model.with_name("graph.graphml")
    graphml_onnx.encode(model, graph, layout=layout, parameters=parameters, self_check=False, overwrite=True, **options)
    return graph


def check(data: bytes, folder: Path, layout: str, parameters: str, **options: object) -> Path:
    model = folder / "model.onnx"
    model.write_bytes(data)
    graph = encoded(model, layout, parameters, **options)
    decoded = independent_decoder.decode(graph)
    assert decoded.model == data
    assert decoded.exact
    return graph


def fixtures() -> list[object]:
    """Every model of the fixtures; large ones in all cases only with the slow tests."""
    found = []
    for file in sorted(FIXTURES.rglob("*.onnx")):
        name = file.relative_to(FIXTURES).as_posix()
        for case in CASES:
            slow = file.stat().st_size > 100_000 and case != THREE_CASES[len(found) % 3]
            marks = (pytest.mark.slow,) if slow else ()
            found.append(pytest.param(name, *case, marks=marks, id="-".join((name, *case))))
    return found


@cache
def suites() -> list[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementations divide by zero on purpose
        return [*(case.model.SerializeToString() for case in collect_testcases(None)), *seeds.onnx_files().values()]


def test_it_is_independent():
    tree = ast.parse(Path(independent_decoder.__file__).read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if name.startswith(("graphml_onnx", "tests", "cli"))]


@pytest.mark.parametrize(("name", "layout", "parameters"), fixtures())
def test_fixtures(name: str, layout: str, parameters: str, tmp_path: Path):
    source = FIXTURES / name
    if source.parent.name == "external_data":
        shutil.copytree(source.parent, tmp_path, dirs_exist_ok=True)
    graph = check(source.read_bytes(), tmp_path, layout, parameters)
    files = independent_decoder.decode(graph).data_files
    assert all(content == (source.parent / location).read_bytes() for location, content in files.items())
    assert len(files) == (2 if source.parent.name == "external_data" else 0)


def test_a_slice_of_the_suites(tmp_path: Path):
    for place, data in enumerate(suites()[::31]):
        check(data, tmp_path, *CASES[place % len(CASES)], show_parameters=place % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "parameters"), CASES)
def test_all_suites(layout: str, parameters: str, tmp_path: Path):
    for data in suites():
        check(data, tmp_path, layout, parameters)


@pytest.mark.parametrize(("layout", "parameters"), THREE_CASES)
def test_what_protobuf_would_write_otherwise(layout: str, parameters: str, tmp_path: Path):
    """Residues: the inputs of `fixtures/fuzz/wire`, and changes of a model with every kind of payload."""
    files = [path.read_bytes() for path in sorted((FIXTURES / "fuzz" / "wire").iterdir())]
    fields = wire.parse((FIXTURES / "small" / "training.onnx").read_bytes())
    files += [wire.mutant(fields, random.Random(number)) for number in range(40)]
    residues = 0
    for place, data in enumerate(files):
        try:
            graph = check(data, tmp_path, layout, parameters, inline_limit=(40, 1024)[place % 2])
        except graphml_onnx.GraphmlOnnxError:
            continue  # no model
        residues += b'"residue">{' in graph.read_bytes()
    assert residues >= 20


def test_payloads_that_only_the_residue_names_are_sorted_by_name(tmp_path: Path):
    """`raw_data` of one tensor, twelve times: `__g2o__/payload/10` is before `__g2o__/payload/2`."""
    pieces = [wire.Field(9, wire.BYTES, bytes([number]) * 2000) for number in range(12)]
    tensor = wire.serialise([*pieces])
    graph = wire.serialise([wire.Field(5, wire.BYTES, tensor)])
    check(wire.serialise([wire.Field(7, wire.BYTES, graph)]), tmp_path, "flat", "sidecar")


def test_a_number_that_an_enum_does_not_have_stays_in_its_place(tmp_path: Path):
    attribute = b"\x0a\x01a" + b"\xa0\x01\x63" + b"\xaa\x01\x01b"  # name, type: 99, ref_attr_name
    node = wire.serialise([wire.Field(5, wire.BYTES, attribute)])
    graph = wire.serialise([wire.Field(1, wire.BYTES, node)])
    written = check(wire.serialise([wire.Field(7, wire.BYTES, graph)]), tmp_path, "flat", "sidecar")
    assert '[{"name":"a","type":99,"ref_attr_name":"b"}]' in written.read_text(encoding="utf-8")
    assert "residue" not in written.read_text(encoding="utf-8")


def test_every_code_of_every_type(tmp_path: Path):
    """Signs, infinities, every NaN, and the last byte of types of less than a byte."""
    tensors = []
    special = [0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 1, 0x15AE43FD, 0x95AE43FD]
    contents = {
        "FLOAT": np.array(special, "<u4").tobytes(),
        "COMPLEX64": np.array(special, "<u4").tobytes(),
        "DOUBLE": np.array([0, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, (0x7FF << 52) + 1], "<u8").tobytes(),
        "FLOAT16": np.arange(1 << 16, dtype="<u2").tobytes(),
        "BFLOAT16": np.arange(1 << 16, dtype="<u2").tobytes(),
    }
    for name, number in TensorProto.DataType.items():
        content = contents.get(name, bytes(range(255)))  # 255 bytes are 340 elements of six bits
        bits = int((re.search(r"\d+", name) or ["8"])[0])
        for count in {len(content) * 8 // bits, 1, 2, 3, 5}:
            size = (count * bits + 7) // 8
            tensors.append(TensorProto(dims=[count], data_type=number, raw_data=content[33 % len(content) :][:size]))
        tensors.append(TensorProto(dims=[len(content) * 8 // bits], data_type=number, raw_data=content))
    model = helper.make_model(helper.make_graph([], "codes", [], [], tensors))
    check(model.SerializeToString(), tmp_path, "flat", "sidecar", inline_limit=1 << 20)


def test_weight_files(tmp_path: Path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    weights = {name: np.arange(300, dtype="f4") + place for place, name in enumerate(("w", "v"))}
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    data = helper.make_model(helper.make_graph([], "weights", [], [], initializers)).SerializeToString()
    save_file({"first": weights["w"]}, tmp_path / "model.safetensors")
    for case in CASES:
        graph = check(data, tmp_path, *case, weights=[tmp_path / "model.safetensors"])
        assert '"file":"model.safetensors"' in graph.read_text(encoding="utf-8")


def values(node: etree._Element) -> dict[str, etree._Element]:
    return {str(item.get("key")): item for item in node.iterchildren(f"{NAMESPACE}data")}


def break_order(root: etree._Element, rng: random.Random) -> None:
    """Takes `after` away, or has it name nothing, or what another node names, or another node."""
    nodes = [found for node in root.iter(f"{NAMESPACE}node") if "after" in (found := values(node))]
    for _ in range(rng.choice((1, 2, 4, 10))):
        chosen = rng.choice(nodes)
        others = [node for node in nodes if node["kind"].text == chosen["kind"].text]
        other = rng.choice(others)
        chosen["after"].text = rng.choice(("", "nothing", other["after"].text, other["node_id"].text))
    if rng.random() < 0.5:
        for graph in root.iter(f"{NAMESPACE}graph"):
            places = sorted(graph, key=lambda child: (child.tag != f"{NAMESPACE}node", rng.random()))
            graph[:] = places


@pytest.mark.parametrize("layout", ["flat", "nested"])
@pytest.mark.parametrize(
    "name", ["small/loops", "small/functions", "small/training", "htp/modelexport-bert-mini/model"]
)
def test_an_order_that_is_broken_is_completed_in_the_same_way(name: str, layout: str, tmp_path: Path):
    shutil.copy(FIXTURES / f"{name}.onnx", tmp_path / "model.onnx")
    graph = encoded(tmp_path / "model.onnx", layout, "embedded")
    completed = 0
    for number in range(12):
        tree = etree.parse(graph)
        break_order(tree.getroot(), random.Random(number))
        tree.write(tmp_path / "edited.graphml", encoding="utf-8")
        try:
            graphml_onnx.decode(tmp_path / "edited.graphml", tmp_path / "decoded.onnx", overwrite=True)
        except graphml_onnx.GraphMLError:
            with pytest.raises(ValueError, match="the order is circular"):
                independent_decoder.decode(tmp_path / "edited.graphml")
        else:
            decoded = independent_decoder.decode(tmp_path / "edited.graphml")
            assert decoded.model == (tmp_path / "decoded.onnx").read_bytes()
            completed += 1
    assert completed >= 2


VARIANTS = {
    "byte order mark": (r"\A", "\ufeff"),
    "no namespace": (r' xmlns="[^"]*"', ""),
    "other ids of keys": (r'(key id|data key)="', r'\1="k_'),
    "no keys": (r"<key [^>]*>\n", ""),
    "a comment in a value": (r'("op_type">.)', r"\1<!-- - -->"),
    "CDATA": (r'("op_type">)(\w+)', r"\1<![CDATA[\2]]>"),
    "a note": (r"(</node>\n)(?=<edge)", r'\1<node id="note"><data key="label">a note</data></node>'),
    "nodes with ids alone": (r"(</node>\n)(?=<edge)", r'\1<node id="note"><data key="node_id">note</data></node>\n'),
    "white space around an integer": (r'("ir_version">\d+)', r"\1 "),
    "white space around a text": (r'("op_type">\w+)', r"\1 "),
    "empty values": (r'(<data key="kind">)', r'<data key="name"> </data>\1'),
    "edges without values": (r"(<edge [^>]*>).*?</edge>", r"\1</edge>"),
}
REFUSED = {
    "DOCTYPE": (r"(<graphml)", r"<!DOCTYPE graphml>\1"),
    "another encoding": (r'"UTF-8"', '"ISO-8859-1"'),
    "a value twice": (r'(<data key="kind">)', r'<data key="kind">op</data>\1'),
    "a key that is not declared": (r'(<data key="kind">)', r'<data key="other">1</data>\1'),
    "an element in a value": (r'("op_type">.)', r"\1<b/>"),
    "a default": (r'(<key id="name"[^>]*)/>', r"\1><default>x</default></key>"),
    "a node with nothing but a place": (
        r"(</node>\n)(?=<edge)",
        r'\1<node id="note"><data key="after">model</data></node>\n',
    ),
    "an integer with a zero before it": (r'("ir_version">)', r"\g<1>0"),
    "a node without kind": (r"  <data key=\"kind\">op</data>\n", ""),
    "an edge less": (r"<edge .*</edge>\n", ""),
    "a version to come": (r'("format_version">)4', r"\g<1>5"),
}


@pytest.mark.parametrize("name", [*VARIANTS, *REFUSED])
@pytest.mark.parametrize("layout", ["flat", "nested"])
def test_documents_are_read_in_the_same_way(name: str, layout: str, tmp_path: Path):
    shutil.copy(FIXTURES / "htp" / "winml-resnet-mini-dynamo" / "model.onnx", tmp_path / "model.onnx")
    graph = encoded(tmp_path / "model.onnx", layout, "embedded")
    text = graph.read_text(encoding="utf-8")
    pattern, replacement = (VARIANTS | REFUSED)[name]
    changed = re.sub(pattern, replacement, text, count=1 if name in REFUSED else 0)
    assert changed != text
    graph.write_text(changed, encoding="utf-8")
    if name in VARIANTS:
        graphml_onnx.decode(graph, tmp_path / "decoded.onnx")
        assert independent_decoder.decode(graph).model == (tmp_path / "decoded.onnx").read_bytes()
    else:
        with pytest.raises(graphml_onnx.GraphMLError):
            graphml_onnx.decode(graph, tmp_path / "decoded.onnx")
        with pytest.raises((ValueError, KeyError)):
            independent_decoder.decode(graph)
