"""The module tree as PyTorch's exporter (torch.onnx, dynamo) writes it into each operator's metadata_props.

``pkg.torch.onnx.name_scopes`` and ``pkg.torch.onnx.class_hierarchy`` are Python lists of strings, of the same length:
the modules around the operator from the root inwards, and at last the operator itself. ``namespace`` holds the same
as ``scope: class/scope: class/…``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from graphml_onnx.hierarchy.paths import last_part
from graphml_onnx.hierarchy.source import Description, Source

if TYPE_CHECKING:
    from graphml_onnx.hierarchy.tree import Module, Operator

_ITEM: Final = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)")\s*([,\]])""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_LAST_CODE_POINT: Final = 0x10FFFF
_NO_MODULE: Final = "_empty_nn_module_stack"
"""How the placeholder begins that PyTorch writes as scope and class of an operator that no module ran."""

Texts: TypeAlias = "tuple[str | None, str | None, str | None]"
"""name_scopes, class_hierarchy and namespace of an operator."""


class ScopeStep(NamedTuple):
    """One module around an operator: its scope, and its class with the package."""

    scope: str
    path: str


class ExporterSource(Source[Texts, ScopeStep]):
    """Reads what the exporter writes; tags are built in the form that the HTP exporter makes of the same facts."""

    name = "exporter"
    rule = "scope"
    has_root = True
    lacking = "operators without readable metadata of the exporter, placed by their name"

    def key_of(self, operator: Operator) -> Texts | None:
        """Its three texts."""
        return texts_of(operator)

    def steps_of(self, key: Texts) -> list[ScopeStep] | None:
        """The modules around the operator."""
        return scope_steps(key)

    def tag_of(self, operator: Operator) -> None:
        """The exporter writes no tags."""

    def describe(self, step: ScopeStep, outer: Module | None) -> Description:
        """Takes the scope as it is, and the class without its package."""
        name = last_part(step.scope)
        class_name = last_part(step.path) or name or "Module"
        return Description(class_name, f"{class_name}.{name}" if name else class_name, step.scope)


def texts_of(operator: Operator) -> Texts | None:
    """What an operator holds of the exporter's metadata, or None."""
    texts = (operator.name_scopes, operator.class_hierarchy, operator.namespace)
    return None if texts == (None, None, None) else texts


def scope_steps(texts: Texts) -> list[ScopeStep] | None:
    """The modules around an operator, from the root inwards; None if no text tells one."""
    name_scopes, class_hierarchy, namespace = texts
    steps = None
    if name_scopes is not None and class_hierarchy is not None:
        scopes, classes = _string_list(name_scopes), _string_list(class_hierarchy)
        if scopes and classes and len(scopes) == len(classes):
            steps = [ScopeStep(*step) for step in zip(scopes, classes, strict=True)]
    if steps is None and namespace is not None:
        steps = _namespace_steps(namespace)
    modules = [step for step in steps[:-1] if not step.scope.startswith(_NO_MODULE)] if steps else None
    return modules or None


def _namespace_steps(namespace: str) -> list[ScopeStep] | None:
    steps = []
    for text in namespace.split("/"):
        scope, separator, path = text.partition(": ")
        if not separator:
            return None
        steps.append(ScopeStep(scope, path))
    return steps


def _string_list(text: str) -> list[str] | None:
    """Reads a Python list of string literals; None for any other text."""
    if not text.startswith("["):
        return None
    items: list[str] = []
    position = 1
    while item := _ITEM.match(text, position):
        single, double, following = item.groups()
        items.append(_unescaped(double if single is None else single))
        position = item.end()
        if following == "]":
            return items if position == len(text) else None
    return None


def _unescaped(literal: str) -> str:
    return _ESCAPE.sub(_character, literal) if "\\" in literal else literal


def _character(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2] or escape[3]
    if digits is None:
        return _CONTROLS.get(escape[4], escape[4])
    return chr(min(int(digits, 16), _LAST_CODE_POINT))
