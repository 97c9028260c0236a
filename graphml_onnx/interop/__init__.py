"""Graphs as networkx has them: made from models and GraphML files, and turned back into models."""

from graphml_onnx.interop.reading import to_networkx
from graphml_onnx.interop.records import as_text
from graphml_onnx.interop.writing import from_networkx

__all__ = ["as_text", "from_networkx", "to_networkx"]
