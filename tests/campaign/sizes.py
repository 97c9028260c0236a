"""At how many bytes at a time an execution reads and writes: as users do mostly, and few, which meets every border."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from graphml_onnx.support import limits
from tests.common.limited import limited

if TYPE_CHECKING:
    import random

_USUAL = limits.LIMITS
_SMALL = (1, 7, 64, 4096)
_STEPS = 20_000
"""How many chunks an input may have: a megabyte is not read byte by byte."""


def chunks(data: bytes, rng: random.Random) -> contextlib.AbstractContextManager[None]:
    """Usual sizes or, for one input in four, small ones; those of ``--chunk`` where it is given.

    Args:
        data: the input.
        rng: chooses.
    """
    if limits.LIMITS != _USUAL or rng.random() < 0.75:
        return contextlib.nullcontext()
    size = rng.choice([size for size in _SMALL if len(data) // size < _STEPS] or [_USUAL.chunk])
    # Of a small model in small chunks, most of the time is one thread waiting for the other.
    return limited(size, threads=rng.random() < 0.25)
