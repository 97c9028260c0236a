"""Quantised tensors: which tensors of a graph hold integers for real numbers, and the way there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from graphml_onnx.graph.elements import Body, Tensor
    from graphml_onnx.inputs.made import Array

SUFFIX: Final = "_quantized"
"""What onnxruntime's quantiser adds to the name of a tensor that becomes quantised."""

_OUTPUT: Final = {"QLinearConv": 6, "QLinearConcat": 0, "QGemm": 7}
"""At which input the scale of the output is; otherwise it is the last but one."""

_KEEPING: Final = {
    "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice",
    "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Expand", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
"""Operators whose outputs hold values of their first input."""


class Scale(NamedTuple):
    """How a tensor holds real numbers: ``(stored - zero) * factor``.

    Attributes:
        factor: one number.
        zero: the stored number for 0.
    """

    factor: float
    zero: int

    def real(self, stored: Array) -> Array:
        """The real numbers of what is stored."""
        return ((stored.astype(np.float64) - self.zero) * self.factor).astype(np.float32)

    def stored(self, real: Array, dtype: npt.DTypeLike) -> Array:
        """What is stored for real numbers, as near as the type allows."""
        limits = np.iinfo(dtype)
        whole = np.rint(np.nan_to_num(real.astype(np.float64) / self.factor)) + self.zero
        return np.asarray(np.clip(whole, limits.min, limits.max), dtype)


def scales_of(body: Body) -> Mapping[Tensor, Scale]:
    """The tensors of a body that are quantised with one scale: what ``QLinearConv`` and its like make and take."""
    found: dict[Tensor, Scale] = {}
    for operator in body.operators:
        inputs = operator.inputs
        if operator.op_type == "QuantizeLinear":
            _note(found, operator.outputs[:1], inputs[1:])
        elif operator.op_type == "DequantizeLinear":
            _note(found, inputs[:1], inputs[1:])
        elif operator.op_type.startswith("QLinear") or operator.op_type == "QGemm":
            for place in range(len(inputs) - 2):
                _note(found, inputs[place : place + 1], inputs[place + 1 : place + 3])
            place = _OUTPUT.get(operator.op_type, len(inputs) - 2)
            _note(found, operator.outputs[:1], inputs[place : place + 2])
        elif operator.op_type in _KEEPING and inputs[0] is not None and inputs[0] in found:
            found.update((made, found[inputs[0]]) for made in operator.outputs if made is not None)
    return found


def _note(found: dict[Tensor, Scale], tensors: Sequence[Tensor | None], pair: Sequence[Tensor | None]) -> None:
    """Notes the scale of a tensor, if a pair of tensors are a scale and a zero point of one number each."""
    parameters = [None if tensor is None else tensor.parameter for tensor in pair[:2]]
    if any(parameter is None or parameter.size != 1 for parameter in parameters):
        return
    factor, *zeros = (parameter.numpy().reshape(-1)[0] for parameter in parameters if parameter is not None)
    is_scale = np.issubdtype(factor.dtype, np.floating) and all(np.issubdtype(z.dtype, np.integer) for z in zeros)
    for tensor in tensors:
        if is_scale and factor > 0 and tensor is not None and tensor.parameter is None:
            found.setdefault(tensor, Scale(float(factor), int(zeros[0]) if zeros else 0))
