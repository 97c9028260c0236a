"""Writes the tag of its module into each operator, where tools that read HTP tags look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from graphml_onnx.exporting.placement import Finder
    from graphml_onnx.exporting.scopes import Found
    from graphml_onnx.hierarchy.tree import Module

TAG_KEY: Final = "winml.hierarchy.tag"


def tag_operators(graph: onnx.GraphProto, places: Iterable[Found], modules: Sequence[Module], finder: Finder) -> None:
    """Tags all operators of the main graph, and those in the bodies of control flow.

    Args:
        graph: the main graph, which is changed.
        places: the module of each of its operators.
        modules: the module tree.
        finder: tells the modules of operators in bodies; one of which it tells nothing has the tag of the operator
            around it.
    """
    for operator, place in zip(graph.node, places, strict=True):
        _tag(operator, place.module, modules, finder)


def _tag(operator: onnx.NodeProto, module: int, modules: Sequence[Module], finder: Finder) -> None:
    operator.metadata_props.add(key=TAG_KEY, value=modules[module].tag)
    for attribute in operator.attribute:
        for body in bodies_of(attribute):
            for inner in body.node:
                found = finder.find(inner)
                _tag(inner, found.module if found else module, modules, finder)


def bodies_of(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs in an attribute."""
    return [*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs]
