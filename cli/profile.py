"""Time and peak memory of each stage, taken from the library's own announcements of its stages.

The kernel keeps one peak for the process. Linux can set it back (``/proc/self/clear_refs``, value 5, see proc(5)),
so there each stage has a peak of its own; elsewhere a stage shows the highest memory up to its end.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from graphml_onnx.results import Progress
    from graphml_onnx.support.strictjson import Json

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(slots=True)
class _Stage:
    start: float
    seconds: float = 0.0
    peak: int | None = None
    closed: bool = False


class Profile:
    """Measures while it passes the progress on.

    Args:
        inner: the callback that draws, if one does.
    """

    def __init__(self, inner: Progress | None = None) -> None:
        self._inner = inner
        self._stages: dict[str, _Stage] = {}
        self._whole = _Stage(time.perf_counter())

    def __call__(self, stage: str, done: int, total: int, unit: Literal["bytes", "nodes", "steps"]) -> None:
        """Notes the beginning and the end of a stage; see `graphml_onnx.results.Progress`."""
        known = self._stages.get(stage)
        if known is None:
            self._note_peak()
            _reset_peak()
            known = self._stages[stage] = _Stage(time.perf_counter())
        if done >= total:
            known.seconds = time.perf_counter() - known.start
            self._note_peak()
            known.closed = True
        if self._inner is not None:
            self._inner(stage, done, total, unit)

    def rows(self) -> list[tuple[str, float, int | None]]:
        """Name, seconds and peak memory in bytes of each stage, then of the whole command."""
        self._note_peak()
        self._whole.seconds = time.perf_counter() - self._whole.start
        every = [*self._stages.items(), ("total", self._whole)]
        return [(name, stage.seconds, stage.peak) for name, stage in every]

    def document(self) -> list[Json]:
        """The same, as ``--json`` shows it."""
        return [
            {"stage": name, "seconds": round(seconds, 6), "peak_bytes": peak} for name, seconds, peak in self.rows()
        ]

    def text(self) -> str:
        """The same, as a table."""
        from rich.filesize import decimal

        rows = [
            (name, f"{seconds:.3f} s", "unknown" if peak is None else decimal(peak))
            for name, seconds, peak in self.rows()
        ]
        width = max(len(name) for name, _, _ in [("stage", "", ""), *rows])
        return "\n".join(f"{a:<{width}}  {b:>10}  {c:>10}" for a, b, c in [("stage", "time", "peak memory"), *rows])

    def _note_peak(self) -> None:
        peak = _peak_bytes()
        if peak is None:
            return
        for stage in (self._whole, *self._stages.values()):
            if not stage.closed:
                stage.peak = max(stage.peak or 0, peak)


def members(profile: Profile | None) -> dict[str, Json]:
    """What a measurement, if there was one, adds to the document of ``--json``."""
    return {"profile": profile.document()} if profile else {}


def _reset_peak() -> None:
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:  # not Linux, or a container that forbids it: peaks are then cumulative
        return


def _peak_bytes() -> int | None:
    """Highest resident memory since the last reset; None where the system does not tell."""
    try:
        status = _STATUS.read_text()
    except OSError:
        return _peak_of_rusage()
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


def _peak_of_rusage() -> int | None:
    if sys.platform == "win32":
        return None
    else:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
