"""Time and peak memory of each stage, as the library reports them; "start" and "other" are the time between stages.

The kernel keeps one peak for the process. Linux can reset it (``/proc/self/clear_refs``, value 5, see proc(5)), so each
stage has its own peak there; on other systems a stage shows the highest memory up to its end.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphml_onnx.results import Progress, Unit
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
        whole_process: whether the time from the start of the process counts, as the row "start".
    """

    def __init__(self, inner: Progress | None = None, *, whole_process: bool = True) -> None:
        self.inner = inner
        self._stages: dict[str, _Stage] = {}
        self._start = _process_age() if whole_process else 0.0
        self._whole = _Stage(time.perf_counter() - self._start)

    def __call__(self, stage: str, done: int, total: int, unit: Unit) -> None:
        """Records the beginning and the end of a stage; see `graphml_onnx.results.Progress`."""
        known = self._stages.get(stage)
        if known is None:
            self._note_peak()
            _reset_peak()
            known = self._stages[stage] = _Stage(time.perf_counter())
        if done >= total:
            known.seconds = time.perf_counter() - known.start
            self._note_peak()
            known.closed = True
        if self.inner is not None:
            self.inner(stage, done, total, unit)

    def rows(self) -> list[tuple[str, float, int | None]]:
        """Name, seconds and peak memory in bytes of each stage, then of the whole command."""
        self._note_peak()
        self._whole.seconds = time.perf_counter() - self._whole.start
        stages = [(name, stage.seconds, stage.peak) for name, stage in self._stages.items()]
        if self._start:
            stages.insert(0, ("start", self._start, None))
        other = self._whole.seconds - sum(seconds for _, seconds, _ in stages)
        return [*stages, ("other", max(0.0, other), None), ("total", self._whole.seconds, self._whole.peak)]

    def document(self) -> list[Json]:
        """The same, as ``--json`` shows it."""
        return [
            {"stage": name, "seconds": round(seconds, 6), "peak_bytes": peak} for name, seconds, peak in self.rows()
        ]

    def text(self) -> str:
        """The same, as a table."""
        from rich.filesize import decimal

        rows = [
            (name, f"{seconds:.3f} s", "" if peak is None else decimal(peak)) for name, seconds, peak in self.rows()
        ]
        width = max(len(name) for name, _, _ in [("stage", "", ""), *rows])
        lines = [("stage", "time", "peak memory"), *rows]
        return "\n".join(f"{a:<{width}}  {b:>10}  {c:>10}".rstrip() for a, b, c in lines)

    def _note_peak(self) -> None:
        peak = _peak_bytes()
        if peak is None:
            return
        for stage in (self._whole, *self._stages.values()):
            if not stage.closed:
                stage.peak = max(stage.peak or 0, peak)


def members(profile: Profile | None) -> dict[str, Json]:
    """The measurement for the document of ``--json``, if there is one."""
    return {"profile": profile.document()} if profile else {}


def _process_age() -> float:
    """Seconds since the process started, to 10 ms; 0 if the system does not provide it."""
    if sys.platform != "linux":
        return 0.0
    try:
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):  # no /proc, or one of another shape
        return 0.0


def _reset_peak() -> None:
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:  # not Linux, or a container that forbids it: peaks are then cumulative
        return


def _peak_bytes() -> int | None:
    """Highest resident memory since the last reset; None if the system does not report it."""
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
