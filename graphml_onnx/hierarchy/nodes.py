"""The hierarchy as HTP metadata tells it: its modules, and the tag that its `nodes` give to the name of an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.findings import Tally, quoted
from graphml_onnx.hierarchy.place import Placer, Record, root_of
from graphml_onnx.hierarchy.tree import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.hierarchy.metadata import HtpMetadata
    from graphml_onnx.hierarchy.place import Place
    from graphml_onnx.hierarchy.tree import Hierarchy, Operator, Rule


def from_metadata(operators: Sequence[Operator], metadata: HtpMetadata) -> Hierarchy:
    """Builds the hierarchy; an operator that the metadata does not name is placed by what it tells of itself."""
    placer = Placer(metadata.modules, metadata.folded, root=root_of(metadata.modules))
    record = Record(len(operators))
    unnamed = Tally("operators that the metadata does not name, placed by their own tag, scope or name")
    tags = _TagTallies()
    for position, operator in enumerate(operators):
        given = metadata.nodes.get(operator.name) if operator.name else None
        if given:
            place = placer.by_tag(given, operator)
        else:
            place = _by_itself(placer, operator)
            unnamed.add(operator.name)
        rule = place[1]
        tag = given or operator.tag or None
        if tag:
            tags.add(rule, tag, is_given=bool(given))
        record.put(position, place, exact=bool(given) and rule in ("tag", "tag and name"), tag=tag)
    findings = (*_about_the_file(metadata), *_about_the_model(operators, metadata), *tags.lines, *unnamed.lines)
    return record.hierarchy("metadata", metadata.modules, findings)


def _by_itself(placer: Placer, operator: Operator) -> Place:
    if operator.tag:
        index, rule = placer.by_tag(operator.tag, operator)
        if rule == "nearest tag":
            return index, rule
        if rule != "root":
            return index, "own tag"
    return placer.by_scope(operator)


class _TagTallies:
    """Counts the tags that lead to no module, or to more than one."""

    def __init__(self) -> None:
        self._unknown = Tally("operators whose tag no module has, placed in the nearest module above")
        self._shared = Tally("operators whose tag several modules have, placed in the first of these")

    def add(self, rule: Rule, tag: str, *, is_given: bool) -> None:
        """Takes the tag of one operator with the rule that placed it."""
        if rule == "nearest tag" or (rule == "root" and is_given):
            self._unknown.add(tag)
        elif rule == "first of tag":
            self._shared.add(tag)

    @property
    def lines(self) -> tuple[str, ...]:
        """The findings."""
        return (*self._unknown.lines, *self._shared.lines)


def _about_the_file(metadata: HtpMetadata) -> tuple[str, ...]:
    if not metadata.modules:
        return (*metadata.findings, "the metadata has no modules: all operators stand directly in the model")
    deep = Tally(f"modules deeper than {MAX_LEVELS} levels, folded into their ancestor at that level")
    for module in metadata.folded:
        deep.add(module.tag)
    return (*metadata.findings, *deep.lines)


def _about_the_model(operators: Sequence[Operator], metadata: HtpMetadata) -> tuple[str, ...]:
    names = {operator.name for operator in operators}
    absent = Tally("nodes of the metadata that are no operators of the model's main graph")
    for name in metadata.nodes:
        if name not in names:
            absent.add(name)
    total = len(metadata.nodes)
    if 2 * absent.count > total:
        of = f" ({quoted(metadata.model)})" if metadata.model else ""
        present = total - absent.count
        return (f"the metadata seems to be that of another model{of}: of its {total} nodes, {present} are in this one",)
    return absent.lines
