"""Operators that are taken as rows, and values as columns, give what they give one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx import GraphmlOnnxError, encode
from graphml_onnx.codec.decoder import decode_graph
from graphml_onnx.codec.fields import MessageKeys
from graphml_onnx.codec.graph_index import GraphIndex
from graphml_onnx.codec.graph_location import GraphLocation
from graphml_onnx.codec.keys import EMBEDDED_KEY, NESTING, OPERATOR_ROWS, TRUTH_KEYS
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.scalars import PayloadTable
from graphml_onnx.graphml.elements import NodeRows, Wanted
from graphml_onnx.graphml.lines import read_lines
from graphml_onnx.graphml.reader import Read, read_graphml
from graphml_onnx.onnxfile.skeleton import NONCE_BYTES
from graphml_onnx.support.text import json_strings, plain_lists
from tests.campaign.graphml_files import GraphmlFiles
from tests.common.two_readings import Pieces, small_documents_too

if TYPE_CHECKING:
    from graphml_onnx.graphml.elements import RowKeys

GRAPHS = 400


def decoded(data: bytes, rows: RowKeys | None) -> object:
    """The skeleton, or the error and its place."""
    wanted = Wanted(TRUTH_KEYS - {EMBEDDED_KEY}, frozenset(), NESTING, rows)
    path = Path("a.graphml")

    def attempt(read: Read) -> bytes:
        return decode_graph(read({EMBEDDED_KEY: lambda _: None}), GraphLocation(path), None).skeleton

    try:
        with small_documents_too(), mock.patch("os.urandom", bytes):  # the same nonce
            return read_graphml(Pieces(data), path, wanted, attempt)
    except GraphmlOnnxError as error:
        return error.message, error.place


def test_hostile_graphs_as_rows_and_one_by_one(tmp_path: Path) -> None:
    files = GraphmlFiles(tmp_path)
    ways: set[tuple[bool, bool]] = set()
    for number in range(GRAPHS):
        data = files.make(number)
        with (
            mock.patch.object(
                GraphIndex, "_take_operators", autospec=True, side_effect=GraphIndex._take_operators
            ) as rows,
            mock.patch.object(
                GraphIndex, "_take_nodes", autospec=True, side_effect=GraphIndex._take_nodes
            ) as one_by_one,
        ):
            found = decoded(data, OPERATOR_ROWS)
        ways.add((rows.called, one_by_one.called))
        assert found == decoded(data, None)
    assert ways >= {(True, False), (False, True), (True, True)}


def graph_of_operators(folder: Path) -> bytes:
    names = ["x", "a b", "c<d", 'e"f', "ü", "g"]
    nodes = [
        onnx.helper.make_node("Relu", [names[number]], [names[number + 1]], name=f"op{number}", alpha=number % 2)
        for number in range(len(names) - 1)
    ]
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "g")]
    path = folder / "model.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "graph", value[:1], value[1:])), path)
    return encode(path, path.with_suffix(".graphml")).graphml.read_bytes()


CHANGES = [
    (b'<data key="after">op0.4ab91a15</data>', b'<data key="after">model</data>'),
    (b'<data key="after">op0.4ab91a15</data>', b'<data key="after">nobody</data>'),
    (b'<data key="after">op0.4ab91a15</data>', b'<data key="after">op2.a4b77b39</data>'),
    (b'  <data key="after">op0.4ab91a15</data>\n', b""),
    (b'<data key="parent">model</data>', b'<data key="parent">n9</data>'),
    (b'<node id="op1.3dbe2a83">', b'<node id="op0.4ab91a15">'),
    (b'<data key="node_id">op1.3dbe2a83</data>', b'<data key="node_id">op0.4ab91a15</data>'),
    (b'<data key="name">op1</data>', b'<data key="name">op1.3dbe2a83</data>'),
    (b'<data key="name">op1</data>', b'<data key="name">"unfinished</data>'),
    (b'<data key="inputs">["a b"]</data>', b'<data key="inputs">["a b"</data>'),
    (b'<data key="inputs">["a b"]</data>', b'<data key="inputs">["a \\u0062"]</data>'),
    (b'<data key="inputs">["a b"]</data>', b'<data key="inputs">[]</data>'),
    (b'<data key="inputs">["a b"]</data>', b'<data key="inputs">[""]</data>'),
    (b'<data key="inputs">["a b"]</data>', b'<data key="inputs">["]</data>'),
    (b'"name":"alpha","i":1', b'"name":"alpha","i":"1"'),
    (b'"name":"alpha"', b'"name":"alpha","no":1'),
    (b'  <data key="node_id">op1.3dbe2a83</data>\n', b""),
    (b'  <data key="op_type">Relu</data>\n', b""),
    (b'<data key="op_type">Relu</data>', b'<data key="op_type">"Relu"</data>'),
    (b"</node>\n", b'</node>\n<edge source="op0.4ab91a15" target="op1.3dbe2a83"> </edge>\n'),
    (b'<data key="kind">op</data>', b'<data key="kind">module</data>'),
    (b'"op_type">Relu</data>\n', b'"op_type">Relu</data>\n  <data key="other_fields">{"no":1}</data>\n'),
]  # fmt: skip


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("change", range(len(CHANGES)))
def test_operators_that_are_unusual_or_wrong(tmp_path: Path, change: int, every: bool) -> None:
    data = graph_of_operators(tmp_path)
    old, new = CHANGES[change]
    if b"other_fields" in new:
        new_key = b'<key id="other_fields" for="node" attr.name="other_fields" attr.type="string"/>\n<graph '
        data = data.replace(b"<graph ", new_key, 1)
    changed = data.replace(old, new) if every else data.replace(old, new, 1)
    assert changed != data
    assert decoded(changed, OPERATOR_ROWS) == decoded(changed, None)


def test_operators_are_read_as_rows(tmp_path: Path) -> None:
    data = graph_of_operators(tmp_path)
    batches = list(read_lines(Pieces(data).open(), Wanted(TRUTH_KEYS, rows=OPERATOR_ROWS), {}))
    rows = [batch for batch in batches if isinstance(batch, NodeRows)]
    assert sum(len(batch.values) for batch in rows) == 5
    assert any("c<d" in str(text) for batch in rows for row in batch.values for text in row)


def json_list(names: list[str]) -> str:
    return json_strings([name.encode() for name in names])


LISTS = st.lists(st.one_of(
    st.lists(st.text(max_size=4), min_size=1, max_size=3).map(json_list),
    st.text('[]", \\ab\n', max_size=8),
    st.sampled_from(['["]', '["a","b"]', '["a", "b"]', '[""]', '["",""]', '["a""]', "[]", '""', '["\\u0041"]',
        '["é"]',
    ]),
), min_size=1, max_size=4)  # fmt: skip


def strings_of(text: str) -> list[bytes] | None:
    """A list of strings with nothing escaped, read as JSON and written again; None for anything else."""
    try:
        names = json.loads(text)
    except ValueError:
        return None
    is_plain = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    if not is_plain or "\\" in text or json.dumps(names, ensure_ascii=False, separators=(",", ":")) != text:
        return None
    return [name.encode() for name in names]


@given(LISTS)
@example(['["]', '["""]'])
def test_lists_of_plain_strings_are_those_of_each(texts: list[str]) -> None:
    lists = plain_lists(texts)
    each = [strings_of(text) for text in texts]
    expected = None if None in each else each
    assert lists in (None, expected)
    if all(text.isascii() for text in texts):
        assert lists == expected


def message_keys() -> MessageKeys:
    return MessageKeys("NodeProto", MessageCodec(PayloadTable(bytes(NONCE_BYTES), {})))


ENTRY = '{"key":"a","value":"b"}'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"[\n{ENTRY},\n[{ENTRY}]\n]", "metadata_props[1]"),
        (f"[\n{ENTRY},\n{ENTRY},\n\n]", "metadata_props"),
        (f'[\n{ENTRY},\n{{"key":"a"\n]', "metadata_props"),
        (f'[\n{ENTRY},\n{{"key":1}}\n]', "metadata_props[1].key"),
        (f"[\n{ENTRY},\n{ENTRY},{ENTRY}\n]", None),
        (f'[\n{ENTRY},\n{{\n"key":\n"a",\n"value":"b"}}\n]', None),
    ],
)
def test_lists_whose_lines_were_read_before(text: str, path: str | None) -> None:
    """What is known of single lines, and of whole lists, is not mistaken for one another."""
    keys = message_keys()
    for known in (f"[{ENTRY}]", f"[\n{ENTRY},\n{ENTRY}\n]"):
        keys.read({"metadata_props": known})
    if path is None:
        entries = onnx.NodeProto.FromString(keys.serialise({"metadata_props": text})).metadata_props
        assert {(entry.key, entry.value) for entry in entries} == {("a", "b")}
    else:
        with pytest.raises(FieldError) as caught:
            keys.serialise({"metadata_props": text})
        assert caught.value.path == path
