"""Fills a networkx graph with the output of the encoder, or with the content of a GraphML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.codec.node_names import drop_given_name
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.values import Value, values_of
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import NodeRecord, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import networkx as nx

    from graphml_onnx.graphml.elements import Appearance, Data, Drawn

FRAME = "frame"
"""The kind of nodes that are only drawn: groups around an operator and its bodies."""


class NetworkxSink:
    """A `GraphSink` that fills a graph; compounds are nodes, and their members name them as ``parent``.

    Args:
        graph: an empty graph.
    """

    def __init__(self, graph: nx.MultiDiGraph[str]) -> None:
        self._graph = graph

    def begin(self, drawn: Drawn) -> None:
        """Nothing is drawn here."""

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A node without children."""
        if data["kind"] != FRAME:
            self._graph.add_nodes_from([(node_id, _values(data))])

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A compound node."""
        self.node(node_id, data, appearance)

    def close_group(self) -> None:
        """Ends a compound node; does nothing."""

    def edge(self, source: str, target: str, data: Data) -> None:
        """An edge between two nodes."""
        self._graph.add_edges_from([(source, target, _values(data))])


def _values(data: Data) -> dict[str, Value]:
    return values_of({key: text if isinstance(text, str) else "".join(text) for key, text in data.items()})


def fill(graph: nx.MultiDiGraph[str], records: Iterable[Record], path: Path) -> None:
    """Fills an empty graph with the nodes and edges of a file, in the order of the file.

    Args:
        graph: the graph.
        records: its nodes and edges, in any order.
        path: the file, for messages.

    Raises:
        GraphMLError: a node has no ``node_id``, or that of another; an edge ends at no node; a value does not fit its
            key; with the line.
    """
    ids: dict[str, str] = {}  # node_id by XML id
    edges = []
    for record in sorted(records, key=lambda record: record.line):  # a compound starts before its members
        if isinstance(record, NodeRecord):
            node_id = _node_id(record, path)
            if record.data.get("kind") == FRAME:
                continue
            if node_id in graph:
                raise _error(f"node_id {node_id!r} is already used by another node", record, path)
            ids[record.node_id] = node_id
            drop_given_name(record.data)
            graph.add_nodes_from([(node_id, _read(record.data, record, path))])
        else:
            edges.append(record)
    for edge in edges:
        for end in (edge.source, edge.target):
            if end not in ids:
                raise _error(f"the edge names the node {end!r}, which does not exist", edge, path)
        graph.add_edges_from([(ids[edge.source], ids[edge.target], _read(edge.data, edge, path))])


def _node_id(record: NodeRecord, path: Path) -> str:
    node_id = record.data.get("node_id")
    if node_id is None:
        raise _error("the node has no node_id", record, path, "this GraphML was not written by g2o")
    return node_id


def _read(data: Mapping[str, str], record: Record, path: Path) -> dict[str, Value]:
    try:
        return values_of(data)
    except NumberError as error:
        raise _error(str(error), record, path) from None


def _error(message: str, record: Record, path: Path, remedy: str | None = None) -> GraphMLError:
    return GraphMLError(message, file=path, place=f"line {record.line}", remedy=remedy)
