"""Matches the operators of two bodies: by names, by outputs, then by their neighbours."""

from __future__ import annotations

from collections import deque
from difflib import SequenceMatcher
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from graphml_onnx.graph.attributes import SparseTensor
from graphml_onnx.graph.elements import Body, Operator, Tensor
from graphml_onnx.graph.weights import TensorData

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from graphml_onnx.graph.attributes import AttributeValue
    from graphml_onnx.graph.elements import Parameter

Look: TypeAlias = "Callable[[Operator], Hashable]"
"""What two operators must have in common."""


_Item = TypeVar("_Item")

_MOST_IN_ORDER = 2_000
"""Operators that are aligned as two sequences; the time grows with the product of both."""


class Matching:
    """Which operators and tensors of two bodies correspond; both ways.

    Attributes:
        new_of: the new operator of an old one.
        old_of: the old operator of a new one.
        new_tensor: the new tensor of an old one.
    """

    def __init__(self, old: Body, new: Body, around: Mapping[Tensor, Tensor]) -> None:
        self.new_of: dict[Operator, Operator] = {}
        self.old_of: dict[Operator, Operator] = {}
        self.new_tensor: dict[Tensor, Tensor] = dict(around)
        self.old_tensor: dict[Tensor, Tensor] = {theirs: ours for ours, theirs in around.items()}
        self._todo: deque[tuple[Operator, Operator]] = deque()
        for name, tensor in old.tensors.items():
            twin = new.tensors.get(name)
            if twin is not None and tensor.producer is None and twin.producer is None:
                self._pair_tensors(tensor, twin)
        if old.kind != "graph":  # inputs of bodies match by position
            for ours, theirs in zip(old.inputs, new.inputs, strict=False):
                self._pair_tensors(ours, theirs)
        for key in (_name_and_module, _name, _outputs):
            self._match_unique(old.operators, new.operators, key)
        self._match_weights(old, new)
        for ours, theirs in zip(old.outputs, new.outputs, strict=False):
            self._match_producers(ours, theirs, _signature)
        self._spread(_signature)
        for relative in (_signature_with_outputs, _signature_with_inputs, _place, _look_without_name):
            self._match_unique(old.operators, new.operators, partial(relative, self))
            self._spread(_signature)
        self._pair_other_inputs(old, new)
        self._todo.extend(self.new_of.items())
        self._spread(_kind)  # with other attributes, but in the same place
        self._match_in_order(old.operators, new.operators)
        self._spread(_kind)

    def _pair_tensors(self, old: Tensor, new: Tensor) -> None:
        if old not in self.new_tensor and new not in self.old_tensor:
            self.new_tensor[old] = new
            self.old_tensor[new] = old

    def _pair_other_inputs(self, old: Body, new: Body) -> None:
        """Pairs inputs that have other names and no matched operator takes: in order, if their types are the same."""
        ours = [tensor for tensor in old.inputs if tensor not in self.new_tensor]
        theirs = [tensor for tensor in new.inputs if tensor not in self.old_tensor]
        if [tensor.type for tensor in ours] == [tensor.type for tensor in theirs]:
            for tensor, twin in zip(ours, theirs, strict=True):
                self._pair_tensors(tensor, twin)
                self._match_consumers(tensor, twin, _signature)

    def _match(self, old: Operator, new: Operator) -> None:
        if old in self.new_of or new in self.old_of or _kind(old) != _kind(new):
            return
        self.new_of[old] = new
        self.old_of[new] = old
        for ours, theirs in zip(old.outputs, new.outputs, strict=False):
            if ours is not None and theirs is not None:
                self._pair_tensors(ours, theirs)
        self._todo.append((old, new))

    def _match_unique(
        self, old: Iterable[Operator], new: Iterable[Operator], key: Callable[[Operator], Hashable]
    ) -> None:
        """Matches operators with a key that one operator of each side has."""
        ours = _by_key((o for o in old if o not in self.new_of), key)
        theirs = _by_key((n for n in new if n not in self.old_of), key)
        for value, group in ours.items():
            other = theirs.get(value, ())
            if len(group) == len(other) == 1:
                self._match(group[0], other[0])

    def _match_weights(self, old: Body, new: Body) -> None:
        """Match weights that one body has under another name by their content, and the operators that take them."""
        ours = [p for p in old.parameters if p.operator is None and p.tensor not in self.new_tensor]
        theirs = [p for p in new.parameters if p.operator is None and p.tensor not in self.old_tensor]
        if not ours or not theirs:
            return
        by_content = _by_key(theirs, _content)
        for content, group in _by_key(ours, _content).items():
            other = by_content.get(content, ())
            if len(group) == len(other) == 1:
                self._pair_tensors(group[0].tensor, other[0].tensor)
                self._match_consumers(group[0].tensor, other[0].tensor, _signature)

    def _match_producers(self, old: Tensor, new: Tensor, look: Look) -> None:
        ours, theirs = old.producer, new.producer
        if ours is not None and theirs is not None and look(ours) == look(theirs):
            self._match(ours, theirs)

    def _spread(self, look: Look) -> None:
        """Matches the neighbours of matched operators.

        Args:
            look: what must be equal for two neighbours in the same place.
        """
        while self._todo:
            old, new = self._todo.popleft()
            for ours, theirs in zip(old.inputs, new.inputs, strict=False):
                if ours is None or theirs is None:
                    continue
                self._match_producers(ours, theirs, look)
                if _is_given_alike(ours, theirs):
                    self._pair_tensors(ours, theirs)
            for made, also in zip(old.outputs, new.outputs, strict=False):
                if made is not None and also is not None:
                    self._match_consumers(made, also, look)

    def _match_consumers(self, old: Tensor, new: Tensor, look: Look) -> None:
        """Matches consumers that take the tensor at the same input, if only one on each side looks like that."""

        def place(tensor: Tensor, operator: Operator) -> Hashable:
            return (operator.inputs.index(tensor), look(operator)) if tensor in operator.inputs else None

        ours = _by_key((o for o in dict.fromkeys(old.consumers) if o not in self.new_of), partial(place, old))
        theirs = _by_key((n for n in dict.fromkeys(new.consumers) if n not in self.old_of), partial(place, new))
        for value, group in ours.items():
            other = theirs.get(value, ())
            if len(group) == len(other) == 1:
                self._match(group[0], other[0])

    def _match_in_order(self, old: Iterable[Operator], new: Iterable[Operator]) -> None:
        """Match the remaining operators without a name by the longest runs that look the same, in their order."""
        ours = [operator for operator in old if operator not in self.new_of and not operator.name]
        theirs = [operator for operator in new if operator not in self.old_of and not operator.name]
        if not ours or not theirs or max(len(ours), len(theirs)) > _MOST_IN_ORDER:
            return
        before, after = ([_signature(operator) for operator in side] for side in (ours, theirs))
        for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
            for place in range(block.size):
                self._match(ours[block.a + place], theirs[block.b + place])


def _is_given_alike(old: Tensor, new: Tensor) -> bool:
    """Whether both are weights of their graphs, or both are inputs of the same type of elements."""
    if old.producer is not None or new.producer is not None or (old.parameter is None) != (new.parameter is None):
        return False
    return old.parameter is not None or (old.is_input and new.is_input and old.dtype == new.dtype)


def _by_key(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> dict[Hashable, list[_Item]]:
    found: dict[Hashable, list[_Item]] = {}
    for item in items:
        value = key(item)
        if value is not None:
            found.setdefault(value, []).append(item)
    return found


def _content(parameter: Parameter) -> Hashable:
    return str(parameter.type), parameter.digest


def _kind(operator: Operator) -> tuple[str, str, str]:
    return operator.domain, operator.op_type, operator.overload


def _name(operator: Operator) -> Hashable:
    return (*_kind(operator), operator.name) if operator.name else None


def _name_and_module(operator: Operator) -> Hashable:
    return (*_kind(operator), operator.name, operator.module.path) if operator.name else None


def _outputs(operator: Operator) -> Hashable:
    names = tuple(tensor.name for tensor in operator.outputs if tensor is not None)
    return (*_kind(operator), names) if names else None


def _signature(operator: Operator) -> Hashable:
    """The look of an operator without its names: type, attributes, number of inputs and outputs."""
    attributes = tuple(sorted((name, repr(summary(value))) for name, value in operator.attributes.items()))
    return (*_kind(operator), len(operator.inputs), len(operator.outputs), attributes)


def summary(value: AttributeValue) -> object:
    """The value of an attribute; for a tensor or body, what is known without reading it."""
    match value:
        case TensorData():
            return value.dtype, value.shape
        case SparseTensor():
            return summary(value.values), value.shape
        case Body():
            return [_kind(operator) for operator in value.operators]
        case tuple() if not hasattr(value, "_fields"):
            return [summary(item) for item in value]
        case _:
            return value


def _signature_with_inputs(matching: Matching, operator: Operator) -> Hashable:
    known = matching.new_tensor
    inputs = tuple(id(known.get(tensor, tensor)) if tensor is not None else 0 for tensor in operator.inputs)
    return _signature(operator), inputs


def _signature_with_outputs(matching: Matching, operator: Operator) -> Hashable:
    partners = matching.new_of
    taken = tuple(sorted(id(partners.get(c, c)) for t in operator.outputs if t is not None for c in t.consumers))
    return (_signature(operator), taken) if taken else None


def _place(_: Matching, operator: Operator) -> Hashable:
    return operator.module.path, _signature(operator)


def _look_without_name(_: Matching, operator: Operator) -> Hashable:
    return None if operator.name else _signature(operator)  # where modules are told by repetition, an edit moves them
