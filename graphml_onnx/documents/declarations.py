"""Checks the keys of a document: each declared once, for the elements that the format gives it to, and then used so.

Source: docs/format.md, sections "Documents" and "Keys".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.codec.keys import KEYS
from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Report: TypeAlias = "Callable[[str, int | None, str], None]"
"""Takes what is found: a code of `graphml_onnx.validation.codes`, the line, and a message."""

_SHOWN = 8  # names of keys in a message


class Declarations:
    """The keys of a document.

    Attributes:
        names: attr.names by what they are declared for: node, edge, graph, all, ….
        last: attr.name of the key of the format whose declaration is open, or None.
        is_bare: whether there are none: then the ids in the values are the names.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self.names: dict[str, set[str]] = {}
        self.last: str | None = None
        self.is_bare = False
        self._scopes: dict[str, dict[str, str | None]] = {}  # key id -> what it is for -> attr.name
        self._names: dict[tuple[str, str], str] = {}  # key id and element -> attr.name, of the keys of the format
        self._lines: dict[str, int] = {}  # of the keys of the format, by attr.name
        self._renumbered: list[str] = []
        self._foreign: list[str] = []

    def declare(self, attributes: Mapping[str, str], line: int) -> bool:
        """Takes the attributes of a key element, which has an id; returns whether a reader takes it too."""
        key, scope, name = attributes["id"], attributes.get("for", "all"), attributes.get("attr.name")
        scopes = self._scopes.setdefault(key, {})
        if scopes and (scope in (*scopes, "all") or "all" in scopes):
            self._report("key-twice", line, f"the key {quoted(key)} is declared twice")
            return False
        scopes[scope] = name
        if name is not None:
            self.names.setdefault(scope, set()).add(name)
        if name in KEYS:
            self._lines[name] = line
            element = KEYS[name].key.scope
            self.last = name if scope in (element, "all") else None
            if self.last is not None:
                self._names[key, element] = name
            if key != name:
                self._renumbered.append(name)
        elif name is not None:
            self._foreign.append(name)
        return True

    def start_graph(self) -> None:
        """Notes that the declarations have ended."""
        self.is_bare = not self._scopes

    def name(self, key: str, element: str) -> str | None:
        """The attr.name of a key of the format that is used on an element; None for other keys."""
        if self.is_bare:
            return key if key in KEYS and KEYS[key].key.scope == element else None
        return self._names.get((key, element))

    def of_graph(self, key: str) -> str | None:
        """The attr.name of a key that is used on the graph."""
        scopes = self._scopes.get(key, {})
        return scopes.get("graph", scopes.get("all"))

    def use(self, key: str, element: str, values: set[str], line: int) -> bool:
        """Takes the key of a value; returns whether a reader takes the value too.

        Args:
            key: the id of the key.
            element: what has the value: node or edge.
            values: keys of the format that the element has values of so far; this one is added.
            line: that of the value.
        """
        if key not in self._scopes and not self.is_bare:
            self._report("key-undeclared", line, f"the key {quoted(key)} is not declared")
            return False
        name = self.name(key, element)
        if name is None:
            scopes = self._scopes.get(key, {})
            others = [other for other in scopes.values() if other in KEYS]
            if others and element not in scopes:
                self._report("key-scope", line, f"the key {others[0]!r} has no meaning on a {element} element")
            return True
        if name in values:
            self._report("value-twice", line, f"a second value of {name!r}")
            return False
        values.add(name)
        return True

    def has(self, name: str, element: str) -> bool:
        """Whether a key can be used on an element."""
        return self.is_bare or name in self.names.get(element, ()) or name in self.names.get("all", ())

    def report(self) -> None:
        """Reports what concerns all keys together."""
        if self.is_bare:
            self._report("keys-gone", None, "no key is declared; the keys of values are taken for their names")
        if self.is_bare or not self.has("kind", "node"):
            return  # not of this format: its keys are its own
        for name, line in self._lines.items():
            scope = KEYS[name].key.scope
            if not self.has(name, scope):
                self._report("key-scope", line, f"the key {name!r} is not declared for {scope} elements")
        if self._renumbered:
            self._report("keys-renumbered", None, f"ids of other tools: {_listed(self._renumbered)}")
        if self._foreign:
            self._report("keys-of-other-tools", None, f"not of this format: {_listed(self._foreign)}")


def _listed(names: list[str]) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    return ", ".join(map(quoted, different[:_SHOWN])) + more
