"""Decodes a graph to the canonical skeleton of an ONNX file.

The mirror of `graphml_onnx.codec.encoder`. `graphml_onnx.codec.fields` defines the form of each field; this module has
only the structure: which node becomes which message, and where it goes.

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.codec.fields import MessageKeys, serialised
from graphml_onnx.codec.graph_index import MAIN_BODY, Compound, GraphIndex, WaitingOperator, holds_nothing
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import MessageCodec
from graphml_onnx.codec.scalars import PayloadTable
from graphml_onnx.graphml.elements import NodeRecord, one_by_one
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.skeleton import NONCE_BYTES
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, delimited, encode_varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphml_onnx.codec.graph_location import GraphLocation
    from graphml_onnx.codec.lists import ListsOfDocument
    from graphml_onnx.codec.node_table import OrderedNodes
    from graphml_onnx.graphml.elements import Batch, Record
    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.results import Trust


class Parents(NamedTuple):
    """The compounds of the operators of a graph or function.

    Attributes:
        node_id: that of the graph's own compound.
        compounds: node_id of the compound of each operator, in their order.
        bodies: the same of the bodies of an operator, by its position.
    """

    node_id: str
    compounds: Sequence[str]
    bodies: Mapping[int, Sequence[Parents]]


class DecodedGraph(NamedTuple):
    """The content of a graph.

    Attributes:
        skeleton: the canonical skeleton.
        nonce: first half of its markers.
        references: the payloads that it mentions, by number.
        texts: the texts of the model's node by key.
        line: line of the model's node.
        passed_over: lines of nodes that hold no data of the format.
        parents: the compounds of the operators of the main graph, and of each function.
    """

    skeleton: bytes
    nonce: bytes
    references: dict[int, PayloadReference]
    texts: Mapping[str, str]
    line: int
    passed_over: Sequence[int] = ()
    parents: Sequence[Parents] = ()


class _OfferedBodies:
    """The bodies of the operator that is being read, for its attributes."""

    def __init__(self) -> None:
        self._graphs: Mapping[int, bytes] = {}
        self.given: dict[int, None] = {}
        """The numbers of those that its attributes have named, in their order."""

    def offer(self, graphs: Mapping[int, bytes]) -> None:
        self._graphs, self.given = graphs, {}

    def give(self, number: int) -> bytes:
        if number not in self._graphs:
            raise NumberError(f"the operator has no body with index {number}")
        if number in self.given:  # nested bodies that are used twice would grow without bound
            raise NumberError(f"the operator's body with index {number} is named twice")
        self.given[number] = None
        return self._graphs[number]

    def unused(self) -> set[int]:
        return self._graphs.keys() - self.given.keys()


def decode_graph(
    records: Iterable[Batch], origin: GraphLocation, trust: Trust | None, lists: ListsOfDocument | None = None
) -> DecodedGraph:
    """Builds the canonical skeleton that a graph describes.

    Args:
        records: nodes and edges in any order, one by one or as rows.
        origin: where they come from, for messages.
        trust: ``nodes`` uses the operators' inputs and outputs, and ignores the edges; ``edges`` derives the inputs,
            and the names of outputs, from the edges. Without it, both must agree.
        lists: long lists; the records have tokens in their places, and the skeleton gets markers.

    Raises:
        GraphMLError: the graph is incomplete, contradicts itself, or is not of this format.
    """
    if trust == "edges":
        records = _rewired(list(one_by_one(records)), origin, lists)
    nonce = os.urandom(NONCE_BYTES // 2).hex().encode()
    references: dict[int, PayloadReference] = {}
    book = PayloadTable(nonce, references, lists)
    json, bodies = MessageCodec(book), _OfferedBodies()
    operator_keys = MessageKeys("NodeProto", MessageCodec(book, give_graph=bodies.give))
    index = GraphIndex(origin, json, operator_keys)
    body_of, outer = index.structure(records)
    model = index.model
    if trust is None:
        index.edges.check(body_of, outer)
    builder = _Builder(index, json, operator_keys, bodies)
    skeleton = builder.model()
    return DecodedGraph(skeleton, nonce, references, model.texts, model.line, index.passed_over, builder.parents())


def _rewired(records: list[Record], origin: GraphLocation, lists: ListsOfDocument | None) -> list[Record]:
    """Nodes and edges after the nodes were changed to agree with the edges, in one more pass over all of them."""
    json = MessageCodec(PayloadTable(bytes(NONCE_BYTES), {}, lists))
    index = GraphIndex(origin, json, MessageKeys("NodeProto", json))
    body_of, outer = index.structure(records)
    blank = {record.node_id for record in records if isinstance(record, NodeRecord) and holds_nothing(record)}
    if blank:
        records = [r for r in records if isinstance(r, NodeRecord) or not {r.source, r.target} & blank]
    from graphml_onnx.codec.rewiring import Known, rewired  # rarely needed, so imported lazily

    known = Known(lambda parent: body_of[index.container_of(parent)], index.scopes(body_of, outer), index.edges.numbers)
    return rewired(records, known, origin)


class _Builder:
    """Builds messages from the inside out, as bytes."""

    def __init__(
        self,
        index: GraphIndex,
        json: MessageCodec,
        operator_keys: MessageKeys,
        bodies: _OfferedBodies,
    ) -> None:
        self._index = index
        self._operator_keys = operator_keys
        self._bodies = bodies
        self._model_keys = MessageKeys("ModelProto", json)
        self._operators = index.operators.by_body()
        self._lists = {
            "input": index.inputs_by_body(),
            "output": _messages(index.outputs),
            "initializer": _messages(index.parameters),
        }
        self._built = 0
        self._bodies_of: dict[int, Sequence[Compound]] = {}  # by the number of their operator, in their order

    def model(self) -> bytes:
        """The serialised model."""
        compound = self._index.model
        fields = self._index.read(self._model_keys, compound.texts, compound.line)
        number, tag = self._tag("ModelProto", "graph")
        fields[number] = delimited(tag, self._add_records("GraphProto", compound, MAIN_BODY))
        number, tag = self._tag("ModelProto", "functions")
        fields[number] = b"".join(
            [
                delimited(tag, self._add_records("FunctionProto", function, function.container_id))
                for function in self._index.functions.by_body().get(MAIN_BODY, ())
            ]
        )
        if self._built != len(self._index.operators):
            missing = len(self._index.operators) - self._built
            self._index.fail(compound.line, f"{missing} operators are in bodies that contain each other")
        return serialised(fields)

    def _add_records(self, message: str, compound: Compound, body: int) -> bytes:
        """A graph or a function, from the fields of its compound and from the members of its body."""
        fields = compound.fields
        operators = self._operators.get(body, ())
        self._built += len(operators)
        self._add(fields, message, "node", [self._operator(item) for item in operators])
        for name, items in self._lists.items():
            self._add(fields, message, name, items.get(body, ()))
        return serialised(fields)

    def _add(self, fields: dict[int, bytes], message: str, name: str, items: Sequence[bytes]) -> None:
        if items:
            number, tag = self._tag(message, name)
            content = b"".join([delimited(tag, item) for item in items])
            fields[number] = fields.get(number, b"") + content

    def _operator(self, item: bytes | WaitingOperator) -> bytes:
        if isinstance(item, bytes):
            return item
        bodies = self._index.bodies.get(item.node_id, {})
        graphs = {
            index: self._add_records("GraphProto", compound, compound.container_id)
            for index, compound in bodies.items()
        }
        self._bodies.offer(graphs)
        content = serialised(self._index.read(self._operator_keys, item.texts, item.line))
        if unused := self._bodies.unused():
            self._index.fail(item.line, f"no attribute names the operator's body {min(unused)}")
        self._bodies_of[item.number] = [bodies[index] for index in self._bodies.given]
        return content

    def parents(self) -> Sequence[Parents]:
        """The compounds of the operators of the main graph and of each function; known after `model`."""
        names = self._index.names_of_containers()
        containers = self._index.operators.containers_by_body()

        def of(compound: Compound, body: int) -> Parents:
            waiting = enumerate(self._operators.get(body, ()) if self._bodies_of else ())
            bodies = {
                position: [of(inner, inner.container_id) for inner in self._bodies_of[item.number]]
                for position, item in waiting
                if isinstance(item, WaitingOperator)
            }
            compounds = [names[container] for container in containers.get(body, ())]
            return Parents(names[compound.container_id], compounds, bodies)

        functions = self._index.functions.by_body().get(MAIN_BODY, ())
        return [of(self._index.model, MAIN_BODY), *(of(inner, inner.container_id) for inner in functions)]

    @staticmethod
    @cache
    def _tag(message: str, field: str) -> tuple[int, bytes]:
        """Number and tag of a field that holds messages."""
        number = schema.message_class(message).DESCRIPTOR.fields_by_name[field].number
        return number, encode_varint(number << 3 | LENGTH_DELIMITED)


def _messages(items: OrderedNodes[tuple[bytes, bytes]]) -> Mapping[int, Sequence[bytes]]:
    """The serialised messages of nodes whose names are kept, by body."""
    return {body: [content for _, content in contents] for body, contents in items.by_body().items()}
