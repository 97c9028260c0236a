"""Collects the nodes and edges of a graph in whatever order they come, and checks that they fit together.

Nothing is taken from XML ids, nesting or document order: a node says itself what it is (``kind``), who it is
(``node_id``), and where it stands (``parent``, ``index``).

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from operator import eq
from typing import TYPE_CHECKING, NamedTuple, Never, cast

from google.protobuf.message import DecodeError

from graphml_onnx.codec.dataflow import Dataflow
from graphml_onnx.codec.edges import Edges
from graphml_onnx.codec.fields import MessageKeys
from graphml_onnx.codec.keys import FORMAT_VERSION, KEYS_OF_KIND, PARENTS_OF_KIND
from graphml_onnx.codec.node_names import drop_given_name, named_by_message, named_by_texts
from graphml_onnx.codec.node_table import OrderedNodes
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
from graphml_onnx.graphml.text import unescape
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    import onnx

    from graphml_onnx.codec.graph_location import GraphLocation
    from graphml_onnx.graphml.elements import Batch, NodeRows

MAIN_BODY = 0
"""The place of the main graph: its boundary has no parent, and the model's node stands for it."""

MAX_NESTING = 33
"""Bodies within bodies: protobuf reads no more."""


@dataclass(slots=True, eq=False)
class Compound:
    """A node that others name as their parent: model, module, subgraph or function.

    Attributes:
        kind: which of them.
        parent: node_id of its own parent; None for the model.
        index: its place among its like.
        texts: its texts by key.
        line: where it stands in the file.
        place: number that its members share.
        fields: of a graph or function, what its texts say, serialised, by number; known after `GraphIndex.structure`.
    """

    kind: str
    parent: str | None
    index: int
    texts: Mapping[str, str]
    line: int
    place: int
    fields: dict[int, bytes] = field(default_factory=dict)


class WaitingOperator(NamedTuple):
    """An operator with bodies, which can only be built when all nodes are known."""

    node_id: str
    texts: Mapping[str, str]
    line: int
    place: int


_TENSOR_FIELDS = [
    number
    for number, field_ in schema.message_class("GraphProto").DESCRIPTOR.fields_by_number.items()
    if field_.name in ("initializer", "sparse_initializer")
]


_GIVEN = frozenset({"node_id", "parent"})  # what readers give to nodes that hold no data


def holds_nothing(record: NodeRecord) -> bool:
    """Whether a node holds no data of the format: a note, a group or a shape that somebody drew."""
    return record.data.keys() <= _GIVEN


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


class GraphIndex:
    """The nodes of a graph.

    Args:
        origin: where the nodes come from, for messages.
        json: for what is JSON.
        operators: for operators, whose bodies are not there yet.
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
        self.inputs: OrderedNodes[bytes] = OrderedNodes("input")
        self.outputs: OrderedNodes[bytes] = OrderedNodes("output")
        self.parameters: OrderedNodes[bytes] = OrderedNodes("parameter")
        self.passed_over: list[int] = []
        """Lines of nodes that hold no data of the format: notes, groups and shapes that somebody drew."""
        self._waiting: dict[str, WaitingOperator] = {}
        self.bodies: dict[str, dict[int, Compound]] = {}
        """By operator, its subgraphs by their index."""
        self._places: dict[str, int] = {"": MAIN_BODY}  # by the node_id that members name as their parent
        self._first_lines = array("q", [0])  # of each place: the first node that named it
        self._lines: dict[str, int] = {}  # of every node_id
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
            "subgraph": self._take_subgraph,
            "function": self._take_compound,
        }

    def take_all(self, records: Iterable[Batch]) -> None:
        """Takes nodes and edges in any order, one by one or as rows.

        Raises:
            GraphMLError: one of them is incomplete or wrong in itself; with its line.
        """
        for record in records:
            if type(record) is NodeRecord:
                self._take_node(record)
            elif type(record) is EdgeRecord:
                self.edges.take(record)
            elif type(record) is EdgeRows:
                self.edges.take_rows(record)
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
        number = self.edges.number_node(record)
        kind = record.data.get("kind")
        if kind == "frame":
            return  # drawn around an operator and its bodies; nobody's parent
        if holds_nothing(record):
            self.edges.pass_over(number)
            self.passed_over.append(record.line)
            return
        if kind is None:
            self.fail(record.line, "the node has no kind", self.origin.remedy_if_foreign)
        node_id = record.data.get("node_id")
        if node_id is None:
            self.fail(record.line, "the node has no node_id")
        if node_id in self._lines:
            remedy = "give a copied node an identity of its own"
            self.fail(
                record.line, f"node_id {node_id!r} stands in {self.origin.place(self._lines[node_id])} already", remedy
            )
        self._lines[node_id] = record.line
        if record.data.get("name") == node_id:
            drop_given_name(record.data)
        take = self._take.get(kind)
        if take is None:
            self.fail(record.line, f"the kind {kind!r} is not one of {', '.join(self._take)}")
        if not record.data.keys() <= KEYS_OF_KIND[kind]:
            strange = min(record.data.keys() - KEYS_OF_KIND[kind])
            self.fail(record.line, f"the key {strange!r} has no meaning on a node of kind {kind!r}", "remove it")
        take(record, number, node_id)

    def _take_rows(self, rows: NodeRows) -> None:
        columns = dict(zip(rows.keys, zip(*rows.values, strict=True), strict=True))
        if rows.first != ("kind", "op") or not self._take_operators(rows, columns):
            for record in rows.records():
                self._take_node(record)

    def _take_operators(self, rows: NodeRows, columns: Mapping[str, tuple[str | None, ...]]) -> bool:
        """Takes all of them at once, as `_take_node` would; False, and takes none, where one is unusual or wrong."""
        node_ids, parents, indices = (cast("tuple[str, ...]", columns[key]) for key in ("node_id", "parent", "index"))
        lines = dict(zip(node_ids, rows.lines, strict=True))
        if (
            len(lines) < len(node_ids)
            or not self._lines.keys().isdisjoint(lines)
            or any(map(eq, columns.get("name", ()), node_ids))
            or not all(map(_is_index, indices))
            or any(GRAPH in text for text in columns.get("attributes", ()) if text is not None)
        ):
            return False
        keys = self._operator_keys
        try:
            names = {key: keys.names_of_all(key, columns) for key in ("inputs", "outputs") if key in columns}
            contents = keys.serialise_all(columns, names)
        except (ValueError, RecursionError):  # told by who takes them one by one
            return False
        numbers = self.edges.number_nodes(rows.node_ids, rows.lines)
        if numbers is None:
            return False
        self._lines |= lines
        places = [self._place(parent, line) for parent, line in zip(parents, rows.lines, strict=True)]
        positions = list(map(int, indices))
        self.operators.add_all(numbers, places, positions, rows.lines, contents)
        none: Sequence[list[bytes]] = [[]] * len(contents)
        self._flow.operators(places, numbers, positions, names.get("inputs", none), names.get("outputs", none))
        return True

    def _take_operator(self, record: NodeRecord, number: int, node_id: str) -> None:
        texts, line = record.data, record.line
        place = self._place(self._parent(record), line)
        index = self._index(record)
        keys = self._operator_keys
        if GRAPH in texts.get("attributes", ""):
            self.read(keys, {key: text for key, text in texts.items() if key in ("inputs", "outputs")}, line)
            waiting = self._waiting[node_id] = WaitingOperator(node_id, texts, line, place)
            self.operators.add(number, place, index, line, waiting)
        else:
            self.operators.add(number, place, index, line, self._serialise(keys, texts, line))
        self._flow.operator(place, number, index, keys.names("inputs", texts), keys.names("outputs", texts))

    def _take_value(self, record: NodeRecord, number: int, _: str) -> None:
        parent = record.data.get("parent", "")
        if parent:
            self._parents.setdefault((record.data["kind"], parent), record.line)
        place = self._place(parent, record.line)
        index = self._index(record)
        content = self._serialise(self._value_keys, record.data, record.line)
        name = String.read(unescape(record.data.get("name", "")))
        if record.data["kind"] == "input":
            self.inputs.add(number, place, index, record.line, content)
            self._flow.define(place, name, number, INPUT_RANK + index)
        else:
            self.outputs.add(number, place, index, record.line, content)
            self._flow.use(place, name, number, 0)

    def _take_parameter(self, record: NodeRecord, number: int, _: str) -> None:
        parent = self._parent(record)
        self._parents.setdefault(("parameter", parent), record.line)
        place = self._place(parent, record.line)
        index = self._index(record)
        message = self._tensor_class()
        try:
            self._json.read(message, parse(record.data.get("tensor", "{}")))
        except FieldError as error:
            self.fail(record.line, f"tensor: {error.path}: {error.message}")
        except JsonError as error:
            self.fail(record.line, f"tensor: {error}")
        self.parameters.add(number, place, index, record.line, message.SerializeToString())
        name = cast("bytes", cast("onnx.TensorProto", message).name)
        self._flow.define(place, name, number, INITIALIZER_RANK + index)

    def _take_model(self, record: NodeRecord, _: int, node_id: str) -> None:
        if self._model is not None:
            self.fail(record.line, f"a second model; the first stands in {self.origin.place(self._model.line)}")
        self._check_version(record)
        if "parent" in record.data:
            self.fail(record.line, "the model has a parent", "remove it: nothing holds the model")
        self._model = Compound("model", None, 0, record.data, record.line, self._place(node_id, record.line))
        self.compounds[node_id] = self._model

    def _take_compound(self, record: NodeRecord, _: int, node_id: str) -> None:
        kind = record.data["kind"]
        index = 0 if kind == "module" else self._index(record)
        place = self._place(node_id, record.line)
        parent = self._parent(record)
        if kind != "subgraph":  # whose parent has to have bodies
            self._parents.setdefault((kind, parent), record.line)
        self.compounds[node_id] = Compound(kind, parent, index, record.data, record.line, place)

    def _take_subgraph(self, record: NodeRecord, number: int, node_id: str) -> None:
        self._take_compound(record, number, node_id)
        compound = self.compounds[node_id]
        bodies = self.bodies.setdefault(cast("str", compound.parent), {})
        if compound.index in bodies:
            self.fail(record.line, f"a second body with index {compound.index} of operator {compound.parent!r}")
        bodies[compound.index] = compound

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

    def _place(self, parent: str, line: int) -> int:
        place = self._places.setdefault(parent, len(self._places))
        if place == len(self._first_lines):
            self._first_lines.append(line)
        return place

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
        """What nodes are, and their names; of those that edges can join."""
        found: dict[int, tuple[str, str]] = {}
        for number, item in self.operators.of_nodes(numbers):
            if isinstance(item, bytes):
                found[number] = named_by_message("op", item)
            else:
                found[number] = named_by_texts(item.texts)
        for kind, items in (("input", self.inputs), ("output", self.outputs), ("parameter", self.parameters)):
            found |= {number: named_by_message(kind, content) for number, content in items.of_nodes(numbers)}
        return found

    # Structure

    def structure(self, records: Iterable[Batch]) -> tuple[Sequence[int], Mapping[int, int]]:
        """Takes nodes and edges in any order, and sees how they fit together.

        Returns:
            The body of each place, and the body around each body whose names it sees.

        Raises:
            GraphMLError: there is no model, an edge ends at no node, or what stands where makes no sense.
        """
        self.take_all(records)
        _ = self.model  # without one, all else that is wrong is of no interest
        self.edges.check_ends()
        body_of = self.bodies_of_places()
        self._check_parents()
        for compound in self.compounds.values():
            if compound.kind == "function":
                self._read_function(compound)
            elif compound.kind != "module":
                self._read_graph(compound)
        return body_of, self.outer_bodies(body_of)

    def _read_function(self, compound: Compound) -> None:
        compound.fields = self.read(self._function_keys, compound.texts, compound.line)
        for index, name in enumerate(self._function_keys.names("inputs", compound.texts)):
            self._flow.define(compound.place, name, OUTSIDE, INPUT_RANK + index)

    def _read_graph(self, compound: Compound) -> None:
        """Reads the fields of a graph, the names that they define, and the inputs that are not nodes."""
        place, line = compound.place, compound.line
        compound.fields = self.read(self._graph_keys, compound.texts, line)
        tensors = b"".join([compound.fields.get(number, b"") for number in _TENSOR_FIELDS])
        try:
            graph = cast("onnx.GraphProto", schema.message_class("GraphProto").FromString(tensors))
        except DecodeError:
            self.fail(line, "initializers: messages are nested more than 100 deep")
        for name, rank in hidden_names(graph, with_initializers=True):
            self._flow.define(place, name, OUTSIDE, rank)
        if WEIGHT_INPUTS in compound.texts:
            try:
                inputs = read_weight_inputs(compound.texts[WEIGHT_INPUTS], self._json)
            except FieldError as error:
                self.fail(line, f"{error.path}: {error.message}")
            for index, name, content in inputs:
                self.inputs.add(OUTSIDE, place, index, line, content)
                self._flow.define(place, name, OUTSIDE, WEIGHT_INPUT_RANK + index)

    def scopes(self, body_of: Sequence[int], outer: Mapping[int, int]) -> Scopes[bytes]:
        """What names mean in each body; see `structure`."""
        return self._flow.scopes(body_of, outer)

    def place_of(self, parent: str) -> int:
        """The place of the members of a compound, given its node_id; an empty one is the boundary of the model."""
        return self._places[parent]

    def bodies_of_places(self) -> Sequence[int]:
        """For each place, that of the body to which it belongs: a module is not a scope of names.

        Raises:
            GraphMLError: a parent does not exist, is no compound, or is its own ancestor.
        """
        unknown = -1
        body_of = array("i", [unknown]) * len(self._first_lines)
        body_of[MAIN_BODY] = MAIN_BODY
        for parent, place in list(self._places.items()):
            chain = [place]
            ancestor = parent
            while body_of[chain[-1]] == unknown:
                compound = self.compounds.get(ancestor)
                if compound is None:
                    self._fail_on_parent(self._first_lines[chain[-1]], ancestor)
                if compound.kind != "module":
                    body_of[chain[-1]] = MAIN_BODY if compound.kind == "model" else compound.place
                    break
                ancestor = cast("str", compound.parent)
                chain.append(self._place(ancestor, compound.line))
                if len(chain) > len(self._places):
                    self.fail(compound.line, "the parents of this module form a cycle")
                if len(body_of) < len(self._first_lines):  # a module's parent that nobody else names
                    body_of.append(unknown)
            for step in chain:  # so that the next one finds it at once
                body_of[step] = body_of[chain[-1]]
        return body_of

    def _fail_on_parent(self, line: int, parent: str) -> Never:
        known = self._lines.get(parent)
        if known is not None:
            self.fail(line, f"the parent {parent!r}, in {self.origin.place(known)}, is not a compound")
        self.fail(line, f"no node has the node_id {parent!r}, which stands as parent")

    def _check_parents(self) -> None:
        """Makes sure that nodes stand in what can hold them; operators can stand in any of them.

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
        """The body around each subgraph: the one where its operator stands.

        Raises:
            GraphMLError: a subgraph's parent is no operator with bodies, or bodies contain each other.
        """
        outer: dict[int, int] = {}
        for compound in self.compounds.values():
            if compound.kind == "subgraph":
                owner = self._waiting.get(cast("str", compound.parent))
                if owner is None:
                    self.fail(compound.line, f"the parent {compound.parent!r} is not an operator with bodies")
                outer[compound.place] = body_of[owner.place]
        for start in outer:
            body: int | None = start
            for _ in range(MAX_NESTING + 1):  # the last step leaves the main graph
                body = None if body is None else outer.get(body)
            if body is not None:
                line = self._first_lines[start]
                self.fail(line, f"bodies are nested more than {MAX_NESTING} deep, or contain each other")
        return outer
