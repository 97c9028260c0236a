"""Small sizes at which bytes are read and written, so that small models meet every border."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def limited(chunk: int) -> Iterator[None]:
    """Chunks and windows of this many bytes, and threads for every file, within the context."""
    before = limits.LIMITS
    limits.LIMITS = limits.Limits(chunk, chunk, 0 if chunk > 1 else 1 << 62)
    try:
        yield
    finally:
        limits.LIMITS = before
