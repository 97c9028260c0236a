"""What parts of a model look like without their names: two that look the same do the same, given the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    import onnx

    from graphml_onnx.graph.elements import Module


def look_of(
    nodes: Iterable[onnx.NodeProto],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    about: Callable[[bytes], Hashable] = lambda _: None,
) -> Hashable:
    """What some operators look like: types, attributes, and which takes what another makes.

    Args:
        nodes: exact messages, in the order of the flow.
        inputs: the names of what they take from elsewhere; their numbers stand for them.
        outputs: the names of what others take from them.
        about: what has to be the same of two inputs in the same place, as their types.
    """
    numbers = {name: number for number, name in enumerate(inputs)}
    rows = []
    for node in nodes:
        taken = tuple(numbers.get(cast("bytes", name), -1) if name else None for name in node.input)
        for name in node.output:
            numbers.setdefault(cast("bytes", name), len(numbers))
        made = tuple(bool(name) for name in node.output)
        attributes = tuple(_look_of_attribute(attribute) for attribute in node.attribute)
        rows.append((node.domain, node.op_type, node.overload, taken, made, attributes))
    return (
        tuple(rows),
        tuple(about(name) for name in inputs),
        tuple(numbers.get(name, -1) for name in outputs),
    )


def _look_of_attribute(attribute: onnx.AttributeProto) -> Hashable:
    if attribute.HasField("g") or len(attribute.graphs):
        return id(attribute)  # a body takes tensors by names of its surroundings: it is like no other
    if attribute.HasField("t"):
        copy = type(attribute)()
        copy.CopyFrom(attribute)
        copy.t.ClearField("name")
        copy.t.ClearField("doc_string")
        return copy.SerializeToString(deterministic=True)
    return attribute.SerializeToString(deterministic=True)


def look_of_module(module: Module) -> Hashable:
    """What a module looks like: class, operators, modules in it, and the types of the parameters that they take."""
    operators = module.all_operators()
    numbers = {operator: number for number, operator in enumerate(operators)}
    given: dict[bytes, Hashable] = {}
    wanted: list[bytes] = []
    for operator in operators:
        for tensor in operator.inputs:
            if tensor is not None and (tensor.producer is None or tensor.producer not in numbers):
                parameter = tensor.parameter
                given[_bytes(tensor.name)] = None if parameter is None else parameter.type
        made = (tensor for tensor in operator.outputs if tensor is not None)
        wanted += [_bytes(t.name) for t in made if t.is_output or any(taker not in numbers for taker in t.consumers)]
    modules = tuple(
        (inner.depth - module.depth, inner.class_name, tuple(numbers[operator] for operator in inner.operators))
        for inner in module.walk()
    )
    nodes = (operator._node for operator in operators)
    return modules, look_of(nodes, list(given), wanted, given.get)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
