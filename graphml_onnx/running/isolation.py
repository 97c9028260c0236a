"""Isolates operators: copies of them that take given tensors instead of what the model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np
from onnx import helper

from graphml_onnx.graph.extraction import taken_by
from graphml_onnx.graph.renaming import rename
from graphml_onnx.onnxfile import schema

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    import numpy.typing as npt
    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.graph.elements import Operator, Tensor

_GIVEN: Final = "g2o:given/"
_OWN: Final = "g2o:own/"


class Isolation(NamedTuple):
    """Copies of operators.

    Attributes:
        more: what a model needs more: the copies, and inputs for the given tensors that they take.
        inputs: those given tensors, by the name of the input.
        outputs: names of what the copies make, by the tensor that their original makes.
    """

    more: onnx.GraphProto
    inputs: Mapping[str, Tensor]
    outputs: Mapping[Tensor, str]


def isolated(wanted: Iterable[Tensor], given: Mapping[Tensor, npt.DTypeLike]) -> Isolation:
    """Copies the operators that make some tensors, back to given tensors.

    Args:
        wanted: the tensors. There is no copy for those that depend on no given tensor.
        given: tensors of the same graph that are known, with their types.
    """
    more = cast("onnx.GraphProto", schema.message_class("GraphProto")())
    inputs: dict[str, Tensor] = {}
    names: dict[Tensor, str] = {}
    wanted = list(wanted)
    for operator in between(wanted, given):
        node = operator._node
        taken = {t: _GIVEN + t.name if t in given else names.get(t) for t in taken_by(operator)}
        renamed = {tensor: name for tensor, name in taken.items() if name is not None}
        if not renamed:
            continue
        inputs |= {name: tensor for tensor, name in renamed.items() if tensor in given}
        made = {tensor: _OWN + tensor.name for tensor in operator.outputs if tensor is not None}
        names |= made
        copy = more.node.add()
        cast("Message", copy).CopyFrom(cast("Message", node))
        copy.name = cast("str", b"")
        rename(copy, {_bytes(tensor.name): _bytes(name) for tensor, name in (renamed | made).items()})
    for name, tensor in inputs.items():
        value = more.input.add()
        value.name = cast("str", _bytes(name))
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(given[tensor]))
    return Isolation(more, inputs, {tensor: names[tensor] for tensor in wanted if tensor in names})


def between(wanted: Iterable[Tensor], given: Container[Tensor]) -> list[Operator]:
    """The operators that make some tensors, and those before them up to given tensors, in the order of the graph."""
    found: dict[Operator, None] = {}
    todo = [tensor.producer for tensor in wanted]
    while todo:
        operator = todo.pop()
        if operator is not None and operator not in found:
            found[operator] = None
            todo += [tensor.producer for tensor in taken_by(operator) if tensor not in given]
    return sorted(found, key=lambda operator: operator.index)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
