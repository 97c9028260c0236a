"""Multiply-accumulate operations of an operator, from the shapes of its inputs and outputs."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphml_onnx.graph.elements import Body, Operator

Function: TypeAlias = tuple[str, str, str]
"""Identifies a function: domain, name, overload."""
Shape: TypeAlias = tuple[int, ...]


_KNOWN_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))
"""Domains in which an operator without a rule multiplies no matrices, unless its name suggests it."""

_CONTRACTIONS = ("Attention", "Conv", "Gemm", "GRU", "LSTM", "MatMul", "MoE", "SVM")
"""Parts of the names of operators that multiply matrices."""


class UnknownShapeError(ValueError):
    """The number depends on an unknown shape."""


def macs_of(operator: Operator) -> int | None:
    """The multiply-accumulate operations of an operator, without its bodies.

    Counted are matrix products, convolutions, recurrent layers and attention; every other operator of ONNX and of
    onnxruntime has 0.

    Returns:
        The number; None if it depends on an unknown shape, for an unknown operator, and for the
        call of a function that multiplies: it does so in the shapes of each call, which nobody infers.
    """
    key = _key(operator)
    if key in operator.body.graph.functions:
        return None if key in operator.body.graph.multiplying else 0
    rule = _rule(operator)
    if rule is None:
        return 0 if _multiplies_none(operator.domain, operator.op_type) else None
    try:
        return rule(operator)
    except (ValueError, IndexError, ZeroDivisionError):
        return None


def multiplying(functions: Mapping[Function, Body]) -> frozenset[Function]:
    """Those of a model's functions that multiply, or may: themselves, or by what they call."""
    found: set[Function] = set()
    callers: dict[Function, list[Function]] = {}
    for name, function in functions.items():
        for operator in (operator for body in function.walk() for operator in body.operators):
            called = _key(operator)
            if called in functions:
                callers.setdefault(called, []).append(name)
            elif _rule(operator) is not None or not _multiplies_none(operator.domain, operator.op_type):
                found.add(name)
    todo = [*found]
    while todo:
        new = set(callers.pop(todo.pop(), ())) - found
        found |= new
        todo += new
    return frozenset(found)


def _key(operator: Operator) -> Function:
    return operator.domain, operator.op_type, operator.overload


def _rule(operator: Operator) -> Callable[[Operator], int] | None:
    return _RULES.get(operator.op_type) if operator.domain in _KNOWN_DOMAINS else None


@cache
def _multiplies_none(domain: str, op_type: str) -> bool:
    if any(part in op_type for part in _CONTRACTIONS):
        return False
    return domain in _KNOWN_DOMAINS or onnx.defs.has(op_type, domain=domain)


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


def _einsum(operator: Operator) -> int:
    """One multiplication for each combination of indices."""
    equation = operator.attributes.get("equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",") if isinstance(equation, str) else []
    if len(terms) != len(operator.inputs) or "..." in "".join(terms):
        raise UnknownShapeError
    if len(terms) == 1:
        return 0
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        for letter, size in zip(term, _input(operator, index), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return math.prod(sizes.values())


def _linear_model(operator: Operator) -> int:
    shape, coefficients = _input(operator, 0), operator.attributes.get("coefficients")
    if not isinstance(coefficients, tuple):
        raise UnknownShapeError
    return (shape[0] if len(shape) > 1 else 1) * len(coefficients)


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
    "DeformConv": _convolution(1),
    "FusedConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product(0),
    "FusedMatMul": _product(0),
    "MatMulInteger": _product(0),
    "DynamicQuantizeMatMul": _product(0),
    "QLinearMatMul": _product(0),
    "MatMulNBits": _quantized_product,
    "Einsum": _einsum,
    "LinearClassifier": _linear_model,
    "LinearRegressor": _linear_model,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    "Attention": _any_attention,
    "MultiHeadAttention": _multi_head_attention,
}
