"""Times the steps of an export while it reports them as stages."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphml_onnx.exporting.record import StepRecord
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphml_onnx.results import Progress


class Steps:
    """The steps so far.

    Args:
        progress: takes the reports, if anybody does.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done: list[StepRecord] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step; ``name`` is that of HTP metadata, with underscores."""
        start = time.perf_counter()
        with Stage(self._progress, name.replace("_", " "), 1, "steps"):
            yield
        self._done.append(StepRecord(name, time.perf_counter() - start))

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """What was done, in its order."""
        return tuple(self._done)
