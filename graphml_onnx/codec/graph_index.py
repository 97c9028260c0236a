"""Collects the nodes and edges of a graph in any order, and checks that they fit together.

XML ids, nesting and document order have no meaning: each node has its kind (``kind``), its identity (``node_id``), and
its position (``parent``, ``after``).

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

import itertools
from array import array
from dataclasses import dataclass, field
from functools import cache
from operator import eq
from typing import TYPE_CHECKING, NamedTuple, Never, TypeAlias, cast

from google.protobuf.message import DecodeError

from graphml_onnx.codec.dataflow import Dataflow
from graphml_onnx.codec.edges import Edges, Numbers
from graphml_onnx.codec.fields import CATCH_ALL, MessageKeys
from graphml_onnx.codec.keys import FORMAT_VERSION, KEYS_OF_KIND, PARENTS_OF_KIND
from graphml_onnx.codec.node_names import drop_given_name, named_by_message, named_by_texts
from graphml_onnx.codec.node_table import NOWHERE, OrderedNodes, Place
from graphml_onnx.codec.order import needs_by_body
from graphml_onnx.codec.protojson import GRAPH, FieldError, MessageCodec
from graphml_onnx.codec.scalars import String
from graphml_onnx.codec.scopes import (
    INITIALIZER_RANK,
    INPUT_RANK,
    OUTSIDE,
    WEIGHT_INPUT_RANK,
    Scopes,
    hidden_names,
)
from graphml_onnx.codec.weight_inputs import KEY as WEIGHT_INPUTS
from graphml_onnx.codec.weight_inputs import read_weight_inputs
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import EdgeRecord, EdgeRows, NodeRecord
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    import onnx

    from graphml_onnx.codec.fields import Columns
    from graphml_onnx.codec.graph_location import GraphLocation
    from graphml_onnx.graphml.elements import Batch, NodeRows

MAIN_BODY = 0
"""The container_id of the main graph: its boundary has no parent, and the model's node is its container."""

MAX_NESTING = 33
"""Bodies within bodies that protobuf reads at most."""


@dataclass(slots=True, eq=False)
class Compound:
    """A node that others can name as their parent: model, module, subgraph or function.

    Attributes:
        kind: its kind.
        identity: number of its node_id.
        parent: node_id of its own parent; None for the model.
        index: number of a subgraph in the attributes of its operator.
        texts: its texts by key.
        line: its line in the file.
        container_id: number that its members share.
        fields: for a graph or function, its fields, serialised, by number; known after `GraphIndex.structure`.
    """

    kind: str
    identity: int
    parent: str | None
    index: int
    texts: Mapping[str, str]
    line: int
    container_id: int
    fields: dict[int, bytes] = field(default_factory=dict)


class WaitingOperator(NamedTuple):
    """An operator with bodies. It can only be built when all nodes are known."""

    node_id: str
    number: int
    texts: Mapping[str, str]
    line: int
    container: int


_TENSOR_FIELDS = [
    number
    for number, field_ in schema.message_class("GraphProto").DESCRIPTOR.fields_by_number.items()
    if field_.name in ("initializer", "sparse_initializer")
]


_Tensor: TypeAlias = "tuple[bytes, bytes]"  # name and serialised message

_GIVEN = frozenset({"node_id", "parent"})  # the values that readers give nodes without data


def holds_nothing(record: NodeRecord) -> bool:
    """Whether a node has no data of the format: a note, a group or a shape that somebody drew."""
    return record.data.keys() <= _GIVEN


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _is_usual(columns: Columns) -> bool:
    """Whether operators can be taken by column: none of them has anything unusual."""
    return (
        not any(map(eq, columns.get("name", ()), columns["node_id"]))  # a name that Cytoscape gave
        and not any(GRAPH in text for text in columns.get("attributes", ()) if text is not None)  # has bodies
        and not any(columns.get(CATCH_ALL["NodeProto"], ()))
    )


class GraphIndex:
    """The nodes of a graph.

    Args:
        origin: where the nodes come from, for messages.
        json: for JSON.
        operators: for operators, whose bodies are not known yet.
    """

    def __init__(self, origin: GraphLocation, json: MessageCodec, operators: MessageKeys) -> None:
        self.origin = origin
        self._json = json
        self._operator_keys = operators
        self._value_keys = MessageKeys("ValueInfoProto", json)
        self._graph_keys = MessageKeys("GraphProto", json)
        self._function_keys = MessageKeys("FunctionProto", json)
        self._tensor_class = schema.message_class("TensorProto")
        self._model: Compound | None = None
        self.compounds: dict[str, Compound] = {}
        self.operators: OrderedNodes[bytes | WaitingOperator] = OrderedNodes("operator")
        self.inputs: OrderedNodes[_Tensor] = OrderedNodes("input")
        self.outputs: OrderedNodes[_Tensor] = OrderedNodes("output")
        self.parameters: OrderedNodes[_Tensor] = OrderedNodes("parameter")
        self.functions: OrderedNodes[Compound] = OrderedNodes("function")
        # By container_id; each with the identity of the node before it.
        self._weight_inputs: dict[int, list[tuple[int, bytes]]] = {}
        self.passed_over: list[int] = []
        """Lines of nodes that hold no data of the format: notes, groups and shapes that somebody drew."""
        self._starts: dict[int, int] = {}  # by body, the identity that the first node of a list names in `after`
        self._waiting: dict[str, WaitingOperator] = {}
        self.bodies: dict[str, dict[int, Compound]] = {}
        """By operator, its subgraphs by their index."""
        self._containers: dict[str, int] = {"": MAIN_BODY}  # container_id by the node_id that members name as parent
        self._first_lines = array("q", [0])  # of each container: that of the first node that named it
        self._identities = Numbers()  # of every node_id, defined or named
        self._lines = array("q")  # of identities; 0, or missing at the end, if no node has it
        self._parents: dict[tuple[str, str], int] = {}  # kinds and parents; the first line that has both
        self._flow: Dataflow[bytes] = Dataflow(b"")
        self.edges = Edges(origin, self._flow, self._names)
        self._take = {
            "op": self._take_operator,
            "input": self._take_value,
            "output": self._take_value,
            "parameter": self._take_parameter,
            "model": self._take_model,
            "module": self._take_compound,
            "subgraph": self._take_compound,
            "function": self._take_compound,
        }

    def take_all(self, records: Iterable[Batch]) -> None:
        """Takes nodes and edges in any order, one by one or as rows.

        Raises:
            GraphMLError: one of them is incomplete or wrong; with its line.
        """
        for record in records:
            if type(record) is NodeRecord:
                self._take_node(record)
            elif type(record) is EdgeRecord:
                self.edges.take([(record.source, record.target)], [record.line])
            elif type(record) is EdgeRows:
                self.edges.take(record.ends, range(record.line, record.line + len(record.ends)))
            else:
                self._take_rows(cast("NodeRows", record))

    @property
    def model(self) -> Compound:
        """The model's node.

        Raises:
            GraphMLError: there is none.
        """
        if self._model is None and self.passed_over:
            self.fail(self.passed_over[0], "the node has no kind", self.origin.remedy_if_foreign)
        if self._model is None:
            raise GraphMLError(
                "no node has the kind 'model'",
                file=self.origin.file,
                remedy=self.origin.remedy_if_foreign,
            )
        return self._model

    def fail(self, line: int, message: str, remedy: str | None = None) -> Never:
        """Raises GraphMLError for something in a line of the file."""
        self.origin.fail(line, message, remedy)

    def read(self, keys: MessageKeys, texts: Mapping[str, str], line: int) -> dict[int, bytes]:
        """Reads texts as fields; raises GraphMLError with the line."""
        try:
            return keys.read(texts)
        except FieldError as error:
            self.fail(line, f"{error.path}: {error.message}")

    def _serialise(self, keys: MessageKeys, texts: Mapping[str, str], line: int) -> bytes:
        """Reads texts as a message; raises GraphMLError with the line."""
        try:
            return keys.serialise(texts)
        except FieldError as error:
            self.fail(line, f"{error.path}: {error.message}")

    # Nodes

    def _take_node(self, record: NodeRecord) -> None:
        (number,) = self.edges.number_nodes([record.node_id], [record.line])
        kind = record.data.get("kind")
        if kind == "frame":
            return  # drawn around an operator and its bodies; nobody's parent
        if holds_nothing(record):
            self.edges.pass_over(number)
            self.passed_over.append(record.line)
            return
        if kind is None:
            self.fail(record.line, "the node has no kind", self.origin.remedy_if_foreign)
        take = self._take.get(kind)
        node_id = record.data.get("node_id")
        if take is None:
            remedy = self.origin.remedy_if_foreign if node_id is None else None
            self.fail(record.line, f"the kind {kind[:80]!r} is not one of {', '.join(self._take)}", remedy)
        if node_id is None:
            self.fail(record.line, "the node has no node_id", self.origin.remedy_if_foreign)
        (identity,) = self._add_identities([node_id], [record.line])
        if record.data.get("name") == node_id:
            drop_given_name(record.data)
        if not record.data.keys() <= KEYS_OF_KIND[kind]:
            strange = min(record.data.keys() - KEYS_OF_KIND[kind])
            self.fail(record.line, f"the key {strange!r} has no meaning on a node of kind {kind!r}", "remove it")
        take(record, number, identity)

    def _add_identities(self, node_ids: Sequence[str], lines: Sequence[int]) -> Sequence[int]:
        """The numbers of the identities of nodes."""
        known, taken = self._identities, self._lines
        taken.extend([0] * (len(known) - len(taken)))
        fresh = known.of_new(node_ids)
        if fresh is not None:
            taken.extend(lines)
            return fresh
        identities = [known[node_id] for node_id in node_ids]
        taken.extend([0] * (len(known) - len(taken)))
        for identity, line in zip(identities, lines, strict=True):
            if taken[identity]:
                remedy = "give a copied node an identity of its own"
                node_id, place = list(known)[identity], self.origin.place(taken[identity])
                self.fail(line, f"node_id {node_id!r} is already used in {place}", remedy)
            taken[identity] = line
        return identities

    def _take_rows(self, rows: NodeRows) -> None:
        columns = dict(zip(rows.keys, zip(*rows.values, strict=True), strict=True))
        if rows.first == ("kind", "op") and _is_usual(columns):
            self._take_operators(rows, columns)
        else:
            self._take_nodes(rows.records())

    def _take_nodes(self, records: Iterable[NodeRecord]) -> None:
        for record in records:
            self._take_node(record)

    def _take_operators(self, rows: NodeRows, columns: Columns) -> None:
        """Takes all of them at once, with the same result as `_take_node` one by one."""
        keys = self._operator_keys
        try:
            names = {key: keys.names_of_all(key, columns) for key in ("inputs", "outputs") if key in columns}
            contents = keys.serialise_all(columns, names)
        except FieldError:  # the one-by-one path reports the error with its line
            self._take_nodes(rows.records())
            return
        node_ids, parents, before = (cast("Sequence[str]", columns[key]) for key in ("node_id", "parent", "after"))
        numbers = self.edges.number_nodes(rows.node_ids, rows.lines)
        identities = self._add_identities(node_ids, rows.lines)
        known = self._identities
        after = [known[node_id] for node_id in before]
        containers = self._containers_of(parents, rows.lines)
        self.operators.add_all(numbers, containers, identities, after, rows.lines, contents)
        none: Sequence[list[bytes]] = [[]] * len(contents)
        self._flow.operators(
            containers, numbers, itertools.repeat(0), names.get("inputs", none), names.get("outputs", none)
        )

    def _take_operator(self, record: NodeRecord, number: int, identity: int) -> None:
        texts, line, node_id = record.data, record.line, record.data["node_id"]
        container = self._container(self._parent(record), line)
        place = self._place(record, container, identity)
        keys = self._operator_keys
        try:
            inputs, outputs = keys.names("inputs", texts), keys.names("outputs", texts)
            if GRAPH in texts.get("attributes", ""):
                waiting = self._waiting[node_id] = WaitingOperator(node_id, number, texts, line, container)
                self.operators.add(number, place, line, waiting)
            else:
                self.operators.add(number, place, line, keys.serialise(texts))
        except FieldError as error:
            self.fail(line, f"{error.path}: {error.message}")
        self._flow.operators((container,), (number,), (0,), (inputs,), (outputs,))

    def _take_value(self, record: NodeRecord, number: int, identity: int) -> None:
        parent = record.data.get("parent", "")
        if parent:
            self._parents.setdefault((record.data["kind"], parent), record.line)
        container_id = self._container(parent, record.line)
        place = self._place(record, container_id, identity)
        content = self._serialise(self._value_keys, record.data, record.line)
        name = String.read(unescape(record.data.get("name", "")))
        if record.data["kind"] == "input":
            self.inputs.add(number, place, record.line, (name, content))
        else:
            self.outputs.add(number, place, record.line, (name, content))
            self._flow.use(container_id, name, number, 0)

    def _take_parameter(self, record: NodeRecord, number: int, identity: int) -> None:
        parent = self._parent(record)
        self._parents.setdefault(("parameter", parent), record.line)
        container_id = self._container(parent, record.line)
        place = self._place(record, container_id, identity)
        message = self._tensor_class()
        try:
            self._json.read(message, parse(record.data.get("tensor", "{}")))
        except FieldError as error:
            self.fail(record.line, f"tensor: {error.path}: {error.message}")
        except JsonError as error:
            self.fail(record.line, f"tensor: {error}")
        name = cast("bytes", cast("onnx.TensorProto", message).name)
        self.parameters.add(number, place, record.line, (name, message.SerializeToString()))

    def _take_model(self, record: NodeRecord, _: int, identity: int) -> None:
        node_id = record.data["node_id"]
        if self._model is not None:
            self.fail(record.line, f"a second model; the first is in {self.origin.place(self._model.line)}")
        self._check_version(record)
        if "parent" in record.data:
            self.fail(record.line, "the model has a parent", "remove it: nothing holds the model")
        container_id = self._container(node_id, record.line)
        self._model = Compound("model", identity, None, 0, record.data, record.line, container_id)
        self.compounds[node_id] = self._model

    def _take_compound(self, record: NodeRecord, number: int, identity: int) -> None:
        kind, node_id, line = record.data["kind"], record.data["node_id"], record.line
        container_id = self._container(node_id, line)
        parent = self._parent(record)
        index = self._index(record) if kind == "subgraph" else 0
        compound = Compound(kind, identity, parent, index, record.data, line, container_id)
        self.compounds[node_id] = compound
        if kind == "subgraph":
            bodies = self.bodies.setdefault(parent, {})
            if index in bodies:
                self.fail(line, f"a second body with index {index} of operator {parent!r}")
            bodies[index] = compound
            return
        self._parents.setdefault((kind, parent), line)  # that of a subgraph has to have bodies
        if kind == "function":
            self.functions.add(number, self._place(record, self._container(parent, line), identity), line, compound)

    def _check_version(self, record: NodeRecord) -> None:
        version = record.data.get("format_version")
        if version is None:
            self.fail(record.line, "the model has no format_version", self.origin.remedy_if_foreign)
        major, ours = version.split(".")[0], FORMAT_VERSION.split(".")[0]
        if major != ours:
            newer = major.isascii() and major.isdigit() and (len(major), major) > (len(ours), ours)
            self.fail(
                record.line,
                f"format {version[:40]!r} is not format {ours}, which this version of g2o reads",
                "install a newer graphml-onnx" if newer else "encode the model again",
            )

    def _containers_of(self, parents: Sequence[str], lines: Sequence[int]) -> list[int]:
        for parent in dict.fromkeys(parents):
            if parent not in self._containers:
                self._container(parent, lines[parents.index(parent)])
        known = self._containers
        return [known[parent] for parent in parents]

    def _container(self, parent: str, line: int) -> int:
        container_id = self._containers.setdefault(parent, len(self._containers))
        if container_id == len(self._first_lines):
            self._first_lines.append(line)
        return container_id

    def _place(self, record: NodeRecord, container: int, identity: int) -> Place:
        after = record.data.get("after")
        return Place(container, identity, NOWHERE if after is None else self._identities[after])

    def _index(self, record: NodeRecord) -> int:
        text = record.data.get("index")
        if text is None:
            self.fail(record.line, "the node has no index")
        if not _is_index(text):
            self.fail(record.line, f"the index {text!r} is not a number of at most 9 digits")
        return int(text)

    def _parent(self, record: NodeRecord) -> str:
        parent = record.data.get("parent")
        if parent is None:
            self.fail(record.line, "the node has no parent")
        return parent

    def _names(self, numbers: Set[int]) -> dict[int, tuple[str, str]]:
        """The kinds and names of the nodes that edges can join."""
        found: dict[int, tuple[str, str]] = {}
        for number, item in self.operators.of_nodes(numbers):
            if isinstance(item, bytes):
                found[number] = named_by_message("op", item)
            else:
                found[number] = named_by_texts(item.texts)
        for kind, items in (("input", self.inputs), ("output", self.outputs), ("parameter", self.parameters)):
            found |= {number: named_by_message(kind, content) for number, (_, content) in items.of_nodes(numbers)}
        return found

    # Structure

    def structure(self, records: Iterable[Batch]) -> tuple[Sequence[int], Mapping[int, int]]:
        """Takes nodes and edges in any order, and checks that they fit together.

        Returns:
            The body of each container, and the body around each body whose names it sees.

        Raises:
            GraphMLError: there is no model, an edge ends at no node, or a node has a parent that it cannot have.
        """
        self.take_all(records)
        _ = self.model  # without a model, other errors do not matter
        self.edges.check_ends()
        body_of = self.bodies_of_containers()
        self._check_parents()
        for compound in self.compounds.values():
            if compound.kind == "function":
                self._read_function(compound)
            elif compound.kind != "module":
                self._read_graph(compound)
        outer = self.outer_bodies(body_of)
        self._arrange(body_of, outer)
        return body_of, outer

    def _arrange(self, body_of: Sequence[int], outer: Mapping[int, int]) -> None:
        """Sorts lists into their order, which decides between definitions of the same name."""
        starts = self._starts
        starts.update((c.container_id, c.identity) for c in self.compounds.values() if c.kind != "module")
        starts[MAIN_BODY] = self.model.identity
        for items in (self.functions, self.inputs, self.outputs, self.parameters):
            items.arrange(body_of, starts, self.origin)
        for tensors, rank in ((self.inputs, INPUT_RANK), (self.parameters, INITIALIZER_RANK)):
            for placed in tensors.placed():
                self._flow.define(placed.container, placed.content[0], placed.node, rank + placed.position)

        @cache
        def needs() -> Mapping[int, Mapping[int, Sequence[int]]]:
            return self._needs(body_of, outer)

        self.operators.arrange(body_of, starts, self.origin, lambda body: needs().get(body, {}))
        self._flow.place(self.operators.positions())

    def _needs(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Mapping[int, Mapping[int, Sequence[int]]]:
        """By body and operator, the operators of the body whose outputs it, or a body of it, consumes."""
        around = {
            compound.container_id: self._waiting[cast("str", compound.parent)].number
            for compound in self.compounds.values()
            if compound.kind == "subgraph"
        }
        # The order would decide between definitions of the same name, which no valid model has.
        flows = self._flow.flows(body_of, outer)
        bodies = {node: body_of[container] for node, container in self.operators.containers()}
        # An output is in no list of operators, but consumes their tensors.
        return needs_by_body(zip(flows.source.tolist(), flows.target.tolist(), strict=True), bodies, around)

    def _read_function(self, compound: Compound) -> None:
        compound.fields = self.read(self._function_keys, compound.texts, compound.line)
        for index, name in enumerate(self._function_keys.names("inputs", compound.texts)):
            self._flow.define(compound.container_id, name, OUTSIDE, INPUT_RANK + index)

    def _read_graph(self, compound: Compound) -> None:
        """Reads the fields of a graph, the names that they define, and the inputs that are not nodes."""
        container_id, line = compound.container_id, compound.line
        compound.fields = self.read(self._graph_keys, compound.texts, line)
        tensors = b"".join([compound.fields.get(number, b"") for number in _TENSOR_FIELDS])
        try:
            graph = cast("onnx.GraphProto", schema.message_class("GraphProto").FromString(tensors))
        except DecodeError:
            self.fail(line, "initializers: messages are nested more than 100 deep")
        for name, rank in hidden_names(graph, with_initializers=True):
            self._flow.define(container_id, name, OUTSIDE, rank)
        if WEIGHT_INPUTS in compound.texts:
            try:
                inputs = read_weight_inputs(compound.texts[WEIGHT_INPUTS], self._json)
            except FieldError as error:
                self.fail(line, f"{error.path}: {error.message}")
            weights = self._weight_inputs[MAIN_BODY if compound.kind == "model" else container_id] = []
            for index, (after, name, content) in enumerate(inputs):
                weights.append((self._identities[after], content))
                self._flow.define(container_id, name, OUTSIDE, WEIGHT_INPUT_RANK + index)

    def inputs_by_body(self) -> Mapping[int, Sequence[bytes]]:
        """The inputs of each graph, weights included."""
        found: dict[int, list[bytes]] = {}
        shown: dict[int, list[tuple[int, bytes]]] = {}
        for placed in self.inputs.placed():
            shown.setdefault(placed.body, []).append((placed.identity, placed.content[1]))
        for body in shown.keys() | self._weight_inputs.keys():
            inputs = shown.get(body, [])
            known = {identity for identity, _ in inputs}
            behind: dict[int, list[bytes]] = {}  # by the input before them
            last = NOWHERE
            for after, content in self._weight_inputs.get(body, ()):
                last = after if after in known or after == self._starts[body] else last
                behind.setdefault(NOWHERE if last == self._starts[body] else last, []).append(content)
            found[body] = list(behind.get(NOWHERE, ()))
            for identity, content in inputs:
                found[body] += [content, *behind.get(identity, ())]
        return found

    def names_of_containers(self) -> Sequence[str]:
        """The node_id of each compound, by its container_id."""
        return list(self._containers)

    def scopes(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Scopes[bytes]:
        """The meaning of names in each body; see `structure`."""
        return self._flow.scopes(body_of, outer)

    def container_of(self, parent: str) -> int:
        """The container_id of a compound, given its node_id; an empty one is the boundary of the model."""
        return self._containers[parent]

    def bodies_of_containers(self) -> Sequence[int]:
        """For each container, the one that is its body: a module is not a scope of names.

        Raises:
            GraphMLError: a parent does not exist, is no compound, or is its own ancestor.
        """
        bodies = {"": MAIN_BODY}
        for parent, container in self._containers.items():
            self._find_body(parent, self._first_lines[container], bodies)
        return [bodies[parent] for parent in self._containers]  # they are numbered in this order

    def _find_body(self, parent: str, line: int, bodies: dict[str, int]) -> None:
        """Adds the body of a container, and of all modules around it, to ``bodies``, by node_id."""
        modules: dict[str, None] = {}  # from the inside out
        while parent not in bodies:
            compound = self.compounds.get(parent)
            if compound is None:
                self._fail_on_parent(line, parent)
            if parent in modules:
                self.fail(compound.line, "the parents of this module form a cycle")
            if compound.kind == "module":
                modules[parent] = None
                parent, line = cast("str", compound.parent), compound.line
            else:
                bodies[parent] = MAIN_BODY if compound.kind == "model" else compound.container_id
        bodies |= dict.fromkeys(modules, bodies[parent])

    def _fail_on_parent(self, line: int, parent: str) -> Never:
        identity = self._identities.get(parent)
        known = 0 if identity is None or identity >= len(self._lines) else self._lines[identity]
        if known:
            self.fail(line, f"the parent {parent!r}, in {self.origin.place(known)}, is not a compound")
        self.fail(line, f"no node has the node_id {parent!r}, which is given as parent")

    def _check_parents(self) -> None:
        """Checks that nodes have allowed parents; operators can be in any compound.

        Raises:
            GraphMLError: one does not.
        """
        for (kind, parent), line in self._parents.items():
            compound = self.compounds.get(parent)
            allowed = PARENTS_OF_KIND[kind]
            if compound is None:
                self._fail_on_parent(line, parent)
            if compound.kind not in allowed:
                remedy = f"the parent must be a {' or '.join(allowed)}"
                if kind in ("input", "output"):
                    remedy += f"; remove it from an {kind} of the main graph, which has none"
                self.fail(line, f"the parent {parent!r} of this {kind} is a {compound.kind}", remedy)

    def outer_bodies(self, body_of: Sequence[int]) -> Mapping[int, int]:
        """The body around each subgraph: that of its operator.

        Raises:
            GraphMLError: a subgraph's parent is no operator with bodies, or bodies contain each other.
        """
        outer: dict[int, int] = {}
        for compound in self.compounds.values():
            if compound.kind == "subgraph":
                owner = self._waiting.get(cast("str", compound.parent))
                if owner is None:
                    self.fail(compound.line, f"the parent {compound.parent!r} is not an operator with bodies")
                outer[compound.container_id] = body_of[owner.container]
        for start in outer:
            body: int | None = start
            for _ in range(MAX_NESTING + 1):  # the last step leaves the main graph
                body = None if body is None else outer.get(body)
            if body is not None:
                line = self._first_lines[start]
                self.fail(line, f"bodies are nested more than {MAX_NESTING} deep, or contain each other")
        return outer
