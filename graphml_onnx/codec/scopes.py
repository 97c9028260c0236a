"""The meaning of a tensor's name: what defines it in a graph or function, and which of several definitions counts.

Everything that can define a name in ONNX counts, shown as a node or not: operators, inputs of graphs and functions,
initializers and sparse initializers. A body of If, Loop or Scan sees the names of the graph around it,
unless it defines them itself; a function sees only its own.

Source: ONNX IR specification, sections "Graphs" and "Names Within a Graph"; docs/format.md, section "Edges".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx

# If several things in one body define a name, which no valid model has, the lowest rank counts: inputs, then
# initializers, then sparse ones, then inputs that are weights, then operators by their index.
INPUT_RANK = -(1 << 62)
INITIALIZER_RANK = -(1 << 61)
SPARSE_RANK = -(1 << 60)
WEIGHT_INPUT_RANK = -(1 << 59)

OUTSIDE = -1
"""Instead of the number of a node: the name is defined, but not by a node."""

_INPUTS_WITH_DEFAULTS = 4  # the IR version from which on an initializer need not be an input

Name = TypeVar("Name", str, bytes)


class Scopes(Generic[Name]):
    """Looks names up.

    Args:
        definitions: by body and name, the node that defines it there, or `OUTSIDE`.
        outer: the body around a body whose names it sees.
    """

    def __init__(self, definitions: Mapping[tuple[int, Name], int], outer: Mapping[int, int]) -> None:
        self._definitions: Mapping[tuple[int, Name], int] = definitions
        self._outer = outer

    def find(self, name: Name, body: int) -> int | None:
        """The node that defines this name for a body, `OUTSIDE` if it is no node, or None if nothing defines it."""
        scope: int | None = body
        while scope is not None:
            node = self._definitions.get((scope, name))
            if node is not None:
                return node
            scope = self._outer.get(scope)
        return None


def hidden_names(graph: onnx.GraphProto, *, with_initializers: bool) -> Iterator[tuple[bytes, int]]:
    """The names that a graph defines without a node, each with its rank.

    Args:
        graph: the graph.
        with_initializers: whether initializers are not shown as nodes; sparse ones never are.
    """
    if with_initializers:
        for index, tensor in enumerate(graph.initializer):
            yield cast("bytes", tensor.name), INITIALIZER_RANK + index
    for index, sparse in enumerate(graph.sparse_initializer):
        yield cast("bytes", sparse.values.name), SPARSE_RANK + index


def has_weight_inputs(model: onnx.ModelProto) -> bool:
    """Whether an input with an initializer is a weight, which nobody can feed.

    Before IR version 4, every initializer had to be listed among the inputs; since then, an input with an initializer
    is an input with a default.
    """
    return model.HasField("ir_version") and model.ir_version < _INPUTS_WITH_DEFAULTS
