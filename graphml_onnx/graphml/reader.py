"""Reads GraphML as XML, node by node, from this project's writer or from any tool that saved it since.

Nothing is taken from XML ids, nesting, or the order of the document. Hostile input is refused: any DOCTYPE (so no
entities but XML's own five), any encoding but UTF-8, and nesting or text beyond the limits below.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Never, Protocol
from xml.parsers import expat

from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Record
from graphml_onnx.graphml.writer import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Set
    from pathlib import Path

MAX_DEPTH = 2_000
"""Elements within elements."""

MAX_TEXT = 1 << 31
"""Characters of one value that is held in memory."""

_CHUNK = 1 << 18


class Readable(Protocol):
    """Bytes from start to end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; none at the end."""


def read_graphml(
    file: Readable,
    path: Path,
    node_keys: Set[str],
    streams: Mapping[str, Callable[[str], object]],
    edge_keys: Set[str] = frozenset(),
) -> Iterator[Record]:
    """Reads the nodes and edges of a GraphML file, in the order of the file.

    Args:
        file: the file, open for reading.
        path: its name, for messages.
        node_keys: which values of nodes to keep, by attr.name; others are passed over.
        streams: values of nodes that are handed over in pieces, as they are read, instead of being kept.
        edge_keys: which values of edges to keep.

    Yields:
        Nodes and edges, each when it ends.

    Raises:
        GraphMLError: the file is not well-formed, not GraphML, or beyond the limits; with the line.
    """
    reader = _Reader(path, node_keys | streams.keys(), edge_keys, streams)
    while True:
        chunk = file.read(_CHUNK)
        yield from reader.feed(chunk)
        if not chunk:
            return


class _Reader:
    """The state between expat's callbacks."""

    def __init__(
        self,
        path: Path,
        node_keys: Set[str],
        edge_keys: Set[str],
        streams: Mapping[str, Callable[[str], object]],
    ) -> None:
        self._path = path
        self._wanted = {"node": node_keys, "edge": edge_keys}
        self._streams = streams
        self._names: dict[str, dict[str, str]] = {"node": {}, "edge": {}}  # key id -> attr.name, of the wanted keys
        self._declared: set[str] = set()
        self._depth = 0
        self._open: list[NodeRecord | EdgeRecord] = []
        self._done: deque[Record] = deque()
        self._reading = False  # whether a value is being read
        self._value: list[str] = []  # its pieces
        self._value_key = ""
        self._value_depth = 0
        self._value_size = 0
        self._default_of: str | None = None
        # The encoding is fixed: what the file declares is checked, not followed.
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """Parses a chunk (an empty one ends the document) and gives what ended in it."""
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "syntax error"
            raise GraphMLError(
                f"not well-formed XML: {reason}",
                file=self._path,
                place=f"line {error.lineno}",
                remedy="the file is cut off, damaged, or not GraphML in UTF-8",
            ) from None
        while self._done:
            yield self._done.popleft()

    def _fail(self, message: str, remedy: str | None = None) -> Never:
        raise GraphMLError(message, file=self._path, place=f"line {self._parser.CurrentLineNumber}", remedy=remedy)

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            self._fail(f"declares the encoding {encoding}", "only UTF-8 is read: convert the file")

    def _on_doctype(self, *_: object) -> None:
        self._fail("has a DOCTYPE, which can define entities", "remove the DOCTYPE: GraphML has no need of one")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        kind = _ELEMENTS.get(name)
        if self._depth == 1 and kind != "graphml":
            self._fail(f"is not GraphML: the root element is <{name.rpartition(' ')[2]}>")
        if self._depth > MAX_DEPTH:
            self._fail(f"elements are nested more than {MAX_DEPTH:,} deep")
        if kind == "data":
            self._start_data(attributes)
        elif kind == "node":
            if "id" not in attributes:
                self._fail("a node has no id")
            self._open.append(NodeRecord(attributes["id"], {}, self._parser.CurrentLineNumber))
        elif kind == "edge":
            self._start_edge(attributes)
        elif kind == "key":
            self._start_key(attributes)
        elif kind == "default":
            if self._default_of is not None:
                self._begin_value(self._default_of)
        elif self._reading:
            self._fail(f"the value of {self._value_key!r} contains the element <{name.rpartition(' ')[2]}>")

    def _start_data(self, attributes: dict[str, str]) -> None:
        if self._reading:
            self._fail(f"the value of {self._value_key!r} contains another one")
        if not self._open:
            return  # data of the graph, or of the document
        key = attributes.get("key")
        if key is None:
            self._fail("a <data> element has no key")
        record = self._open[-1]
        name = self._names["node" if type(record) is NodeRecord else "edge"].get(key)
        if name is not None:
            if name in record.data:
                self._fail(f"a second value of {name!r}")
            self._begin_value(name)
        elif key not in self._declared:
            self._fail(f"the key {key!r} is not declared", "each key needs a <key> element before the graph")

    def _start_edge(self, attributes: dict[str, str]) -> None:
        source, target = attributes.get("source"), attributes.get("target")
        if source is None or target is None:
            self._fail("an edge lacks its source or target")
        self._open.append(EdgeRecord(source, target, {}, self._parser.CurrentLineNumber))

    def _start_key(self, attributes: dict[str, str]) -> None:
        key = attributes.get("id")
        if key is None:
            self._fail("a <key> element has no id")
        if key in self._declared:
            self._fail(f"the key {key!r} is declared twice")
        self._declared.add(key)
        name = attributes.get("attr.name")
        for scope in ("node", "edge"):
            if name is not None and name in self._wanted[scope] and attributes.get("for", "all") in (scope, "all"):
                self._names[scope][key] = name
                self._default_of = name

    def _begin_value(self, name: str) -> None:
        self._reading = True
        self._value_key = name
        self._value_depth = self._depth
        self._value_size = 0
        self._parser.CharacterDataHandler = self._on_streamed if name in self._streams else self._on_text

    def _on_text(self, text: str) -> None:
        self._value.append(text)
        self._value_size += len(text)
        if self._value_size > MAX_TEXT:
            self._fail(f"the value of {self._value_key!r} is longer than {MAX_TEXT:,} characters")

    def _on_streamed(self, text: str) -> None:
        self._streams[self._value_key](text)

    def _on_end(self, name: str) -> None:
        kind = _ELEMENTS.get(name)
        if self._reading and self._depth == self._value_depth:
            self._end_value(is_default=kind == "default")
        elif kind == "key":
            self._default_of = None
        elif kind in ("node", "edge"):
            self._done.append(self._open.pop())
        self._depth -= 1

    def _end_value(self, *, is_default: bool) -> None:
        text = "".join(self._value)
        self._value.clear()
        self._reading = False
        self._parser.CharacterDataHandler = None
        # An empty value is no value: tools that keep attributes in columns write one for every node.
        if text and not text.isspace():
            if is_default:
                self._fail(f"the key {self._value_key!r} has a default", "write the value into each node")
            self._open[-1].data[self._value_key] = text


_ELEMENTS = {
    prefix + name: name
    for name in ("graphml", "key", "default", "graph", "node", "edge", "data")
    for prefix in ("", f"{NAMESPACE} ")
}
