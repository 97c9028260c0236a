"""Makes a model of a networkx graph."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.graph_location import GraphLocation
from graphml_onnx.codec.keys import EMBEDDED_KEY
from graphml_onnx.codec.values import values_of
from graphml_onnx.decoding.records import load_records
from graphml_onnx.errors import GraphMLError, UsageError
from graphml_onnx.interop.assembling import proto_of
from graphml_onnx.interop.reading import FOLDER_ATTRIBUTE
from graphml_onnx.interop.records import GraphReader, Node
from graphml_onnx.onnxfile.source import BytesSource

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import networkx as nx
    import onnx

    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.results import Trust


def from_networkx(
    graph: nx.DiGraph[Node],
    *,
    trust: Trust | None = None,
    parameter_folder: str | os.PathLike[str] | None = None,
) -> onnx.ModelProto:
    """Makes a model of a graph that `to_networkx` made, or that networkx read from a GraphML file of this format.

    Every value may be a Python value, as from `to_networkx`, or text, as in GraphML. A string for an integer or JSON is
    text. If the model's node has only strings, as from ``networkx.read_graphml``, all strings are text. Attributes that
    the format does not have are ignored. ``None`` means no value, and so does the NaN of tables. The key of a node
    without ``node_id`` is its ``node_id``.

    External data of the model stay where they are: load them with ``onnx.load_external_data_for_model``.

    Args:
        graph: a ``MultiDiGraph``, or a ``DiGraph``, in which one edge represents all tensors that flow from one node to
            another; not changed.
        trust: which side to believe if edges and the operators' ``inputs`` disagree: ``nodes`` or ``edges``. Without
            it, such a graph is refused.
        parameter_folder: where the file of large weights is; by default where it was when the graph was made.

    Raises:
        GraphMLError: the graph is incomplete, contradicts itself, or is not of this format.
        PayloadError: the file of large weights is missing, or was changed.
        ModelError: the model has 2 GiB or more, which a ModelProto cannot hold.
        UsageError: the graph is undirected.
    """
    if not graph.is_directed():
        raise UsageError("the graph is undirected", remedy="read it as a DiGraph or MultiDiGraph")
    reader = GraphReader(graph)
    if not reader.model and any("kind" in data for data in graph.nodes.values()):
        remedy = "keep that node when you take a part of a graph: it has the data of the whole model"
        raise GraphMLError("no node has the kind 'model'", remedy=remedy)
    with ExitStack() as stack:
        origin = GraphLocation(None, reader.place, is_simple=not graph.is_multigraph())
        model = load_records(reader.records(), origin, trust, lambda: _embedded(reader.model))
        folder = parameter_folder or reader.model.get(FOLDER_ATTRIBUTE) or "."
        return proto_of(model, Path(str(folder)), stack)


def _embedded(model: Mapping[str, object]) -> Source | None:
    """The store in the model's node, as bytes or in base64."""
    data = model.get(EMBEDDED_KEY)
    if isinstance(data, str):
        data = values_of({EMBEDDED_KEY: data})[EMBEDDED_KEY]
    return BytesSource(data) if isinstance(data, bytes) else None
