"""Turns a graph of an earlier format into nodes of this one, where it says all that a model needs.

Operators come from nodes with an ``op_type``, tensors from what edges say of them, inputs and outputs of the graph from
the nodes at which edges only start or only end. Nothing is guessed: where the order of an operator's inputs, or its
weights, are not said, there is no model.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from onnx import helper

from graphml_onnx.codec.keys import FORMAT_VERSION
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Record
from graphml_onnx.graphml.text import escape
from graphml_onnx.hierarchy.findings import quoted
from graphml_onnx.legacy.recognition import MODULE_KEYS
from graphml_onnx.legacy.values import attributes_of, least_inputs, type_of
from graphml_onnx.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from graphml_onnx.legacy.recognition import Older

_MODEL = "model"
_SHOWN = 8  # lacks that an error message names
_MAX_LACKS = 100  # that are gathered


@dataclass(frozen=True, slots=True)
class Translation:
    """A graph of an earlier format in terms of this one.

    Attributes:
        records: the nodes of this format; edges are left out, since they follow from them.
        lacks: what the file does not say, although a file of this format does.
    """

    records: Sequence[Record]
    lacks: tuple[str, ...]


@dataclass(slots=True)
class _Operator:
    record: NodeRecord
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def translate(older: Older, records: Iterable[Record], path: Path) -> Translation:
    """Turns a graph into nodes of this format.

    Args:
        older: what is known of it.
        records: its nodes, with `OPERATOR_KEYS` and `MODULE_KEYS`, and its edges, with `TENSOR_KEYS`.
        path: the file, for messages.

    Raises:
        GraphMLError: it does not say what a model needs; the message names what.
    """
    return _Translator(older, records).translation(path)


def _identity(xml_id: str) -> str:
    return f"node {xml_id}"  # which is never that of the model


class _Translator:
    def __init__(self, older: Older, records: Iterable[Record]) -> None:
        self._older = older
        self._missing: dict[str, None] = {}
        self._operators: dict[str, _Operator] = {}
        self._others: dict[str, NodeRecord] = {}
        self._edges: list[EdgeRecord] = []
        seen: set[str] = set()
        for record in records:
            if isinstance(record, EdgeRecord):
                self._edges.append(record)
                continue
            if record.node_id in seen:
                self._miss(f"an id of its own for the node in line {record.line}")
            seen.add(record.node_id)
            if "op_type" in record.data:
                self._operators[record.node_id] = _Operator(record)
            elif not record.data.keys() & MODULE_KEYS:
                self._others[record.node_id] = record

    def translation(self, path: Path) -> Translation:
        """The graph; raises GraphMLError where it does not say enough."""
        opsets = self._opsets()
        self._connect()
        records = [*self._boundary(), *self._operator_nodes(opsets)]
        if not self._operators:
            self._miss("operators")
        if any(self._older.values.get(key) for key in ("parameter_file", "parameter_strategy")):
            self._miss("weights: how the earlier formats keep them is not known")
        if self._missing:
            shown = "; ".join(list(self._missing)[:_SHOWN])
            more = "; and more" if len(self._missing) > _SHOWN else ""
            raise GraphMLError(
                f"is of {self._older.title}, and does not say what a model needs: {shown}{more}",
                file=path,
                remedy="encode the model again",
            )
        ir_version = helper.find_min_ir_version_for(
            [helper.make_opsetid(domain, version) for domain, version in opsets.items()], ignore_unknown=True
        )
        texts = {
            "kind": "model",
            "node_id": _MODEL,
            "format_version": FORMAT_VERSION,
            "ir_version": str(ir_version),
            "opset_imports": json.dumps([{"domain": name, "version": number} for name, number in opsets.items()]),
            "name": escape("graph"),
        }
        lacks = (
            f"which ir_version the model has: taken to be {ir_version}, the lowest that fits its operator sets",
            "in which order operators stand: taken to be that of the document, as far as tensors allow",
            "what the graph and its producer are called, nor metadata",
            "the digest of the encoded file, so that nobody can tell whether this is the same model",
        )
        return Translation([NodeRecord(_MODEL, texts, 1), *records], lacks)

    def _miss(self, what: str) -> None:
        if len(self._missing) < _MAX_LACKS:
            self._missing[what] = None

    # The model

    def _opsets(self) -> dict[str, int]:
        text = self._older.values.get("opset_imports")
        try:
            value = parse(text) if text else None
        except JsonError:
            value = None
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            items = cast("list[dict[str, Json]]", value)
            value = {str(item.get("domain", "")): item.get("version") for item in items}
        if not isinstance(value, dict) or not value:
            self._miss("opset_imports")
            return {}
        versions = {name: number for name, number in value.items() if isinstance(number, int) and 0 < number < 2**31}
        if len(versions) != len(value):
            self._miss("versions in opset_imports")
        return versions

    # Tensors

    def _connect(self) -> None:
        for edge in self._edges:
            tensor = edge.data.get("tensor_name")
            if tensor is None:
                self._miss(f"tensor_name of the edge in line {edge.line}")
                continue
            for end, name in ((edge.source, "outputs"), (edge.target, "inputs")):
                if end in self._operators:
                    tensors: list[str] = getattr(self._operators[end], name)
                    if tensor not in tensors or name == "inputs":
                        tensors.append(tensor)

    def _boundary(self) -> list[NodeRecord]:
        sources, targets = {edge.source: edge for edge in self._edges}, {edge.target: edge for edge in self._edges}
        nodes: list[NodeRecord] = []
        for xml_id, record in self._others.items():
            edge = sources.get(xml_id) or targets.get(xml_id)
            if edge is None:
                continue  # nothing flows there
            if xml_id in sources and xml_id in targets:
                self._miss(f"op_type of the node in line {record.line}")
                continue
            kind = "input" if xml_id in sources else "output"
            index = sum(node.data["kind"] == kind for node in nodes)
            data = {
                "kind": kind,
                "node_id": _identity(xml_id),
                "index": str(index),
                "name": escape(edge.data.get("tensor_name", "")),
            }
            type_ = type_of(edge.data)
            if type_ is not None:
                data["type"] = type_
            elif kind == "input":
                self._miss(f"type of the input in line {record.line}")
            nodes.append(NodeRecord(xml_id, data, record.line))
        if not any(node.data["kind"] == "output" for node in nodes):
            self._miss("outputs of the graph")
        return nodes

    # Operators

    def _operator_nodes(self, opsets: Mapping[str, int]) -> list[NodeRecord]:
        return [self._operator(index, operator, opsets) for index, operator in enumerate(self._sorted())]

    def _sorted(self) -> list[_Operator]:
        """The operators in the order of the document, as far as each comes after those whose tensors it consumes."""
        import networkx

        places = {xml_id: place for place, xml_id in enumerate(self._operators)}
        graph: networkx.DiGraph[str] = networkx.DiGraph()
        graph.add_nodes_from(places)
        graph.add_edges_from(
            (edge.source, edge.target) for edge in self._edges if {edge.source, edge.target} <= places.keys()
        )
        try:
            order = list(networkx.lexicographical_topological_sort(graph, key=places.__getitem__))
        except networkx.NetworkXUnfeasible:
            self._miss("an order of operators: they feed each other in a circle")
            order = list(places)
        return [self._operators[xml_id] for xml_id in order]

    def _operator(self, index: int, operator: _Operator, opsets: Mapping[str, int]) -> NodeRecord:
        record = operator.record
        title = f"{quoted(record.data['op_type'])} in line {record.line}"
        if len(operator.inputs) > 1:
            self._miss(f"the order of the inputs of {title}")
        if len(operator.outputs) > 1:
            self._miss(f"the order of the outputs of {title}")
        needed = least_inputs(record.data, opsets)
        if len(operator.inputs) < needed:
            self._miss(f"{needed - len(operator.inputs)} of the inputs of {title}")
        data = {
            "kind": "op",
            "node_id": _identity(record.node_id),
            "parent": _MODEL,
            "index": str(index),
            "inputs": json.dumps(operator.inputs),
            "outputs": json.dumps(operator.outputs),
        }
        data |= {key: escape(record.data[key]) for key in ("op_type", "name", "domain") if key in record.data}
        attributes = attributes_of(record.data.get("node_attributes", "{}"))
        if attributes is None:
            self._miss(f"readable attributes of {title}")
        elif attributes:
            data["attributes"] = json.dumps(attributes)
        return NodeRecord(record.node_id, data, record.line)
