"""The structure of parts of a model without names: equal structures compute the same, given the same weights."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import onnx

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from graphml_onnx.graph.elements import Module, Operator, Tensor

_Type = onnx.AttributeProto

_START: Final = 16  # operators

_Value = TypeVar("_Value", bound="Hashable")
Part: TypeAlias = "tuple[Hashable, Sequence[_Value], Sequence[_Value], Iterable[onnx.AttributeProto]]"
"""An operator: domain, type and overload; what it takes; what it makes; its attributes, as exact messages.

Names or other objects represent tensors; for an input that is left out, the object is false.
"""

_PLAIN = frozenset(map(int, (_Type.FLOAT, _Type.INT, _Type.STRING, _Type.FLOATS, _Type.INTS, _Type.STRINGS)))


def look_of(
    parts: Iterable[Part[_Value]], inputs: Sequence[_Value], outputs: Sequence[_Value], about: Iterable[Hashable] = ()
) -> Hashable:
    """The structure of some operators: types, attributes, and connections.

    Args:
        parts: the operators, in the order of the flow.
        inputs: the tensors that they take from elsewhere; their numbers replace them.
        outputs: what others take from them.
        about: what has to be the same of two inputs in the same place, as their types.
    """
    numbers: dict[_Value, int] = {value: number for number, value in enumerate(inputs)}
    number_of = numbers.get
    rows = []
    for kind, taken, made, attributes in parts:
        row = [kind, *[number_of(value, -1) if value else None for value in taken]]
        for value in made:
            if value:
                numbers.setdefault(value, len(numbers))
        row.append(tuple(map(bool, made)))
        row += map(_look_of_attribute, attributes)
        rows.append(tuple(row))
    return tuple(rows), tuple(about), tuple([number_of(value, -1) for value in outputs])


def _look_of_attribute(attribute: onnx.AttributeProto) -> Hashable:
    if attribute.type in _PLAIN:
        return attribute.SerializeToString(deterministic=True)
    if attribute.HasField("g") or len(attribute.graphs):
        return id(attribute)  # a body takes tensors by names of its surroundings, so it is unique
    if attribute.HasField("t"):
        copy = type(attribute)()
        copy.CopyFrom(attribute)
        copy.t.ClearField("name")
        copy.t.ClearField("doc_string")
        return copy.SerializeToString(deterministic=True)
    return attribute.SerializeToString(deterministic=True)


class ModuleLook:
    """The structure of a module: class, operators, inner modules, and the types of their parameters.

    Two are equal if all of that is; what differs mostly does so at its start, so that the rest is not looked at.

    Args:
        module: the module.
    """

    __hash__ = None  # type: ignore[assignment]  # only to compare: a hash would need the whole

    def __init__(self, module: Module) -> None:
        self._module = module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModuleLook) and self._start == other._start and self._whole == other._whole

    @cached_property
    def _start(self) -> Hashable:
        is_long = len(self._operators) > 2 * _START
        return _look_of_operators(self._operators[:_START]) if is_long else None

    @cached_property
    def _whole(self) -> Hashable:
        module = self._module
        numbers = {operator: number for number, operator in enumerate(self._operators)}
        modules = tuple(
            (level, inner.class_name, tuple([numbers[operator] for operator in inner.operators]))
            for inner, level in module.levels().items()
        )
        return modules, _look_of_operators(self._operators)

    @cached_property
    def _operators(self) -> Sequence[Operator]:
        return self._module.all_operators()


def _look_of_operators(operators: Sequence[Operator]) -> Hashable:
    """The structure of operators, given in the order of the graph."""
    inside = set(operators)
    given: dict[Tensor, Hashable] = {}
    wanted: list[Tensor] = []
    for operator in operators:
        for tensor in operator.inputs:
            if tensor is not None and (tensor.producer is None or tensor.producer not in inside):
                given[tensor] = None if tensor.parameter is None else tensor.parameter.type
        made = [tensor for tensor in operator.outputs if tensor is not None]
        wanted += [tensor for tensor in made if tensor.is_output or not inside.issuperset(tensor.consumers)]
    parts = (((o.domain, o.op_type, o.overload), o.inputs, o.outputs, o._node.attribute) for o in operators)
    return look_of(parts, [*given], wanted, given.values())
