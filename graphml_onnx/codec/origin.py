"""Where nodes and edges come from, and what messages call a place there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from graphml_onnx.errors import GraphMLError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """A file, whose nodes and edges have lines, or a graph in memory, whose nodes and edges are counted instead.

    Attributes:
        file: the file; None for a graph in memory.
        place: what messages call the node or edge with a line.
    """

    file: Path | None
    place: Callable[[int], str] = "line {}".format

    def fail(self, line: int, message: str, remedy: str | None = None) -> Never:
        """Raises GraphMLError for a node or edge."""
        raise GraphMLError(message, file=self.file, place=self.place(line), remedy=remedy)
