"""Reads `modules` of HTP metadata, in both of its forms, as a tree.

The nested form is one root module whose ``children`` are an object keyed by class name; the older flat form is an
object keyed by module path. Nothing here recurses, because the file decides how deep the tree is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy.members import KeyPath, integer_at, object_at, text_at
from graphml_onnx.hierarchy.paths import PrefixIndex, class_and_name, joined, last_part, parts_of, segments_of
from graphml_onnx.hierarchy.schema import check
from graphml_onnx.hierarchy.tree import MAX_LEVELS, NOWHERE, Module

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json

MAX_PATH_CHARACTERS: Final = 1 << 27
"""Limit for all scopes and tags together: a child without its own repeats those of its parent."""

_OWN_TEXTS: Final = ("class_name", "traced_tag", "scope")


class ModuleTree(NamedTuple):
    """The modules of the metadata.

    Attributes:
        modules: down to the deepest level that a tree may have; parents before their children.
        folded: the modules below that level; ``parent`` is the module in ``modules`` that replaces each.
    """

    modules: tuple[Module, ...]
    folded: tuple[Module, ...]


class _Entry(NamedTuple):
    """One module as the file has it.

    Attributes:
        around: index of the entry of the module around it, or -1.
        key: its key in the nested form, class and name: ``BertLayer.0``; empty for the root module.
        scope: the scope, if the file gives it.
        members: its members.
    """

    around: int
    key: str
    scope: str | None
    members: dict[str, Json]


def module_tree(modules: dict[str, Json], path: KeyPath, root_class: str | None) -> ModuleTree:
    """Builds the tree.

    Args:
        modules: value of the metadata's key ``modules``.
        path: path of that key.
        root_class: class of the model, for a root module that does not give its own.

    Raises:
        MetadataError: a value has the wrong type; the place is its path of keys.
    """
    is_nested = any(text_at(modules, key) is not None for key in _OWN_TEXTS)
    return _tree(_nested_entries(modules, path) if is_nested else _flat_entries(modules, path), root_class)


def _nested_entries(root: dict[str, Json], root_path: KeyPath) -> list[_Entry]:
    entries: list[_Entry] = []
    waiting = [(NOWHERE, root_path, "", root)]
    while waiting:
        around, path, key, members = waiting.pop()
        check(members, "module_facts", path)
        entries.append(_Entry(around, key, text_at(members, "scope"), members))
        children = object_at(members, "children")
        below = (path, "children")
        waiting.extend(
            (len(entries) - 1, (below, child), child, object_at(children, child)) for child in reversed(children)
        )
    return entries


def _flat_entries(modules: dict[str, Json], root_path: KeyPath) -> list[_Entry]:
    listed: list[tuple[str, dict[str, Json]]] = []
    known = PrefixIndex()
    for key, module in modules.items():
        check(module, "module_facts", (root_path, key))
        members = object_at(modules, key)
        given = text_at(members, "scope")
        scope = key if given is None else given
        known.add(parts_of(scope), len(listed))
        listed.append((scope, members))

    below: dict[int, list[int]] = {}
    for place, (scope, _) in enumerate(listed):
        around = known.deepest(parts_of(scope)[:-1]) if scope else NOWHERE
        below.setdefault(around, []).append(place)

    entries: list[_Entry] = []
    waiting = [(NOWHERE, place) for place in reversed(below.get(NOWHERE, []))]
    while waiting:
        around, place = waiting.pop()
        scope, members = listed[place]
        waiting.extend((len(entries), child) for child in reversed(below.get(place, [])))
        entries.append(_Entry(around, "", scope, members))
    return entries


def _tree(entries: list[_Entry], root_class: str | None) -> ModuleTree:
    modules: list[Module] = []
    folded: list[Module] = []
    read: list[tuple[Module, int, int]] = []  # a module, the index that replaces it, its level
    characters = 0
    for entry in entries:
        outer, parent, level = read[entry.around] if entry.around != NOWHERE else (None, None, 0)
        module = _module(entry, outer, parent, root_class)
        characters += len(module.scope) + len(module.tag)
        if characters > MAX_PATH_CHARACTERS:
            raise MetadataError(
                f"the scopes and tags of its modules have more than {MAX_PATH_CHARACTERS:,} characters together",
                place="modules",
                remedy="give the modules shorter names",
            )
        if parent is not None and level == MAX_LEVELS:
            folded.append(module)
            read.append((module, parent, level))
        else:
            read.append((module, len(modules), level + 1))
            modules.append(module)
    return ModuleTree(tuple(modules), tuple(folded))


def _module(entry: _Entry, outer: Module | None, parent: int | None, root_class: str | None) -> Module:
    members = entry.members
    tag = text_at(members, "traced_tag")
    segment = (segments_of(tag or "") or [""])[-1]
    class_name = (
        text_at(members, "class_name")
        or class_and_name(segment)[0]
        or class_and_name(entry.key)[0]
        or (root_class if outer is None and not entry.scope else None)
        or last_part(entry.scope or "")
        or "Module"
    )
    scope = entry.scope
    if scope is None:
        name = class_and_name(entry.key)[1] or class_and_name(segment)[1] or class_name
        scope = joined(outer.scope, name) if outer else ""
    name = last_part(scope) or class_name
    return Module(
        parent=parent,
        class_name=class_name,
        tag=tag or f"{outer.tag if outer else ''}/{entry.key or _segment(class_name, name)}",
        scope=scope,
        name=name,
        execution_order=integer_at(members, "execution_order"),
        source=text_at(members, "source"),
        module_type=text_at(members, "module_type"),
    )


def _segment(class_name: str, name: str) -> str:
    """A segment of a tag in the flat form: only items of a list have their index in it."""
    return f"{class_name}.{name}" if name.isdigit() else class_name
