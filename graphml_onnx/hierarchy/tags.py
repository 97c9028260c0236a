"""The module tree from the tags of the operators: one module for each segment of a tag."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphml_onnx.hierarchy.exporter import scope_steps
from graphml_onnx.hierarchy.paths import PrefixIndex, class_and_name, joined, last_part, segments_of
from graphml_onnx.hierarchy.source import Description, Source
from graphml_onnx.hierarchy.tree import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphml_onnx.hierarchy.paths import NameStep
    from graphml_onnx.hierarchy.tree import Module, Operator

Scopes: TypeAlias = tuple[str, ...]
TagKey: TypeAlias = tuple[str, Scopes]
"""A tag, and the scopes of its outermost modules, as far as known."""


class Hint(NamedTuple):
    """Other evidence for the modules around an operator, besides its tag.

    Attributes:
        name: the modules in its name; None if there are none.
        owner: the module that owns its parameters, if known.
    """

    name: Sequence[NameStep] | None = None
    owner: Sequence[str] | None = None


class _Level(NamedTuple):
    """One module on an operator's path, with its class if the path has classes."""

    scope: str
    name: str
    class_name: str
    is_of_parameter: bool = False


class TagSource(Source[TagKey, tuple[str, str | None]]):
    """Reads tags: in ``/BertModel/BertEncoder.encoder/BertLayer.0`` the last module is of class BertLayer, named 0.

    A tag has only some of the names, and not all of the modules. So the scopes of its modules come from other evidence:
    PyTorch's exporter, names of operators, names of parameters. Such a path is followed from the outside inwards. Each
    segment of the tag matches the next module on the path with its name, or with its class if the path has classes. A
    segment without a name matches only the next module of an operator's name. If the paths of operators with one tag
    lead to different modules, each is a module.

    Without such evidence, the scope has the name, or the class if the name is missing. Scopes are unique: if one is
    already used, the whole segment is in the scope, with a number if necessary.

    Args:
        operators: all operators that will be placed.
        hints: the evidence for each of them; it may be shorter than the operators.
    """

    name = "tags"
    rule = "tag"
    has_root = True

    def __init__(self, operators: Sequence[Operator], hints: Sequence[Hint] = ()) -> None:
        tags = {operator.tag for operator in operators if operator.tag}
        self._is_one_root = len({segments[0] for segments in map(segments_of, tags) if segments}) == 1
        self._known = _Known(is_one_root=self._is_one_root)
        own = [
            self._known.scopes_told(operator, hints[position] if position < len(hints) else Hint())
            for position, operator in enumerate(operators)
        ]
        self._keys = [
            (operator.tag, self._known.completed(operator.tag, scopes)) if operator.tag else None
            for operator, scopes in zip(operators, own, strict=True)
        ]
        self._taken: dict[str, int] = {}

    def keys_of(self, operators: Iterable[Operator]) -> Iterable[TagKey | None]:
        """Their tags, with the known scopes."""
        return self._keys

    def steps_of(self, key: TagKey) -> list[tuple[str, str | None]] | None:
        """The segments of the tag with their scopes."""
        segments = segments_of(key[0])
        return list(zip_longest(segments, key[1][: len(segments)])) or None  # a tag of slashes has a root's scope only

    def tag_of(self, operator: Operator) -> str | None:
        """Its tag."""
        return operator.tag

    def describe(self, step: tuple[str, str | None], outer: Module | None) -> Description:
        """Splits the segment."""
        segment, told = step
        class_name, name = class_and_name(segment)
        if outer is None and self._is_one_root:
            return Description(class_name, segment, "")
        around = outer.scope if outer else ""
        scope = told or joined(around, name or class_name)
        if scope in self._taken:
            scope = joined(around, segment)
        return Description(class_name, segment, self._unique(scope))

    def _unique(self, scope: str) -> str:
        unique = scope
        while unique in self._taken:
            self._taken[scope] += 1
            unique = f"{scope}#{self._taken[scope]}"
        self._taken[unique] = 1
        return unique


class _Known:
    """The scopes of the modules of tags, from the operators' evidence."""

    def __init__(self, *, is_one_root: bool) -> None:
        self._first = int(is_one_root)
        self._nodes = PrefixIndex()  # of the segments of tags
        self._scopes: dict[int, Scopes] = {}  # of a node those of a tag that goes on from it, or ends there
        self._answers: dict[tuple[str, object, object, object], Scopes] = {}

    def scopes_told(self, operator: Operator, hint: Hint) -> Scopes:
        """The scopes for the modules of an operator's own tag; the first evidence for a module counts."""
        if not operator.tag:
            return ()
        asked = (operator.tag, operator.texts, id(hint.name), None if hint.owner is None else tuple(hint.owner))
        if asked not in self._answers:
            self._answers[asked] = self._told(operator.tag, operator, hint)
            for node, _ in self._walk(operator.tag, self._answers[asked]):
                self._scopes.setdefault(node, self._answers[asked])
        return self._answers[asked]

    def completed(self, tag: str, own: Scopes) -> Scopes:
        """The scopes of a tag that an operator knows partly; the rest comes from the last operator with this tag."""
        nodes = list(self._walk(tag, None))
        for node, length in reversed(nodes):
            if length <= len(own):
                break
            known = self._scopes.get(node, ())
            if known[: len(own)] == own and len(known) >= length:
                return known[:length]
        for node, _ in nodes[: len(own)]:
            self._scopes[node] = own
        return own

    def _walk(self, tag: str, scopes: Scopes | None) -> Iterator[tuple[int, int]]:
        """The nodes of the segments of a tag, each with its number of segments; only those that have scopes."""
        segments = segments_of(tag)[: MAX_LEVELS if scopes is None else len(scopes)]
        self._nodes.add(segments, 0)
        return ((node, length) for length, node in enumerate(self._nodes.walk(segments)) if length)

    def _told(self, tag: str, operator: Operator, hint: Hint) -> Scopes:
        segments = [class_and_name(segment) for segment in segments_of(tag)[:MAX_LEVELS]]
        longest: Scopes = ()
        for levels in _paths(operator, hint):
            found = ("",) * self._first + tuple(_aligned(segments[self._first :], levels))
            if len(found) > len(longest):
                longest = found
            if len(found) == len(segments):
                break
        return longest


def _paths(operator: Operator, hint: Hint) -> Iterator[list[_Level]]:
    """The paths of an operator, the most reliable first."""
    if operator.texts and (steps := scope_steps(operator.texts)):
        yield [_Level(step.scope, last_part(step.scope), last_part(step.path)) for step in steps if step.scope]
    if hint.name:
        yield _levels([step.parts for step in hint.name])
    if hint.owner:
        yield [level._replace(is_of_parameter=True) for level in _levels([(part,) for part in hint.owner])]


def _levels(steps: Iterable[tuple[str, ...]]) -> list[_Level]:
    levels: list[_Level] = []
    for parts in steps:
        if len(levels) == MAX_LEVELS:
            break
        levels.append(_Level(joined(levels[-1].scope if levels else "", ".".join(parts)), parts[-1], ""))
    return levels


def _aligned(segments: Sequence[tuple[str, str]], levels: Sequence[_Level]) -> Iterator[str]:
    """The scopes of the segments of a tag, as far as a path contains them in order."""
    start = 0
    for class_name, name in segments:
        for position in range(start, len(levels)):
            if _is_of(levels[position], class_name, name, is_next=position == start):
                start = position + 1
                yield levels[position].scope
                break
        else:
            return


def _is_of(level: _Level, class_name: str, name: str, *, is_next: bool) -> bool:
    """Whether a module on a path can be that of a segment; an item of a list has its number in the tag."""
    if level.class_name and level.class_name != class_name:
        return False
    if name or level.class_name:
        return not name or level.name == name
    return is_next and not level.name.isdigit() and not level.is_of_parameter  # which may be one that modules share
