"""Turns a graph of an earlier format into nodes of this one, if it has all that a model needs.

Operators come from nodes with an ``op_type`` that hold no graph, be it empty. Their tensors come from their lists of
names, or else from what edges say. Inputs and outputs of the graph come from its own lists, or else from the nodes at
which edges only start or only end. Nothing is guessed: if the order of an operator's inputs, or its weights, are
missing, there is no model.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onnx import helper

from graphml_onnx.codec.identities import MODEL
from graphml_onnx.codec.keys import FORMAT_VERSION
from graphml_onnx.decoding.legacy.interface import border, intermediate, operator_sets, scalars
from graphml_onnx.decoding.legacy.recognition import MODULE_KEYS, OPERATOR_KEYS
from graphml_onnx.decoding.legacy.values import TAG, attributes_of, least_inputs, names_of, type_of
from graphml_onnx.decoding.legacy.weights import read_weights
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Record
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.text import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set
    from pathlib import Path

    from graphml_onnx.decoding.legacy.recognition import Older


_SHOWN = 8  # lacks that an error message names
_MAX_LACKS = 100  # that are gathered
_BORDER = ("Input", "Output")  # op_type of nodes that represent inputs and outputs of the graph
_MODEL_KEYS = ("producer_name", "producer_version", "model_version", "doc_string")  # as in this format
_IR_OF_INITIALIZERS = 4  # from which on initializers need not be inputs of the graph
_TAG_PROPERTY = "winml.hierarchy.tag"


@dataclass(frozen=True, slots=True)
class Translation:
    """A graph of an earlier format in terms of this one.

    Attributes:
        records: the nodes of this format; edges are left out, since they follow from them.
        lacks: what the file lacks compared with this format.
        store: the weights that the nodes refer to.
    """

    records: Sequence[Record]
    lacks: tuple[str, ...]
    store: bytes


@dataclass(slots=True)
class _Operator:
    record: NodeRecord
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    is_listed: bool = False  # whether the node itself says them


def translate(older: Older, records: Iterable[Record], compounds: Set[int], path: Path, folder: Path) -> Translation:
    """Turns a graph into nodes of this format.

    Args:
        older: what is known of it.
        records: its nodes, with `OPERATOR_KEYS` and `MODULE_KEYS`, and its edges, with `TENSOR_KEYS`.
        compounds: which of the nodes hold a graph, as places in the order in which nodes end.
        path: the file, for messages.
        folder: where the file with its weights lies.

    Raises:
        GraphMLError: something that a model needs is missing; the message names it.
    """
    return _Translator(older, records, compounds).translation(path, folder)


def _listed(record: NodeRecord) -> _Operator:
    """An operator, with the tensors that the node itself lists; one that lists no outputs lists nothing."""
    outputs = names_of(record.data.get("output_names"))
    if not outputs:
        return _Operator(record)
    return _Operator(record, names_of(record.data.get("input_names")) or [], outputs, is_listed=True)


def _identity(xml_id: str) -> str:
    return f"node {xml_id}"  # which is never that of the model


class _Translator:
    def __init__(self, older: Older, records: Iterable[Record], compounds: Set[int]) -> None:
        self._older = older
        self._missing: dict[str, None] = {}
        self._operators: dict[str, _Operator] = {}
        self._others: dict[str, NodeRecord] = {}
        self._edges: list[EdgeRecord] = []
        seen: set[str] = set()
        alike: set[tuple[str | None, ...]] = set()  # operators, which are known by the tensors that they list, or by id
        place = -1
        for record in records:
            if isinstance(record, EdgeRecord):
                self._edges.append(record)
                continue
            place += 1
            is_operator = place not in compounds and record.data.get("op_type", _BORDER[0]) not in _BORDER
            if is_operator:
                content = tuple(record.data.get(key) for key in sorted(OPERATOR_KEYS - {TAG}))
                who = (None if record.data.get("output_names") else record.node_id, *content)
                if who in alike:
                    continue  # one operator, written into two of its modules
                alike.add(who)
            if record.node_id in seen:
                self._miss(f"an id of its own for the node in line {record.line}")
            seen.add(record.node_id)
            if place in compounds:
                continue  # a module
            if is_operator:
                self._operators[record.node_id] = _listed(record)
            elif "op_type" in record.data or not record.data.keys() & MODULE_KEYS:
                self._others[record.node_id] = record

    def translation(self, path: Path, folder: Path) -> Translation:
        """The graph; raises GraphMLError if something that a model needs is missing."""
        opsets = operator_sets(self._older.values, self._miss)
        self._connect()
        nodes = border(self._older.values, self._miss) or self._boundary()
        weights = read_weights(self._older.values, folder, self._miss)
        records = [*nodes, *self._operator_nodes(opsets)]
        if not self._operators:
            self._miss("operators")
        self._check_tensors(nodes, weights.tensors.keys())
        self._fail_where_missing(path)
        ir_version = helper.find_min_ir_version_for(
            [helper.make_opsetid(domain, version) for domain, version in opsets.items()], ignore_unknown=True
        )
        if weights.tensors:
            ir_version = max(ir_version, _IR_OF_INITIALIZERS)
        texts = {
            "kind": "model",
            "node_id": MODEL,
            "format_version": FORMAT_VERSION,
            "ir_version": str(ir_version),
            "opset_imports": json.dumps([{"domain": name, "version": number} for name, number in opsets.items()]),
            "name": escape("graph"),
            "parameter_strategy": "embedded",
            "initializers": f"[{','.join(weights.tensors.values())}]",
        }
        texts |= {
            key: escape(value) for key in _MODEL_KEYS if (value := self._older.values.get(key, "")) not in ("", "0")
        }
        if (value_info := intermediate(self._older.values)) is not None:
            texts["value_info"] = value_info
        return Translation([NodeRecord(MODEL, texts, 1), *records], self._lacks(ir_version), bytes(weights.store))

    def _lacks(self, ir_version: int) -> tuple[str, ...]:
        empty = [
            f"whether {quoted(name)} is a scalar or of unknown shape: taken to be a scalar"
            for name in scalars(self._older.values)
        ]
        return (
            f"which ir_version the model has: taken to be {ir_version}, the lowest that fits its operator sets",
            "in which order operators run: taken to be that of the document, as far as tensors allow",
            "what the graph is called, nor its metadata",
            "the digest of the encoded file, so nobody can check whether this is the same model",
            *empty[:_SHOWN],
        )

    def _fail_where_missing(self, path: Path) -> None:
        if self._missing:
            shown = "; ".join(list(self._missing)[:_SHOWN])
            more = "; and more" if len(self._missing) > _SHOWN else ""
            raise GraphMLError(
                f"is of {self._older.title}, and does not say what a model needs: {shown}{more}",
                file=path,
                remedy="encode the model again",
            )

    def _check_tensors(self, nodes: Iterable[NodeRecord], weights: Set[str]) -> None:
        """Names tensors that are consumed, but not produced."""
        given = {unescape(node.data["name"]) for node in nodes if node.data["kind"] == "input"} | weights | {""}
        given.update(name for operator in self._operators.values() for name in operator.outputs)
        for operator in self._operators.values():
            for name in operator.inputs:
                if name not in given:
                    if not weights:
                        self._miss("any weights: the list of them is empty")
                    title = f"{quoted(operator.record.data['op_type'])} in line {operator.record.line}"
                    self._miss(f"what {quoted(name)} is, which {title} consumes")
        for node in nodes:
            if node.data["kind"] == "output" and unescape(node.data["name"]) not in given:
                self._miss(f"what gives the output {quoted(unescape(node.data['name']))}")

    def _miss(self, what: str) -> None:
        if len(self._missing) < _MAX_LACKS:
            self._missing[what] = None

    # Tensors

    def _connect(self) -> None:
        for edge in self._edges:
            tensor = edge.data.get("tensor_name")
            if tensor is None:
                self._miss(f"tensor_name of the edge in line {edge.line}")
                continue
            for end, name in ((edge.source, "outputs"), (edge.target, "inputs")):
                if end in self._operators and not self._operators[end].is_listed:
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
            before = [node.data["node_id"] for node in nodes if node.data["kind"] == kind]
            data = {
                "kind": kind,
                "node_id": _identity(xml_id),
                "after": before[-1] if before else MODEL,
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
        operators = self._sorted()
        before = [MODEL, *(_identity(operator.record.node_id) for operator in operators)]
        return [self._operator(operator, after, opsets) for operator, after in zip(operators, before, strict=False)]

    def _sorted(self) -> list[_Operator]:
        """The operators in the order of the document, as far as each comes after those whose tensors it consumes."""
        import networkx

        places = {xml_id: place for place, xml_id in enumerate(self._operators)}
        givers = {name: xml_id for xml_id, operator in self._operators.items() for name in operator.outputs}
        graph: networkx.DiGraph[str] = networkx.DiGraph()
        graph.add_nodes_from(places)
        graph.add_edges_from(
            (givers[name], xml_id)
            for xml_id, operator in self._operators.items()
            for name in operator.inputs
            if name in givers
        )
        try:
            order = list(networkx.lexicographical_topological_sort(graph, key=places.__getitem__))
        except networkx.NetworkXUnfeasible:
            self._miss("an order of operators: they feed each other in a circle")
            order = list(places)
        return [self._operators[xml_id] for xml_id in order]

    def _operator(self, operator: _Operator, after: str, opsets: Mapping[str, int]) -> NodeRecord:
        record = operator.record
        title = f"{quoted(record.data['op_type'])} in line {record.line}"
        if len(operator.inputs) > 1 and not operator.is_listed:
            self._miss(f"the order of the inputs of {title}")
        if len(operator.outputs) > 1 and not operator.is_listed:
            self._miss(f"the order of the outputs of {title}")
        needed = least_inputs(record.data, opsets)
        if len(operator.inputs) < needed:
            self._miss(f"{needed - len(operator.inputs)} of the inputs of {title}")
        data = {
            "kind": "op",
            "node_id": _identity(record.node_id),
            "parent": MODEL,
            "after": after,
            "inputs": json.dumps(operator.inputs),
            "outputs": json.dumps(operator.outputs),
        }
        data |= {key: escape(record.data[key]) for key in ("op_type", "name", "domain") if key in record.data}
        if tag := record.data.get(TAG):
            data["metadata_props"] = json.dumps([{"key": _TAG_PROPERTY, "value": tag}])
        attributes = attributes_of(record.data.get("node_attributes", record.data.get("onnx_attributes", "{}")))
        if attributes is None:
            self._miss(f"readable attributes of {title}")
        elif attributes:
            data["attributes"] = json.dumps(attributes)
        return NodeRecord(record.node_id, data, record.line)
