"""A model as a typed, read-only graph: `graphml_onnx.open`, and the functions that use it."""

from graphml_onnx.graph.attributes import AttributeReference, AttributeValue, SparseTensor
from graphml_onnx.graph.difference import Change, ModelDiff, diff
from graphml_onnx.graph.elements import Body, Module, Operator, Parameter, Tensor
from graphml_onnx.graph.extraction import ExtractResult, extract
from graphml_onnx.graph.functions import FunctionsResult, functions, inline
from graphml_onnx.graph.loading import open  # noqa: A004 as in graphml_onnx.open
from graphml_onnx.graph.model_graph import ModelGraph
from graphml_onnx.graph.replacement import ReplaceResult, replace
from graphml_onnx.graph.types import TensorType
from graphml_onnx.graph.weights import Location, TensorData

__all__ = [
    "AttributeReference",
    "AttributeValue",
    "Body",
    "Change",
    "ExtractResult",
    "FunctionsResult",
    "Location",
    "ModelDiff",
    "ModelGraph",
    "Module",
    "Operator",
    "Parameter",
    "ReplaceResult",
    "SparseTensor",
    "Tensor",
    "TensorData",
    "TensorType",
    "diff",
    "extract",
    "functions",
    "inline",
    "open",
    "replace",
]
