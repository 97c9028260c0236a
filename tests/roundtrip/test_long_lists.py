"""Models with long lists, cut out of the file and put back: byte for byte, and an edit is that edit alone."""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import TYPE_CHECKING
from unittest import mock

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphml_onnx import GraphMLError, decode, encode, validate, verify
from tests.common.limited import limited, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAN = struct.unpack("<f", struct.pack("<I", 0x7F800001))[0]


@contextlib.contextmanager
def short_lists_too(chunk: int, items: int = 2) -> Iterator[None]:
    """Lists of a few items are long ones, and are read and written in small pieces."""
    with (
        limited(chunk),
        mock.patch("graphml_onnx.onnxfile.skeleton.LONG", items),
        mock.patch("graphml_onnx.codec.protojson.LONG", items),
        mock.patch("graphml_onnx.onnxfile.skeleton._SHORT_MESSAGE", 0),
        mock.patch("graphml_onnx.onnxfile.extents._RUN", 0),
        mock.patch("graphml_onnx.graphml.lists.LONG", 8),
        mock.patch("graphml_onnx.graphml.lines.CHUNK", max(chunk, 64)),
    ):
        yield


def model_of(**attributes: object) -> onnx.ModelProto:
    node = helper.make_node("Trees", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy"]
    graph = helper.make_graph([node], "graph", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)])


FLOATS = st.one_of(st.floats(width=32), st.sampled_from([-0.0, 1e-45, 3.4028234663852886e38, 7.038530691851209e-26]))
INTS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 200))
TEXTS = st.one_of(
    st.sampled_from(
        [b"BRANCH_LEQ", b",", b"LEAF", b"]", b'"]', b'"', b"\\", b"<&>", b"\xff", b"x" * 200, b"\xff" * 40]
    ),
    st.text(max_size=3).map(lambda text: text.encode("utf-8", "replace")),
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "floats": st.lists(FLOATS, min_size=1, max_size=12),
        "ints": st.lists(INTS, min_size=1, max_size=12),
        "texts": st.lists(TEXTS, min_size=1, max_size=12),
        "tensor": st.lists(TEXTS, min_size=1, max_size=12).map(
            lambda texts: helper.make_tensor("t", TensorProto.STRING, [len(texts)], texts)
        ),
    },
)


@given(lists=LISTS, chunk=st.sampled_from([5, 64, 1 << 18]), limit=st.sampled_from([0, 1024]))
def test_lists_come_back(tmp_path_factory: pytest.TempPathFactory, lists, chunk: int, limit: int) -> None:
    folder = tmp_path_factory.mktemp("lists")
    data = model_of(**lists).SerializeToString()
    (folder / "m.onnx").write_bytes(data)
    with short_lists_too(chunk):
        assert encode(folder / "m.onnx", folder / "cut.graphml", inline_limit=limit).residue_bytes == 0
        assert decode(folder / "cut.graphml", folder / "back.onnx").exact
    assert (folder / "back.onnx").read_bytes() == data
    # Without being cut out they are the same text.
    with short_lists_too(chunk), mock.patch("graphml_onnx.onnxfile.extents._RUN", 1 << 30):
        encode(folder / "m.onnx", folder / "whole.graphml", inline_limit=limit)
    cut, whole = ((folder / name).read_bytes() for name in ("cut.graphml", "whole.graphml"))
    assert cut.replace(b"cut.onnxdata", b"") == whole.replace(b"whole.onnxdata", b"")


def test_a_payload_among_strings(tmp_path: Path) -> None:
    texts = [b"a"] * 300
    tensors = {
        f"t{number}": helper.make_tensor("t", TensorProto.STRING, [len(items)], items)
        for number, items in enumerate([texts, [*texts, b"\xff" * 2000, *texts], [b"\xff" * 2000, *texts]])
    }
    onnx.save(model_of(**tensors), tmp_path / "m.onnx")
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    assert decode(tmp_path / "g.graphml", tmp_path / "b.onnx").exact


TRIPS = {
    "usual": lambda data: data,
    "over-long number": lambda data: data.replace(b"\x40\x05\x40", b"\x40\x85\x00\x40"),
    "in two places": lambda data: data.replace(b"\x40\x07", b"\x3d\0\0\0\0\x40\x07"),
    "packed": lambda data: data.replace(b"\x40\x05\x40\x06\x40\x07", b"\x42\x04\x05\x06\x87\0"),
}


@pytest.mark.parametrize("kind", TRIPS)
def test_what_is_not_canonical_comes_back_too(tmp_path: Path, kind: str) -> None:
    attribute = onnx.AttributeProto(name="ints", ints=range(300)).SerializeToString()
    written = TRIPS[kind](attribute)
    assert kind == "usual" or written != attribute
    model = model_of()
    for content in (written, model.graph.node[0].SerializeToString()):
        assert len(content) < 1 << 14
    node = model.graph.node[0].SerializeToString() + b"\x2a" + _varint(len(written)) + written
    graph = b"\x0a" + _varint(len(node)) + node
    data = b"\x08\x08" + b"\x3a" + _varint(len(graph)) + graph
    (tmp_path / "m.onnx").write_bytes(data)
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    with mock.patch("graphml_onnx.graphml.lists.LONG", 64):
        assert decode(tmp_path / "g.graphml", tmp_path / "b.onnx").exact
    assert (tmp_path / "b.onnx").read_bytes() == data


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80, value >> 7]) if value > 0x7F else bytes([value])


def test_an_edit_in_the_middle_of_a_million_is_that_edit_alone(tmp_path: Path) -> None:
    count = scaled(1_000_000)  # with --chunk 1, a million items are a million pieces, each read several times
    middle = count // 2
    model = model_of(numbers=[0.5 * number for number in range(count)], places=list(range(count)))
    onnx.save(model, tmp_path / "m.onnx")
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    text = (tmp_path / "g.graphml").read_bytes()
    edited = text.replace(b",%d," % middle, b",-7,").replace(b",%d.5," % (count // 8), b",1e-45,")
    (tmp_path / "g.graphml").write_bytes(edited)
    assert not decode(tmp_path / "g.graphml", tmp_path / "b.onnx").exact
    back = {attribute.name: attribute for attribute in onnx.load(tmp_path / "b.onnx").graph.node[0].attribute}
    places, numbers = list(back["places"].ints), list(back["numbers"].floats)
    assert places == [*range(middle), -7, *range(middle + 1, count)]
    changed = [(index, number) for index, number in enumerate(numbers) if number != 0.5 * index]
    assert changed == [(count // 8 * 2 + 1, pytest.approx(1e-45, rel=0.5))]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [(b",2000,", b",2000.5,", "ints[2000]"), (b",2000,", b",,", "JSON"), (b",4999]", b",]", "JSON")],
)
def test_a_wrong_number_is_named(tmp_path: Path, old: bytes, new: bytes, told: str) -> None:
    onnx.save(model_of(places=list(range(5000))), tmp_path / "m.onnx")
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    (tmp_path / "g.graphml").write_bytes((tmp_path / "g.graphml").read_bytes().replace(old, new))
    with pytest.raises(GraphMLError, match="attributes") as caught:
        decode(tmp_path / "g.graphml", tmp_path / "b.onnx")
    assert told in str(caught.value)
    findings = validate(tmp_path / "g.graphml")
    assert any(told in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("new", "item"),
    [
        (b'"&#65;&lt;"', b"A<"),
        (b'<![CDATA["A<"]]>', b"A<"),
        (b'"A"<!-- "," -->', b"A"),
        (b'\n "A"\t', b"A"),
        (b'"\\udcff"', b"\xff"),
        (b'"\\ud83d\\ude00"', "\U0001f600".encode()),
        (b'{"$base64":"/w=="}', b"\xff"),
    ],
)
def test_an_edit_in_a_form_of_its_own_is_read_and_valid(tmp_path: Path, new: bytes, item: bytes) -> None:
    names = [b"name %d" % number for number in range(2000)]
    tensor = helper.make_tensor("t", TensorProto.STRING, [2000], names)
    onnx.save(model_of(t=tensor), tmp_path / "m.onnx")
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    edited = (tmp_path / "g.graphml").read_bytes().replace(b'"name 1000"', new)
    (tmp_path / "g.graphml").write_bytes(edited)
    assert not [finding for finding in validate(tmp_path / "g.graphml") if finding.code == "bad-value"]
    decode(tmp_path / "g.graphml", tmp_path / "b.onnx")
    back = onnx.load(tmp_path / "b.onnx").graph.node[0].attribute[0].t
    assert list(back.string_data) == [*names[:1000], item, *names[1001:]]


def test_text_that_looks_like_a_list_stays_text(tmp_path: Path) -> None:
    model = model_of()
    model.doc_string = '{"list":[' + ",".join(map(str, range(5000))) + "]}"
    onnx.save(model, tmp_path / "m.onnx")
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml", metadata={"modules": {}, "nodes": {}, "x": list(range(5000))})
    assert decode(tmp_path / "g.graphml", tmp_path / "b.onnx", metadata_output=tmp_path / "back.json").exact
    assert not validate(tmp_path / "g.graphml")


def test_lists_in_bodies_and_functions(tmp_path: Path) -> None:
    long = list(range(5000))
    model = model_of(places=long)
    body = helper.make_graph([helper.make_node("F", [], ["z"], places=long)], "body", [], [model.graph.output[0]])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=body, else_branch=body))
    function = helper.make_function(
        "d", "F", [], ["b"], [helper.make_node("G", [], ["b"], places=long)], [helper.make_opsetid("", 17)],
        attribute_protos=[helper.make_attribute("places", long)],
    )  # fmt: skip
    entry = function.metadata_props.add()
    entry.key, entry.value = "list", str(long)
    model.functions.append(function)
    onnx.save(model, tmp_path / "m.onnx")
    report = verify(tmp_path / "m.onnx")
    assert all(check.passed for check in report.checks)
    assert not list(itertools.chain(report.findings))
