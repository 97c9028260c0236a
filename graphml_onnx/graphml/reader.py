"""Reads GraphML: as lines if this project wrote it, else as any XML.

XML ids, nesting and the order of the document carry no meaning, except in a document that declares no keys.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from graphml_onnx.errors import GraphMLError, PayloadError
from graphml_onnx.graphml.lines import read_lines
from graphml_onnx.graphml.lists import NotAsWrittenError
from graphml_onnx.graphml.xml import read_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphml_onnx.graphml.elements import Batch, CutLists, Readable, Streams, Wanted

_WORTH_PATTERNS = 1 << 16  # bytes; expat has read less before the patterns are compiled

Result = TypeVar("Result")


class Read(Protocol):
    """Reads the document once."""

    def __call__(self, streams: Streams, lists: CutLists | None = None, /) -> Iterator[Batch]:
        """The nodes and edges; ``streams`` take streamed values, ``lists`` records long lists."""


class Document(Protocol):
    """A file that can be read more than once."""

    @property
    def size(self) -> int:
        """In bytes."""

    def open(self) -> Readable:
        """The bytes from the start."""


def read_graphml(document: Document, path: Path, wanted: Wanted, attempt: Callable[[Read], Result]) -> Result:
    """Reads a GraphML document.

    Args:
        document: the file.
        path: its name, for messages.
        wanted: what is kept of it.
        attempt: makes a result of the nodes and edges. If the document deviates from this project's form, or anything
            is wrong, it is called again and its first result is dropped; the second reading names the error.

    Returns:
        The result of ``attempt``.

    Raises:
        GraphMLError: the file is not well-formed, not GraphML, or beyond the limits; with the line.
    """
    if document.size >= _WORTH_PATTERNS:
        try:
            return attempt(partial(read_lines, document.open(), wanted))
        except (NotAsWrittenError, GraphMLError, PayloadError):
            pass
    return attempt(partial(read_xml, document.open(), path, wanted))
