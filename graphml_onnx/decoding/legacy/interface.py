"""Operator sets, inputs, outputs and types of tensors, from the values of a graph of an earlier format.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.identities import MODEL
from graphml_onnx.decoding.legacy.values import tensor_type
from graphml_onnx.graphml.elements import NodeRecord
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.strictjson import Json, JsonError, parse
from graphml_onnx.support.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def operator_sets(values: Mapping[str, str], miss: Callable[[str], None]) -> dict[str, int]:
    """The versions of the operator sets, by domain.

    Args:
        values: the values of the graph.
        miss: called with what is missing.
    """
    text = values.get("opset_imports")
    try:
        value = parse(text) if text else None
    except JsonError:
        value = None
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        items = cast("list[dict[str, Json]]", value)
        value = {str(item.get("domain", "")): item.get("version") for item in items}
    if not isinstance(value, dict) or not value:
        miss("opset_imports")
        return {}
    versions = {name: number for name, number in value.items() if isinstance(number, int) and 0 < number < 2**31}
    if len(versions) != len(value):
        miss("versions in opset_imports")
    return versions


def border(values: Mapping[str, str], miss: Callable[[str], None]) -> list[NodeRecord] | None:
    """The inputs and outputs of the graph, from its own lists; None if it has none.

    Args:
        values: the values of the graph.
        miss: called with what is missing.
    """
    lists = {kind: _tensors(values.get(f"graph_{kind}s")) for kind in ("input", "output")}
    if not lists["output"]:
        return None
    nodes: list[NodeRecord] = []
    for kind, tensors in lists.items():
        after = MODEL
        for index, (name, (type_, _)) in enumerate(tensors.items()):
            data = {"kind": kind, "node_id": f"{kind} {index}", "after": after, "name": escape(name)}
            after = data["node_id"]
            if type_ is None:
                miss(f"type of the {kind} {quoted(name)}")
            else:
                data["type"] = json.dumps(type_)
            nodes.append(NodeRecord(data["node_id"], data, 1))
    return nodes


def intermediate(values: Mapping[str, str]) -> str | None:
    """The JSON of value_info, for tensors whose type and shape are clear: an empty shape may mean an unknown one."""
    items: list[Json] = [
        {"name": name, "type": type_}
        for name, (type_, shape) in _tensors(values.get("value_info")).items()
        if type_ is not None and shape
    ]
    return json.dumps(items) if items else None


def scalars(values: Mapping[str, str]) -> list[str]:
    """The inputs and outputs whose shape is empty, which can mean an unknown one."""
    lists = [_tensors(values.get(key)) for key in ("graph_inputs", "graph_outputs")]
    return [name for tensors in lists for name, (_, shape) in tensors.items() if shape == []]


def _tensors(text: str | None) -> dict[str, tuple[dict[str, Json] | None, Json]]:
    """Type and shape by name of the tensors in a JSON list."""
    try:
        items = parse(text) if text is not None else None
    except JsonError:
        return {}
    found: dict[str, tuple[dict[str, Json] | None, Json]] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(name := item.get("name"), str):
            shape = item.get("shape")
            found[name] = (tensor_type(item.get("type"), shape), shape)
    return found
