"""The look of nodes: one colour for each kind, and for operators one for each family."""

from __future__ import annotations

from functools import lru_cache

from graphml_onnx.graphml.elements import Appearance

_MAX_LABEL = 120  # characters

_KINDS = {
    "model": ("#f5f5f5", "roundrectangle"),
    "module": ("#eaf1fb", "roundrectangle"),
    "frame": ("#fbf3e4", "roundrectangle"),
    "subgraph": ("#fdf8ee", "roundrectangle"),
    "function": ("#f1ecf9", "roundrectangle"),
    "input": ("#cfe8cf", "ellipse"),
    "output": ("#f6d5d5", "ellipse"),
    "parameter": ("#e4e4e4", "rectangle"),
}
_OTHER_OPERATOR = "#dfe3ea"
_FAMILIES = {
    "#9fc5e8": "Conv ConvTranspose ConvInteger QLinearConv MatMul MatMulInteger QLinearMatMul Gemm Einsum Attention",
    "#b6d7a8": "Relu LeakyRelu PRelu Elu Selu Gelu Sigmoid HardSigmoid HardSwish Swish Mish Tanh Softmax LogSoftmax"
    " Softplus Clip Erf",
    "#f9cb9c": "BatchNormalization LayerNormalization GroupNormalization InstanceNormalization RMSNormalization LRN"
    " SimplifiedLayerNormalization Dropout",
    "#ffe599": "MaxPool AveragePool GlobalAveragePool GlobalMaxPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd"
    " ArgMax ArgMin TopK",
    "#d9d2e9": "Reshape Transpose Squeeze Unsqueeze Flatten Concat Split Slice Gather GatherElements GatherND Expand"
    " Tile Pad Shape Size Resize DepthToSpace SpaceToDepth ScatterND ScatterElements Identity",
    "#ead1dc": "LSTM GRU RNN If Loop Scan SequenceMap",
    "#eeeeee": "Constant ConstantOfShape Range Cast CastLike QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
}
_SMALL = frozenset({"Constant"})  # operators that are drawn beside their consumers
_COLOURS = {op_type: colour for colour, names in _FAMILIES.items() for op_type in names.split()}


@lru_cache(maxsize=4096)
def appearance_of(kind: str, text: str) -> Appearance:
    """Look of a node.

    Args:
        kind: its kind.
        text: its label, which is shortened if it is too long to read; for an operator, its op_type.
    """
    is_small = kind == "op" and text in _SMALL
    fill, shape = _KINDS.get(kind) or (_COLOURS.get(text, _OTHER_OPERATOR), "roundrectangle")
    label = text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
    return Appearance(label, fill, "ellipse" if is_small else shape, is_small)
