"""Checks edges against the operators' inputs and outputs, and the order of operators against the flow of tensors.

Source: docs/format.md, section "Edges"; ONNX IR specification, section "Graphs".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.codec.dataflow import Dataflow
from graphml_onnx.codec.scopes import INITIALIZER_RANK, INPUT_RANK, OUTSIDE, WEIGHT_INPUT_RANK
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphml_onnx.codec.dataflow import Use
    from graphml_onnx.graphml.elements import EdgeRecord
    from graphml_onnx.validation.content import Content, Node
    from graphml_onnx.validation.findings import Findings
    from graphml_onnx.validation.structure import Structure

EDGE_KEYS = frozenset({"tensor_name", "tensor_type", "tensor_shape", "input_index"})
"""The keys of edges that are read."""

_TRIED = 100  # flows between the same nodes that an edge without a name is compared with
_SHOWN = 4  # operators of a circle that a message names


_Place: TypeAlias = "tuple[str, int]"  # a tensor, and its place among the inputs of its target


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor flows from one node to another; see `graphml_onnx.codec.dataflow.Use`."""

    source: Node
    target: Node
    use: Use[str]


def check_flow(content: Content, structure: Structure, tensors: Dataflow[str], findings: Findings) -> None:
    """Checks edges, and the order of operators."""
    nodes = content.by_number
    uses = tensors.uses(tensors.flows(range(len(structure.compound_of)), structure.outer))
    flows = [Flow(nodes[use.source], nodes[use.target], use) for use in uses]
    _check_edges(content, structure, flows, findings)
    _check_order(content, structure, flows, findings)


def dataflow_of(content: Content, structure: Structure) -> Dataflow[str]:
    """Collects everything that defines or uses a tensor's name."""
    flow: Dataflow[str] = Dataflow("")
    for body, compound in enumerate(structure.compound_of):
        if compound is not None:
            for tensor, rank in compound.constants:
                flow.define(body, tensor, OUTSIDE, rank)
            for weight in compound.weight_inputs:
                flow.define(body, weight.name, OUTSIDE, WEIGHT_INPUT_RANK + weight.position)
            for rank, tensor in enumerate(compound.inputs if compound.kind == "function" else ()):
                flow.define(body, tensor, OUTSIDE, INPUT_RANK + rank)
    for node, body in zip(content.nodes, structure.body_of, strict=True):
        rank = node.index or 0
        if node.kind == "op":
            for tensor in node.outputs:
                flow.define(body, tensor, node.number, rank)
            for position, tensor in enumerate(node.inputs):
                flow.use(body, tensor, node.number, position)
        elif node.kind == "input":
            flow.define(body, node.name, node.number, INPUT_RANK + rank)
        elif node.kind == "parameter":
            flow.define(body, node.name, node.number, INITIALIZER_RANK + rank)
        elif node.kind == "output":
            flow.use(body, node.name, node.number, 0)
    return flow


# --- edges ------------------------------------------------------------------------------------------------------------


def _check_edges(content: Content, structure: Structure, flows: Sequence[Flow], findings: Findings) -> None:
    expected: dict[tuple[int, int], dict[_Place, Flow]] = {}
    for flow in flows:
        places = expected.setdefault((flow.use.source, flow.use.target), {})
        places[flow.use.tensor, flow.use.input_index] = flow
    facts = _Facts(content, structure)
    for edge in content.edges:
        ends = _ends(edge, content, findings)
        places = expected.get(ends, {}) if ends is not None else {}
        if places:
            flow = places.pop(_best_place(edge, places, facts))
            if contradictions := facts.contradictions(edge, flow):
                message = f"{', '.join(contradictions)} of the edge: {flow.target.title} says otherwise"
                findings.add("stale-edge", edge.line, message)
        elif ends is not None and content.passed_over.isdisjoint(ends):
            source, target = (_title(end, content) for end in ends)
            message = f"no input says that anything flows from {source} to {target}"
            findings.add("edge-mismatch", edge.line, message)
    for flow in (flow for places in expected.values() for flow in places.values()):
        place = f"input {flow.use.input_index} of " if flow.target.kind == "op" else ""
        tensor = quoted(flow.use.tensor)
        message = f"no edge comes from {flow.source.title} for {place}{flow.target.title}, {tensor}"
        findings.add("edge-mismatch", flow.target.line, message)


def _ends(edge: EdgeRecord, content: Content, findings: Findings) -> tuple[int, int] | None:
    source, target = content.numbers.get(edge.source), content.numbers.get(edge.target)
    for name, number in ((edge.source, source), (edge.target, target)):
        if number is None:
            message = f"the edge names the node {quoted(name)}, which does not exist"
            findings.add("edge-end-missing", edge.line, message)
    return None if source is None or target is None else (source, target)


def _best_place(edge: EdgeRecord, places: Mapping[_Place, Flow], facts: _Facts) -> _Place:
    """The flow between its ends that an edge represents: the one that it names, or the best match."""
    index = _number(edge.data.get("input_index", ""))
    named = _unescaped(edge.data.get("tensor_name", "")) or "", -1 if index is None else int(index)
    if named in places:
        return named
    return min(islice(places, _TRIED), key=lambda place: len(facts.contradictions(edge, places[place])))


def _title(number: int, content: Content) -> str:
    node = content.by_number.get(number)
    return "a node without a kind" if node is None else node.title


class _Facts:
    """The expected values of edges."""

    def __init__(self, content: Content, structure: Structure) -> None:
        self._types = [{} if node is None else dict(node.types) for node in structure.compound_of]
        for kind in ("input", "output"):
            for node, body in zip(content.nodes, structure.body_of, strict=True):
                if node.kind == kind:
                    self._types[body] |= node.types

    def contradictions(self, edge: EdgeRecord, flow: Flow) -> list[str]:
        """The keys of an edge whose values contradict the operators; a missing value contradicts nothing."""
        element, shape = self._types[flow.use.scope].get(flow.use.tensor, (None, None))
        data = edge.data
        agrees = {
            "tensor_name": _unescaped(data.get("tensor_name", "")) == flow.use.tensor,
            "input_index": _number(data.get("input_index", "")) in (flow.use.input_index, None),
            "tensor_type": data.get("tensor_type") == element,
            "tensor_shape": data.get("tensor_shape") == shape,
        }
        return [key for key, is_right in agrees.items() if key in data and not is_right]


def _unescaped(text: str) -> str | None:
    try:
        return unescape(text)
    except JsonError:
        return None


def _number(text: str) -> float | None:
    """A number; None for the NaN that tools with columns write for a missing value."""
    try:
        number = float(text)  # some tools know no integers
    except ValueError:
        return -1
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else -1


# --- order ------------------------------------------------------------------------------------------------------------


_SHOWN = 5  # inputs that come later; an unsorted model has as many as edges


def _check_order(content: Content, structure: Structure, flows: Sequence[Flow], findings: Findings) -> None:
    """Looks for operators that consume later ones; circles among them are reported as circles."""
    bodies = {node.number: body for node, body in zip(content.nodes, structure.body_of, strict=True)}
    steps: list[tuple[Node, Node, Flow]] = []
    for flow in flows:
        consumer = _within(flow, content, structure, bodies)
        if consumer is not None and flow.source.kind == consumer.kind == "op":
            steps.append((flow.source, consumer, flow))
    backwards = [step for step in steps if (step[0].index or 0) >= (step[1].index or 0)]
    if not backwards:
        return
    circle_of = _circles(steps, findings)
    unsorted = [
        (source, flow)
        for source, consumer, flow in backwards
        if circle_of.get(source.number) is None or circle_of[source.number] != circle_of.get(consumer.number)
    ]
    for source, flow in unsorted[:_SHOWN]:
        message = f"{flow.target.title} consumes {quoted(flow.use.tensor)} of {source.title}, which comes later"
        findings.add("not-sorted", flow.target.line, message)
    if len(unsorted) > _SHOWN:
        line = unsorted[_SHOWN][1].target.line
        findings.add("not-sorted", line, f"{len(unsorted) - _SHOWN:,} more inputs come from later operators")


def _within(flow: Flow, content: Content, structure: Structure, bodies: dict[int, int]) -> Node | None:
    """The consumer of a tensor in the body that defines it: the target, or the operator around the target's body."""
    consumer, body = flow.target, bodies[flow.target.number]
    while body != flow.use.scope:
        compound = structure.compound_of[body]
        operator = None if compound is None else content.by_id.get(compound.parent or "")
        if operator is None or body not in structure.outer:
            return None
        consumer, body = operator, structure.outer[body]
    return consumer


def _circles(steps: Iterable[tuple[Node, Node, Flow]], findings: Findings) -> dict[int, int]:
    """Reports each circle, and returns the number of the circle of each operator in one."""
    import networkx

    graph: networkx.DiGraph[int] = networkx.DiGraph()
    nodes: dict[int, Node] = {}
    for source, consumer, _ in steps:
        nodes[source.number], nodes[consumer.number] = source, consumer
        graph.add_edge(source.number, consumer.number)
    circle_of: dict[int, int] = {}
    for circle, members in enumerate(networkx.strongly_connected_components(graph)):
        if len(members) == 1 and not graph.has_edge(*members, *members):
            continue
        circle_of |= dict.fromkeys(members, circle)
        operators = sorted((nodes[number] for number in members), key=lambda node: node.line)
        shown = ", ".join(operator.title for operator in operators[:_SHOWN])
        more = f" and {len(operators) - _SHOWN} more" if len(operators) > _SHOWN else ""
        findings.add("cycle", operators[0].line, f"operators that feed each other in a circle: {shown}{more}")
    return circle_of
