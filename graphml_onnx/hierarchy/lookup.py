"""Looks up modules of a finished tree, by tag or by scope. `build.py` decides which source places an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.hierarchy.exporter import scope_steps
from graphml_onnx.hierarchy.paths import PrefixIndex, around, name_scope, parts_of, segments_of
from graphml_onnx.hierarchy.tree import NOWHERE, Module, Operator, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Place: TypeAlias = "tuple[int, Rule]"


class ModuleLookup:
    """Finds modules of one tree by tag and by scope.

    Args:
        modules: the tree.
        folded: modules that are no longer in the tree; ``parent`` is the module that replaces each.
        root: index of the module for operators without another place, or -1.
    """

    def __init__(self, modules: Sequence[Module], folded: Sequence[Module] = (), *, root: int) -> None:
        self._root = root
        self._first: dict[str, int] = {}
        self._shared: dict[tuple[str, int], int] = {}
        self._scopes = PrefixIndex()
        self._tags = PrefixIndex()
        self._tag_of: list[str] = []
        self._nearest: dict[str, str | None] = {}
        self._walks: dict[str, list[int]] = {}
        self._has_twin: set[str] = set()
        for index, module in enumerate(modules):
            self._add(module, index)
        for module in folded:
            self._add(module, NOWHERE if module.parent is None else module.parent)

    def by_tag(self, tag: str, operator: Operator) -> Place:
        """The module with a tag.

        Slashes at its ends and empty segments do not count. If several modules have it, the scope of the operator
        decides, or else their order. If none has it, the result is the nearest module above it, by whole segments, or
        the root module.
        """
        index = self._first.get(tag)
        if index is None:
            tag = f"/{'/'.join(segments_of(tag))}"
            index = self._first.get(tag)
        if index is not None:
            if tag not in self._has_twin:
                return index, "tag"
            twin = self._twin(tag, operator)
            return (index, "first of tag") if twin is None else (twin, "tag and name")
        nearest = self._nearest_tag(tag)
        if nearest is None:
            return self._root, "root"
        twin = self._twin(nearest, operator) if nearest in self._has_twin else None
        return (self._first[nearest] if twin is None else twin), "nearest tag"

    def by_scope(self, operator: Operator) -> Place:
        """The module whose scope is the longest prefix of the exporter's scope, or else the name's; or the root."""
        for nodes, rule in self._scopes_around(operator):
            for node in reversed(nodes[1:]):
                index = self._scopes.value(node)
                if index != NOWHERE:
                    return index, rule
        return self._root, "root"

    def _add(self, module: Module, index: int) -> None:
        node = self._scopes.add(parts_of(module.scope), index)
        if module.tag in self._first:
            self._has_twin.add(module.tag)
        self._first.setdefault(module.tag, index)
        self._shared.setdefault((module.tag, node), index)
        self._tags.add(segments_of(module.tag), len(self._tag_of))
        self._tag_of.append(module.tag)

    def _twin(self, tag: str, operator: Operator) -> int | None:
        for nodes, _ in self._scopes_around(operator):
            for node in reversed(nodes):
                index = self._shared.get((tag, node))
                if index is not None:
                    return index
        return None

    def _nearest_tag(self, tag: str) -> str | None:
        if tag not in self._nearest:
            known = self._tags.deepest(segments_of(tag))
            self._nearest[tag] = None if known == NOWHERE else self._tag_of[known]
        return self._nearest[tag]

    def _scopes_around(self, operator: Operator) -> Iterator[tuple[list[int], Rule]]:
        steps = scope_steps(operator.texts) if operator.texts else None
        if steps:
            yield self._scopes.walk(parts_of(steps[-1].scope)), "scope"
        modules = around(operator.name)
        if modules is not None:
            if modules not in self._walks:
                self._walks[modules] = self._scopes.walk(name_scope(modules))
            yield self._walks[modules], "name"
