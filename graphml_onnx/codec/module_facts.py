"""What the hierarchy may know of a model's graphs, read from the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.hierarchy import Graph, Hierarchy, HtpMetadata, Operator, Texts, build_hierarchy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx

_TAG_KEY = b"winml.hierarchy.tag"
_TAG_ATTRIBUTES = (_TAG_KEY, b"hierarchy_tag")
_TEXTS = {
    b"pkg.torch.onnx.name_scopes": "name_scopes",
    b"pkg.torch.onnx.class_hierarchy": "class_hierarchy",
    b"pkg.onnxscript.name_scopes": "relative_scopes",
    b"pkg.onnxscript.class_hierarchy": "relative_classes",
    b"namespace": "namespace",
}


def hierarchy_of(
    model: onnx.ModelProto, skeleton: bytes, metadata: HtpMetadata | None, *, refine: bool = True
) -> Hierarchy:
    """The hierarchy of a model.

    Args:
        model: the exact message.
        skeleton: what it was parsed from.
        metadata: its HTP metadata, if there is any.
        refine: see `build_hierarchy`.
    """
    facts = ModuleFacts(skeleton)
    functions = [facts.function(function) for function in model.functions]
    return build_hierarchy(facts.graph(model.graph), metadata, functions, refine=refine)


class ModuleFacts:
    """Reads graphs and functions.

    Args:
        skeleton: what the model was parsed from; where it holds none of the keys, operators are not searched for them.
    """

    def __init__(self, skeleton: bytes) -> None:
        self._has_properties = any(key in skeleton for key in (_TAG_KEY, *_TEXTS))
        self._has_attribute = any(key in skeleton for key in _TAG_ATTRIBUTES)

    def graph(self, graph: onnx.GraphProto) -> Graph:
        """A graph with all bodies in it."""
        weights = {string_of(tensor.name): tuple(tensor.dims) for tensor in graph.initializer}
        for sparse in graph.sparse_initializer:
            weights[string_of(sparse.values.name)] = tuple(sparse.dims)
        return Graph(self._operators(graph.node), weights)

    def function(self, function: onnx.FunctionProto) -> Graph:
        """A function with all bodies in it."""
        return Graph(self._operators(function.node))

    def _operators(self, nodes: Sequence[onnx.NodeProto]) -> tuple[Operator, ...]:
        text = string_of
        operators = []
        for node in nodes:
            tag, texts = self._properties(node) if self._has_properties else (None, None)
            operators.append(
                Operator(
                    name=text(node.name),
                    tag=self._attribute(node) if tag is None and self._has_attribute else tag,
                    texts=texts,
                    op_type=text(node.op_type),
                    inputs=tuple(map(text, node.input)),
                    outputs=tuple(map(text, node.output)),
                    bodies=tuple(map(self.graph, graphs_of(node))) if node.attribute else (),
                )
            )
        return tuple(operators)

    def _properties(self, node: onnx.NodeProto) -> tuple[str | None, Texts | None]:
        """The tag and the texts among an operator's ``metadata_props``; the first of each key counts."""
        tag: str | None = None
        found: dict[str, str] = {}
        for entry in node.metadata_props:
            key = cast("bytes", entry.key)
            if key in _TEXTS:
                found.setdefault(_TEXTS[key], string_of(entry.value))
            elif key == _TAG_KEY and tag is None:
                tag = string_of(entry.value)
        return tag, Texts(**found) if found else None

    def _attribute(self, node: onnx.NodeProto) -> str | None:
        """The tag among an operator's attributes; the last one counts."""
        tag = None
        for attribute in node.attribute:
            if cast("bytes", attribute.name) in _TAG_ATTRIBUTES:
                tag = string_of(attribute.s)
        return tag


def graphs_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in an operator's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def with_bodies(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Operators, and after them those of the bodies in them."""
    todo = [*nodes]
    for node in todo:  # which grows
        yield node
        todo += [inner for graph in graphs_of(node) for inner in graph.node]
