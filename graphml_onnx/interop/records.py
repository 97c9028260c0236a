"""A networkx graph as text: nodes and edges for the decoder, and a copy that other tools can write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from graphml_onnx.codec.keys import EMBEDDED_KEY, KEYS, TRUTH_KEYS, WIRING_KEYS
from graphml_onnx.codec.node_names import set_apart
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.values import is_absent, text_of
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

    import networkx as nx

Node = TypeVar("Node")


def model_of(graph: nx.DiGraph[Node]) -> dict[str, object]:
    """The data of the model's node; something else if there is none, which `from_networkx` reports."""
    # Computations may leave arrays in a graph; comparing one with a string gives an array, not True or False.
    kinds = ((data, data.get("kind")) for data in graph.nodes.values())
    return next((data for data, kind in kinds if isinstance(kind, str) and kind == "model"), {})


class GraphReader(Generic[Node]):
    """Reads a graph, whose values may be Python values or text.

    Args:
        graph: the graph; not changed.
    """

    def __init__(self, graph: nx.DiGraph[Node]) -> None:
        self._graph = graph
        self.model: Mapping[str, object] = model_of(graph)
        """The data of the model's node; empty if there is none."""
        # networkx gives only strings when it reads a GraphML file: then none of them is a Python value.
        self._as_text = all(
            isinstance(value, str) for key, value in self.model.items() if key in TRUTH_KEYS and not is_absent(value)
        )

    def records(self) -> Iterator[Record]:
        """Nodes and edges; ``line`` counts them, from 1, and the embedded store is left out.

        Raises:
            GraphMLError: a value does not fit its key.
        """
        line = 0
        for line, (node, data) in enumerate(self._graph.nodes.items(), 1):
            yield NodeRecord(str(node), self.node_texts(node, data, TRUTH_KEYS - {EMBEDDED_KEY}, line), line)
        for number, (source, target, data) in enumerate(self._graph.edges(data=True), line + 1):
            yield EdgeRecord(str(source), str(target), self.edge_texts(data, WIRING_KEYS, number), number)

    def node_texts(self, node: Node, data: Mapping[str, object], keys: Set[str], line: int) -> dict[str, str]:
        """The texts of some of the values of a node, without empty ones; see `edge_texts`."""
        texts = self.edge_texts(data, keys, line)
        texts.setdefault("node_id", str(node))
        if not self._as_text:
            set_apart(texts)
        return texts

    def edge_texts(self, data: Mapping[str, object], keys: Set[str], line: int) -> dict[str, str]:
        """The texts of some of the values of an edge, without empty ones.

        Args:
            data: its values.
            keys: which of them.
            line: its number in `records`.

        Raises:
            GraphMLError: a value does not fit its key.
        """
        texts: dict[str, str] = {}
        for key, value in data.items():
            if key in keys:
                try:
                    text = text_of(key, value, as_text=self._as_text)
                except NumberError as error:
                    raise GraphMLError(str(error), place=self.place(line), remedy="correct the value there") from None
                if text is not None:
                    texts[key] = text
        return texts

    def place(self, line: int) -> str:
        """The node or edge with the number ``line`` in `records`, for messages."""
        nodes = list(self._graph)
        if line <= len(nodes):
            return f"node {nodes[line - 1]!r}"
        source, target, *_ = list(self._graph.edges)[line - len(nodes) - 1]
        return f"edge {source!r} -> {target!r}"


def as_text(graph: nx.MultiDiGraph[Node]) -> nx.MultiDiGraph[Node]:
    """A copy of a graph in which every value of this format is a string or an integer, as in GraphML.

    ``networkx.write_graphml`` writes neither lists nor dicts; it does write such a copy, and the file decodes.

    Args:
        graph: a graph that `to_networkx` made; not changed.

    Raises:
        GraphMLError: a value does not fit its key.
    """
    reader = GraphReader(graph)
    copy = graph.copy()
    line = 0
    for line, (node, data) in enumerate(copy.nodes.items(), 1):
        _replace(data, reader.node_texts(node, data, KEYS.keys(), line))
    for number, data in enumerate(copy.edges.values(), line + 1):
        _replace(data, reader.edge_texts(data, KEYS.keys(), number))
    return copy


def _replace(data: dict[str, object], texts: Mapping[str, str]) -> None:
    for key in data.keys() & KEYS.keys():
        del data[key]
    for key, text in texts.items():
        data[key] = int(text) if KEYS[key].key.type == "int" and text.isdecimal() else text
