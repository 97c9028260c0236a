"""The module tree as exporters write it into each operator's metadata_props.

- PyTorch (torch.onnx, dynamo): ``pkg.torch.onnx.name_scopes`` and ``pkg.torch.onnx.class_hierarchy`` are Python lists
  of strings, of the same length: the modules around the operator from the root inwards, then the operator itself.
  Scopes start at the root. ``namespace`` holds the same as ``scope: class/scope: class/…``.
- onnxscript.nn: ``pkg.onnxscript.name_scopes`` and ``pkg.onnxscript.class_hierarchy`` have no entry for the operator,
  and each scope starts at the module around it. ``namespace`` holds the same.
- Others: ``namespace`` is a plain path of modules, ``encoder/layer0``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.hierarchy.paths import joined, last_part
from graphml_onnx.hierarchy.source import Description, Source
from graphml_onnx.hierarchy.tree import MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.hierarchy.tree import Module, Operator

_ITEM: Final = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)")\s*([,\]])""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_LAST_CODE_POINT: Final = 0x10FFFF
_PLACEHOLDER: Final = "_empty_nn_module_stack"
"""PyTorch writes this into the metadata of an operator without a module."""


class Texts(NamedTuple):
    """The texts of an operator.

    Attributes:
        name_scopes: text of ``metadata_props["pkg.torch.onnx.name_scopes"]``, a Python list of strings.
        class_hierarchy: text of ``metadata_props["pkg.torch.onnx.class_hierarchy"]``, another one.
        namespace: text of ``metadata_props["namespace"]``.
        relative_scopes: text of ``metadata_props["pkg.onnxscript.name_scopes"]``, which onnxscript.nn writes.
        relative_classes: text of ``metadata_props["pkg.onnxscript.class_hierarchy"]``.
    """

    name_scopes: str | None = None
    class_hierarchy: str | None = None
    namespace: str | None = None
    relative_scopes: str | None = None
    relative_classes: str | None = None


class ScopeStep(NamedTuple):
    """One module around an operator: its scope, and its class with the package."""

    scope: str
    path: str


class ExporterSource(Source[Texts, ScopeStep]):
    """Reads the exporter's metadata, and builds tags in the form of the HTP exporter."""

    name = "exporter"
    rule = "scope"
    has_root = True

    def __init__(self, within: Sequence[str] | None = None) -> None:
        """Reads a graph; of a body, only what is below the module that its operator is in (``within``)."""
        self._around = None if within is None else frozenset(".".join(within[:end]) for end in range(len(within) + 1))

    def keys_of(self, operators: Sequence[Operator]) -> Iterable[Texts | None]:
        """Their texts."""
        return (operator.texts for operator in operators)

    def steps_of(self, key: Texts) -> list[ScopeStep] | None:
        """The modules around the operator."""
        steps = scope_steps(key)
        if steps is None or self._around is None:
            return steps
        return [step for step in steps if step.scope not in self._around]

    def tag_of(self, operator: Operator) -> None:
        """The exporter writes no tags."""

    def describe(self, step: ScopeStep, outer: Module | None) -> Description:
        """Takes the scope as it is, and the class without its package."""
        name = last_part(step.scope)
        class_name = last_part(step.path)
        segment = ".".join(part for part in (class_name, name) if part)
        return Description(class_name, segment or "Module", step.scope)


def scope_steps(texts: Texts) -> list[ScopeStep] | None:
    """The modules around an operator, from the root inwards; None if no text names one."""
    name_scopes, class_hierarchy, namespace, relative_scopes, relative_classes = texts
    steps = _relative(_pairs(relative_scopes, relative_classes))
    if steps is None and (pairs := _pairs(name_scopes, class_hierarchy)):
        steps = pairs[:-1]
    if steps is None and namespace is not None:
        steps = _namespace_steps(namespace, is_relative=relative_scopes is not None or relative_classes is not None)
    return [step for step in steps if not _is_placeholder(step)] or None if steps else None


def _is_placeholder(step: ScopeStep) -> bool:
    return step.scope.startswith(_PLACEHOLDER) or step.path.startswith(_PLACEHOLDER)


def _pairs(scopes_text: str | None, classes_text: str | None) -> list[ScopeStep] | None:
    """The steps in two lists of the same length; None for anything else."""
    if scopes_text is None or classes_text is None:
        return None
    scopes, classes = _string_list(scopes_text), _string_list(classes_text)
    if not scopes or not classes or len(scopes) != len(classes):
        return None
    return [ScopeStep(*step) for step in zip(scopes, classes, strict=True)]


def _relative(steps: list[ScopeStep] | None) -> list[ScopeStep] | None:
    """The scopes from the root, for scopes within the module around each."""
    if steps is None:
        return None
    found: list[ScopeStep] = []
    for scope, path in steps[:MAX_LEVELS]:
        outer = found[-1].scope if found else ""
        found.append(ScopeStep(joined(outer, scope) if scope else outer, path))
    return found


def _namespace_steps(namespace: str, *, is_relative: bool) -> list[ScopeStep] | None:
    segments = namespace.split("/")
    if ": " not in namespace:
        names = [segment for segment in segments if segment]
        return _relative([ScopeStep(name, "") for name in names]) if names else None
    steps = []
    for text in segments:
        scope, separator, path = text.partition(": ")
        if not separator:
            return None
        steps.append(ScopeStep(scope, path))
    if is_relative or _names_class(steps[-1].path):
        return _relative(steps)
    return steps[:-1]


def _names_class(path: str) -> bool:
    """Whether the last entry of a namespace is a module: operators are called ``aten.linear.default``."""
    return "." not in path and path[:1].isupper()


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
