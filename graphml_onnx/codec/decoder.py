"""Decodes a graph to the canonical skeleton of an ONNX file.

The mirror of `graphml_onnx.codec.encoder`: what a field looks like stands in `graphml_onnx.codec.fields`; here is only
the structure, which node becomes which message, and where it stands.

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf.message import DecodeError

from graphml_onnx.codec.collect import MAIN_BODY, Collector, Compound, Members, WaitingOperator
from graphml_onnx.codec.fields import MessageKeys
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import MessageCodec
from graphml_onnx.codec.scalars import PayloadBook
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.skeleton import NONCE_BYTES
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, encode_varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.graphml.elements import Record
    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.results import Trust


@dataclass(frozen=True, slots=True)
class DecodedGraph:
    """What a graph holds.

    Attributes:
        skeleton: the canonical skeleton.
        nonce: first half of its markers.
        references: the payloads that it mentions, by address.
        texts: the texts of the model's node by key.
        line: line of the model's node.
    """

    skeleton: bytes
    nonce: bytes
    references: dict[int, PayloadReference]
    texts: Mapping[str, str]
    line: int


class _BodiesOfOperator:
    """Hands the bodies of the operator that is being read to its attributes."""

    def __init__(self) -> None:
        self._graphs: Mapping[int, Message] = {}
        self._used: set[int] = set()

    def number(self, graph: Message) -> int:
        raise NumberError("this side only reads")

    def graph(self, number: int) -> Message:
        if number not in self._graphs:
            raise NumberError(f"the operator has no body with index {number}")
        if number in self._used:  # bodies that stand for two, nested, would grow without bound
            raise NumberError(f"the operator's body with index {number} is named twice")
        self._used.add(number)
        return self._graphs[number]

    def offer(self, graphs: Mapping[int, Message]) -> None:
        self._graphs, self._used = graphs, set()

    def unused(self) -> set[int]:
        return self._graphs.keys() - self._used


def decode_graph(records: Iterable[Record], path: Path, trust: Trust | None) -> DecodedGraph:
    """Builds the canonical skeleton that a graph describes.

    Args:
        records: nodes and edges in any order.
        path: the file, for messages.
        trust: ``nodes`` takes the operators' inputs and outputs as they stand, and passes over the edges.

    Raises:
        GraphMLError: the graph is incomplete, contradicts itself, or is not of this format.
    """
    nonce = secrets.token_hex(NONCE_BYTES // 2).encode()
    references: dict[int, PayloadReference] = {}
    book = PayloadBook(nonce, references)
    json, bodies = MessageCodec(book), _BodiesOfOperator()
    operator_keys = MessageKeys("NodeProto", MessageCodec(book, bodies))
    collector = Collector(path, json, operator_keys)
    collector.take_all(records)
    model = collector.model
    collector.edges.check_ends()
    body_of = collector.bodies_of_places()
    outer = collector.outer_bodies(body_of)
    if trust != "nodes":
        collector.edges.check(body_of, outer)
    skeleton = _Builder(collector, body_of, json, operator_keys, bodies).model()
    return DecodedGraph(skeleton, nonce, references, model.texts, model.line)


class _Builder:
    def __init__(
        self,
        collector: Collector,
        body_of: Sequence[int],
        json: MessageCodec,
        operator_keys: MessageKeys,
        bodies: _BodiesOfOperator,
    ) -> None:
        self._collector = collector
        self._operator_keys = operator_keys
        self._bodies = bodies
        self._model_keys = MessageKeys("ModelProto", json)
        self._graph_keys = MessageKeys("GraphProto", json)
        self._function_keys = MessageKeys("FunctionProto", json)
        self._members: dict[int, list[Members]] = {}
        for place, members in enumerate(collector.members):
            self._members.setdefault(body_of[place], []).append(members)
        self._built = 0

    def model(self) -> bytes:
        """The serialised model."""
        compound = self._collector.model
        message = schema.message_class("ModelProto")()
        self._collector.read(self._model_keys, compound.texts, message, compound.line)
        model = cast("onnx.ModelProto", message)
        model.graph.SetInParent()
        self._fill(cast("Message", model.graph), self._graph_keys, compound, MAIN_BODY)
        functions = [c for c in self._collector.compounds.values() if c.kind == "function"]
        for function in _in_order([(c.index, c.line, c) for c in functions], self._collector, "function"):
            self._fill(cast("Message", model.functions.add()), self._function_keys, function, function.place)
        total = sum(len(members.operators) for members in self._collector.members)
        if self._built != total:
            self._collector.fail(
                compound.line, f"{total - self._built} operators stand in bodies that contain each other"
            )
        return message.SerializeToString()

    def _fill(self, message: Message, keys: MessageKeys, compound: Compound, body: int) -> None:
        """Fills a graph or a function from the texts of its compound and from the members of its body."""
        self._collector.read(keys, compound.texts, message, compound.line)
        members = self._members.get(body, [])
        operators = [self._operator(item) for item in self._sorted(members, "operators")]
        self._built += len(operators)
        lists = {
            "node": operators,
            "input": self._sorted(members, "inputs"),
            "output": self._sorted(members, "outputs"),
            "initializer": self._sorted(members, "parameters"),
        }
        fields = message.DESCRIPTOR.fields_by_name
        for name, items in lists.items():
            field = fields.get(name)
            if items and (field is None or field.message_type is None):
                self._collector.fail(compound.line, f"a {compound.kind} has no nodes of kind {name}")
            if items and field is not None:
                tag = encode_varint(field.number << 3 | LENGTH_DELIMITED)
                parts: list[bytes] = []
                for item in cast("list[bytes]", items):
                    parts += (tag, encode_varint(len(item)), item)
                try:
                    message.MergeFromString(b"".join(parts))
                except DecodeError:
                    problem = f"its {name}s are nested deeper than protobuf reads (33 bodies within bodies)"
                    self._collector.fail(compound.line, problem)

    def _sorted(self, members: Sequence[Members], name: str) -> list[bytes | WaitingOperator]:
        items = [item for group in members for item in getattr(group, name)]
        return _in_order(items, self._collector, name.removesuffix("s"))

    def _operator(self, item: bytes | WaitingOperator) -> bytes:
        if isinstance(item, bytes):
            return item
        graphs: dict[int, Message] = {}
        for index, compound in self._collector.bodies.get(item.node_id, {}).items():
            graphs[index] = schema.message_class("GraphProto")()
            self._fill(graphs[index], self._graph_keys, compound, compound.place)
        self._bodies.offer(graphs)
        message = schema.message_class("NodeProto")()
        self._collector.read(self._operator_keys, item.texts, message, item.line)
        if unused := self._bodies.unused():
            self._collector.fail(item.line, f"no attribute names the operator's body {min(unused)}")
        return message.SerializeToString()


_Item = TypeVar("_Item")


def _in_order(items: list[tuple[int, int, _Item]], collector: Collector, what: str) -> list[_Item]:
    ordered = sorted(items, key=lambda item: item[0])
    for (left, first_line, _), (right, line, _) in itertools.pairwise(ordered):
        if left == right:
            collector.fail(
                line, f"a second {what} has the index {left} in this body; the first is in line {first_line}"
            )
    return [item for _, _, item in ordered]
