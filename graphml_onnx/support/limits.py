"""Sizes of reads and writes, which affect speed and memory, but never a result."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes, each at least 1.

    Attributes:
        chunk: of payloads that are read, hashed, compared and written at a time. Smaller chunks are handed to threads
            more often: a quarter of this size costs a tenth of the processor time. Larger ones only need more memory.
        window: of a model that is searched for fields at a time.
        threads: the size of a file from which on threads are faster.
    """

    chunk: int = 1 << 20
    window: int = 1 << 16
    threads: int = 1 << 22


LIMITS = Limits()
"""The sizes in use. Only tests change them, to try each border (``pytest --chunk 7``)."""
