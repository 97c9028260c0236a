"""Reports stages of work to a progress callback."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from graphml_onnx.results import Progress, Unit


class Stage:
    """Context manager for one stage: announced when it starts, closed when it ends without an error.

    Args:
        progress: the callback, or None.
        name: the name of the stage.
        total: how many units there are.
        unit: the unit of progress.
    """

    def __init__(self, progress: Progress | None, name: str, total: int, unit: Unit) -> None:
        self._progress = progress
        self._name, self._total, self._unit = name, total, unit
        self._done = self._reported = 0
        self._step = max(1, total // 200)

    def advance(self, count: int) -> None:
        """Reports that ``count`` more units are done; small steps are reported together."""
        self._done += count
        if self._progress is not None and self._done - self._reported >= self._step:
            self._reported = self._done
            self._progress(self._name, min(self._done, self._total), self._total, self._unit)

    def __enter__(self) -> Stage:
        if self._progress is not None:
            self._progress(self._name, 0, self._total, self._unit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None and kind is None:
            self._progress(self._name, self._total, self._total, self._unit)
