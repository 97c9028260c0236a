"""The hierarchy of one graph while it is built: a growing tree, and for each operator its module and rule."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.findings import Tally
from graphml_onnx.hierarchy.paths import PrefixIndex, last_part, parts_of, shared_parts
from graphml_onnx.hierarchy.tree import MAX_LEVELS, NOWHERE, Module, Placed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphml_onnx.hierarchy.paths import NameStep
    from graphml_onnx.hierarchy.tree import Rule, SourceName
    from graphml_onnx.support.notices import Notice


def root_of(modules: Sequence[Module]) -> int:
    """The module around everything: the one with the empty scope, or the only outermost one; or -1."""
    outermost = [index for index, module in enumerate(modules) if module.parent is None]
    at_root = [index for index in outermost if not modules[index].scope]
    if at_root:
        return at_root[0]
    return outermost[0] if len(outermost) == 1 else NOWHERE


class Draft:
    """Modules and places of one graph.

    Args:
        operators: how many operators it has.
        within: scope of the module that its operator is in, for a body.
    """

    def __init__(self, operators: int, within: Sequence[str] = ()) -> None:
        self.modules: list[Module] = []
        self.root = NOWHERE
        self.places = array("i", [NOWHERE]) * operators
        self.rules: list[Rule | None] = [None] * operators
        self.tags: list[str | None] = [None] * operators
        self.calls: dict[int, str] = {}
        self.within = tuple(within)
        self._levels: list[int] = []
        self._scopes = PrefixIndex()
        self._has_children: list[bool] = []
        self._deep = Tally("too-deep", f"paths of more than {MAX_LEVELS} modules, cut off at that level")

    def take_tree(self, modules: Iterable[Module], *, has_root: bool) -> None:
        """Starts with modules that a source knows as a tree; parents before their children."""
        for module in modules:
            self._add(module)
        if has_root:
            self.root = root_of(self.modules)

    def put(self, operator: int, module: int, rule: Rule) -> None:
        """Places an operator."""
        self.places[operator] = module
        self.rules[operator] = rule

    def scope_of(self, module: int) -> list[str]:
        """The parts of a module's scope; those of the graph itself for -1."""
        return list(self.within) if module == NOWHERE else parts_of(self.modules[module].scope)

    def reach(self, steps: Sequence[NameStep], source: SourceName) -> int:
        """Follows a path through known modules, and adds the rest.

        The path starts at the model, or at the root of this graph (for a body: the module of its operator). A path
        from the model starts as the root's own path does. It may lead to a module around or beside the root, which
        this graph cannot hold.

        Returns:
            Index of the module at its end, or of its ancestor at the deepest level that a tree may have; the root
            for a path to the root or to a module around it.
        """
        parts = [part for step in steps for part in step.parts]
        root = self.scope_of(self.root)
        shared = shared_parts(parts, root)
        start = [] if shared else root
        nodes = self._scopes.walk([*start, *parts])
        index, known = self.root, shared
        for depth in range(len(nodes) - 1, len(start) + shared, -1):
            if (found := self._scopes.value(nodes[depth])) != NOWHERE:
                index, known = found, depth - len(start)
                break
        end = 0
        for step in steps:
            end += len(step.parts)
            if end <= known:
                continue
            if index != NOWHERE and self._levels[index] == MAX_LEVELS:
                self._deep.add(self.modules[index].tag)
                break
            index = self._grow(index, step.segment, ".".join([*start, *parts[:end]]), source)
        return index

    def is_leaf(self, module: int) -> bool:
        """Whether it holds no other module; False for the graph itself."""
        return module != NOWHERE and not self._has_children[module]

    @property
    def levels(self) -> int:
        """How many modules are within each other."""
        return max(self._levels, default=0)

    def level(self, module: int) -> int:
        """How many modules an operator in this one is in; 0 for the graph itself."""
        return 0 if module == NOWHERE else self._levels[module]

    def outer(self, module: int) -> int:
        """The module around another; -1 for the graph itself."""
        parent = self.modules[module].parent
        return NOWHERE if parent is None else parent

    def common(self, left: int, right: int) -> int:
        """The innermost module that contains both."""
        while left != right:  # parents come before their children
            if left < right:
                left, right = right, left
            left = self.outer(left)
        return left

    def is_within(self, module: int, around: int) -> bool:
        """Whether a module is another, or in it."""
        while module > around:
            module = self.outer(module)
        return module == around

    @property
    def findings(self) -> tuple[Notice, ...]:
        """The paths that were too deep, if any."""
        return self._deep.lines

    def unplaced(self) -> Iterator[int]:
        """The operators without a place."""
        return (position for position, rule in enumerate(self.rules) if rule is None)

    def placed(self, bodies: Mapping[int, tuple[Placed, ...]]) -> Placed:
        """The result; operators without a place go into the root."""
        for position in self.unplaced():
            self.places[position] = self.root
        rules: list[Rule] = [rule or "root" for rule in self.rules]
        return Placed(tuple(self.modules), self.places, rules, self.tags, self.calls, bodies)

    def _grow(self, parent: int, segment: str, scope: str, source: SourceName) -> int:
        outer = None if parent == NOWHERE else self.modules[parent]
        tag = f"{outer.tag if outer else ''}/{segment}"
        self._add(Module(None if outer is None else parent, "", tag, scope, last_part(scope), told_by=source))
        return len(self.modules) - 1

    def _add(self, module: Module) -> None:
        self._scopes.add(parts_of(module.scope), len(self.modules))
        self.modules.append(module)
        self._has_children.append(False)
        if module.parent is None:
            self._levels.append(1)
        else:
            self._levels.append(self._levels[module.parent] + 1)
            self._has_children[module.parent] = True
