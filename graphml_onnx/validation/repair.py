"""A document without its faulty elements, for a reader that would otherwise refuse all of it.

The bytes of these elements become spaces; line ends stay, so that every other element keeps its line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from graphml_onnx.onnxfile.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

_not_line_end = re.compile(rb"[^\r\n]")


class Repaired(Source):
    """A document for a reader, with parts left out.

    Args:
        source: the document.
        faulty: ranges of bytes to leave out, in ascending order, side by side.
    """

    def __init__(self, source: Source, faulty: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._faulty = faulty

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._source.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        data = self._source.read(offset, length)
        first = bisect_right(self._faulty, offset, key=lambda element: element[1])
        for low, high in self._faulty[first:]:
            if low >= offset + length:
                break
            left, right = max(low - offset, 0), min(high - offset, length)
            data = data[:left] + _not_line_end.sub(b" ", data[left:right]) + data[right:]
        return data
