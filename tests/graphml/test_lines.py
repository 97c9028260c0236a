"""Nodes and edges that are read as lines give what expat gives, whatever stands around and within them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.graphml.elements import Appearance, EdgeRows, Key, Nesting, NodeRows, RowKeys, Wanted, one_by_one
from graphml_onnx.graphml.lines import read_lines
from graphml_onnx.graphml.xml import MAX_DEPTH
from tests.common.two_readings import Pieces, reading, reading_by_expat
from tests.common.written import written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphml_onnx import Layout
    from graphml_onnx.graphml.elements import Batch, GraphSink

KEYS = [Key(name, "node") for name in ("name", "other", "label", "store")] + [Key("tensor", "edge")]
EVERY = b'<key id="every" for="all" attr.name="other"/>\n'


NODE_KEYS, STREAM, NESTING = frozenset({"name", "other"}), "store", Nesting("name", "other")
ROWS = RowKeys(("name", "x"), (), ("label", "other"))


def wanted(edge_keys: Sequence[str] = (), rows: RowKeys | None = None) -> Wanted:
    return Wanted(NODE_KEYS, frozenset(edge_keys), NESTING, rows)


def assert_same(data: bytes, size: int = 1 << 20, edge_keys: Sequence[str] = ()) -> None:
    expected = reading_by_expat(data, 1 << 20, wanted(edge_keys), STREAM)
    for rows in (None, ROWS):
        assert reading(data, size, wanted(edge_keys, rows), STREAM) == expected


def document(layout: Layout, texts: Sequence[str] = ("x", "a < b & c", '["a",\n"b"]')) -> bytes:
    look = Appearance("label & more", "#ffffff", "ellipse")

    def emit(writer: GraphSink) -> None:
        writer.open_group("g", {"name": "group"}, look)
        for number, text in enumerate(texts):
            writer.node(f"n{number}", {"name": text, "label": "l", "other": "o"}, look)
        writer.close_group()
        writer.open_group("h", {"other": "p & q", "label": "l\n"}, look)
        writer.node("in-h", {"name": "m"}, look)
        writer.node("in_h", {"name": "m"}, look)
        writer.close_group()
        writer.node("last", {"name": "n", "store": "c3RvcmU="}, look)
        writer.edge("n0", "last", {"tensor": "t > u"})
        writer.edge("n1", "n0", {})

    return written(KEYS, layout, emit)


LAYOUTS: tuple[Layout, ...] = ("nested", "flat", "plain")

# What may stand anywhere, or nowhere.
SNIPPETS = [
    "<!--", "-->", "<![CDATA[", "]]>", "<?p ", "?>", "&amp;", "&lt;", "&#65;", "&#13;", "&nbsp;", "&", "<", ">", '"',
    "\r", "\r\n", "\n", "\t", " ", "\0", "\x01", "\x0b", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "\uffff", "é",
    '<node id="z">\n  <data key="name">z</data>\n</node>\n', '<edge source="n0" target="n1"> </edge>\n',
    '<graph>\n<data key="every">of the graph</data>\n', '<data key="every">', '<port name="p">', "</port>",
    "<graph>\n", "</graph>\n", "<node>", "</node>\n", "</edge>\n", '<node id="n0">', "<data>", "</data>",
    '  <data key="name">again</data>\n', '  <data key="none">v</data>\n', '  <data key="label"> </data>\n',
    '  <data key="name">&lt;</data>\n', '<data key="tensor">x</data>', '<x:n xmlns:x="urn:x">', "</x:n>",
    '<graph xmlns="urn:other">\n', '<x:graph xmlns:x="http://graphml.graphdrawing.org/xmlns" xmlns="">\n', "</x:graph>",
    '<y:ShapeNode/>', ' xmlns:y="urn:y"', ' a="b"', "<!DOCTYPE graphml>",
    '<key id="late" for="node" attr.name="late"/>', '<key id="name" for="edge" attr.name="tensor"/>',
]  # fmt: skip


def read_as_lines(data: bytes, wanted: Wanted, size: int = 1 << 20) -> tuple[list[Batch], bytes]:
    streamed: list[bytes] = []
    batches = list(read_lines(Pieces(data, size).open(), wanted, {STREAM: streamed.append}))
    return batches, b"".join(streamed)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("edge_keys", [(), ("tensor",)])
@pytest.mark.parametrize("size", [1 << 20, 100, 7])
def test_what_the_writer_writes_is_read_as_lines(layout: Layout, edge_keys: Sequence[str], size: int) -> None:
    data = document(layout).replace(b"c3RvcmU=", b"c3Rv\ncmU=\nAAAA")
    for rows in (None, ROWS):
        batches, streamed = read_as_lines(data, wanted(edge_keys, rows), size)
        assert streamed == b"c3Rv\ncmU=\nAAAA"
        records = sorted(one_by_one(batches), key=lambda record: record.line)
        assert (records, b"c3RvcmU=AAAA") == reading_by_expat(data, 1 << 20, wanted(edge_keys), STREAM)


def test_rows_are_read_as_such() -> None:
    data = document("nested", ("x", "x", "y", "x"))
    batches, _ = read_as_lines(data, wanted((), ROWS))
    assert [len(batch.values) for batch in batches if isinstance(batch, NodeRows)] == [3]
    assert [batch.ends for batch in batches if isinstance(batch, EdgeRows)] == [[("n0", "last"), ("n1", "n0")]]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_each_snippet_at_many_places(snippet: str) -> None:
    data = document("nested", ("x",)).replace(b"<graph id", EVERY + b"<graph id", 1)
    inserted = snippet.encode()
    ends = [place for place in range(len(data)) if data[place - 1 : place] in (b">", b"\n")]
    for place in {*ends, *range(data.index(b"<graph id"), len(data), 11)}:
        assert_same(data[:place] + inserted + data[place:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_changed_or_left_out(layout: Layout) -> None:
    data = document(layout, ("x",))
    for place in range(data.index(b"<graph id"), len(data), 3):
        assert_same(data[:place] + data[place + 1 :])
        assert_same(data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :])
        assert_same(data[:place])


@given(
    st.sampled_from(LAYOUTS),
    st.lists(st.text(min_size=1), min_size=1),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.1), st.sampled_from(SNIPPETS)), max_size=4),
    st.integers(1, 300),
    st.sampled_from([(), ("tensor",)]),
)
def test_documents_that_were_changed_somewhere(
    layout: Layout, texts: list[str], changes: list[tuple[float, float, str]], size: int, edge_keys: Sequence[str]
) -> None:
    text = document(layout, [text.encode("utf-8", "replace").decode() for text in texts]).decode()
    text = text.replace("<graph id", EVERY.decode() + "<graph id", 1)
    for where, length, snippet in changes:
        start = int(where * len(text))
        text = text[:start] + snippet + text[start + int(length * 50) :]
    assert_same(text.encode(), size, edge_keys)


def test_streamed_values_never_stand_in_memory_as_a_whole() -> None:
    data = document("flat", ["x"]).replace(b"c3RvcmU=", b"A" * 4096 + (b"\n" + b"A" * 4096) * 500)
    pieces: list[int] = []
    read = read_lines(Pieces(data, 1 << 16).open(), wanted(), {STREAM: lambda text: pieces.append(len(text))})
    list(read)
    assert max(pieces) < 1 << 17
    assert_same(data, 1 << 18)


def test_a_prefix_that_is_not_declared() -> None:
    data = document("nested").replace(b' xmlns:y="http://www.yworks.com/xml/graphml"', b"")
    assert "unbound prefix" in reading(data, 1 << 20, wanted(), STREAM)[0]


def without_lines(data: bytes, *texts: bytes) -> bytes:
    return b"\n".join(line for line in data.split(b"\n") if not any(text in line for text in texts))


@pytest.mark.parametrize("levels", [MAX_DEPTH // 2 - 2, MAX_DEPTH // 2 - 1, MAX_DEPTH // 2])
def test_lines_at_the_greatest_depth(levels: int) -> None:
    data = document("plain")
    start = data.index(b'<node id="g">')
    opening = b"".join(b'<node id="o%d"><graph>\n' % level for level in range(levels))
    end = data.index(b"</graph>\n</graphml>")
    assert_same(data[:start] + opening + data[start:end] + b"</graph></node>" * levels + data[end:])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b'id="name" for="node" attr.name="name"', b'id="d0" for="node" attr.name="name"'),
        lambda data: data.replace(b'id="tensor" for="edge"', b'id="d1" for="edge"').replace(b'"tensor">', b'"d1">'),
        lambda data: data.replace(b'<key id="graphics"', b'<key id="drawing"'),
        lambda data: data.replace(b'<key id="arrow"', b'<key id="drawing"'),
        lambda data: data.replace(b'attr.name="other"', b'attr.name="name"'),
        lambda data: without_lines(data, b"<key "),
        lambda data: without_lines(data, b"<key ", b'"label"', b'"other"'),
        lambda data: data.replace(b"graphdrawing.org/xmlns", b"example.org"),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_documents_that_another_tool_changed_everywhere(layout: Layout, change: Callable[[bytes], bytes]) -> None:
    for edge_keys in ((), ("tensor",)):
        assert_same(change(document(layout)), edge_keys=edge_keys)
