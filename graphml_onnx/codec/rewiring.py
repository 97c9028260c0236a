"""Rebuilds the inputs of operators, and the tensors of graph outputs, from the edges: for graphs edited in graph tools.

It changes the ``inputs`` of operator nodes (and the ``name`` of output nodes) before anything is decoded; the rest of
decoding is the same.

Source: docs/format.md, section "Edges", "Edges as truth".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphml_onnx.codec.node_names import called, named_by_texts, set_apart
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.scalars import String, string_of
from graphml_onnx.codec.scopes import OUTSIDE, Scopes
from graphml_onnx.graphml.elements import EdgeRecord, NodeRecord, Record
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphml_onnx.codec.graph_location import GraphLocation

_MAX_LEFT_OUT = 100  # inputs that one edge may skip; a wrong number would claim any amount of memory


@dataclass(frozen=True, slots=True)
class Known:
    """The scopes of names.

    Attributes:
        body_of: the body of the members of a compound, by the compound's node_id; "" is the boundary of the
            main graph.
        scopes: the meaning of names there.
        numbers: the numbers of nodes in ``scopes``, by XML id.
    """

    body_of: Callable[[str], int]
    scopes: Scopes[bytes]
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge, as far as it can be trusted: ``tensor`` and ``index`` are None if it has none."""

    record: EdgeRecord
    tensor: bytes | None
    index: int | None


def rewired(records: Sequence[Record], known: Known, origin: GraphLocation) -> list[Record]:
    """Nodes and edges with the operators' inputs, and the names of outputs, taken from the edges.

    Args:
        records: nodes and edges in any order, each valid in itself, edges between existing nodes; not changed.
        known: the scopes of names.
        origin: where they come from, for messages.

    Raises:
        GraphMLError: an edge cannot be followed.
    """
    return _Rewiring(records, known, origin).records()


class _Rewiring:
    def __init__(self, records: Sequence[Record], known: Known, origin: GraphLocation) -> None:
        self._records = records
        self._known = known
        self._fail, self._place = origin.fail, origin.place
        self._nodes = {record.node_id: record for record in records if isinstance(record, NodeRecord)}
        self._produced = {xml_id: produced_by(node) for xml_id, node in self._nodes.items()}
        self._xml_ids = {number: xml_id for xml_id, number in known.numbers.items()}
        self._incoming: dict[str, list[_Edge]] = {}
        for record in records:
            if isinstance(record, EdgeRecord):
                self._take(record)
                for _ in range(self._inputs_along(record) - 1 if origin.is_simple else 0):
                    self._take(EdgeRecord(record.source, record.target, {}, record.line))

    def records(self) -> list[Record]:
        return [self._node(record) if isinstance(record, NodeRecord) else record for record in self._records]

    def _body(self, node: NodeRecord) -> int:
        return self._known.body_of(node.data.get("parent", ""))

    def _producer(self, tensor: bytes, body: int) -> str | None:
        """The node whose tensor has this name in a body."""
        number = self._known.scopes.find(tensor, body)
        return None if number is None else self._xml_ids.get(number)

    def _is_constant(self, tensor: bytes, body: int) -> bool:
        """Whether the name is defined, but not by a node."""
        return self._known.scopes.find(tensor, body) == OUTSIDE

    def _inputs_along(self, record: EdgeRecord) -> int:
        """How many inputs of its target an edge represents, in a graph that has one edge for all of them."""
        target = self._nodes[record.target]
        names = consumed_by(target) if target.data.get("kind") == "op" else []
        return sum(self._producer(name, self._body(target)) == record.source for name in names)

    def _take(self, record: EdgeRecord) -> None:
        target = self._nodes[record.target]
        if target.data.get("kind") not in ("op", "output"):
            self._fail(record.line, f"{self._says(record)}, which consumes no tensor")
        tensor, index = record.data.get("tensor_name"), record.data.get("input_index")
        try:
            edge = _Edge(record, None if tensor is None else String.read(unescape(tensor)), _index(index))
        except (JsonError, NumberError) as error:
            self._fail(record.line, f"{self._says(record)}: {error}")
        self._incoming.setdefault(record.target, []).append(edge)

    def _says(self, record: EdgeRecord) -> str:
        source, target = (self._called(end) for end in (record.source, record.target))
        return f"the edge from {source} to {target}"

    def _called(self, xml_id: str) -> str:
        return called(*named_by_texts(self._nodes[xml_id].data), xml_id)

    def _node(self, node: NodeRecord) -> NodeRecord:
        kind = node.data.get("kind")
        if kind == "op":
            old = consumed_by(node)
            new = self._inputs(node, old)
            return node if new == old else _with(node, "inputs", f"[{','.join(map(String.write, new))}]")
        if kind == "output":
            name = _name(node.data)
            tensor = self._output(node, name)
            if tensor == name:
                return node
            node = _with(node, "name", escape(string_of(tensor)))
            set_apart(node.data)
            return node
        return node

    def _inputs(self, node: NodeRecord, old: Sequence[bytes]) -> Sequence[bytes]:
        """The inputs of an operator, from its edges."""
        body = self._body(node)
        slots = self._slots(node, old, body)
        new = [b"" if name and self._producer(name, body) is not None else name for name in old]
        new += [b""] * (max(slots, default=-1) + 1 - len(new))
        for slot, edge in slots.items():
            new[slot] = self._tensor(edge, old[slot] if slot < len(old) else b"", body)
        if new == old:
            return old
        while new and not new[-1]:
            new.pop()
        return new

    def _slots(self, node: NodeRecord, old: Sequence[bytes], body: int) -> Mapping[int, _Edge]:
        """Assigns edges to inputs."""
        edges = self._incoming.get(node.node_id, ())
        slots: dict[int, _Edge] = {}
        for edge in edges:
            if edge.index is not None:
                self._claim(slots, edge.index, edge, len(old))
        rest = []
        usual = self._usual_slots(old, body)
        for edge in edges:  # edges without a number: first in their former places
            if edge.index is None:
                slot = _next(usual.get((edge.record.source, edge.tensor)), slots)
                if slot is None:
                    rest.append(edge)
                else:
                    slots[slot] = edge
        free = iter([slot for slot, name in enumerate(old) if name and not self._is_constant(name, body)])
        end = itertools.count(max([len(old) - 1, *slots]) + 1)
        for edge in rest:
            slot = _next(free, slots)
            slots[next(end) if slot is None else slot] = edge
        return slots

    def _usual_slots(self, old: Sequence[bytes], body: int) -> Mapping[tuple[str | None, bytes | None], Iterator[int]]:
        """The inputs that a node produces, by the node and the tensor, and by the node alone."""
        found: dict[tuple[str | None, bytes | None], list[int]] = {}
        for slot, name in enumerate(old):
            producer = self._producer(name, body)
            for tensor in (name, None):
                found.setdefault((producer, tensor), []).append(slot)
        return {key: iter(slots) for key, slots in found.items()}

    def _claim(self, slots: dict[int, _Edge], slot: int, edge: _Edge, count: int) -> None:
        if slot in slots:
            other = self._place(slots[slot].record.line)
            self._fail(edge.record.line, f"{self._says(edge.record)} is input {slot}, but so is {other}")
        if slot > count + _MAX_LEFT_OUT:
            self._fail(edge.record.line, f"{self._says(edge.record)} is input {slot}, but there are only {count}")
        slots[slot] = edge

    def _output(self, node: NodeRecord, name: bytes) -> bytes:
        """The tensor of a graph's output, from its edge."""
        body = self._body(node)
        edges = self._incoming.get(node.node_id, ())
        if len(edges) > 1:
            first, second = (edge.record for edge in edges[:2])
            self._fail(second.line, f"{self._says(second)} is its second; the first is {self._place(first.line)}")
        if edges:
            return self._tensor(edges[0], name, body)
        if name and self._producer(name, body) is not None:
            self._fail(node.line, f"no edge leads to {self._called(node.node_id)}; without one, it cannot be an output")
        return name

    def _tensor(self, edge: _Edge, usual: bytes, body: int) -> bytes:
        """The tensor that flows along an edge.

        Args:
            edge: the edge.
            usual: the tensor that the target takes in this place before the edit.
            body: the body of the target.
        """
        record = edge.record
        produced = self._produced[record.source]
        if edge.tensor in produced:
            tensor = edge.tensor
        elif usual in produced:
            tensor = usual
        elif len(produced) == 1:
            tensor = produced[0]
        else:
            problem = f"which produces {len(produced)} tensors, and tensor_name names none of them"
            self._fail(record.line, f"{self._says(record)} starts at a node {problem}")
        producer = self._producer(tensor, body)
        if producer != record.source:
            shown = string_of(tensor)
            if self._is_constant(tensor, body):
                problem = f"where the name {shown!r} means an initializer, or an input of the function"
            elif producer is not None:
                problem = f"where the name {shown!r} means a tensor of {self._called(producer)}"
            else:
                problem = f"that cannot see {shown!r}: a body sees its own tensors and those of the graphs around it"
            self._fail(record.line, f"{self._says(record)} ends in a graph {problem}")
        return tensor


def consumed_by(node: NodeRecord) -> list[bytes]:
    """The names of the inputs of an operator; raises JsonError or NumberError if they cannot be read."""
    return _names(node.data, "inputs")


def produced_by(node: NodeRecord) -> tuple[bytes, ...]:
    """The names of the tensors that a node produces; raises JsonError or NumberError if they cannot be read."""
    kind = node.data.get("kind")
    if kind == "op":
        names: Iterable[bytes] = _names(node.data, "outputs")
    elif kind == "input":
        names = (_name(node.data),)
    elif kind == "parameter":
        tensor = parse(node.data.get("tensor", "{}"))
        names = (String.read(tensor.get("name", "")),) if isinstance(tensor, dict) else ()
    else:
        names = ()
    return tuple(name for name in names if name)


def _names(data: Mapping[str, str], key: str) -> list[bytes]:
    names = parse(data.get(key, "[]"))
    return [String.read(name) for name in names] if isinstance(names, list) else []


def _name(data: Mapping[str, str]) -> bytes:
    return String.read(unescape(data.get("name", "")))


def _next(slots: Iterator[int] | None, taken: Mapping[int, object]) -> int | None:
    """The next free input; none of them is visited twice."""
    return next((slot for slot in slots or () if slot not in taken), None)


def _index(text: str | None) -> int | None:
    if text is None or text.lower() == "nan":  # tools that keep numbers in columns write it for a missing one
        return None
    digits = text.removesuffix(".0")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise NumberError(f"the input_index {text[:40]!r} is not a number of at most 9 digits")
    return int(digits)


def _with(node: NodeRecord, key: str, text: str) -> NodeRecord:
    return NodeRecord(node.node_id, node.data | {key: text}, node.line)
