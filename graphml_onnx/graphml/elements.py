"""The vocabulary between the codec and GraphML as XML: keys, nodes and edges, and who takes them.

Nothing here, or elsewhere in this package, knows ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Data: TypeAlias = "Mapping[str, str | Iterable[str]]"
"""Values by key; a value too large for memory is an iterable of pieces of text."""


@dataclass(frozen=True, slots=True)
class Key:
    """A GraphML key (GraphML primer, section "Attributes").

    Attributes:
        name: key id and attr.name alike, an NMTOKEN.
        scope: which elements carry it.
        type: its attr.type.
    """

    name: str
    scope: Literal["node", "edge"]
    type: Literal["string", "int", "long"] = "string"


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a node looks in tools that draw what they read.

    Attributes:
        label: its text.
        fill: its colour, ``#rrggbb``.
        shape: ``rectangle``, ``roundrectangle``, ``ellipse``, …: the names of yEd's ShapeNode.
    """

    label: str
    fill: str
    shape: str


class GraphSink(Protocol):
    """Takes a graph piece by piece; parents come before children, all nodes before all edges."""

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A node without children."""

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A compound node; what follows until `close_group` lies within."""

    def close_group(self) -> None:
        """Ends the compound node that was opened last."""

    def edge(self, source: str, target: str, data: Data) -> None:
        """An edge between two nodes."""


@dataclass(slots=True)  # not frozen, which would double the time that it takes to make one
class NodeRecord:
    """A node as it stands in a file.

    Attributes:
        node_id: its XML id.
        data: the values of the keys that were asked for, by attr.name; without empty ones.
        line: where it starts.
    """

    node_id: str
    data: dict[str, str]
    line: int


@dataclass(slots=True)
class EdgeRecord:
    """An edge as it stands in a file: XML ids of its ends, values, and the line where it starts."""

    source: str
    target: str
    data: dict[str, str]
    line: int


Record: TypeAlias = "NodeRecord | EdgeRecord"
Keys: TypeAlias = Sequence[Key]
