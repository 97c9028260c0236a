"""The content of a document, node by node: records for the checks of the whole graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.graphml.elements import EdgeRecord
    from graphml_onnx.parameters.store import PayloadReference


class ListedWeight(NamedTuple):
    """A weight that a graph lists among its inputs: its place there, and the tensor."""

    position: int
    name: str


@dataclass(slots=True)
class Node:
    """A node with a valid kind.

    Attributes:
        number: its position in the document; edges refer to it.
        line: where it starts.
        kind: what it is.
        node_id: its identity; empty if it has none.
        parent: the identity of its compound, or None.
        index: for a subgraph, its number in the attributes of its operator; for others, their position in their list,
            once it is known.
        after: the identity of the node before it in its list, or None if it names none.
        name: its name; for inputs, outputs and parameters, that of the tensor.
        op_type: of an operator.
        inputs: tensors that an operator consumes; parameters of a function.
        outputs: tensors that an operator produces; results of a function.
        bodies: numbers of the bodies that an operator's attributes name.
        constants: tensors that the initializers of a graph define, each with its rank (`graphml_onnx.codec.scopes`).
        weight_inputs: weights that a graph lists among its inputs.
        types: type and shape of tensors, as texts, as far as the node has them.
        derived: its derived values, by key.
    """

    number: int
    line: int
    kind: str
    node_id: str
    parent: str | None
    index: int | None
    after: str | None = None
    name: str = ""
    op_type: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    bodies: tuple[int, ...] = ()
    constants: tuple[tuple[str, int], ...] = ()
    weight_inputs: tuple[ListedWeight, ...] = ()
    types: dict[str, tuple[str, str]] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name in messages."""
        known = self.name or self.derived.get("scope")
        name = quoted(known) if known else f"without a name ({quoted(self.node_id)})"
        return f"{self.kind} {name}" if self.kind != "op" else f"operator {name} ({self.op_type})"


@dataclass(slots=True)
class Content:
    """The content of a document, node by node.

    Attributes:
        nodes: the nodes with a valid kind, in the order of the document.
        by_number: the same nodes by their number.
        by_id: nodes by their identity; the first of those that share one.
        frames: parents of frames, by the number of the frame.
        numbers: numbers of all nodes by their XML id.
        passed_over: numbers of nodes without data of the format.
        edges: all edges.
        model: the model's node, if there is one.
        texts: its texts by key.
        references: payloads by number.
    """

    nodes: list[Node] = field(default_factory=list)
    by_number: dict[int, Node] = field(default_factory=dict)
    by_id: dict[str, Node] = field(default_factory=dict)
    frames: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    passed_over: set[int] = field(default_factory=set)
    edges: list[EdgeRecord] = field(default_factory=list)
    model: Node | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    references: dict[int, PayloadReference] = field(default_factory=dict)
