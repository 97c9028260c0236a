"""The target ``lines``: hostile graphs read as lines and by expat alone, in pieces of any size."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

from graphml_onnx.codec.keys import EMBEDDED_KEY, NESTING, OPERATOR_ROWS, TRUTH_KEYS, WIRING_KEYS
from graphml_onnx.graphml.elements import Wanted
from tests.campaign.graphml_files import GraphmlFiles
from tests.common.two_readings import reading, reading_by_expat

if TYPE_CHECKING:
    from pathlib import Path


class GraphmlLines:
    """Both ways of reading give the same records, or the same error in the same line.

    A value that is streamed is judged piece by piece, so the pieces decide which of two faults in it is met first:
    errors are compared with those of the same pieces. Whether a document is read, and as what, does not depend on
    the pieces.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._files = GraphmlFiles(folder)

    def make(self, number: int) -> bytes:
        """The graphs of the target ``graphml``."""
        return self._files.make(number)

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`."""
        rng = random.Random(zlib.crc32(data))
        # At least four bytes at a time: by the first four, the reader tells UTF-16 and UTF-32.
        edge_keys = rng.choice((frozenset[str](), WIRING_KEYS))
        size = rng.choice((1 << 18, 1 << 18, 1 << 12, rng.randint(4, 300)))
        rows = rng.choice((None, OPERATOR_ROWS, OPERATOR_ROWS))
        wanted = Wanted(TRUTH_KEYS - {EMBEDDED_KEY}, edge_keys, NESTING, rows)
        found = reading(data, size, wanted, EMBEDDED_KEY)
        assert found == reading_by_expat(data, size, wanted, EMBEDDED_KEY)
        whole = reading_by_expat(data, 1 << 18, wanted, EMBEDDED_KEY)
        if isinstance(found[0], list):
            assert found == whole
            return "read"
        assert not isinstance(whole[0], list)
        return "refused"
