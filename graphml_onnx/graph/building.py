"""Builds the objects of a model's graph from its messages, and connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.graph.attributes import sparse_tensor
from graphml_onnx.graph.elements import Body, Module, Operator, Parameter, Tensor, innermost_around
from graphml_onnx.graph.weights import TensorData
from graphml_onnx.hierarchy import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx

    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.hierarchy import Hierarchy, Placed

_CONSTANT = "Constant"


class Words(dict[bytes | str, str]):
    """Texts that many operators share, such as their types, each decoded once."""

    def __missing__(self, value: bytes | str) -> str:
        text = self[value] = string_of(value)
        return text


def build(graph: ModelGraph, model: onnx.ModelProto, hierarchy: Hierarchy) -> None:
    """Fills a graph that has its storage; sets ``main``, ``functions`` and ``root``."""
    graph.main = Body(graph, "graph", string_of(model.graph.name), "")
    graph.main.opsets = graph.opsets
    _fill_graph(graph.main, model.graph)
    functions = []
    for function in model.functions:
        domain, name, overload = map(string_of, (function.domain, function.name, function.overload))
        path = "::".join(filter(None, (domain, name, overload)))
        body = Body(graph, "function", name, path)
        body.opsets = {string_of(entry.domain): entry.version for entry in function.opset_import}
        _fill_function(body, function)
        functions.append(body)
        graph.functions.setdefault((domain, name, overload), body)
    _fill_modules(graph, functions, hierarchy)


def _fill_graph(body: Body, message: onnx.GraphProto) -> None:
    body.inputs = [_define(body, string_of(value.name)) for value in message.input]
    for tensor in body.inputs:
        tensor.is_input = True
    for initializer in message.initializer:
        data = TensorData(initializer, body._storage)
        _add_parameter(body, Parameter("initializer", _define(body, data.name), data))
    for sparse in message.sparse_initializer:
        read = sparse_tensor(sparse, body._storage)
        parameter = Parameter("sparse_initializer", _define(body, read.values.name), read.values, read)
        _add_parameter(body, parameter)
    _fill_operators(body, message.node)
    body.outputs = [_resolve(body, string_of(value.name)) for value in message.output]
    for tensor in body.outputs:
        tensor.is_output = True
    for values in (message.value_info, message.output, message.input):
        for value in values:
            if value.HasField("type") and (known := body.tensors.get(string_of(value.name))) is not None:
                known._message = value.type


def _fill_function(body: Body, message: onnx.FunctionProto) -> None:
    body.inputs = [_define(body, string_of(name)) for name in message.input]
    for tensor in body.inputs:
        tensor.is_input = True
    _fill_operators(body, message.node)
    body.outputs = [_resolve(body, string_of(name)) for name in message.output]
    for tensor in body.outputs:
        tensor.is_output = True
    for value in message.value_info:
        if value.HasField("type") and (known := body.tensors.get(string_of(value.name))) is not None:
            known._message = value.type


def _define(body: Body, name: str) -> Tensor:
    tensor = body.tensors.get(name)
    if tensor is None:
        tensor = body.tensors[name] = Tensor(name, body)
    return tensor


def _add_parameter(body: Body, parameter: Parameter) -> None:
    body.parameters.append(parameter)
    if parameter.tensor.parameter is None:
        parameter.tensor.parameter = parameter


def _fill_operators(body: Body, nodes: Sequence[onnx.NodeProto]) -> None:
    body.operators = [Operator(node, index, body) for index, node in enumerate(nodes)]
    known: dict[bytes | str, Tensor] = {}
    for operator in body.operators:  # all names first: a file need not be in the order of the flow
        outputs: list[Tensor | None] = []
        for name in operator._node.output:
            if not name:
                outputs.append(None)
                continue
            tensor = known[name] = _define(body, string_of(name))
            if tensor.producer is None and not tensor.is_input and tensor.parameter is None:
                tensor.producer = operator
            outputs.append(tensor)
        if outputs:
            operator.outputs = outputs
        if operator.op_type == _CONSTANT:
            _take_constant(operator)
    for operator in body.operators:
        inputs: list[Tensor | None] = []
        for name in operator._node.input:
            if not name:
                inputs.append(None)
                continue
            taken = known.get(name)
            if taken is None:
                taken = known[name] = _resolve(body, string_of(name))
            taken.consumers.append(operator)
            inputs.append(taken)
        operator.inputs = inputs
        if _has_bodies(operator._node):
            operator.bodies = _bodies(operator)


def _has_bodies(node: onnx.NodeProto) -> bool:
    for attribute in node.attribute:  # noqa: SIM110 - of every operator: a generator takes twice the time
        if attribute.HasField("g") or attribute.graphs:
            return True
    return False


def _bodies(operator: Operator) -> list[Body]:
    bodies = []
    for attribute, message in bodies_of(operator._node):
        outer = operator.body
        label = f"{outer.path}/{operator.label}" if outer.path else operator.label
        body = Body(outer.graph, "subgraph", string_of(message.name), f"{label}/{attribute}")
        body.outer = outer
        body.operator = operator
        body.opsets = outer.opsets
        _fill_graph(body, message)
        bodies.append(body)
    return bodies


def bodies_of(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The graphs in a node's attributes, in their order, each with the name of its attribute."""
    graphs = graphs_of(node)
    for attribute in node.attribute:
        count = attribute.HasField("g") + len(attribute.graphs)
        for number in range(count):
            suffix = f"[{number}]" if count > 1 else ""
            yield string_of(attribute.name) + suffix, next(graphs)


def _take_constant(operator: Operator) -> None:
    tensor = operator.outputs[0] if operator.outputs else None
    if operator.domain not in ("", "ai.onnx") or tensor is None:
        return
    storage = operator.body._storage
    for attribute in operator._node.attribute:
        if cast("bytes", attribute.name) == b"value" and attribute.HasField("t"):
            parameter = Parameter("constant", tensor, TensorData(attribute.t, storage), operator=operator)
        elif cast("bytes", attribute.name) == b"sparse_value" and attribute.HasField("sparse_tensor"):
            sparse = sparse_tensor(attribute.sparse_tensor, storage)
            parameter = Parameter("constant", tensor, sparse.values, sparse, operator)
        else:
            continue
        _add_parameter(operator.body, parameter)
        return


def _resolve(body: Body, name: str) -> Tensor:
    """The tensor of a name; one without a producer if nothing defines it."""
    return body.tensors.get(name) or body.lookup(name) or _define(body, name)


# Modules


def _fill_modules(graph: ModelGraph, functions: Sequence[Body], hierarchy: Hierarchy) -> None:
    """Creates the modules; a single outermost one without a path is the model itself."""
    main = hierarchy.main
    name = graph.name or (graph.path.stem if graph.path is not None else "model")
    graph.root = graph.main.root = Module(graph.main, None, "", name, graph.name)
    _fill_root(graph.root, main)
    if graph.root.source is not None:
        graph.root.name = graph.root.class_name
    todo = [(graph.main, main), *zip(functions, hierarchy.functions, strict=True)]
    while todo:
        body, placed = todo.pop()
        body._rules = placed.rules
        if body.kind == "function" or (body.kind == "subgraph" and placed.modules):
            around = body.module
            body.root = Module(body, around, "" if body.operator is None else around.path, body.path, "")
            _fill_root(body.root, placed)
        for position, inner in placed.bodies.items():
            todo += zip(body.operators[position].bodies, inner, strict=True)


def _fill_root(root: Module, placed: Placed) -> None:
    """Creates the modules of a body, and puts its operators into them; one with the path of the root is the root."""
    made: list[Module] = []
    itself = next((module for module in placed.modules if module.parent is None and module.scope == root.path), None)
    for module in placed.modules:
        if module is itself:
            root.class_name = module.class_name or root.class_name
            made.append(root)
        else:
            parent = root if module.parent is None else made[module.parent]
            made.append(Module(root.body, parent, module.scope, module.name, module.class_name))
        made[-1].tag = module.tag
        made[-1].module_type = module.module_type
        made[-1].source = module.told_by
    members: dict[Module, list[Operator]] = {}
    for operator, place in zip(root.body.operators, placed.placement, strict=True):
        operator._module = made[place] if place >= 0 else root
        members.setdefault(operator._module, []).append(operator)
    _order(root, made, members)


def _order(root: Module, made: Iterable[Module], members: Mapping[Module, list[Operator]]) -> None:
    """Gives each module its operators, and its children in the order in which they first run."""
    children: dict[Module, list[Module]] = {}
    modules = [module for module in made if module is not root]
    for module in modules:
        children.setdefault(cast("Module", module.parent), []).append(module)
    last = len(root.body.operators)
    first: dict[Module, int] = {}
    for module in reversed([root, *modules]):  # children come after their parents
        own = members.get(module, [])
        module.operators = own
        inner = children.get(module, [])
        first[module] = min(own[0].index if own else last, *[first[child] for child in inner], last)
        module.children = sorted(inner, key=lambda child: first[child])


def own_parameters(graph: ModelGraph, hierarchy: Hierarchy) -> Mapping[Module, Sequence[Parameter]]:
    """Finds the module that owns each parameter: by its name, or else the innermost around all operators that take it.

    Args:
        graph: the graph, with its modules.
        hierarchy: the hierarchy of its modules.
    """
    by_scope: dict[str, Module] = {}
    for module in graph.root.walk():
        by_scope.setdefault(module.path, module)
    owned: dict[Module, list[Parameter]] = {}
    for parameter in graph.parameters:
        body = parameter.tensor.body
        place = hierarchy.owner(parameter.name) if body is graph.main and parameter.operator is None else NOWHERE
        if parameter.operator is not None:
            module = parameter.operator.module
        elif place != NOWHERE:
            module = by_scope[hierarchy.modules[place].scope]
        else:
            module = innermost_around(taker.module for taker in parameter.consumers) or body.root or body.module
        parameter._module = module
        owned.setdefault(module, []).append(parameter)
    return owned
