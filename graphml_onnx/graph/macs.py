"""Multiply-accumulate operations of an operator, from the shapes of what it takes and makes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphml_onnx.graph.elements import Operator

Shape: TypeAlias = tuple[int, ...]


class UnknownShapeError(ValueError):
    """A shape that the number depends on is not known."""


def macs_of(operator: Operator) -> int | None:
    """How often an operator multiplies and adds, bodies and called functions left out.

    Counted are matrix products, convolutions, recurrent layers and attention; every other operator has 0.

    Returns:
        The number; None where it depends on a shape that is not known.
    """
    rule = _RULES.get(operator.op_type)
    if rule is None:
        return 0
    try:
        return rule(operator)
    except (UnknownShapeError, IndexError, ZeroDivisionError):
        return None


def _input(operator: Operator, index: int) -> Shape:
    return _shape(operator, index, is_input=True)


def _output(operator: Operator, index: int = 0) -> Shape:
    return _shape(operator, index, is_input=False)


def _shape(operator: Operator, index: int, *, is_input: bool) -> Shape:
    tensors = operator.inputs if is_input else operator.outputs
    tensor = tensors[index] if index < len(tensors) else None
    shape = None if tensor is None or tensor.type is None else tensor.type.static_shape
    if shape is None:
        raise UnknownShapeError
    return shape


def _integer(operator: Operator, name: str, default: int | None = None) -> int:
    value = operator.attributes.get(name, default)
    if not isinstance(value, int):
        raise UnknownShapeError
    return value


def _convolution(weight: int) -> Callable[[Operator], int]:
    def count(operator: Operator) -> int:
        return math.prod(_output(operator)) * math.prod(_input(operator, weight)[1:])

    return count


def _transposed_convolution(operator: Operator) -> int:
    return math.prod(_input(operator, 0)) * math.prod(_input(operator, 1)[1:])


def _product(left: int) -> Callable[[Operator], int]:
    def count(operator: Operator) -> int:
        return math.prod(_output(operator)) * _input(operator, left)[-1]

    return count


def _gemm(operator: Operator) -> int:
    inner = _input(operator, 0)[0 if _integer(operator, "transA", 0) else 1]
    return math.prod(_output(operator)) * inner


def _quantized_product(operator: Operator) -> int:
    return math.prod(_output(operator)) * _integer(operator, "K")


def _recurrent(gates: int) -> Callable[[Operator], int]:
    def count(operator: Operator) -> int:
        shape = _input(operator, 0)
        steps = shape[0] * shape[1]  # sequence and batch, in either order
        directions, _, width = _input(operator, 1)
        hidden = _input(operator, 2)[2]
        return steps * directions * gates * hidden * (width + hidden)

    return count


def _attention(operator: Operator) -> int:
    """ONNX's Attention: inputs (batch, heads, length, width), or (batch, length, heads x width)."""
    query, key, value = (_input(operator, index) for index in range(3))
    if operator.domain not in ("", "ai.onnx"):
        raise UnknownShapeError  # onnxruntime's operator of this name has another signature
    if len(query) == 4:
        batch, heads, length, width = query
        return batch * heads * length * key[2] * (width + value[3])
    heads, groups = _integer(operator, "q_num_heads"), _integer(operator, "kv_num_heads")
    batch, length, width = query
    return batch * length * key[1] * (width + value[2] // groups * heads)


def _multi_head_attention(operator: Operator) -> int:
    query, key, value = (_input(operator, index) for index in range(3))
    if not len(query) == len(key) == len(value) == 3:
        raise UnknownShapeError
    return query[0] * query[1] * key[1] * (query[2] + value[2])


def _fused_attention(operator: Operator) -> int:
    """Onnxruntime's Attention: the projection of the input, then attention among its positions."""
    batch, length, width = _input(operator, 0)
    projected = _input(operator, 1)[1]
    hidden = projected // 3
    return batch * length * width * projected + 2 * batch * length * length * hidden


def _any_attention(operator: Operator) -> int:
    return _fused_attention(operator) if operator.domain == "com.microsoft" else _attention(operator)


_RULES: Mapping[str, Callable[[Operator], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "FusedConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product(0),
    "FusedMatMul": _product(0),
    "MatMulInteger": _product(0),
    "DynamicQuantizeMatMul": _product(0),
    "QLinearMatMul": _product(0),
    "MatMulNBits": _quantized_product,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    "Attention": _any_attention,
    "MultiHeadAttention": _multi_head_attention,
}
