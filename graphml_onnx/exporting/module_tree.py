"""Builds the module tree from the modules that ran, in the same way for both exporters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graphml_onnx.exporting.backends.modules import TORCH_CLASSES
from graphml_onnx.hierarchy.paths import last_part
from graphml_onnx.hierarchy.tree import Module

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from graphml_onnx.exporting.backends.modules import Level
    from graphml_onnx.exporting.options import TorchModules


def module_tree(levels: Iterable[Level], torch_modules: TorchModules) -> tuple[Module, ...]:
    """Builds the tree of the modules that ran.

    A module is in the module whose path is the longest prefix of its own, no matter who called it, and it is there
    once, no matter how often it ran. Containers that only hold modules (``ModuleList``) do not run and are no levels.

    Args:
        levels: modules in the order in which they first ran; repeats do not matter.
        torch_modules: the classes of ``torch.nn`` that are levels.

    Returns:
        Parents before their children, siblings in the order of their first run; the first is the root, whose scope
        is empty. Scopes and tags are unique.
    """
    kept: dict[str, str] = {}
    for scope, class_path in levels:
        if not scope or _is_level(class_path, torch_modules):
            kept.setdefault(scope, class_path)
    kept.setdefault("", "Module")
    order = {scope: place for place, scope in enumerate(sorted(kept, key=bool))}  # the root runs before all others
    children: dict[str, list[str]] = {}
    for scope in order:
        if scope:
            children.setdefault(_scope_around(scope, kept), []).append(scope)
    return _grown(kept, order, children)


def class_name_of(class_path: str) -> str:
    """The class without its package."""
    return last_part(class_path) or "Module"


def _is_level(class_path: str, torch_modules: TorchModules) -> bool:
    if not class_path.startswith(TORCH_CLASSES) or torch_modules == "all":
        return True
    return torch_modules != "none" and class_name_of(class_path) in torch_modules


def _scope_around(scope: str, known: Collection[str]) -> str:
    while scope:
        scope = scope.rpartition(".")[0]
        if scope in known:
            break
    return scope


def _grown(kept: dict[str, str], order: dict[str, int], children: dict[str, list[str]]) -> tuple[Module, ...]:
    modules: list[Module] = []
    waiting: list[tuple[int | None, str, str]] = [(None, "", _sanitized(class_name_of(kept[""])))]
    while waiting:
        parent, scope, segment = waiting.pop()
        class_name = class_name_of(kept[scope])
        modules.append(
            Module(
                parent=parent,
                class_name=class_name,
                tag=f"{'' if parent is None else modules[parent].tag}/{segment}",
                scope=scope,
                name=last_part(scope) or class_name,
                execution_order=order[scope],
            )
        )
        below = children.get(scope, [])
        segments = _segments([(class_name_of(kept[child]), _within(child, scope)) for child in below])
        index = len(modules) - 1
        waiting.extend((index, *child) for child in reversed(list(zip(below, segments, strict=True))))
    return tuple(modules)


def _within(scope: str, around: str) -> str:
    return scope[len(around) + 1 :] if around else scope


def _segments(siblings: Sequence[tuple[str, str]]) -> list[str]:
    """The segments of the tags of siblings, given their classes and their paths within the module around them.

    A segment has class and name, ``BertLayer.0``; or the whole path (``Linear.key.0``) if siblings would share it.
    """
    short = [_sanitized(f"{class_name}.{last_part(path)}") for class_name, path in siblings]
    count = Counter(short)
    taken: set[str] = set()
    segments: list[str] = []
    for name, (class_name, path) in zip(short, siblings, strict=True):
        segment = whole = name if count[name] == 1 else _sanitized(f"{class_name}.{path}")
        number = 1
        while segment in taken:  # names that differ only in their slashes
            number += 1
            segment = f"{whole}#{number}"
        taken.add(segment)
        segments.append(segment)
    return segments


def _sanitized(segment: str) -> str:
    """Replaces slashes in the name of a module, which would split the segment."""
    return segment.replace("/", "_")


def with_idle(ran: Iterable[Level], registered: Iterable[Level], torch_modules: TorchModules) -> tuple[Module, ...]:
    """The tree of the modules that ran, followed by those that never ran, without an ``execution_order``.

    Args:
        ran: modules in the order in which they first ran.
        registered: all modules.
        torch_modules: the classes of ``torch.nn`` that are levels.
    """
    levels = [*ran]
    tree = module_tree(levels, torch_modules)
    everything = module_tree([*levels, *registered], torch_modules)
    place_of = {module.scope: index for index, module in enumerate(tree)}
    idle = [module for module in everything if module.scope not in place_of]
    place_of |= {module.scope: len(tree) + number for number, module in enumerate(idle)}
    parents = [None if module.parent is None else place_of[everything[module.parent].scope] for module in idle]
    return (
        *tree,
        *(module._replace(execution_order=None, parent=parent) for module, parent in zip(idle, parents, strict=True)),
    )
