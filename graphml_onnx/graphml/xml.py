"""Reads GraphML as XML, from any tool, node by node.

Hostile input is refused: any DOCTYPE (so XML's own five entities are the only ones), any encoding except UTF-8, and
nesting, text or markup beyond the limits below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Never, TypeVar
from xml.parsers import expat

from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord
from graphml_onnx.graphml.layout import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphml_onnx.graphml.elements import CutLists, Readable, Record, Streams, Wanted

MAX_DEPTH = 2_000
"""Elements within elements."""

MAX_TEXT = 1 << 31
"""Limit for one value in characters, since it is held in memory."""

MAX_MARKUP = 1 << 24
"""Limit for one tag, comment or processing instruction in bytes; expat may scan it again with each chunk."""

CHUNK = 1 << 18  # bytes

_Value = TypeVar("_Value")


def read_xml(
    file: Readable, path: Path, wanted: Wanted, streams: Streams, lists: CutLists | None = None
) -> Iterator[Record]:
    """Reads the nodes and edges of a GraphML file, in the order in which they end.

    Args:
        file: the file, open for reading.
        path: its name, for messages.
        wanted: what is kept of them.
        streams: take values of nodes in pieces, by attr.name.
        lists: long lists that an earlier reading skipped; this one skips none.

    Yields:
        Nodes and edges, each when it ends.

    Raises:
        GraphMLError: the file is not well-formed, not GraphML, or beyond the limits; with the line.
    """
    if lists is not None:
        lists.restart()
    parser = _Parser(path, wanted, streams)
    while True:
        chunk = file.read(CHUNK)
        yield from parser.feed(chunk)
        if not chunk:
            return


class _Parser:
    """The state between expat's callbacks. They run for every tag, so they are short."""

    def __init__(self, path: Path, wanted: Wanted, streams: Streams) -> None:
        self._path = path
        self._nesting = wanted.nesting
        self._wanted = {"node": wanted.node_keys | streams.keys(), "edge": wanted.edge_keys}
        self._streams = streams
        self._names: dict[str, dict[str, str]] = {"node": {}, "edge": {}}  # key id -> attr.name, of the wanted keys
        self._declared: dict[str, set[str]] = {}  # key id -> the elements that it is for
        self._is_bare = False  # whether the document declares no keys
        self._depth = 0
        self._fed = 0  # bytes that expat was given
        self._open: list[tuple[NodeRecord | EdgeRecord, int]] = []  # each with the depth of its values
        self._done: list[Record] = []
        self._text: list[str] = []  # of the value that is being read
        self._value: str | None = None  # attr.name of the wanted value that is being read
        self._passing_over = 0  # depth of a value, or of an edge, that is skipped
        self._key: str | None = None  # attr.name, within the <key> element of a wanted key
        self._starts = _by_element(
            key=self._start_key, default=self._start_default, graph=self._start_graph, node=self._start_node,
            edge=self._start_edge, data=self._start_data,
        )  # fmt: skip
        self._ends = _by_element(key=self._end_key, node=self._end_record, edge=self._end_record)
        # The encoding is fixed: what the file declares is checked, not followed.
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._text.append

    def feed(self, chunk: bytes) -> list[Record]:
        """Parses a chunk (an empty one ends the document) and returns the nodes and edges that ended in it."""
        self._done = []
        if self._fed == 0 and (b"\0" in chunk[:4] or chunk[:2] in (b"\xff\xfe", b"\xfe\xff")):
            # expat would follow a byte order mark, or the pattern of zeros.
            self._fail("is in another encoding than UTF-8", "only UTF-8 is read: convert the file")
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise GraphMLError(
                f"not well-formed XML: {expat.ErrorString(error.code) or 'syntax error'}",
                file=self._path,
                place=f"line {error.lineno}",
                remedy="the file is cut off, damaged, or not GraphML in UTF-8",
            ) from None
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > MAX_MARKUP:
            self._fail(f"a tag, comment or processing instruction is longer than {MAX_MARKUP:,} bytes")
        if self._value is None:
            self._text.clear()
        elif self._key is None and self._value in self._streams:
            self._hand_over(self._value)
        elif sum(map(len, self._text)) > MAX_TEXT:
            self._fail(f"the value of {self._value!r} is longer than {MAX_TEXT:,} characters")
        return self._done

    def _fail(self, message: str, remedy: str | None = None) -> Never:
        raise GraphMLError(message, file=self._path, place=f"line {self._parser.CurrentLineNumber}", remedy=remedy)

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            self._fail(f"declares the encoding {encoding}", "only UTF-8 is read: convert the file")

    def _on_doctype(self, *_: object) -> None:
        self._fail("has a DOCTYPE, which can define entities", "remove the DOCTYPE: GraphML has no need of one")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth = depth = self._depth + 1
        if not 1 < depth <= MAX_DEPTH:
            self._check_depth(name)
        if self._value is not None:
            self._fail(f"the value of {self._value!r} contains the element <{_local(name)}>")
        start = self._starts.get(name)
        if start is None:
            return
        if not self._passing_over:
            start(attributes)
        elif not (self._open and self._open[-1][1] == self._passing_over + 1):
            self._fail(f"a value contains the element <{_local(name)}>")
        elif start == self._start_edge:  # everything else in an edge is derived
            self._fail("an <edge> within an <edge>")

    def _on_end(self, name: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if self._value is not None:
            self._end_value(self._value)
            return
        if self._passing_over:
            if depth > self._passing_over:
                return
            self._passing_over = 0
        end = self._ends.get(name)
        if end is not None:
            end()

    def _check_depth(self, name: str) -> None:
        if self._depth > MAX_DEPTH:
            self._fail(f"elements are nested more than {MAX_DEPTH:,} deep")
        if name not in _ROOTS:
            self._fail(f"is not GraphML: the root element is <{_local(name)}>")

    def _attribute(self, element: str, attributes: dict[str, str], name: str) -> str:
        if name not in attributes:
            self._fail(f"a <{element}> element has no {name}")
        return attributes[name]

    # Keys

    def _start_key(self, attributes: dict[str, str]) -> None:
        key = self._attribute("key", attributes, "id")
        name, scope = attributes.get("attr.name"), attributes.get("for", "all")
        # rustworkx numbers the keys of nodes and those of edges each from one.
        scopes = self._declared.setdefault(key, set())
        if scopes and (scope in (*scopes, "all") or "all" in scopes):
            self._fail(f"the key {key!r} is declared twice")
        scopes.add(scope)
        for element, wanted in self._wanted.items():
            if name is not None and name in wanted and scope in (element, "all"):
                self._names[element][key] = name
                self._key = name

    def _start_default(self, attributes: dict[str, str]) -> None:
        if self._key is not None:
            self._value = self._key
            self._text.clear()

    def _end_key(self) -> None:
        self._key = None

    # Nodes and edges

    def _start_graph(self, attributes: dict[str, str]) -> None:
        if not self._declared and not self._is_bare:
            # cytoscape.js saves no keys: ids of keys are their names, and nesting replaces the parent's name.
            self._is_bare = True
            self._names = {element: {name: name for name in wanted} for element, wanted in self._wanted.items()}

    def _start_node(self, attributes: dict[str, str]) -> None:
        self._open_record(NodeRecord(self._attribute("node", attributes, "id"), {}, self._parser.CurrentLineNumber))

    def _start_edge(self, attributes: dict[str, str]) -> None:
        source, target = (self._attribute("edge", attributes, name) for name in ("source", "target"))
        self._open_record(EdgeRecord(source, target, {}, self._parser.CurrentLineNumber))
        if not self._wanted["edge"]:
            self._passing_over = self._depth

    def _open_record(self, record: Record) -> None:
        if self._open and type(self._open[-1][0]) is EdgeRecord:
            self._fail("an <edge> within an <edge>" if type(record) is EdgeRecord else "a <node> within an <edge>")
        self._open.append((record, self._depth + 1))

    def _end_record(self) -> None:
        record, _ = self._open.pop()
        if self._is_bare and self._open and self._nesting is not None:
            around = self._open[-1][0].data.get(self._nesting.name)
            if around is not None:
                record.data.setdefault(self._nesting.around, around)
        self._done.append(record)

    # Values

    def _start_data(self, attributes: dict[str, str]) -> None:
        # A value outside nodes and edges belongs to a graph, a port, or the document.
        record, depth = self._open[-1] if self._open else (None, 0)
        if record is None or self._depth != depth:
            self._passing_over = self._depth
            return
        key = self._attribute("data", attributes, "key")
        name = self._names["node" if type(record) is NodeRecord else "edge"].get(key)
        if name is None:
            if key not in self._declared and not self._is_bare:
                self._fail(f"the key {key!r} is not declared", "each key needs a <key> element before the graph")
            self._passing_over = self._depth
            return
        if name in record.data:
            self._fail(f"a second value of {name!r}")
        self._value = name
        self._text.clear()

    def _hand_over(self, name: str) -> None:
        text = "".join(self._text)
        self._text.clear()
        if text:
            self._streams[name](text.encode())
            if not text.isspace():
                self._open[-1][0].data[name] = ""  # only that there is one

    def _end_value(self, name: str) -> None:
        self._value = None
        if self._key is None and name in self._streams:
            self._hand_over(name)
            return
        # An empty value is no value: tools that keep attributes in columns write one for every node.
        text = "".join(self._text)
        if text and not text.isspace():
            if self._key is not None:
                self._fail(f"the key {name!r} has a default", "write the value into each node")
            self._open[-1][0].data[name] = text


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _by_element(**values: _Value) -> dict[str, _Value]:
    """Values by what expat calls an element: GraphML's own namespace and no namespace are the same."""
    return {prefix + name: value for name, value in values.items() for prefix in ("", f"{NAMESPACE} ")}


_ROOTS = frozenset(_by_element(graphml=True))
