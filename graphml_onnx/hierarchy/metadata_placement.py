"""Places operators by HTP metadata: its modules, and the tag that its `nodes` give each operator's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.findings import Tally
from graphml_onnx.hierarchy.lookup import ModuleLookup
from graphml_onnx.hierarchy.tree import MAX_LEVELS
from graphml_onnx.support.notices import Notice, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.lookup import Place
    from graphml_onnx.hierarchy.metadata import HtpMetadata
    from graphml_onnx.hierarchy.tree import Operator, Rule


def place_by_metadata(draft: Draft, operators: Sequence[Operator], metadata: HtpMetadata) -> tuple[Notice, ...]:
    """Fills an empty draft. An operator that the metadata does not name is placed by its own tag, scope or name.

    Returns:
        The findings.
    """
    draft.take_tree(metadata.modules, has_root=True)
    lookup = ModuleLookup(metadata.modules, metadata.folded, root=draft.root)
    contrary = Tally("tag-contrary", "operators whose tag in the model differs from the metadata; the metadata count")
    tags = _TagTallies()
    for position, operator in enumerate(operators):
        given = metadata.nodes.get(operator.name) if operator.name else None
        place = lookup.by_tag(given, operator) if given else _by_itself(lookup, operator)
        index, rule = place
        tag = given or operator.tag or None
        if tag:
            tags.add(rule, tag, is_given=bool(given))
        if given and operator.tag and operator.tag != given:
            contrary.add(operator.name)
        draft.tags[position] = tag
        if rule != "root":
            draft.put(position, index, rule)
    return (*_about_the_file(metadata), *about_the_model(operators, metadata), *tags.lines, *contrary.lines)


def _by_itself(lookup: ModuleLookup, operator: Operator) -> Place:
    if operator.tag:
        index, rule = lookup.by_tag(operator.tag, operator)
        if rule == "nearest tag":
            return index, rule
        if rule != "root":
            return index, "own tag"
    return lookup.by_scope(operator)


class _TagTallies:
    """Counts the tags that lead to no module, or to more than one."""

    def __init__(self) -> None:
        self._unknown = Tally("tag-unknown", "operators whose tag no module has, placed in the nearest module above")
        self._nowhere = Tally(
            "tag-unknown", "operators whose tag no module has, and none above it, so that the tag does not place them"
        )
        self._shared = Tally("tag-shared", "operators whose tag several modules have, placed in the first of these")

    def add(self, rule: Rule, tag: str, *, is_given: bool) -> None:
        """Counts the tag of one operator, given the rule that placed it."""
        if rule == "nearest tag":
            self._unknown.add(tag)
        elif rule == "root" and is_given:
            self._nowhere.add(tag)
        elif rule == "first of tag":
            self._shared.add(tag)

    @property
    def lines(self) -> tuple[Notice, ...]:
        """The findings."""
        return (*self._unknown.lines, *self._nowhere.lines, *self._shared.lines)


def _about_the_file(metadata: HtpMetadata) -> tuple[Notice, ...]:
    deep = Tally("too-deep", f"modules deeper than {MAX_LEVELS} levels, folded into their ancestor at that level")
    for module in metadata.folded:
        deep.add(module.tag)
    return (*metadata.findings, *deep.lines)


def about_the_model(operators: Sequence[Operator], metadata: HtpMetadata) -> tuple[Notice, ...]:
    """Whether the metadata belong to this model. Operators that they do not name are usual after a tool changed it."""
    named = sum(operator.name in metadata.nodes for operator in operators)
    if not metadata.nodes:
        text = "the metadata name no operators, so what places these comes from the model itself"
        return (Notice("metadata-empty", text),) if metadata.modules and operators else ()
    if 2 * named >= len(operators):
        return ()
    of = f" ({quoted(metadata.model)})" if metadata.model else ""
    shares = f"they name {named} of the {len(operators)} operators of the main graph"
    return (Notice("metadata-of-another", f"the metadata seem to belong to another model{of}: {shares}"),)
