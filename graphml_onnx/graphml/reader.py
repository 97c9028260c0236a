"""Reads GraphML as XML, node by node, from this project's writer or from any tool that saved it since.

Nothing is taken from XML ids, nesting, or the order of the document, except where it declares no keys. Hostile input
is refused: any DOCTYPE (so no entities but XML's own five), any encoding but UTF-8, and nesting, text or markup beyond
the limits below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Never, Protocol, cast
from xml.parsers import expat

from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, EdgeRows, NodeRecord, NodeRows
from graphml_onnx.graphml.lines import (
    DRAWING_KEYS,
    DRAWING_PREFIX,
    EDGE,
    GROUP,
    NODE,
    edges_finder,
    find_lines,
    row_matcher,
    text_of,
    values_finder,
)
from graphml_onnx.graphml.text import from_xml
from graphml_onnx.graphml.writer import NAMESPACE

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping, Set
    from pathlib import Path

    from graphml_onnx.graphml.elements import Batch, Record, RowKeys

MAX_DEPTH = 2_000
"""Elements within elements."""

MAX_TEXT = 1 << 31
"""Characters of one value that is held in memory."""

MAX_MARKUP = 1 << 24
"""Bytes of one tag, comment or processing instruction; expat may scan it again with each chunk."""

_CHUNK = 1 << 18
_WORTH_PATTERNS = 1 << 16  # bytes; expat has read less before the patterns are compiled
_FIRST_EDGE, _LAST_EDGE = "<edge ", "</edge>\n"
_TAIL = 1 << 12  # characters in which the end of an edge is looked for
_MAX_FOREIGN_KEYS = 32  # with more of them, patterns are slower than expat
_DEPTH_OF_LINES = 8  # elements within each other in what is read as lines


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
    nesting: Nesting | None = None,
) -> Iterator[Record]:
    """Reads the nodes and edges of a GraphML file, in the order of the file.

    Args:
        file: the file, open for reading.
        path: its name, for messages.
        node_keys: which values of nodes to keep, by attr.name; others are passed over.
        streams: values of nodes that are handed over in pieces, as they are read; what is kept is an empty text.
        edge_keys: which values of edges to keep.
        nesting: which values say what nesting says, in a document that declares no keys.

    Yields:
        Nodes and edges, each when it ends.

    Raises:
        GraphMLError: the file is not well-formed, not GraphML, or beyond the limits; with the line.
    """
    return cast("Iterator[Record]", read_batches(file, path, node_keys, streams, edge_keys, nesting))


def read_batches(
    file: Readable,
    path: Path,
    node_keys: Set[str],
    streams: Mapping[str, Callable[[str], object]],
    edge_keys: Set[str] = frozenset(),
    nesting: Nesting | None = None,
    rows: RowKeys | None = None,
) -> Iterator[Batch]:
    """The same, with many nodes or edges at a time where they stand as the writer puts them.

    Args:
        file: see `read_graphml`.
        path: see `read_graphml`.
        node_keys: see `read_graphml`.
        streams: see `read_graphml`.
        edge_keys: see `read_graphml`.
        nesting: see `read_graphml`.
        rows: which nodes may be read as rows. Without it nothing is.

    Yields:
        In the order of the file nodes and edges, each when it ends, or rows of them.

    Raises:
        GraphMLError: as `read_graphml`.
    """
    reader = _Reader(path, node_keys | streams.keys(), edge_keys, streams, nesting, rows)
    while True:
        chunk = file.read(_CHUNK)
        yield from reader.feed(chunk)
        if not chunk:
            return


class Nesting(NamedTuple):
    """The keys of the name of a node, and of the name of the node around it."""

    name: str
    around: str


class _WantedLines(NamedTuple):
    """What is wanted of the nodes, or of the edges, that stand as lines.

    Attributes:
        find: finds the values that are wanted; None where everything may be passed over.
        keys: ids of their keys, which are their names too.
        may_be_drawn: whether what their drawings need is declared.
        row: matches the values of a node that is a row.
        row_keys: the keys of the values that it captures.
        find_edges: finds the ends of whole lines of edges of which nothing else is wanted.
    """

    find: Callable[[str], list[tuple[str, str]]] | None
    keys: Set[str]
    may_be_drawn: bool
    row: Callable[[str], re.Match[str] | None] | None
    row_keys: tuple[str, ...]
    find_edges: Callable[[str], list[tuple[str, str]]] | None


class _Reader:
    """The state between expat's callbacks, which are called for every tag: what they do is kept short."""

    def __init__(
        self,
        path: Path,
        node_keys: Set[str],
        edge_keys: Set[str],
        streams: Mapping[str, Callable[[str], object]],
        nesting: Nesting | None,
        rows: RowKeys | None,
    ) -> None:
        self._path = path
        self._nesting = nesting
        self._rows = rows
        self._bare = False  # whether the document declares no keys
        self._wanted = {"node": node_keys, "edge": edge_keys}
        self._streams = streams
        self._names: dict[str, dict[str, str]] = {"node": {}, "edge": {}}  # key id -> attr.name, of the wanted keys
        self._declared: dict[str, set[str]] = {}  # key id -> what it is for
        self._depth = 0
        self._fed = 0  # bytes that expat was given
        self._rest = b""  # the last line, until it ends
        self._graphs: list[int] = []  # depths of the <graph> elements that are open
        self._in_lines = True  # whether nodes and edges may be read as lines
        self._in_cdata = False
        self._has_drawings = False  # whether the root element declares the prefix of yEd
        self._wanted_lines: dict[str, _WantedLines] = {}  # by element
        self._lines = 0  # that expat was not given
        self._open: list[tuple[NodeRecord | EdgeRecord, int]] = []  # each with the depth of its values
        self._done: list[Batch] = []
        self._text: list[str] = []  # what was read since the last value began
        self._key: str | None = None  # the wanted value that is being read
        self._passing_over = False  # whether within a value that nobody wants
        self._key_element: str | None = None  # attr.name, within the <key> element of a wanted key
        # The encoding is fixed: what the file declares is checked, not followed.
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._text.append
        parser.StartNamespaceDeclHandler = self._on_namespace
        parser.StartCdataSectionHandler = self._on_cdata
        parser.EndCdataSectionHandler = self._on_cdata_end

    def feed(self, chunk: bytes) -> list[Batch]:
        """Parses a chunk (an empty one ends the document) and gives what ended in it."""
        self._done = []
        if self._fed == 0 and (b"\0" in chunk[:4] or chunk[:2] in (b"\xff\xfe", b"\xfe\xff")):
            # expat would follow a byte order mark, or the pattern of zeros.
            self._fail("is in another encoding than UTF-8", "only UTF-8 is read: convert the file")
        if self._fed == 0 and len(chunk) < _WORTH_PATTERNS:
            self._in_lines = False
        lines, line_end, rest = chunk.rpartition(b"\n")
        if line_end and self._in_lines:
            self._read_lines(b"".join((self._rest, lines, line_end)))
            self._rest = rest
        else:  # it ends with the chunk that has no end of line
            self._parse(self._rest + chunk, last=not chunk)
            self._rest = b""
        if self._key is None:
            self._text.clear()
        elif sum(map(len, self._text)) > MAX_TEXT:
            self._fail(f"the value of {self._key!r} is longer than {MAX_TEXT:,} characters")
        return self._done

    def _parse(self, data: bytes, *, last: bool = False) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "syntax error"
            raise GraphMLError(
                f"not well-formed XML: {reason}",
                file=self._path,
                place=f"line {error.lineno + self._lines}",
                remedy="the file is cut off, damaged, or not GraphML in UTF-8",
            ) from None
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_MARKUP:
            self._fail(f"a tag, comment or processing instruction is longer than {MAX_MARKUP:,} bytes")

    # Lines as the writer puts them do not need expat.

    def _read_lines(self, data: bytes) -> None:
        """Parses whole lines."""
        text = text_of(data) if b"<" in data else None
        if text is None:
            self._parse(data)
        elif self._rows is None or _LAST_EDGE not in text[-_TAIL:]:
            self._read_text(text)
        else:  # edges stand at the end of the graph
            start, end = text.find(_FIRST_EDGE), text.rfind(_LAST_EDGE) + len(_LAST_EDGE)
            self._read_text(text[:start])
            if self._read_edges(text[start:end]):
                self._read_text(text[end:])
            else:
                self._read_text(text[start:])

    def _read_edges(self, text: str) -> bool:
        """Reads lines of edges; False, with nothing read, where there is anything else."""
        find = (self._wanted_lines.get("edge") or self._learn("edge")).find_edges
        ends = find(text) if find is not None and self._is_among_elements() else ()
        if not ends or len(ends) != text.count("\n"):
            return False
        self._done.append(EdgeRows(ends, self._current_line()))
        self._lines += len(ends)
        return True

    def _read_text(self, text: str) -> None:
        end, among, line = 0, False, 0  # how far the text was read, whether lines may go on there, and its number
        for match in find_lines(text):
            start, stop = match.span()
            if not among or start != end:
                self._parse_text(text[end:start])
                among, line = self._is_among_elements(), self._current_line()
            end = stop
            if among and self._take(match, line):
                lines = text.count("\n", start, stop)
                line += lines
                self._lines += lines
            else:
                if not (among and match.lastindex in GROUP and self._open_group(match)):
                    self._parse_text(text[start:stop])
                among = False
        self._parse_text(text[end:])

    def _parse_text(self, text: str) -> None:
        if text:
            self._parse(text.encode())

    def _is_among_elements(self) -> bool:
        """Whether expat stands between two elements within a ``<graph>``, and has read all that it was given."""
        return (
            bool(self._graphs)
            and self._graphs[-1] == self._depth < MAX_DEPTH - _DEPTH_OF_LINES
            and self._in_lines
            and not self._in_cdata
            and self._parser.CurrentByteIndex == self._fed
        )

    def _take(self, match: re.Match[str], line: int) -> bool:
        """Takes a node without children, or an edge; False where expat has to read it, because it is unusual."""
        if match.lastindex in NODE:
            node_id, values, drawing = match.group(*NODE)
            wanted = self._wanted_lines.get("node") or self._learn("node")
            row = None if wanted.row is None else wanted.row(values)
            if row is not None and (drawing is None or wanted.may_be_drawn):
                texts = row.groups()
                if "&" in values:
                    texts = tuple([text if text is None else from_xml(text) for text in texts])
                self._add_row(wanted.row_keys, node_id, texts, line)
                return True
            data = self._values("node", values, drawing)
            if data is not None:
                self._done.append(NodeRecord(node_id, data, line))
            return data is not None
        if match.lastindex in EDGE:
            source, target, values, drawing = match.group(*EDGE)
            data = self._values("edge", values, drawing)
            if data is not None:
                self._done.append(EdgeRecord(source, target, data, line))
            return data is not None
        return False

    def _add_row(self, keys: tuple[str, ...], node_id: str, values: tuple[str | None, ...], line: int) -> None:
        rows = self._done[-1] if self._done else None
        if type(rows) is not NodeRows or rows.keys is not keys:
            rows = NodeRows(cast("RowKeys", self._rows).first, keys, [], [], [])
            self._done.append(rows)
        rows.node_ids.append(node_id)
        rows.lines.append(line)
        rows.values.append(values)

    def _open_group(self, match: re.Match[str]) -> bool:
        """Takes the values of a node with children, around which expat reads the tags; False as in `_take`."""
        start_tag, values, drawing = match.group(*GROUP)
        data = self._values("node", values, drawing)
        if data is None:
            return False
        self._parse_text(f"<{start_tag}")
        self._open[-1][0].data.update(data)
        self._lines += match[0].count("\n") - 1
        return True

    def _values(self, element: str, text: str, drawing: str | None) -> dict[str, str] | None:
        wanted = self._wanted_lines.get(element) or self._learn(element)
        if drawing is not None and not wanted.may_be_drawn:
            return None
        if wanted.find is None:
            return {}
        found = wanted.find(text)
        data = dict(found)
        if len(data) != len(found) or not data.keys() <= wanted.keys:
            return None
        return data if "&" not in text else {name: from_xml(value) for name, value in data.items()}

    def _learn(self, element: str) -> _WantedLines:
        names = self._names[element]
        passed_over = not self._wanted[element] and element == "edge"
        keys = {key for key, name in names.items() if key == name and name not in self._streams}
        may_be_drawn = self._has_drawings and (passed_over or DRAWING_KEYS[element] in self._declared)
        not_wanted = [key for key in self._declared if key not in names]
        if len(not_wanted) > _MAX_FOREIGN_KEYS:
            self._in_lines = False  # patterns try them one by one at each value
            not_wanted = []
        row: Callable[[str], re.Match[str] | None] | None = None
        row_keys: tuple[str, ...] = ()
        if self._rows is not None and element == "node":
            row = row_matcher(self._rows, dict.fromkeys(not_wanted, False) | dict.fromkeys(keys, True))
            row_keys = tuple(key for key in (*self._rows.required, *self._rows.optional) if key in keys)
        wanted = _WantedLines(
            None if passed_over else values_finder(not_wanted),
            keys,
            may_be_drawn,
            row,
            row_keys,
            edges_finder(may_be_drawn=may_be_drawn) if self._rows is not None and passed_over else None,
        )
        self._wanted_lines[element] = wanted
        return wanted

    def _current_line(self) -> int:
        return self._parser.CurrentLineNumber + self._lines

    def _fail(self, message: str, remedy: str | None = None) -> Never:
        raise GraphMLError(message, file=self._path, place=f"line {self._current_line()}", remedy=remedy)

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            self._fail(f"declares the encoding {encoding}", "only UTF-8 is read: convert the file")

    def _on_namespace(self, prefix: str | None, name: str) -> None:
        if self._depth > 0 or (prefix is None and name != NAMESPACE):
            self._in_lines = False  # an element without a prefix may be none of GraphML's
        elif prefix == DRAWING_PREFIX:
            self._has_drawings = True

    def _on_cdata(self) -> None:
        self._in_cdata = True

    def _on_cdata_end(self) -> None:
        self._in_cdata = False

    def _on_doctype(self, *_: object) -> None:
        self._fail("has a DOCTYPE, which can define entities", "remove the DOCTYPE: GraphML has no need of one")

    def _on_start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._key is not None:
            self._fail(f"the value of {self._key!r} contains the element <{_local(name)}>")
        kind = _ELEMENTS.get(name)
        if kind == "data" and self._open and not self._passing_over:
            if self._depth != self._open[-1][1]:
                self._passing_over = True  # it is a value of what stands in the node: a graph, or a port
            elif len(attributes) == 2 and attributes[0] == "key":
                self._start_value(attributes[1])
            else:
                self._start_value(self._attribute("data", attributes, "key"))
        elif kind is not None:
            self._start_structure(kind, attributes)
        if not 1 < self._depth < MAX_DEPTH:
            self._check_depth(name, kind)

    def _start_value(self, key: str) -> None:
        record = self._open[-1][0]
        name = self._names["node" if type(record) is NodeRecord else "edge"].get(key)
        if name is None:
            if key not in self._declared and not self._bare:
                self._fail(f"the key {key!r} is not declared", "each key needs a <key> element before the graph")
            self._passing_over = True
            return
        if name in record.data:
            self._fail(f"a second value of {name!r}")
        self._key = name
        self._text.clear()
        if name in self._streams:
            self._parser.CharacterDataHandler = self._on_streamed_text

    def _on_streamed_text(self, text: str) -> None:
        name = cast("str", self._key)
        self._streams[name](text)
        if not text.isspace():
            self._open[-1][0].data[name] = ""  # only that there is one

    def _start_structure(self, kind: str, attributes: list[str]) -> None:
        if self._passing_over:
            self._fail(f"a value contains the element <{kind}>")
        if kind == "node":
            node_id = self._attribute(kind, attributes, "id")
            self._open.append((NodeRecord(node_id, {}, self._current_line()), self._depth + 1))
        elif kind == "edge":
            if len(attributes) == 4 and attributes[0] == "source" and attributes[2] == "target":
                source, target = attributes[1], attributes[3]
            else:
                source, target = (self._attribute(kind, attributes, name) for name in ("source", "target"))
            self._open.append((EdgeRecord(source, target, {}, self._current_line()), self._depth + 1))
            if not self._wanted["edge"]:
                self._pass_over_edge()
        elif kind == "key":
            self._start_key(attributes)
        elif kind == "graph":
            self._graphs.append(self._depth)
            if not self._declared and not self._bare:
                # So does cytoscape.js save: ids of keys are names, and nesting stands for the value that says it.
                self._bare, self._in_lines = True, False
                self._names = {element: {name: name for name in wanted} for element, wanted in self._wanted.items()}
        elif kind == "data":
            self._passing_over = True  # a value of the document, or of its graph
        elif kind == "default" and self._key_element is not None:
            self._key = self._key_element
            self._text.clear()

    def _pass_over_edge(self) -> None:
        """Calls nothing for what stands in the edge, of which nobody wants anything."""
        parser = self._parser
        parser.StartElementHandler = parser.CharacterDataHandler = None
        parser.EndElementHandler = self._on_end_within_edge

    def _on_end_within_edge(self, name: str) -> None:
        if _ELEMENTS.get(name) == "edge":
            parser = self._parser
            parser.StartElementHandler, parser.EndElementHandler = self._on_start, self._on_end
            parser.CharacterDataHandler = self._text.append
            self._on_end(name)

    def _start_key(self, attributes: list[str]) -> None:
        key = self._attribute("key", attributes, "id")
        given = dict(zip(attributes[::2], attributes[1::2], strict=True))
        name, scope = given.get("attr.name"), given.get("for", "all")
        # rustworkx numbers the keys of nodes and those of edges each from one.
        scopes = self._declared.setdefault(key, set())
        if scopes and (scope in (*scopes, "all") or "all" in scopes):
            self._fail(f"the key {key!r} is declared twice")
        scopes.add(scope)
        self._wanted_lines.clear()
        for element, wanted in self._wanted.items():
            if name is not None and name in wanted and scope in (element, "all"):
                self._names[element][key] = name
                self._key_element = name

    def _attribute(self, element: str, attributes: list[str], name: str) -> str:
        if name not in attributes[::2]:
            self._fail(f"a <{element}> element has no {name}")
        return attributes[attributes[::2].index(name) * 2 + 1]

    def _check_depth(self, name: str, kind: str | None) -> None:
        if self._depth > MAX_DEPTH:
            self._fail(f"elements are nested more than {MAX_DEPTH:,} deep")
        if self._depth == 1 and kind != "graphml":
            self._fail(f"is not GraphML: the root element is <{_local(name)}>")

    def _on_end(self, name: str) -> None:
        self._depth -= 1
        if self._key is not None:
            # An empty value is no value: tools that keep attributes in columns write one for every node.
            text = "".join(self._text)
            if text and not text.isspace():
                if self._key_element is not None:
                    self._fail(f"the key {self._key!r} has a default", "write the value into each node")
                self._open[-1][0].data[self._key] = text
            if self._key in self._streams:
                self._parser.CharacterDataHandler = self._text.append
            self._key = None
            return
        kind = _ELEMENTS.get(name)
        if kind == "data":
            self._passing_over = False
        elif kind in ("node", "edge"):
            if not self._open or type(self._open[-1][0]) is not _RECORDS[kind]:
                self._fail("an <edge> within an <edge>")
            record, _ = self._open.pop()
            if self._bare and self._open and self._nesting is not None:
                around = self._open[-1][0].data.get(self._nesting.name)
                if around is not None:
                    record.data.setdefault(self._nesting.around, around)
            self._done.append(record)
        elif kind == "graph":
            self._graphs.pop()
        elif kind == "key":
            self._key_element = None


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


_ELEMENTS = {
    prefix + name: name
    for name in ("graphml", "key", "default", "graph", "node", "edge", "data")
    for prefix in ("", f"{NAMESPACE} ")
}
_RECORDS: dict[str, type[NodeRecord | EdgeRecord]] = {"node": NodeRecord, "edge": EdgeRecord}
