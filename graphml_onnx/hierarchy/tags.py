"""The module tree as the tags of the operators tell it: one module for each segment of a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.exporter import scope_steps
from graphml_onnx.hierarchy.paths import class_and_name, joined, segments_of
from graphml_onnx.hierarchy.source import Description, Source
from graphml_onnx.hierarchy.tree import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.hierarchy.exporter import Texts
    from graphml_onnx.hierarchy.tree import Module, Operator


class TagSource(Source[str, str]):
    """Reads tags: in ``/BertModel/BertEncoder.encoder/BertLayer.0`` the last module is of class BertLayer, named 0.

    A tag tells only some of the names, so a scope built from it has the class where a name is missing. Where
    PyTorch's exporter tells of the same modules, their scopes are taken from there. Scopes are unique: where the
    name alone is taken, the whole segment stands in the scope, and if need be with a number.

    Args:
        operators: all that will be asked for.
    """

    name = "tags"
    rule = "tag"
    has_root = True

    def __init__(self, operators: Sequence[Operator]) -> None:
        bearers = {operator.tag: operator for operator in operators if operator.tag}
        paths = [(segments_of(tag), operator.texts) for tag, operator in bearers.items()]
        self._is_one_root = len({segments[0] for segments, _ in paths if segments}) == 1
        self._told = {tag: scope for segments, texts in paths if texts for tag, scope in _told_scopes(segments, texts)}
        self._taken: dict[str, int] = {}

    def key_of(self, operator: Operator) -> str | None:
        """Its tag."""
        return operator.tag

    def steps_of(self, key: str) -> list[str] | None:
        """The segments of the tag."""
        return segments_of(key) or None

    def tag_of(self, operator: Operator) -> str | None:
        """Its tag."""
        return operator.tag

    def describe(self, step: str, outer: Module | None) -> Description:
        """Splits the segment."""
        class_name, name = class_and_name(step)
        if outer is None and self._is_one_root:
            return Description(class_name, step, "")
        around = outer.scope if outer else ""
        scope = self._told.get(f"{outer.tag if outer else ''}/{step}") or joined(around, name or class_name)
        if scope in self._taken:
            scope = joined(around, step)
        return Description(class_name, step, self._unique(scope))

    def _unique(self, scope: str) -> str:
        unique = scope
        while unique in self._taken:
            self._taken[scope] += 1
            unique = f"{scope}#{self._taken[scope]}"
        self._taken[unique] = 1
        return unique


def _told_scopes(segments: list[str], texts: Texts) -> Iterator[tuple[str, str]]:
    """The scopes that the exporter tells of the modules of a tag, if it tells of as many."""
    steps = scope_steps(texts) or []
    if len(steps) == len(segments):
        tag = ""
        for segment, step in zip(segments[:MAX_LEVELS], steps, strict=False):
            tag = f"{tag}/{segment}"
            yield tag, step.scope
