"""Builds the module tree of each graph of a model, from HTP metadata or the model itself, and places each operator.

Rules that place an operator (`Hierarchy.rules`):

- ``tag``: the one module that has the tag.
- ``tag and name``: several modules have the tag; the scope of the operator decides.
- ``first of tag``: several modules have the tag, and nothing decides between them.
- ``nearest tag``: no module has the tag; the nearest one above it by whole segments.
- ``own tag``: the metadata does not name the operator; the tag in the model does.
- ``scope``: the scope that an exporter wrote.
- ``name``: the scope in the operator's name.
- ``parameter``: the name of a parameter that it uses.
- ``neighbours``: the modules of the operators that make its inputs and use its outputs.
- ``repetition``: it is part of a block that repeats.
- ``root``: no other rule applies; the root module, or directly in the graph.

Where a module comes from (`Module.told_by`, `Hierarchy.source`): ``metadata``, ``tags``, ``exporter``, ``names``,
``parameters``, ``repetition``; ``none`` if a model has no modules.
"""

from graphml_onnx.hierarchy.build import build_hierarchy
from graphml_onnx.hierarchy.exporter import Texts
from graphml_onnx.hierarchy.metadata import HtpMetadata, check_metadata, read_metadata
from graphml_onnx.hierarchy.tree import NOWHERE, Graph, Hierarchy, Module, Operator, Placed, SourceName

__all__ = [
    "NOWHERE",
    "Graph",
    "Hierarchy",
    "HtpMetadata",
    "Module",
    "Operator",
    "Placed",
    "SourceName",
    "Texts",
    "build_hierarchy",
    "check_metadata",
    "read_metadata",
]
