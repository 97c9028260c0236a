"""Reads the module from the name of a parameter: ``features.3`` from ``features.3.weight``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from graphml_onnx.hierarchy.paths import NameStep

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOTTED: Final = re.compile(r"[^\W\d][\w\-]*(?:\.[\w\-]+)*\.[^\W\d][\w\-]*")
_PARAMETER: Final = re.compile(
    r"(?:w|b|weights?|bias|biases|kernel|gamma|beta|scale|offset|mean|variance|moving_mean|moving_variance|running_mean"
    r"|running_var|embeddings?|alpha|recurrent_kernel)(?:_\d+)?"
)
_JOINED: Final = re.compile(
    r"([A-Za-z]\w*?)_(?:weights?|bias|biases|kernel|gamma|beta|scale|offset|mean|variance|moving_mean|moving_variance"
    r"|running_mean|running_var)(?:_\d+)?"
)
_OF_NO_MODULE: Final = re.compile(r"val_\d+|onnx__\w+")  # torch's exporters number the values that have no name
_OF_CAFFE2: Final = re.compile(r"([A-Za-z][\w/]*?)_[wb]_\d+")
_OF_TENSORFLOW: Final = re.compile(r"(?::\d+)$")
_FUSED: Final = re.compile(
    r"/(?:DepthwiseConv2d\w*|Conv\dD\w*|MatMul|depthwise)_(?:weights|bias)_fused_bn(?=$|:\d+$|__\d+$)", re.IGNORECASE
)
_OPERATION: Final = re.compile(r"(?:ReadVariableOp|[A-Z][A-Za-z0-9]*|resource)(?:_\d+)?")
_CALL: Final = re.compile(r"(?:Stateful)?PartitionedCall(?:_\d+)?")
_INLINED: Final = re.compile(r"^(?:.*__Inline_\d+__|(?:[A-Za-z]\w*::)+)")
_COPIES: Final = re.compile(
    r"(?:@\w+|_deepcopy_\d+|_(?:quantized|scale|zero_point|quantized_scale|DequantizeLinear\w*|QuantizeLinear\w*|"
    r"transposed|token_\d+|fp16|Q4|scales?|zero_points?|zp))+$"
)
_OF_CONVOLUTION: Final = re.compile(r"^(?:Conv(?:Bn|Mul|Add)Fusion_[WB]_)+")  # onnxruntime folds what follows into it
_FOLDED: Final = re.compile(r"Conv(?:BnFusion_BN|MulFusion_Mul|AddFusion_Add)_B_")
_LONGEST: Final = 4_096  # characters


@lru_cache(maxsize=4096)
def owner_path(name: str) -> tuple[str, ...] | None:
    """The path of the module that owns a parameter, by its name; None if the name gives none.

    Known are names of PyTorch (``encoder.layers.0.linear1.weight``), of Keras (``conv2d_9/kernel:0``), of Paddle
    (``conv2d_1.w_0``, ``conv10_expand_bn_offset``), and of Caffe2 (``fire2/squeeze1x1_w_0``), also of the copies that
    quantisation and onnxruntime's optimiser make of them. A weight into which a normalization was folded belongs to
    the convolution; the bias that results belongs to none. Any other name without a dot, such as PyTorch's
    ``cls_token``, gives none: any tensor may have such a name.
    """
    if len(name) > _LONGEST or name.startswith("/"):
        return None
    name = _INLINED.sub("", name) if "Inline_" in name or "::" in name else name
    if "Fusion_" in name:
        if _FOLDED.match(name):
            return None
        name = _OF_CONVOLUTION.sub("", name, count=1)
    if name.startswith("/") or not name:
        return None
    if caffe2 := _OF_CAFFE2.fullmatch(name):
        return tuple(part for part in caffe2[1].split("/") if part) or None
    if "/" in name:
        return _of_tensorflow(name)
    if _DOTTED.fullmatch(_COPIES.sub("", name)):
        parts = name.split(".")[:-1]
        return tuple(parts[: parts.index("parametrizations")] if "parametrizations" in parts else parts) or None
    joined = _JOINED.fullmatch(name)
    return (joined[1],) if joined and not _OF_NO_MODULE.fullmatch(joined[1]) else None


def _of_tensorflow(name: str) -> tuple[str, ...] | None:
    if fused := _FUSED.search(name):
        return tuple(part for part in name[: fused.start()].split("/") if part) or None
    if not _OF_TENSORFLOW.search(name):
        return None
    parts = [part for part in _OF_TENSORFLOW.sub("", name).split("/") if part]
    while parts and _CALL.fullmatch(parts[0]):
        del parts[0]
    last = parts[-1] if parts else ""
    if not (_PARAMETER.fullmatch(last) or last.startswith("ReadVariableOp")):
        return None
    if parts.pop().startswith("ReadVariableOp") and parts:
        parts.pop()  # the operation that reads it
    while parts and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    return tuple(parts) or None


def is_joined(name: str) -> bool:
    """Whether a parameter's name has no separator, such as ``conv1_weights``: any tensor may have such a name."""
    return "." not in name and "/" not in name


def steps_of(path: Sequence[str]) -> list[NameStep]:
    """A path as steps; an item of a list has the name of the list and a number."""
    steps: list[NameStep] = []
    for part in path:
        of_list = part.isdigit() and steps
        steps.append(NameStep(f"{steps[-1].segment}.{part}" if of_list else part, (part,)))
    return steps
