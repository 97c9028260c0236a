"""Finds the order of lists, as decode does, and reports nodes that leave it open.

Source: docs/format.md, section "Order".
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.codec.order import CircleError, in_order, needs_by_body
from graphml_onnx.support.notices import quoted
from graphml_onnx.validation.flow import dataflow_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphml_onnx.validation.content import Content, Node
    from graphml_onnx.validation.findings import Findings
    from graphml_onnx.validation.structure import Structure

_Needs: TypeAlias = "Mapping[int, Mapping[int, Sequence[int]]]"

_LISTS = ("function", "input", "output", "parameter", "op")


def check_lists(content: Content, structure: Structure, findings: Findings) -> None:
    """Gives each node of a list its place there as ``index``.

    Args:
        content: the nodes.
        structure: the bodies.
        findings: collects the findings.
    """
    lists: dict[tuple[str, int], list[Node]] = {}
    for node, body in zip(content.nodes, structure.body_of, strict=True):
        if node.kind in _LISTS:
            lists.setdefault((node.kind, body), []).append(node)
    needs = cache(lambda: _needs(content, structure))
    for (kind, body), nodes in lists.items():
        compound = structure.compound_of[body]
        start = "" if compound is None else compound.node_id
        # Of nodes with one identity, only the first is known by it.
        own = [node.node_id if content.by_id.get(node.node_id) is node else f"\0{node.number}" for node in nodes]
        links = partial(_open_links, nodes, start, findings)
        try:
            order: Sequence[int] = in_order(
                own, [node.after for node in nodes], start, partial(_needed, kind, body, nodes, needs, links)
            )
        except CircleError as error:
            node = nodes[error.row]
            findings.add("order-circle", node.line, f"{node.title} comes after nodes that come after it")
            order = range(len(nodes))
        for place, row in enumerate(order):
            nodes[row].index = place


def _needed(
    kind: str, body: int, nodes: Sequence[Node], needs: Callable[[], _Needs], links: Callable[[], None]
) -> Mapping[int, Sequence[int]]:
    """The rows that each row needs before it; called if the order is open."""
    links()
    if kind != "op":
        return {}
    rows = {node.number: row for row, node in enumerate(nodes)}
    return {rows[number]: [rows[other] for other in others] for number, others in needs().get(body, {}).items()}


def _open_links(nodes: Sequence[Node], start: str, findings: Findings) -> None:
    known = {start, *(node.node_id for node in nodes)}
    first: dict[str, Node] = {}
    for node in nodes:
        if node.after is None:
            findings.add("order-open", node.line, f"{node.title} does not name the node before it")
        elif node.after not in known:
            message = f"{node.title} comes after {quoted(node.after)}, which is not in its list"
            findings.add("order-open", node.line, message)
        elif (other := first.setdefault(node.after, node)) is not node:
            message = f"{node.title} comes after the same node as {other.title}, in line {other.line}"
            findings.add("order-open", node.line, message)


def _needs(content: Content, structure: Structure) -> _Needs:
    pairs = zip(content.nodes, structure.body_of, strict=True)
    bodies = {node.number: body for node, body in pairs if node.kind == "op"}
    around = {}
    for body in structure.outer:
        compound = structure.compound_of[body]
        if compound is not None:
            around[body] = content.by_id[compound.parent or ""].number
    flows = dataflow_of(content, structure).flows(range(len(structure.compound_of)), structure.outer)
    return needs_by_body(zip(flows.source.tolist(), flows.target.tolist(), strict=True), bodies, around)
