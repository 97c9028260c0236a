"""The order in which the modules and operators of a graph are written: each module where its first operator runs."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.hierarchy import Placed

OPEN, OPERATORS, CLOSE = range(3)
"""Steps: a module begins, operators of it follow, a module ends."""

Step: TypeAlias = "tuple[int, int, Sequence[int]]"
"""What it is, the module, and the operators that follow."""


class ModuleOrder:
    """The order of a graph's operators and modules: each compound when its first operator comes."""

    def __init__(self, placed: Placed, count: int) -> None:
        modules = placed.modules
        first = array("q", [count] * len(modules))
        self._operators: list[array[int]] = [array("i") for _ in range(len(modules) + 1)]  # the last is the graph
        for index, module in enumerate(placed.placement):
            self._operators[module].append(index)
            if module >= 0 and first[module] == count:
                first[module] = index
        children: list[list[int]] = [[] for _ in range(len(modules) + 1)]
        for index in range(len(modules) - 1, -1, -1):
            outer = modules[index].parent
            if outer is not None:
                first[outer] = min(first[outer], first[index])
        for index, inner in enumerate(modules):
            children[-1 if inner.parent is None else inner.parent].append(index)
        self._children = [sorted(group, key=lambda index: (first[index], index)) for group in children]
        self._first = first

    def steps(self) -> Iterator[Step]:
        """Opening and closing of modules, and operators; the graph's own opening comes first, as module -1."""
        yield OPEN, -1, ()
        todo = [self._within(-1)]
        while todo:
            step = next(todo[-1], None)
            if step is None:
                todo.pop()
                if todo:
                    yield CLOSE, 0, ()
                continue
            if step[0] == OPEN:
                todo.append(self._within(step[1]))
            yield step

    def _within(self, module: int) -> Iterator[Step]:
        operators = self._operators[module]
        start = 0
        for child in self._children[module]:
            end = bisect_left(operators, self._first[child])
            if start < end:
                yield OPERATORS, module, operators[start:end]
            yield OPEN, child, ()
            start = end
        if start < len(operators):
            yield OPERATORS, module, operators[start:]
