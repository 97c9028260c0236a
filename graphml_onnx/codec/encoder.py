"""Encodes a parsed skeleton as a graph: the model, its modules, operators, bodies and functions, and the edges.

The mirror of `graphml_onnx.codec.decoder`. `graphml_onnx.codec.fields` says what a field looks like. This module has
only the structure: which message becomes which node, and where it goes.

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from graphml_onnx.codec.appearance import appearance_of
from graphml_onnx.codec.dataflow import Dataflow
from graphml_onnx.codec.fields import MessageKeys
from graphml_onnx.codec.identities import MODEL, Identities, of_body, of_frame
from graphml_onnx.codec.keys import BASE_VERSION, declared
from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.module_order import CLOSE, OPEN, ModuleOrder
from graphml_onnx.codec.node_names import set_apart
from graphml_onnx.codec.owners import owners_of_weights
from graphml_onnx.codec.protojson import MessageCodec
from graphml_onnx.codec.scalars import PayloadTable, string_of
from graphml_onnx.codec.scopes import INITIALIZER_RANK, INPUT_RANK, OUTSIDE, has_weight_inputs, hidden_names
from graphml_onnx.codec.types import type_and_shape
from graphml_onnx.codec.weight_inputs import KEY as WEIGHT_INPUTS
from graphml_onnx.codec.weight_inputs import weight_inputs_of, weight_inputs_text
from graphml_onnx.graphml.elements import Drawn
from graphml_onnx.hierarchy import NOWHERE, Hierarchy, Module, Placed
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import onnx
    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from graphml_onnx.codec.dataflow import Flows
    from graphml_onnx.graphml.elements import Appearance, Data, GraphSink, Key

_MERGED = 64  # operators
_REPORTED = 256  # operators between two reports of progress


@dataclass(slots=True)
class Counts:
    """What a graph consists of."""

    operators: int = 0
    modules: int = 0


_Listed: TypeAlias = "tuple[str, onnx.ValueInfoProto]"


class _Inputs(NamedTuple):
    """The inputs of a graph.

    Attributes:
        shown: those that are nodes, with their identities.
        weights: the others, each with the identity of the node before it.
    """

    shown: list[_Listed]
    weights: list[_Listed]


class _Run(NamedTuple):
    """Operators of one module that are written one after the other.

    Attributes:
        nodes: all operators of the graph or function.
        indices: which of them these are.
        ids: the identities of all.
        scope: the identity of the graph or function.
        parent: the identity of the module, or of the graph or function.
        placed: the modules of the graph, and the places of its operators.
    """

    nodes: Sequence[onnx.NodeProto]
    indices: Sequence[int]
    ids: Sequence[str]
    scope: str
    parent: str
    placed: Placed


class _GraphNumbers:
    """Numbers the graphs of the operator that is being written, as `graphs_of` gives them."""

    def __init__(self) -> None:
        self._count = 0

    def restart(self) -> None:
        self._count = 0

    def take(self, _graph: Message) -> int:
        self._count += 1
        return self._count - 1


class _Boxes:
    """What will be drawn, in the order in which a sink gets it."""

    def __init__(self) -> None:
        self.parents = array("i")
        self.looks: list[Appearance] = []
        self.groups = array("i")
        self._numbers = array("i")  # of the nodes that they are
        self._open = [-1]

    def add(self, number: int, *looks: Appearance) -> None:
        """Adds nodes with numbers one after the other, which are in the group that was opened last."""
        self.parents.extend([self._open[-1]] * len(looks))
        self.looks.extend(looks)
        self._numbers.extend(range(number, number + len(looks)))

    def open(self, number: int, look: Appearance) -> None:
        self.add(number, look)
        self._open.append(len(self.looks) - 1)
        self.groups.append(len(self.looks) - 1)

    def close(self) -> None:
        self._open.pop()

    def of(self, nodes: NDArray[np.int64]) -> array[int]:
        """The boxes of nodes."""
        boxes = np.empty(len(self._numbers), np.int32)
        boxes[np.array(self._numbers, np.int32)] = np.arange(len(self._numbers), dtype=np.int32)
        return array("i", boxes[nodes].tobytes())


class GraphEncoder:
    """Emits a model as nodes and edges.

    Args:
        model: the exact message of the skeleton; not changed.
        hierarchy: modules and the place of each operator.
        book: the payloads.
        about: texts of the model's node that do not come from the message (digests, the store, metadata).
        show_parameters: whether initializers are nodes.
        has_unknown: whether the message may hold fields that ONNX does not know.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        hierarchy: Hierarchy,
        book: PayloadTable,
        about: Data,
        *,
        show_parameters: bool,
        has_unknown: bool,
    ) -> None:
        self._model = model
        self._hierarchy = hierarchy
        self._about = about
        self._show_parameters = show_parameters
        self._json = MessageCodec(book, has_unknown=has_unknown)
        self._graphs = _GraphNumbers()
        with_graphs = MessageCodec(book, take_graph=self._graphs.take, has_unknown=has_unknown)
        self._model_keys = MessageKeys("ModelProto", self._json)
        self._graph_keys = MessageKeys("GraphProto", self._json, frozenset({"initializers"} if show_parameters else ()))
        self._op_keys = MessageKeys("NodeProto", with_graphs)
        self._function_keys = MessageKeys("FunctionProto", self._json)
        self._value_keys = MessageKeys("ValueInfoProto", self._json)
        self._functions = {_called(function): _title(function) for function in model.functions}
        self._flow: Dataflow[bytes] = Dataflow(b"")
        self._outer: dict[int, int] = {}
        self._types: dict[int, dict[bytes, tuple[str, str]]] = {}
        self._has_weight_inputs = has_weight_inputs(model)
        self._identities = Identities()
        self._ids: list[str] = []  # by number of the node
        self._boxes = _Boxes()
        self._steps: list[tuple[Any, ...]] = []  # a method, and what it is called with
        self.counts = Counts()

    def keys(self) -> list[Key]:
        """The declarations of the keys that `emit` uses, found by looking at which fields are present."""
        used = {"kind", "node_id", "label", "format_version", "hierarchy_source", *self._about}
        used |= self._model_keys.present(self._model)
        self._add_used(self._model.graph, used)
        for function in self._model.functions:
            used |= self._function_keys.present(function) | {"parent", "after"}
            self._add_used_by_operators(function.node, used, in_body=False)
        for graph in (self._hierarchy.main, *self._hierarchy.functions):
            for placed in graph.walk():
                used |= _keys_of_places(placed)
        return declared(used)

    def _add_used(self, graph: onnx.GraphProto, used: set[str], *, in_body: bool = False) -> None:
        used |= self._graph_keys.present(graph)
        weights = self._weight_inputs(graph)
        if weights:
            used.add(WEIGHT_INPUTS)
        shown = [value for index, value in enumerate(graph.input) if index not in weights]
        for value in (*shown, *graph.output):
            used |= self._value_keys.present(value) | {"after"}
        if graph.output:  # which may be an input or initializer itself
            used |= {"tensor_name", "input_index"}
        if graph.initializer and self._show_parameters:
            used |= {"parent", "after", "tensor"}
        if any(value.HasField("type") for values in (graph.input, graph.output, graph.value_info) for value in values):
            used |= {"tensor_type", "tensor_shape"}
        self._add_used_by_operators(graph.node, used, in_body=in_body)

    def _add_used_by_operators(self, nodes: Sequence[onnx.NodeProto], used: set[str], *, in_body: bool) -> None:
        # A body was copied with the operator around it, and is not again: there may be bodies in bodies in bodies.
        for node in nodes if in_body else _merged(nodes):
            used |= self._op_keys.present(node) | {"parent", "after", "tensor_name", "input_index"}
            for graph in graphs_of(node):
                used.add("index")
                self._add_used(graph, used, in_body=True)

    def emit(self, sink: GraphSink, report: Callable[[int], None]) -> None:
        """Sends the whole graph to a sink.

        Args:
            sink: takes nodes, groups and edges.
            report: called with the number of operators that were done since the last call.
        """
        self._sink, self._report = sink, report
        self._plan_model()
        flows = self._flow.flows(range(len(self._ids)), self._outer)
        boxes = self._boxes
        sink.begin(Drawn(boxes.parents, boxes.looks, boxes.groups, boxes.of(flows.source), boxes.of(flows.target)))
        for write, *arguments in self._steps:
            write(*arguments)
        self._steps.clear()  # they hold this object, which would stay
        self._report(self.counts.operators % _REPORTED)
        self._emit_edges(flows)

    # First what there is, and in which order: identities, looks and the flow of tensors. Then its texts.

    def _plan_model(self) -> None:
        graph = self._model.graph
        look = appearance_of("model", string_of(graph.name) or "model")
        body = self._new(MODEL)
        inputs = self._inputs(graph, MODEL)
        self._plan_inputs(graph, inputs.shown, body, None)
        self._boxes.open(body, look)
        self._steps.append((self._emit_model, inputs.weights, look))
        self._plan_graph(graph, body)
        self._plan_operators(graph.node, self._hierarchy.main, body, self._owned_parameters())
        after = MODEL
        for function, placed in zip(self._model.functions, self._hierarchy.functions, strict=True):
            after = self._plan_function(function, after, placed)
        self._close()
        self._plan_outputs(graph, body, None)

    def _emit_model(self, weights: Sequence[_Listed], look: Appearance) -> None:
        data: dict[str, str | Iterable[str]] = {"kind": "model", "node_id": MODEL}
        data["label"] = escape(look.label)
        data["format_version"] = BASE_VERSION
        texts = {"node_id": MODEL}
        self._model_keys.write(self._model, texts)
        self._write_graph(self._model.graph, weights, texts)
        set_apart(texts)
        data |= texts
        data |= self._about
        data["hierarchy_source"] = self._hierarchy.source
        self._sink.open_group(MODEL, data, look)

    def _close(self) -> None:
        self._boxes.close()
        self._steps.append((self._sink.close_group,))

    def _new(self, node_id: str) -> int:
        """The number of a node."""
        self._ids.append(node_id)
        return len(self._ids) - 1

    def _add_types(self, body: int, graph: onnx.GraphProto) -> None:
        types: dict[bytes, tuple[str, str]] = {}
        known: dict[bytes, tuple[str, str]] = {}  # most tensors have the type of others
        for values in (graph.value_info, graph.input, graph.output):
            for value in values:
                if value.HasField("type"):
                    content = value.type.SerializeToString()
                    if content not in known:
                        known[content] = type_and_shape(value.type)
                    types[cast("bytes", value.name)] = known[content]
        self._types[body] = types

    def _weight_inputs(self, graph: onnx.GraphProto) -> frozenset[int]:
        """The places of inputs that are weights, and are not drawn as inputs."""
        return weight_inputs_of(graph) if self._has_weight_inputs else frozenset()

    def _inputs(self, graph: onnx.GraphProto, scope: str) -> _Inputs:
        """The inputs of a graph, given the identity of its node."""
        weights = self._weight_inputs(graph)
        inputs = _Inputs([], [])
        after = scope
        for index, value in enumerate(graph.input):
            if index in weights:
                inputs.weights.append((after, value))
            else:
                after = self._identities.of("input", scope, cast("bytes", value.name))
                inputs.shown.append((after, value))
        return inputs

    def _write_graph(self, graph: onnx.GraphProto, weights: Sequence[_Listed], data: dict[str, str]) -> None:
        """Adds the texts of a graph."""
        self._graph_keys.write(graph, data)
        if weights:
            data[WEIGHT_INPUTS] = weight_inputs_text(weights, self._json)

    def _plan_graph(self, graph: onnx.GraphProto, body: int) -> None:
        """Notes the types that a graph tells, and the names that it defines without a node."""
        self._add_types(body, graph)
        for name, rank in hidden_names(graph, with_initializers=not self._show_parameters):
            self._flow.define(body, name, OUTSIDE, rank)

    def _plan_inputs(self, graph: onnx.GraphProto, inputs: Sequence[_Listed], body: int, parent: str | None) -> None:
        defaults = {tensor.name for tensor in graph.initializer}
        after = self._ids[body]
        for index, (node_id, value) in enumerate(inputs):
            role = " (has a default)" if value.name in defaults else ""
            number = self._plan_value("input", value, node_id, after, parent, role)
            self._flow.define(body, cast("bytes", value.name), number, INPUT_RANK + index)
            after = node_id

    def _plan_outputs(self, graph: onnx.GraphProto, body: int, parent: str | None) -> None:
        scope = after = self._ids[body]
        for value in graph.output:
            node_id = self._identities.of("output", scope, cast("bytes", value.name))
            number = self._plan_value("output", value, node_id, after, parent)
            self._flow.use(body, cast("bytes", value.name), number, 0)
            after = node_id

    def _plan_value(
        self, kind: str, value: onnx.ValueInfoProto, node_id: str, after: str, parent: str | None, role: str = ""
    ) -> int:
        number = self._new(node_id)
        look = appearance_of(kind, string_of(value.name) + role)
        self._boxes.add(number, look)
        self._steps.append((self._emit_value, kind, value, node_id, after, parent, look))
        return number

    def _emit_value(
        self, kind: str, value: onnx.ValueInfoProto, node_id: str, after: str, parent: str | None, look: Appearance
    ) -> None:
        data = _identity(kind, node_id, parent, look, after)
        self._value_keys.write(value, data)
        set_apart(data)
        self._sink.node(node_id, data, look)

    def _plan_operators(
        self, nodes: Sequence[onnx.NodeProto], placed: Placed, body: int, parameters: Mapping[int, Sequence[int]]
    ) -> None:
        """The operators and modules of a graph, in the order in which they first run."""
        scope = self._ids[body]
        ids: dict[int, str] = {NOWHERE: scope}
        operators = self._identities.of_operators(scope, nodes)
        tensors = self._model.graph.initializer
        tensor_ids = self._ids_of_tensors(scope, tensors) if parameters else []
        numbers = array("i", bytes(4 * len(nodes)))
        for step, module, run in ModuleOrder(placed, len(nodes)).steps():
            if step == CLOSE:
                self._close()
            elif step == OPEN:
                if module != NOWHERE:
                    outer = placed.modules[module].parent
                    parent = ids[NOWHERE if outer is None else outer]
                    ids[module] = self._plan_module(placed.modules[module], scope, parent)
                for index in parameters.get(module, ()):
                    self._plan_tensor(tensors, index, tensor_ids, body, ids[module])
            elif placed.bodies.keys().isdisjoint(run):
                self._plan_run(_Run(nodes, run, operators, scope, ids[module], placed), numbers)
            else:
                for index in run:
                    single = _Run(nodes, (index,), operators, scope, ids[module], placed)
                    if index in placed.bodies:
                        self._plan_frame(single, numbers, body)
                    else:
                        self._plan_run(single, numbers)
        inputs = cast("list[Sequence[bytes]]", [node.input for node in nodes])
        outputs = cast("list[Sequence[bytes]]", [node.output for node in nodes])
        self._flow.operators([body] * len(nodes), numbers, range(len(nodes)), inputs, outputs)

    def _plan_module(self, module: Module, scope: str, parent: str) -> str:
        title = _title_of(module).encode("utf-8", "replace")
        node_id = self._identities.of("module", scope, module.scope.encode("utf-8", "surrogatepass"), title)
        look = appearance_of("module", module.label)
        self._boxes.open(self._new(node_id), look)
        self._steps.append((self._emit_module, module, node_id, parent, look))
        return node_id

    def _emit_module(self, module: Module, node_id: str, parent: str, look: Appearance) -> None:
        data = _identity("module", node_id, parent, look)
        data["hierarchy_tag"] = data["traced_tag"] = escape(module.tag)
        if module.class_name:
            data["class_name"] = escape(module.class_name)
        data["scope"] = escape(module.scope)
        data["module_source"] = module.told_by
        if module.module_type:
            data["module_type"] = escape(module.module_type)
        if module.execution_order is not None:
            data["execution_order"] = str(module.execution_order)
        self._sink.open_group(node_id, data, look)
        self.counts.modules += 1

    def _owned_parameters(self) -> Mapping[int, Sequence[int]]:
        """The main graph's initializers by the module that owns them; -1 is the model."""
        owned: dict[int, list[int]] = {}
        if self._show_parameters:
            owners = owners_of_weights(self._model.graph, self._hierarchy)
            for index, tensor in enumerate(self._model.graph.initializer):
                owned.setdefault(owners[string_of(tensor.name)], []).append(index)
        return owned

    def _ids_of_tensors(self, scope: str, tensors: Iterable[onnx.TensorProto]) -> list[str]:
        return [self._identities.of("parameter", scope, cast("bytes", tensor.name)) for tensor in tensors]

    def _plan_tensor(
        self, tensors: Sequence[onnx.TensorProto], index: int, ids: Sequence[str], body: int, parent: str
    ) -> None:
        number = self._new(ids[index])
        name = cast("bytes", tensors[index].name)
        look = appearance_of("parameter", string_of(name))
        self._boxes.add(number, look)
        after = ids[index - 1] if index else self._ids[body]
        self._steps.append((self._emit_tensor, tensors[index], ids[index], after, parent, look))
        self._flow.define(body, name, number, INITIALIZER_RANK + index)

    def _emit_tensor(self, tensor: onnx.TensorProto, node_id: str, after: str, parent: str, look: Appearance) -> None:
        data = _identity("parameter", node_id, parent, look, after)
        data["tensor"] = self._json.write(cast("Message", tensor))
        self._sink.node(node_id, data, look)

    def _plan_run(self, run: _Run, numbers: array[int]) -> None:
        """Operators without bodies, and their numbers among the nodes."""
        looks = [self._look_of(run.nodes[index]) for index in run.indices]
        number = len(self._ids)
        self._boxes.add(number, *looks)
        self._ids += [run.ids[index] for index in run.indices]
        for index in run.indices:
            numbers[index] = number
            number += 1
        self._steps.append((self._emit_run, run, looks))

    def _plan_frame(self, run: _Run, numbers: array[int], body: int) -> None:
        """An operator with bodies. No edge may end at a group: the operator is a node, in a frame with its bodies."""
        (index,) = run.indices
        node, node_id = run.nodes[index], run.ids[index]
        look = appearance_of("frame", self._look_of(node).label)
        frame = of_frame(node_id)
        self._boxes.open(self._new(frame), look)
        self._steps.append((self._emit_frame, frame, run.parent, look))
        self._plan_run(run, numbers)
        for position, (graph, inner) in enumerate(zip(graphs_of(node), run.placed.bodies[index], strict=True)):
            self._plan_subgraph(graph, position, node_id, body, inner)
        self._close()

    def _look_of(self, node: onnx.NodeProto) -> Appearance:
        look = appearance_of("op", string_of(node.op_type))
        called = self._functions.get((node.domain, node.op_type, node.overload)) if self._functions else None
        return look if called is None else look._replace(label=called)

    def _emit_run(self, run: _Run, looks: Sequence[Appearance]) -> None:
        for index, look in zip(run.indices, looks, strict=True):
            self._emit_operator(run, index, look)

    def _emit_operator(self, run: _Run, index: int, look: Appearance) -> None:
        placed, node_id = run.placed, run.ids[index]
        data = _identity("op", node_id, run.parent, look, run.ids[index - 1] if index else run.scope)
        module = placed.placement[index]
        tag = placed.tags[index] or (placed.modules[module].tag if module != NOWHERE else None)
        if tag:
            data["hierarchy_tag"] = _escaped(tag)
        if placed.modules:
            data["placed_by"] = placed.rules[index]
            if index in placed.calls:
                data["call"] = escape(placed.calls[index])
        self._graphs.restart()
        self._op_keys.write(cast("Message", run.nodes[index]), data)
        set_apart(data)
        self._sink.node(node_id, data, look)
        self.counts.operators += 1
        if self.counts.operators % _REPORTED == 0:
            self._report(_REPORTED)

    def _emit_frame(self, node_id: str, parent: str, look: Appearance) -> None:
        data = {"kind": "frame", "node_id": node_id, "parent": parent, "label": _escaped(look.label)}
        self._sink.open_group(node_id, data, look)

    def _plan_subgraph(self, graph: onnx.GraphProto, index: int, operator: str, outer: int, placed: Placed) -> None:
        node_id = of_body(operator, index)
        body = self._new(node_id)
        self._outer[body] = outer
        look = appearance_of("subgraph", string_of(graph.name))
        inputs = self._inputs(graph, node_id)
        self._boxes.open(body, look)
        self._steps.append((self._emit_subgraph, graph, index, node_id, operator, inputs.weights, look))
        self._plan_graph(graph, body)
        if self._show_parameters:
            ids = self._ids_of_tensors(node_id, graph.initializer)
            for position in range(len(ids)):
                self._plan_tensor(graph.initializer, position, ids, body, node_id)
        self._plan_inputs(graph, inputs.shown, body, node_id)
        self._plan_operators(graph.node, placed, body, {})
        self._plan_outputs(graph, body, node_id)
        self._close()

    def _emit_subgraph(
        self,
        graph: onnx.GraphProto,
        index: int,
        node_id: str,
        operator: str,
        weights: Sequence[_Listed],
        look: Appearance,
    ) -> None:
        data = _identity("subgraph", node_id, operator, look)
        data["index"] = str(index)
        self._write_graph(graph, weights, data)
        set_apart(data)
        self._sink.open_group(node_id, data, look)

    def _plan_function(self, function: onnx.FunctionProto, after: str, placed: Placed) -> str:
        title = self._functions[_called(function)]
        called = cast("tuple[bytes, ...]", _called(function))
        node_id = self._identities.of("function", MODEL, b"\0".join(called), called[1])
        body = self._new(node_id)
        look = appearance_of("function", title)
        self._boxes.open(body, look)
        self._steps.append((self._emit_function, function, node_id, after, look))
        self._types[body] = {}
        for position, name in enumerate(function.input):
            self._flow.define(body, cast("bytes", name), OUTSIDE, INPUT_RANK + position)
        self._plan_operators(function.node, placed, body, {})
        self._close()
        return node_id

    def _emit_function(self, function: onnx.FunctionProto, node_id: str, after: str, look: Appearance) -> None:
        data = _identity("function", node_id, MODEL, look, after)
        self._function_keys.write(function, data)
        set_apart(data)
        self._sink.open_group(node_id, data, look)

    def _emit_edges(self, flows: Flows) -> None:
        ids = self._ids
        for use in self._flow.uses(flows):
            data = {"tensor_name": _tensor_text(use.tensor)}
            facts = self._types[use.scope].get(use.tensor)
            if facts is not None:
                data["tensor_type"], data["tensor_shape"] = facts
            data["input_index"] = str(use.input_index)
            self._sink.edge(ids[use.source], ids[use.target], data)


def _called(function: onnx.FunctionProto) -> tuple[str, str, str]:
    """What an operator says that calls a function."""
    return function.domain, function.name, function.overload


def _title(function: onnx.FunctionProto) -> str:
    """A function by all that tells it from others: ``domain::name:overload``."""
    domain, name, overload = (string_of(text) for text in _called(function))
    return f"{domain}::{name}:{overload}" if overload else f"{domain}::{name}" if domain else name


def _title_of(module: Module) -> str:
    """What a person reads in the identity of a module: the last part of its path, and one more before a number."""
    outer, _, name = module.scope.rpartition(".")
    if name.isdecimal() and outer:
        name = f"{outer.rpartition('.')[2]}_{name}"
    return name or module.class_name


def _keys_of_places(placed: Placed) -> set[str]:
    """The keys with which the modules of a graph and the places of its operators are written."""
    used: set[str] = set()
    if placed.modules:
        used |= {"parent", "hierarchy_tag", "scope", "traced_tag", "module_source"}
        used |= {"placed_by"} if placed.placement else set()
        used |= {"class_name"} if any(module.class_name for module in placed.modules) else set()
        used |= {"execution_order"} if any(module.execution_order is not None for module in placed.modules) else set()
        used |= {"module_type"} if any(module.module_type for module in placed.modules) else set()
    if placed.calls:
        used.add("call")
    return used | ({"hierarchy_tag"} if any(placed.tags) else set())


def _identity(
    kind: str, node_id: str, parent: str | None, look: Appearance, after: str | None = None
) -> dict[str, str]:
    """The first values of every node that has a place in an ONNX list or in the hierarchy."""
    data = {"kind": kind, "node_id": node_id}
    if parent is not None:
        data["parent"] = parent
    if after is not None:
        data["after"] = after
    data["label"] = _escaped(look.label)
    return data


@lru_cache(maxsize=4096)
def _tensor_text(name: bytes) -> str:
    """The text of a tensor, which several edges in a row have."""
    return escape(string_of(name))


_escaped = lru_cache(maxsize=4096)(escape)
"""For texts that many nodes have."""


def _merged(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Operators that have whatever some of the others have: to look at these takes less time than to look at each."""
    merged = cast("onnx.NodeProto", schema.message_class("NodeProto")())
    for start in range(0, len(nodes), _MERGED):
        merged.Clear()
        for node in nodes[start : start + _MERGED]:
            merged.MergeFrom(node)
        yield merged
