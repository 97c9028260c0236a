"""The content model of GraphML: the elements, what each can contain, and the attributes that it needs.

Source: the GraphML 1.1 schema (structure and attributes).
"""

from __future__ import annotations

from graphml_onnx.graphml.layout import NAMESPACE

OPAQUE = frozenset({"data", "default", "desc"})
"""Elements whose content is not GraphML: text, or elements of another vocabulary."""

CHILDREN = {
    "graphml": frozenset({"desc", "key", "data", "graph"}),
    "key": frozenset({"desc", "default"}),
    "graph": frozenset({"desc", "data", "node", "edge", "hyperedge", "locator"}),
    "node": frozenset({"desc", "data", "port", "graph", "locator"}),
    "edge": frozenset({"desc", "data", "graph"}),
    "hyperedge": frozenset({"desc", "data", "endpoint", "graph"}),
    "port": frozenset({"desc", "data", "port"}),
    "endpoint": frozenset({"desc"}),
    "locator": frozenset[str](),
}
"""By element, its possible children."""

REQUIRED = {
    "key": ("id",),
    "data": ("key",),
    "node": ("id",),
    "edge": ("source", "target"),
    "port": ("name",),
    "endpoint": ("node",),
}
"""By element, the attributes that it must have; that of graphs, ``edgedefault``, is not missed by any reader."""

NOT_SUPPORTED = frozenset({"port", "hyperedge", "endpoint", "locator"})
"""Elements that mean nothing in this format."""

ELEMENTS = {prefix + name: name for name in CHILDREN.keys() | OPAQUE for prefix in ("", f"{NAMESPACE} ")}
"""The elements by their names as expat gives them: with GraphML's namespace, or without any."""


def local(name: str) -> str:
    """The name of an element without its namespace."""
    return name.rpartition(" ")[2]
