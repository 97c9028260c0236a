"""Reads the values of the ``<graph>`` element itself, in a document of an earlier format.

They can be long (embedded weights), and those of nested graphs have the same names.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from graphml_onnx.errors import GraphMLError

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.onnxfile.source import Source

MAX_VALUES = 1 << 30
"""Limit for all values of a graph together, in characters, since they are held in memory."""

_CHUNK = 1 << 18
_DEPTH = 3  # graphml, graph, data


def read_graph_values(source: Source, path: Path) -> dict[str, str]:
    """The values of the outermost graph, by attr.name; empty ones are left out.

    Args:
        source: the document, which must have been checked before.
        path: its name, for messages.

    Raises:
        GraphMLError: they are longer than `MAX_VALUES`.
    """
    reader = _Reader(path)
    for start in range(0, source.size, _CHUNK):
        reader.parser.Parse(source.read(start, min(_CHUNK, source.size - start)), False)  # noqa: FBT003 by position only
    return {name: value for name, parts in reader.values.items() if (value := "".join(parts)).strip()}


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[str, str] = {}
        self._depth = 0
        self._size = 0
        self._parts: list[str] | None = None  # of the value that is open
        self.values: dict[str, list[str]] = {}
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._on_start
        self.parser.EndElementHandler = self._on_end
        self.parser.CharacterDataHandler = self._on_text

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        kind = name.rpartition(" ")[2]
        if kind == "key" and attributes.get("for") in ("graph", "all"):
            self._names[attributes.get("id", "")] = attributes.get("attr.name", "")
        elif kind == "data" and self._depth == _DEPTH and attributes.get("key") in self._names:
            self._parts = self.values.setdefault(self._names[attributes["key"]], [])

    def _on_end(self, _: str) -> None:
        self._depth -= 1
        if self._depth < _DEPTH:
            self._parts = None

    def _on_text(self, text: str) -> None:
        if self._parts is None:
            return
        self._size += len(text)
        if self._size > MAX_VALUES:
            raise GraphMLError(
                f"the values of the graph are longer than {MAX_VALUES:,} characters",
                file=self._path,
                remedy="encode the model again",
            )
        self._parts.append(text)
