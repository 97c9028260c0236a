"""Reads the nodes and edges of a document one by one, and checks each of them by itself.

The readable part of each node is kept, so that the checks of the whole graph can go on.

Source: docs/format.md, sections "Nodes" and "Keys".
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, cast

from google.protobuf.message import DecodeError

from graphml_onnx.codec.fields import MessageKeys, serialised
from graphml_onnx.codec.keys import FORMAT_VERSION, KEYS_OF_KIND
from graphml_onnx.codec.node_names import drop_given_name
from graphml_onnx.codec.protojson import FieldError, MessageCodec
from graphml_onnx.codec.scalars import PayloadTable, string_of
from graphml_onnx.codec.scopes import hidden_names
from graphml_onnx.codec.types import type_and_shape
from graphml_onnx.codec.weight_inputs import KEY as WEIGHT_INPUTS
from graphml_onnx.codec.weight_inputs import read_weight_inputs
from graphml_onnx.graphml.elements import NodeRecord, Record
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.validation.content import Content, ListedWeight, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx

    from graphml_onnx.codec.lists import ListsOfDocument
    from graphml_onnx.validation.findings import Findings

DERIVED = frozenset({"hierarchy_tag", "traced_tag", "scope"})
"""The derived keys of nodes that are read."""

_GIVEN = DERIVED | {"node_id", "parent"}  # keys that a node without data of the format may have
_NEEDS_PARENT = frozenset({"op", "module", "subgraph", "function", "parameter"})
_NEEDS_INDEX = frozenset({"subgraph"})
_MESSAGES = {
    "model": ("ModelProto", "GraphProto"),
    "op": ("NodeProto",),
    "input": ("ValueInfoProto",),
    "output": ("ValueInfoProto",),
    "subgraph": ("GraphProto",),
    "function": ("FunctionProto",),
}
_NONCE = b"\0" * 16  # nothing is written with these markers


class _NamedBodies:
    """Records the bodies that the attributes of an operator name; their content is checked elsewhere."""

    def __init__(self) -> None:
        self.named: list[int] = []

    def give(self, number: int) -> bytes:
        self.named.append(number)
        return b""


def read_nodes(records: Iterable[Record], findings: Findings, lists: ListsOfDocument | None = None) -> Content:
    """Reads all nodes and edges of a document of this format.

    Args:
        records: the nodes and edges from the reader.
        findings: collects the findings.
        lists: long lists; the values have tokens in their places.

    Raises:
        GraphMLError: the reader cannot go on.
    """
    reader = _NodeReader(findings, lists)
    for record in records:
        if isinstance(record, NodeRecord):
            reader.take(record)
        else:
            reader.content.edges.append(record)
    if reader.content.model is None:
        findings.add("model-missing", None, "no node has the kind 'model'")
    return reader.content


class _NodeReader:
    def __init__(self, findings: Findings, lists: ListsOfDocument | None) -> None:
        self._findings = findings
        self.content = Content()
        self._bodies = _NamedBodies()
        book = PayloadTable(_NONCE, self.content.references, lists)
        self._json = MessageCodec(book)
        with_bodies = MessageCodec(book, give_graph=self._bodies.give)
        names = {name for messages in _MESSAGES.values() for name in messages}
        self._keys = {name: MessageKeys(name, with_bodies if name == "NodeProto" else self._json) for name in names}

    def take(self, record: NodeRecord) -> None:
        """Takes a node."""
        content, line = self.content, record.line
        number = len(content.numbers)
        if content.numbers.setdefault(record.node_id, number) != number:
            self._findings.add("id-twice", line, f"a second node has the id {quoted(record.node_id)}")
            content.numbers[f"{record.node_id}\0{line}"] = number  # counted, but no edge ends there
        kind = record.data.get("kind")
        if kind == "frame":
            content.frames[number] = record.data.get("parent", "")
            return
        if record.data.keys() <= _GIVEN:
            content.passed_over.add(number)
            self._findings.add("passed-over", line, "the node holds no data of the format, and is passed over")
            return
        if kind is None:
            self._findings.add("incomplete-node", line, "the node has no kind")
            return
        if kind not in KEYS_OF_KIND:
            self._findings.add("unknown-kind", line, f"the kind {quoted(kind)} is not one of {', '.join(KEYS_OF_KIND)}")
            return
        drop_given_name(record.data)
        derived = {key: record.data.pop(key) for key in DERIVED & record.data.keys()}
        for key in sorted(record.data.keys() - KEYS_OF_KIND[kind]):
            self._findings.add("key-on-wrong-kind", line, f"the key {key!r} has no meaning on a node of kind {kind!r}")
            del record.data[key]
        identity = self._identity(record, kind)
        node = Node(number, line, intern(kind), *identity, record.data.get("after"), derived=derived)
        self._read_values(node, record.data)
        content.nodes.append(node)
        content.by_number[number] = node
        if node.node_id:
            first = content.by_id.setdefault(node.node_id, node)
            if first is not node:
                message = f"node_id {quoted(node.node_id)} is already used in line {first.line}"
                self._findings.add("node-twice", line, message)
        if kind == "model":
            self._take_model(node, record.data)

    def _identity(self, record: NodeRecord, kind: str) -> tuple[str, str | None, int | None]:
        data, line = record.data, record.line
        node_id, parent, text = data.get("node_id", ""), data.get("parent"), data.get("index")
        lacks = [
            name
            for name, is_lacking in (
                ("node_id", not node_id),
                ("parent", parent is None and kind in _NEEDS_PARENT),
                ("index", text is None and kind in _NEEDS_INDEX),
            )
            if is_lacking
        ]
        for name in lacks:
            self._findings.add("incomplete-node", line, f"the {kind} has no {name}")
        index = None
        if text is not None and kind in _NEEDS_INDEX:
            if text.isascii() and text.isdigit() and len(text) <= 9:
                index = int(text)
            else:
                message = f"the index {quoted(text)} is not a number of at most 9 digits"
                self._findings.add("bad-value", line, message)
        return node_id, None if parent is None else intern(parent), index

    def _take_model(self, node: Node, data: Mapping[str, str]) -> None:
        if self.content.model is not None:
            first = self.content.model.line
            self._findings.add("model-twice", node.line, f"a second model; the first is in line {first}")
            return
        self.content.model, self.content.texts = node, data
        version = data.get("format_version")
        if version is None:
            self._findings.add("format-version", node.line, "the model has no format_version")
        elif version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            message = f"format {quoted(version)} is not format {FORMAT_VERSION.split('.')[0]}"
            self._findings.add("format-version", node.line, message)

    # Values

    def _read_values(self, node: Node, data: Mapping[str, str]) -> None:
        self._bodies.named = []
        if node.kind == "parameter":
            self._read_parameter(node, data)
        for name in _MESSAGES.get(node.kind, ()):
            keys = self._keys[name]
            fields = self._fields(keys, data, node.line)
            try:
                content = schema.message_class(name).FromString(serialised(fields))
            except DecodeError:
                self._findings.add("bad-value", node.line, "messages are nested more than 100 deep")
                continue
            if name == "NodeProto":
                operator = cast("onnx.NodeProto", content)
                node.name, node.op_type = _text(operator.name), intern(_text(operator.op_type))
                node.inputs, node.outputs = _names(operator.input), _names(operator.output)
            elif name == "FunctionProto":
                function = cast("onnx.FunctionProto", content)
                node.name, node.inputs, node.outputs = (
                    _text(function.name),
                    _names(function.input),
                    _names(function.output),
                )
            elif name == "GraphProto":
                _read_graph(node, cast("onnx.GraphProto", content))
                self._read_weight_inputs(node, data)
            elif name == "ValueInfoProto":
                value = cast("onnx.ValueInfoProto", content)
                node.name = _text(value.name)
                node.types = _types([value])
        node.bodies = tuple(self._bodies.named)

    def _fields(self, keys: MessageKeys, data: Mapping[str, str], line: int) -> dict[int, bytes]:
        """The fields that can be read; each of the others is a finding."""
        try:
            return keys.read(data)
        except FieldError:
            fields: dict[int, bytes] = {}
        self._bodies.named = []
        for key, text in data.items():
            try:
                fields |= keys.read({key: text})
            except FieldError as error:
                self._findings.add("bad-value", line, f"{error.path}: {error.message}")
        return fields

    def _read_weight_inputs(self, node: Node, data: Mapping[str, str]) -> None:
        if WEIGHT_INPUTS not in data:
            return
        try:
            inputs = read_weight_inputs(data[WEIGHT_INPUTS], self._json)
        except FieldError as error:
            self._findings.add("bad-value", node.line, f"{error.path}: {error.message}")
            return
        message = schema.message_class("ValueInfoProto")
        values = [cast("onnx.ValueInfoProto", message.FromString(item.content)) for item in inputs]
        node.weight_inputs = tuple(ListedWeight(position, _text(value.name)) for position, value in enumerate(values))
        node.types |= _types(values)

    def _read_parameter(self, node: Node, data: Mapping[str, str]) -> None:
        message = schema.message_class("TensorProto")()
        try:
            self._json.read(message, parse(data.get("tensor", "{}")))
        except FieldError as error:
            self._findings.add("bad-value", node.line, f"tensor: {error.path}: {error.message}")
        except JsonError as error:
            self._findings.add("bad-value", node.line, f"tensor: {error}")
        node.name = _text(cast("onnx.TensorProto", message).name)


def _read_graph(node: Node, graph: onnx.GraphProto) -> None:
    node.name = _text(graph.name)
    node.constants = tuple((string_of(name), rank) for name, rank in hidden_names(graph, with_initializers=True))
    node.types = _types(graph.value_info)


def _types(values: Iterable[onnx.ValueInfoProto]) -> dict[str, tuple[str, str]]:
    found = {}
    for value in values:
        if value.HasField("type"):
            element, shape = type_and_shape(value.type)
            found[_text(value.name)] = (intern(element), intern(shape))
    return found


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_text, values))


def _text(value: str) -> str:
    return string_of(value)
