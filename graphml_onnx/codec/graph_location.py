"""The origin of nodes and edges, and the wording of their places in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Never

from graphml_onnx.errors import GraphMLError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class GraphLocation(NamedTuple):
    """A file, whose nodes and edges have lines, or a graph in memory, whose nodes and edges are numbered instead.

    Attributes:
        file: the file; None for a graph in memory.
        place: the wording for the node or edge with a line.
        is_simple: whether there is one edge for all tensors that flow between two nodes.
    """

    file: Path | None
    place: Callable[[int], str] = "line {}".format
    is_simple: bool = False

    @property
    def remedy_if_foreign(self) -> str:
        """What to do if something is not of this format."""
        if self.file is None:
            return "make the graph with to_networkx, and keep the data of its nodes"
        return "g2o did not write this GraphML, or a tool dropped its data: encode the model"

    @property
    def remedy_if_edges_differ(self) -> str:
        """What to do if nodes and edges disagree."""
        nodes, edges = "`trust='nodes'`", "`trust='edges'`"
        return f"correct one side, or choose: {nodes} goes by inputs and outputs, {edges} by the edges"

    def fail(self, line: int, message: str, remedy: str | None = None) -> Never:
        """Raises GraphMLError for a node or edge."""
        raise GraphMLError(message, file=self.file, place=self.place(line), remedy=remedy)
