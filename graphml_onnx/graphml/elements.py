"""The vocabulary between the codec and GraphML as XML: keys, records and the sink protocol.

Nothing here, or elsewhere in this package, knows ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Literal, NamedTuple, Protocol, TypeAlias

Data: TypeAlias = "Mapping[str, str | Iterable[str]]"
"""Values by key; a value too large for memory is an iterable of pieces of text."""


class Key(NamedTuple):
    """A GraphML key (GraphML primer, section "Attributes").

    Attributes:
        name: key id and attr.name alike, an NMTOKEN.
        scope: the elements that have it.
        type: its attr.type.
    """

    name: str
    scope: Literal["node", "edge"]
    type: Literal["string", "int", "long"] = "string"


class Appearance(NamedTuple):  # many are looked up, and a tuple hashes fast
    """How a node looks in tools that draw graphs.

    Attributes:
        label: its text.
        fill: its colour, ``#rrggbb``.
        shape: ``rectangle``, ``roundrectangle``, ``ellipse``, …: the names of yEd's ShapeNode.
        is_small: whether it is drawn without its text.
    """

    label: str
    fill: str
    shape: str
    is_small: bool = False


class Drawn(NamedTuple):
    """The nodes and edges of a graph in the order in which a sink will get them; known before anything is written.

    Attributes:
        parents: for each node, the number of the group around it; -1 for none.
        looks: the appearance of each node.
        groups: numbers of the nodes that are groups.
        sources: for each edge, the node that it comes from.
        targets: for each edge, the node that it goes to.
    """

    parents: Sequence[int]
    looks: Sequence[Appearance]
    groups: Sequence[int]
    sources: Sequence[int]
    targets: Sequence[int]


class GraphSink(Protocol):
    """Takes a graph piece by piece; parents come before children, all nodes before all edges."""

    def begin(self, drawn: Drawn) -> None:
        """Called first, with everything that will follow."""

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A node without children."""

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A compound node; it contains everything until `close_group`."""

    def close_group(self) -> None:
        """Ends the compound node that was opened last."""

    def edge(self, source: str, target: str, data: Data) -> None:
        """An edge between two nodes."""


class NodeRecord(NamedTuple):
    """A node of a file.

    Attributes:
        node_id: its XML id.
        data: the values of the wanted keys, by attr.name, without empty ones.
        line: where it starts.
    """

    node_id: str
    data: dict[str, str]
    line: int


class EdgeRecord(NamedTuple):
    """An edge of a file: XML ids of its ends, values, and the line where it starts."""

    source: str
    target: str
    data: dict[str, str]
    line: int


Record: TypeAlias = "NodeRecord | EdgeRecord"


class RowKeys(NamedTuple):
    """The values of nodes that are read as rows, in the order in which they are written.

    Attributes:
        first: a key and the value that marks such nodes; it comes first.
        required: keys that all of them have.
        optional: keys that follow, which some of them have.
    """

    first: tuple[str, str]
    required: tuple[str, ...]
    optional: tuple[str, ...]


class NodeRows(NamedTuple):
    """Nodes without children that have the first value of their `RowKeys`, as rows of a table.

    Attributes:
        first: the key and value that all of them have.
        keys: the other wanted keys, by attr.name.
        node_ids: their XML ids.
        lines: where they start.
        values: for each node, its values by ``keys``; None if it has none.
    """

    first: tuple[str, str]
    keys: tuple[str, ...]
    node_ids: list[str]
    lines: list[int]
    values: list[tuple[str | None, ...]]

    def records(self) -> Iterator[NodeRecord]:
        """The same nodes one by one."""
        key, value = self.first
        for node_id, line, row in zip(self.node_ids, self.lines, self.values, strict=True):
            data = {key: value}
            data |= {key: text for key, text in zip(self.keys, row, strict=True) if text is not None}
            yield NodeRecord(node_id, data, line)


class Nesting(NamedTuple):
    """The keys for the name of a node and for the name of its parent."""

    name: str
    around: str


class Wanted(NamedTuple):
    """What a reader keeps of a document; it skips everything else.

    Attributes:
        node_keys: values of nodes, by attr.name.
        edge_keys: values of edges.
        nesting: the keys that XML nesting replaces, in a document that declares no keys.
        rows: the nodes that may be given as rows, and edges with them; without it, all come one by one.
    """

    node_keys: Set[str]
    edge_keys: Set[str] = frozenset()
    nesting: Nesting | None = None
    rows: RowKeys | None = None


Streams: TypeAlias = "Mapping[str, Callable[[bytes], object]]"
"""By attr.name, a function that takes a node's value in pieces while it is read; the node then has an empty text.

It raises PayloadError for what is neither base64 nor XML's white space.
"""


class CutLists(Protocol):
    """Records long JSON lists, each of which a reader may replace by a token."""

    def restart(self) -> None:
        """Forgets them: the document is read again."""

    def add(self, start: int, end: int) -> bytes:
        """Records the position of a list in the document, in bytes; returns the token that replaces it."""


class Readable(Protocol):
    """Bytes from start to end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; none at the end."""


class EdgeRows(NamedTuple):
    """Edges without wanted values, each on a line of its own: their ends, and the line of the first."""

    ends: list[tuple[str, str]]
    line: int

    def records(self) -> Iterator[EdgeRecord]:
        """The same edges one by one."""
        for line, (source, target) in enumerate(self.ends, self.line):
            yield EdgeRecord(source, target, {}, line)


Batch: TypeAlias = "Record | NodeRows | EdgeRows"
Keys: TypeAlias = Sequence[Key]


def one_by_one(batches: Iterable[Batch]) -> Iterator[Record]:
    """The same nodes and edges without rows."""
    for batch in batches:
        if isinstance(batch, NodeRows | EdgeRows):
            yield from batch.records()
        else:
            yield batch
