"""Grows a module tree along the paths of a source, and places each operator at the end of its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from graphml_onnx.hierarchy.findings import Tally
from graphml_onnx.hierarchy.lookup import ModuleLookup
from graphml_onnx.hierarchy.paths import last_part
from graphml_onnx.hierarchy.source import Key, Source, Step
from graphml_onnx.hierarchy.tree import MAX_LEVELS, NOWHERE, Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.tree import Operator
    from graphml_onnx.support.notices import Notice


def grow_from(draft: Draft, operators: Sequence[Operator], source: Source[Key, Step]) -> tuple[Notice, ...] | None:
    """Fills an empty draft from one source.

    Returns:
        The findings; None if the source gives no operator a module, which leaves the draft unchanged.
    """
    tree = _GrowingTree(source)
    ends: dict[Key, int | None] = {}
    found: list[int | None] = []
    for key in source.keys_of(operators):
        if key is not None and key not in ends:
            steps = source.steps_of(key)
            ends[key] = None if steps is None else tree.follow(steps)
        found.append(None if key is None else ends[key])
    modules = tree.modules
    if not modules:
        return None
    draft.take_tree(modules, has_root=source.has_root)
    lookup = ModuleLookup(modules, root=NOWHERE)
    for position, end in enumerate(found):
        operator = operators[position]
        if end is not None:
            draft.put(position, end, source.rule)
            draft.tags[position] = source.tag_of(operator)
        elif (place := lookup.by_scope(operator))[0] != NOWHERE:
            draft.put(position, *place)
    return tree.findings


class _GrowingTree(Generic[Key, Step]):
    """Modules in order of first occurrence; equal steps lead to the same child of a module."""

    def __init__(self, source: Source[Key, Step]) -> None:
        self._source = source
        self._modules: list[Module] = []
        self._children: dict[tuple[int, Step], int] = {}
        self._deep = Tally("too-deep", f"paths of more than {MAX_LEVELS} modules, cut off at that level")

    def follow(self, steps: Sequence[Step]) -> int:
        """Follows the steps from the model, and adds modules that are missing.

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
    def findings(self) -> tuple[Notice, ...]:
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
                told_by=self._source.name,
            )
        )
        return index
