"""The module that owns each weight of the main graph."""

from __future__ import annotations

from functools import partial, reduce
from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.hierarchy import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx

    from graphml_onnx.hierarchy import Hierarchy, Module


def owners_of_weights(graph: onnx.GraphProto, hierarchy: Hierarchy) -> Mapping[str, int]:
    """The module that owns each initializer of the main graph, by its name.

    If the name gives no module, the owner is the innermost module around all operators that use it. Operators in bodies
    count as the operator that has the body.

    Args:
        graph: the exact message.
        hierarchy: of the model.

    Returns:
        Indices in `Hierarchy.modules`; -1 for the model itself.
    """
    tensors = [tensor.name for tensor in graph.initializer]
    names = cast("list[bytes]", [*tensors, *(tensor.values.name for tensor in graph.sparse_initializer)])
    owners = {name: owner for name in names if (owner := hierarchy.owner(string_of(name))) != NOWHERE}
    nameless = frozenset(names) - owners.keys()
    takers = _takers(graph.node if nameless else (), nameless)
    for name in nameless:
        places = [hierarchy.placement[taker] for taker in takers[name]]
        owners[name] = reduce(partial(_common, hierarchy.modules), places) if places else NOWHERE
    return {string_of(name): owners[name] for name in names}


def _takers(nodes: Iterable[onnx.NodeProto], names: frozenset[bytes]) -> Mapping[bytes, Sequence[int]]:
    found: dict[bytes, list[int]] = {name: [] for name in names}
    for index, node in enumerate(nodes):
        for name in _consumed(node, names):
            found[name].append(index)
    return found


def _common(modules: Sequence[Module], left: int, right: int) -> int:
    while left != right:  # parents come before children
        if left < right:
            left, right = right, left
        outer = modules[left].parent
        left = NOWHERE if outer is None else outer
    return left


def _consumed(node: onnx.NodeProto, tensors: frozenset[bytes]) -> Iterator[bytes]:
    """The tensors that an operator consumes, including those that its bodies take from the graph around it."""
    yield from tensors.intersection(cast("Iterable[bytes]", node.input))
    nothing: frozenset[bytes] = frozenset()
    todo = [(body, nothing) for body in graphs_of(node)]
    while todo:
        graph, hidden = todo.pop()
        own = [*graph.initializer, *(tensor.values for tensor in graph.sparse_initializer)]
        hidden |= tensors.intersection(cast("bytes", tensor.name) for tensor in own)
        hidden |= tensors.intersection(cast("bytes", value.name) for value in graph.input)
        for inner in graph.node:
            hidden |= tensors.intersection(cast("Iterable[bytes]", inner.output))
        yield from tensors.intersection(cast("bytes", value.name) for value in graph.output) - hidden
        for inner in graph.node:
            yield from tensors.intersection(cast("Iterable[bytes]", inner.input)) - hidden
            todo += [(body, hidden) for body in graphs_of(inner)]
