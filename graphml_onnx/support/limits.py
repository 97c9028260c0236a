"""How much is read or written at a time: sizes that change speed and memory, and never a result."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes, each at least 1.

    Attributes:
        chunk: of payloads, read, hashed, compared and written at a time. Smaller ones are handed to threads more often,
            which costs a tenth of the processor time at a quarter of this size; larger ones only take more memory.
        window: of a model in which fields are looked for at a time.
        threads: the size of a file from which on threads pay.
    """

    chunk: int = 1 << 20
    window: int = 1 << 16
    threads: int = 1 << 22


LIMITS = Limits()
"""Those in use. Nothing sets them but tests, which try what happens at each border (``pytest --chunk 7``)."""
