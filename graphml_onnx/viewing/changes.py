"""Assigns each difference to an older model to a node of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.graph.difference import diff
from graphml_onnx.viewing.tables import shortened

if TYPE_CHECKING:
    from graphml_onnx.graph.difference import Change
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.support.strictjson import Json
    from graphml_onnx.viewing.tables import Tables


def changes_of(old: ModelGraph, tables: Tables) -> list[Json]:
    """The differences between an older model and the model of the tables, each with its node.

    What was removed has the node of the module that it was in.
    """
    graph = tables.graph
    operators: dict[tuple[str, str], int] = {}
    for body in graph.bodies:
        for operator in body.operators:
            operators.setdefault((body.path, operator.label), tables.node_of[operator])
    modules = {module.path: tables.node_of[module] for module in reversed([*graph.root.walk()])}
    parameters = {p.name: p for p in graph.parameters}
    found: list[Json] = []
    for change in diff(old, graph).changes:
        node = _nearest_module(change.module, modules)
        if change.kind != "removed":
            node = operators.get((change.body, change.name), node)
            if change.subject == "parameter" and change.name in parameters:
                takers = parameters[change.name].consumers
                node = tables.node_of[takers[0]] if takers else node
        found.append(_json(change, node))
    return found


def _nearest_module(path: str, modules: dict[str, int]) -> int:
    while path not in modules and path:
        path = path.rpartition(".")[0]
    return modules.get(path, 0)


def _json(change: Change, node: int) -> Json:
    facts = change.to_dict()
    details: list[Json] = [
        {"what": what, "old": None if old is None else shortened(old), "new": None if new is None else shortened(new)}
        for what, old, new in change.details
    ]
    if change.values is not None:
        details.append({"what": "values", "old": None, "new": str(change.values)})
    return {**facts, "details": details, "node": node, "values": None}
