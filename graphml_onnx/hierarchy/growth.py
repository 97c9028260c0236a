"""Grows a module tree along the paths of the operators, and places them at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from graphml_onnx.hierarchy.findings import Tally
from graphml_onnx.hierarchy.paths import last_part
from graphml_onnx.hierarchy.place import Placer, Record, root_of
from graphml_onnx.hierarchy.source import Key, Source, Step
from graphml_onnx.hierarchy.tree import MAX_LEVELS, NOWHERE, Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.hierarchy.tree import Hierarchy, Operator


def from_source(operators: Sequence[Operator], source: Source[Key, Step]) -> Hierarchy | None:
    """Builds the hierarchy from one source; None if it gives no operator a module."""
    tree = _GrowingTree(source)
    ends: dict[Key, int | None] = {}
    record = Record(len(operators))
    left: list[int] = []
    for position, operator in enumerate(operators):
        key = source.key_of(operator)
        if key is not None and key not in ends:
            steps = source.steps_of(key)
            ends[key] = None if steps is None else tree.follow(steps)
        end = None if key is None else ends[key]
        if end is None:
            left.append(position)
        else:
            record.put(position, (end, source.rule), exact=True, tag=source.tag_of(operator))
    modules = tree.modules
    if not modules:
        return None
    placer = Placer(modules, root=root_of(modules) if source.has_root else NOWHERE)
    lacking = Tally(source.lacking)
    for position in left:
        lacking.add(operators[position].name)
        record.put(position, placer.by_scope(operators[position]), exact=False)
    return record.hierarchy(source.name, modules, (*tree.findings, *lacking.lines))


class _GrowingTree(Generic[Key, Step]):
    """Modules in the order in which they are first met; equal steps lead to the same child of a module."""

    def __init__(self, source: Source[Key, Step]) -> None:
        self._source = source
        self._modules: list[Module] = []
        self._children: dict[tuple[int, Step], int] = {}
        self._deep = Tally(f"paths of more than {MAX_LEVELS} modules, cut off at that level")

    def follow(self, steps: Sequence[Step]) -> int:
        """Goes from the model along the steps, and adds the modules that are not there yet.

        Returns:
            Index of the module in which the path ends, or of its ancestor at the deepest level that a tree may
            have; -1 for an empty path.
        """
        index = NOWHERE
        for step in steps[:MAX_LEVELS]:
            known = self._children.get((index, step))
            index = self._grow(index, step) if known is None else known
        if len(steps) > MAX_LEVELS:
            self._deep.add(self._modules[index].tag)
        return index

    @property
    def modules(self) -> tuple[Module, ...]:
        """The tree so far; parents before their children."""
        return tuple(self._modules)

    @property
    def findings(self) -> tuple[str, ...]:
        """The paths that were too deep, if any."""
        return self._deep.lines

    def _grow(self, parent: int, step: Step) -> int:
        index = len(self._modules)
        self._children[parent, step] = index
        outer = None if parent == NOWHERE else self._modules[parent]
        class_name, segment, scope = self._source.describe(step, outer)
        self._modules.append(
            Module(
                parent=None if outer is None else parent,
                class_name=class_name,
                tag=f"{outer.tag if outer else ''}/{segment}",
                scope=scope,
                name=last_part(scope) or class_name,
            )
        )
        return index
