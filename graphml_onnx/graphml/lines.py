"""Reads a document as `GraphMLWriter` wrote it: the mirror of the writer, which stops at the first deviation.

expat calls Python for the start and the end of every element, which would be half of the time of decoding. Here one
regular expression matches a whole node or edge. It accepts only text with a single XML reading. If it does not match,
`graphml_onnx.graphml.xml` reads the document from the start.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING

from graphml_onnx.graphml import layout, yed
from graphml_onnx.graphml.elements import EdgeRecord, EdgeRows, NodeRecord, NodeRows
from graphml_onnx.graphml.layout import ID, VALUE, captured, pattern_of
from graphml_onnx.graphml.lists import NotAsWrittenError, without_lists
from graphml_onnx.graphml.markup import from_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphml_onnx.graphml.elements import Batch, CutLists, Readable, RowKeys, Streams, Wanted

CHUNK = 1 << 18  # bytes; a piece of the document is about as long
_MAX_DEPTH = 900  # groups within groups; each is two elements
_STARTS = (b"\n<node ", b"\n<edge ", b"\n</graph>")  # of what `_body` matches
_KEY = pattern_of(layout.KEY, {"name": r"([\w.-]++)", "scope": "(node|edge)", "type": "[a-z]++"})
# The name occurs twice, and is the same.
_KEY = _KEY.replace('attr\\.name="([\\w.-]++)"', 'attr\\.name="\\1"')


def read_lines(file: Readable, wanted: Wanted, streams: Streams, lists: CutLists | None = None) -> Iterator[Batch]:
    """Reads the nodes and edges of a document.

    Args:
        file: the file, open for reading.
        wanted: what is kept of them.
        streams: take values of nodes in pieces, by attr.name.
        lists: records long lists; a token replaces each in its value.

    Yields:
        Nodes and edges, one piece of the document after the other; if rows are wanted, first all rows of a piece.

    Raises:
        NotAsWrittenError: the document deviates from the writer's form. Everything yielded before is correct.
    """
    chunks = iter(partial(file.read, CHUNK), b"")
    lines = _whole_lines(chunks if lists is None else without_lists(chunks, lists))
    pieces = _decoded(_pieces(_without_streams(lines, streams)))
    head = next(pieces)
    reading = _Lines(wanted, frozenset(streams), head)
    yield from reading.read(head[reading.start :])
    for piece in pieces:
        yield from reading.read(piece)
    if not reading.is_complete:
        raise NotAsWrittenError


# Bytes: cut where a node or edge starts, so that memory stays bounded.


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The document, cut at line ends; each part has about the size of a chunk, or is one long line."""
    rest: list[bytes] = []
    for chunk in chunks:
        lines, end, last = chunk.rpartition(b"\n")
        if end:
            yield b"".join((*rest, lines, end))
            rest = []
        rest.append(last)
    if any(rest):
        raise NotAsWrittenError


def _without_streams(parts: Iterator[bytes], streams: Streams) -> Iterator[bytes]:
    """Hands streamed values over while they are read; only their line ends stay in the document."""
    starts = {name: layout.NODE_VALUE.partition("{text}")[0].format(key=name).encode() for name in streams}
    end = layout.NODE_VALUE.partition("{text}")[2].encode()
    open_name: str | None = None
    for part in parts:
        rest = part
        while rest:
            if open_name is None:
                found = [(place, name) for name, start in starts.items() if (place := rest.find(start)) >= 0]
                if not found:
                    yield rest
                    break
                place, open_name = min(found)
                place += len(starts[open_name])
                yield rest[:place] + b"="  # a value that counts as an empty text
                rest = rest[place:]
                if rest[:1].isspace() or rest[:1] == b"<":
                    raise NotAsWrittenError
            text, markup, rest = rest.partition(b"<")
            streams[open_name](text)
            yield b"\n" * text.count(b"\n")
            if markup:
                if not (markup + rest).startswith(end):
                    raise NotAsWrittenError
                open_name, rest = None, markup + rest


def _pieces(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut where a node, an edge or the end of a group starts."""
    pending: list[bytes] = []
    for part in parts:
        cut = max(map(part.rfind, _STARTS)) + 1
        if cut:
            yield b"".join((*pending, part[:cut]))
            pending = []
        pending.append(part[cut:])
    yield b"".join(pending)


def _decoded(pieces: Iterator[bytes]) -> Iterator[str]:
    for piece in pieces:
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            raise NotAsWrittenError from None
        # XML cannot hold these two (XML 1.0, section 2.2); control characters no pattern matches.
        if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
            raise NotAsWrittenError
        yield text


# Text: one match for each node, edge, or end of a group.


class _Lines:
    """The state of a reading: the head of the document, and the open groups.

    Args:
        wanted: what is kept.
        streams: names of values that are streamed.
        head: the start of the document, with its declarations.
    """

    def __init__(self, wanted: Wanted, streams: frozenset[str], head: str) -> None:
        head_match = _head().match(head)
        if head_match is None:
            raise NotAsWrittenError
        self.start = head_match.end()
        """Where the nodes start."""
        is_drawn = head_match["drawn"] is not None
        if is_drawn != (head_match["drawing_keys"] is not None):
            raise NotAsWrittenError
        keys = re.findall(_KEY, head_match["keys"])
        if len(set(keys)) != len(keys) or {yed.NODES, yed.EDGES} & {name for name, _ in keys}:
            raise NotAsWrittenError
        self._declared = {scope: {name for name, found in keys if found == scope} for scope in ("node", "edge")}
        self._wanted = wanted
        self._streams = streams
        nodes = (wanted.node_keys | streams) & self._declared["node"]
        self._wanted_keys = {"node": nodes, "edge": wanted.edge_keys}
        self._row_keys: tuple[str, ...] = ()
        row = None
        if wanted.rows is not None and {wanted.rows.first[0], *wanted.rows.required} <= nodes - streams:
            names = {key: key in nodes for key in self._declared["node"] - streams}
            row = _row(wanted.rows, names)
            self._row_keys = tuple(key for key in (*wanted.rows.required, *wanted.rows.optional) if names.get(key))
        self._body = _body(row, is_drawn=is_drawn)
        self._edges = _edges(is_drawn=is_drawn) if wanted.rows is not None and not wanted.edge_keys else None
        self._line = head.count("\n", 0, self.start) + 1
        self._open: list[NodeRecord] = []
        self.is_complete = False
        """Whether the document has ended."""

    def read(self, text: str) -> Iterator[Batch]:
        """Reads a piece that starts with a node, an edge or the end of a group, and ends before one."""
        start = text.find("<edge ") if self._edges is not None else -1
        if start < 0:
            yield from self._read_nodes(text)
            return
        # All edges follow each other, after all nodes.
        end = text.rfind(layout.EDGE_END) + len(layout.EDGE_END)
        yield from self._read_nodes(text[:start])
        yield from self._read_edges(text[start:end])
        yield from self._read_nodes(text[end:])

    def _read_edges(self, text: str) -> Iterator[Batch]:
        ends = self._edges.findall(text) if self._edges is not None else []
        if len(ends) != text.count("\n"):
            raise NotAsWrittenError
        yield EdgeRows(ends, self._line)
        self._line += len(ends)

    def _read_nodes(self, text: str) -> Iterator[Batch]:
        rows = NodeRows(self._wanted.rows.first if self._wanted.rows else ("", ""), self._row_keys, [], [], [])
        records = list(self._records(text, rows))
        if rows.values:
            yield rows
        yield from records

    def _records(self, text: str, rows: NodeRows) -> Iterator[Batch]:
        """The nodes and edges of a piece, except those that are rows, which are added to ``rows``."""
        width = len(rows.keys) + 1
        has_references = "&" in text
        end = 0
        for match in self._body.finditer(text):
            start, stop = match.span()
            if start != end or self.is_complete:
                raise NotAsWrittenError
            end = stop
            line = self._line
            self._line += text.count("\n", start, stop)
            kind = match.lastgroup
            if kind == "row":
                found = match.groups()
                values = found[1:width]
                if has_references:
                    values = tuple([text and from_xml(text) for text in values])
                rows.node_ids.append(found[0])
                rows.lines.append(line)
                rows.values.append(values)
            elif kind == "node":
                yield self._node(match, line)
            elif kind == "group":
                self._open.append(self._node(match, line))
                if len(self._open) > _MAX_DEPTH:
                    raise NotAsWrittenError
            elif kind == "edge":
                yield EdgeRecord(match["source"], match["target"], self._values("edge", match["edge_values"]), line)
            elif kind == "close" and self._open:
                yield self._open.pop()
            elif kind == "end" and not self._open:
                self.is_complete = True
            else:
                raise NotAsWrittenError
        if end != len(text):
            raise NotAsWrittenError

    def _node(self, match: re.Match[str], line: int) -> NodeRecord:
        return NodeRecord(match["id"], self._values("node", match["values"]), line)

    def _values(self, scope: str, text: str) -> dict[str, str]:
        wanted = self._wanted_keys[scope]
        if scope == "edge" and not self._wanted.edge_keys:
            return {}
        found = _VALUES(text)
        data = dict(found)
        if len(data) != len(found) or not data.keys() <= self._declared[scope]:
            raise NotAsWrittenError
        data = {key: value for key, value in found if key in wanted}
        for key in data.keys() & self._streams:
            data[key] = ""
        return data if "&" not in text else {key: from_xml(value) for key, value in data.items()}


_VALUES = re.compile('<data key="([^"]*+)">([^<]*+)</data>').findall


@cache
def _head() -> re.Pattern[str]:
    before, after = (re.escape(part) for part in layout.HEADER.split("{namespaces}"))
    keys = _KEY.replace("(", "(?:").replace(r'"\1"', r'"[\w.-]++"')
    graph = re.escape(layout.GRAPH.format(id=layout.ROOT))
    return re.compile(
        f"{before}(?P<drawn>{re.escape(yed.DECLARATION)})?+{after}"
        f"(?P<keys>(?:{keys})*+)(?P<drawing_keys>{re.escape(yed.KEYS)})?+{graph}"
    )


def _row(rows: RowKeys, names: Mapping[str, bool]) -> str:
    """Matches the values of a row's node, and captures them in the order of the keys.

    Args:
        rows: which values such nodes have.
        names: the declared keys, each with whether its value is captured.
    """
    key, text = rows.first
    pattern = re.escape(layout.NODE_VALUE.format(key=key, text=text))
    for key in (*rows.required, *(key for key in rows.optional if key in names)):
        text = captured(VALUE) if names[key] else VALUE
        value = pattern_of(layout.NODE_VALUE, {"key": key, "text": text})
        pattern += value if key in rows.required else f"(?:{value})?+"
    return pattern


def _body(row: str | None, *, is_drawn: bool) -> re.Pattern[str]:
    """Matches a node without children, the start of a group, an edge, the end of a group, or that of the document.

    The last matching group names the kind: row, node, group, edge, close or end.
    """

    def drawing(pattern: str) -> str:
        return f"(?:{pattern})?+" if is_drawn else ""

    any_value = pattern_of(layout.NODE_VALUE, {"key": ID, "text": VALUE})
    mark = f"(?:{yed.GROUP_MARK_PATTERN})?+" if is_drawn else ""
    node = pattern_of(layout.NODE, {"id": f"(?P<id>{ID})", "mark": mark}) + f"(?P<values>(?:{any_value})++)"
    ends = (
        f"{drawing(yed.NODE_PATTERN)}{layout.NODE_END}(?P<node>)",
        f"{drawing(yed.GROUP_PATTERN)}{pattern_of(layout.GRAPH, {'id': ID})}(?P<group>)",
    )
    kinds = [
        f"{node}(?:{'|'.join(ends)})",
        f"{_edge('(?P<source>', '(?P<target>', '(?P<edge_values>', is_drawn=is_drawn)}(?P<edge>)",
        f"{layout.GRAPH_END}{layout.NODE_END}(?P<close>)",
        f"{layout.END}(?P<end>)",
    ]
    if row is not None:
        start = pattern_of(layout.NODE, {"id": captured(ID), "mark": ""})
        kinds.insert(0, f"{start}{row}{drawing(yed.NODE_PATTERN)}{layout.NODE_END}(?P<row>)")
    return re.compile("|".join(kinds))


def _edge(source: str, target: str, values: str, *, is_drawn: bool) -> str:
    """Matches an edge; the arguments are the starts of its groups."""
    any_value = pattern_of(layout.EDGE_VALUE, {"key": ID, "text": VALUE})
    ends = pattern_of(layout.EDGE, {"source": f"{source}{ID})", "target": f"{target}{ID})"})
    arrow = f"(?:{yed.EDGE_PATTERN})?+" if is_drawn else ""
    return f"{ends}{values}(?:{any_value})*+){arrow}{layout.EDGE_END}"


def _edges(*, is_drawn: bool) -> re.Pattern[str]:
    """Finds source and target of each edge that starts at the start of a line.

    If there are as many as line ends, the text consists of edges only.
    """
    return re.compile(f"^{_edge('(', '(', '(?:', is_drawn=is_drawn)}", re.MULTILINE)
