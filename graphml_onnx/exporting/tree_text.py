"""Draws the module tree with its numbers of operators; alike items of a list are drawn once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.exporting.markdown import one_line
from graphml_onnx.hierarchy.paths import last_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.exporting.record import OperatorRecord
    from graphml_onnx.hierarchy.tree import Module


class _Bundle(NamedTuple):
    """Modules that are drawn as one line.

    Attributes:
        places: how many items of one list it folds.
        members: indices of the modules, over all folded lists around it: of twelve layers, the twelve attentions.
    """

    places: int
    members: tuple[int, ...]


def module_tree_lines(modules: Sequence[Module], operators: Sequence[OperatorRecord]) -> list[str]:
    """Draws the tree, one line for a module or for items of a list that are built alike.

    Items are alike if they have the same class, and so have all modules in them. Where their numbers of operators
    differ, the least and the greatest are told.

    Args:
        modules: parents before their children; the first is the root.
        operators: operators of the main graph.
    """
    return _Drawing(modules, operators).lines() if modules else []


class _Drawing:
    def __init__(self, modules: Sequence[Module], operators: Sequence[OperatorRecord]) -> None:
        self._modules = modules
        self._children: list[list[int]] = [[] for _ in modules]
        own = Counter(operator.module for operator in operators)
        self._own = [own[index] for index in range(len(modules))]
        self._all = list(self._own)
        self._shapes = [0] * len(modules)
        known: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}
        for index, module in enumerate(modules):
            if module.parent is not None:
                self._children[module.parent].append(index)
        for index in reversed(range(len(modules))):
            module = modules[index]
            shape = (
                module.class_name,
                tuple((self._kind(child), self._shapes[child]) for child in self._children[index]),
            )
            self._shapes[index] = known.setdefault(shape, len(known))
            if module.parent is not None:
                self._all[module.parent] += self._all[index]

    def lines(self) -> list[str]:
        """The lines from the root on."""
        lines: list[str] = []
        waiting = [("", "", _Bundle(1, (0,)))]
        while waiting:
            branch, stem, bundle = waiting.pop()
            lines.append(f"{branch}{self._label(bundle)}: {self._numbers(bundle)}")
            below = self._below(bundle)
            for position, inner in reversed(list(enumerate(below))):
                is_last = position == len(below) - 1
                waiting.append((stem + ("└── " if is_last else "├── "), stem + ("    " if is_last else "│   "), inner))
        return lines

    def _below(self, bundle: _Bundle) -> list[_Bundle]:
        """What lies in the modules of a bundle, place by place; alike neighbours in a list become one."""
        folded: list[_Bundle] = []
        for members in zip(*(self._children[index] for index in bundle.members), strict=True):
            if folded and self._is_alike(folded[-1].members[0], members[0]):
                folded[-1] = _Bundle(folded[-1].places + 1, (*folded[-1].members, *members))
            else:
                folded.append(_Bundle(1, members))
        return folded

    def _is_alike(self, one: int, other: int) -> bool:
        is_item = last_part(self._modules[one].scope).isdigit()
        return is_item and self._kind(one) == self._kind(other) and self._shapes[one] == self._shapes[other]

    def _kind(self, index: int) -> str:
        """The name of a module in the module around it; of an item of a list, the name of the list."""
        name = self._name(index)
        return name.rpartition(".")[0] + "." if last_part(name).isdigit() else name

    def _name(self, index: int) -> str:
        module = self._modules[index]
        around = "" if module.parent is None else self._modules[module.parent].scope
        return module.scope.removeprefix(f"{around}.") if around else module.scope

    def _label(self, bundle: _Bundle) -> str:
        first = bundle.members[0]
        class_name, name = one_line(self._modules[first].class_name), one_line(self._name(first))
        if bundle.places == 1:
            return f"{class_name} {name}" if name else class_name
        step = len(bundle.members) // bundle.places
        last = one_line(last_part(self._name(bundle.members[-step])))
        return f"{class_name} {name} to {last}, {bundle.places} alike"

    def _numbers(self, bundle: _Bundle) -> str:
        within = _span(self._all[index] for index in bundle.members)
        text = f"{within} operator{'' if within == '1' else 's'}"
        if len(bundle.members) > 1:
            text += " each"
        own = _span(self._own[index] for index in bundle.members)
        has_both = self._children[bundle.members[0]] and own != "0"
        return f"{text}, {own} directly" if has_both else text


def _span(numbers: Iterable[int]) -> str:
    least, *_, greatest = sorted(numbers) * 2
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"
