"""Checks values derived from the module tree: tags, scopes, and the groups in which nodes are drawn.

Source: docs/format.md, sections "Hierarchy" and "Layouts".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.documents.document import NO_NODE
from graphml_onnx.support.notices import quoted
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.documents.document import Document
    from graphml_onnx.validation.content import Content, Node
    from graphml_onnx.validation.findings import Findings


def check_tree(content: Content, findings: Findings) -> None:
    """Compares tags and scopes with the places of modules and operators in the tree."""
    modules = {node.node_id: node for node in content.nodes if node.kind == "module"}
    tags = {tag for module in modules.values() if (tag := _derived(module, "hierarchy_tag"))}
    for node in content.nodes:
        module = modules.get(node.parent or "")
        if module is None:
            continue
        if node.kind == "op":
            _check_operator(node, module, tags, findings)
        elif node.kind == "module":
            scope, outer = _derived(node, "scope"), _derived(module, "scope")
            if scope is not None and outer and not scope.startswith(f"{outer}."):
                message = f"the scope {quoted(scope)} is not within {quoted(outer)}, the scope of {module.title}"
                findings.add("stale-scope", node.line, message)
    for module in modules.values():
        tag, traced = _derived(module, "hierarchy_tag"), _derived(module, "traced_tag")
        if tag is not None and traced is not None and tag != traced:
            message = f"the hierarchy_tag {quoted(tag)} is not the traced_tag {quoted(traced)}"
            findings.add("stale-scope", module.line, message)


def _check_operator(node: Node, module: Node, tags: set[str], findings: Findings) -> None:
    """Checks an operator's tag. One that no module has is allowed; one of another module shows a move."""
    tag, place = _derived(node, "hierarchy_tag"), _derived(module, "hierarchy_tag")
    if tag is not None and place is not None and tag in tags and not f"{place}/".startswith(f"{tag}/"):
        message = f"{node.title} has the tag {quoted(tag)}, but is in the module with the tag {quoted(place)}"
        findings.add("stale-tag", node.line, message)


def _derived(node: Node, key: str) -> str | None:
    try:
        return unescape(node.derived[key]) if key in node.derived else None
    except JsonError:
        return None


def check_nesting(content: Content, document: Document, findings: Findings) -> None:
    """Compares the groups in which nodes are drawn with the parents that they name."""
    if len(document.order) != len(content.numbers):
        return  # the reader sees nodes where there should be none
    drawn_in = _drawn_in(document)
    if not any(group != NO_NODE for group in drawn_in.values()):
        return  # written without groups, or saved by a tool that knows none
    for node in content.nodes:
        group = _group(node.number, drawn_in, content.frames)
        wanted = content.by_id.get(node.parent or "")
        if wanted is not None and wanted.kind == "op":  # a body is beside its operator, in their frame
            wanted = content.by_id.get(wanted.parent or "")
        if group != (NO_NODE if wanted is None else wanted.number):
            message = f"{node.title} is drawn in another group than {'none' if wanted is None else wanted.title}"
            findings.add("nesting-differs", node.line, message)


def _drawn_in(document: Document) -> Mapping[int, int]:
    """By the number of a node in the order of the reader, the number of the node around it."""
    number_of = {start: number for number, start in enumerate(document.order)}
    return {number: number_of.get(around, NO_NODE) for number, around in enumerate(document.around)}


def _group(number: int, drawn_in: Mapping[int, int], frames: Mapping[int, str]) -> int:
    """The node around a node that is no frame."""
    group = drawn_in[number]
    while group in frames:
        group = drawn_in[group]
    return group
