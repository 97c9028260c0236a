"""Renames tensors in exact messages of operators, also where their bodies take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.module_facts import graphs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx


def rename(node: onnx.NodeProto, names: Mapping[bytes, bytes]) -> None:
    """Renames tensors, also in the bodies of the node, unless a body has its own tensor of that name."""
    for field in (node.input, node.output):
        field[:] = cast("list[str]", [names.get(name, name) for name in all_names(field)])
    for graph in graphs_of(node):
        own = defined_in(graph)
        outer = {name: new for name, new in names.items() if name not in own}
        for value in graph.output:
            value.name = cast("str", outer.get(cast("bytes", value.name), value.name))
        for inner in graph.node:
            rename(inner, outer)


def defined_in(graph: onnx.GraphProto) -> set[bytes]:
    """The names of the tensors that a graph defines."""
    found = {cast("bytes", value.name) for value in graph.input}
    found.update(cast("bytes", tensor.name) for tensor in graph.initializer)
    found.update(name for node in graph.node for name in all_names(node.output))
    return found


def all_names(names: Iterable[object]) -> list[bytes]:
    """The names of an exact message, which are bytes."""
    return [cast("bytes", name) for name in names]
