"""The module tree of an ONNX model, from HTP metadata or from what the model itself tells, and each operator in it.

Rules that place an operator (`Hierarchy.rules`):

- ``tag``: the one module that has the tag.
- ``tag and name``: several modules have the tag; the scope of the operator tells which.
- ``first of tag``: several modules have the tag, and nothing tells which.
- ``nearest tag``: no module has the tag; the nearest one above it by whole segments.
- ``own tag``: the metadata does not name the operator; the tag in the model does.
- ``scope``: the scope that PyTorch's exporter wrote.
- ``name``: the scope in the operator's name.
- ``root``: nothing tells; the root module, or directly in the model.
"""

from graphml_onnx.hierarchy.build import build_hierarchy
from graphml_onnx.hierarchy.metadata import HtpMetadata, check_metadata, read_metadata
from graphml_onnx.hierarchy.tree import Hierarchy, Module, Operator

__all__ = [
    "Hierarchy",
    "HtpMetadata",
    "Module",
    "Operator",
    "build_hierarchy",
    "check_metadata",
    "read_metadata",
]
