"""Converts models and GraphML files to networkx graphs, and back."""

from graphml_onnx.interop.reading import to_networkx
from graphml_onnx.interop.records import as_text
from graphml_onnx.interop.writing import from_networkx

__all__ = ["as_text", "from_networkx", "to_networkx"]
