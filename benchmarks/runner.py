"""Runs cases in turns, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import Row

if TYPE_CHECKING:
    from benchmarks.cases import Case

ROOT = Path(__file__).parent.parent


def run(case: Case) -> tuple[float, int | None]:
    """Seconds and peak memory in KiB of one run; what it writes stays.

    Raises:
        SystemExit: it failed; with what it said.
    """
    if sys.platform != "win32":
        os.sync()  # what an earlier run wrote is not written at the cost of this one
    start = time.perf_counter()
    done = subprocess.run(case.command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {' '.join(case.command)}\n{done.stderr}")
    if case.tells:
        told = json.loads(done.stdout)
        return told["seconds"], told["peak_kib"]
    return seconds, None


def _environment() -> dict[str, str]:
    """As users have it: Python keeps the bytecode of what it imports."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(cases: list[Case], turns: int, *, warm_up: bool) -> list[Row]:
    """Runs all cases in each turn.

    Args:
        cases: what to run.
        turns: how often.
        warm_up: whether a turn more is run before, for the caches of the system.
    """
    rows = [Row(case.name, [], [], case.baseline, case.operators) for case in cases]
    for turn in range(-1 if warm_up else 0, turns):
        for case, row in zip(cases, rows, strict=True):
            seconds, peak = run(case)
            _remove(case)
            if turn >= 0:
                row.seconds.append(seconds)
                row.peaks.extend([] if peak is None else [peak])
    return rows


def _remove(case: Case) -> None:
    for output in case.outputs:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
