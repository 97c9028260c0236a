"""Runs a target in processes beside this one, so that what ends a process is a failure with its number too.

A crash of the interpreter, a call of ``exit``, and Linux's OOM killer would otherwise end the campaign without a word.
"""

from __future__ import annotations

import multiprocessing
import time
from ctypes import c_longlong
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from tests.campaign import scratch
from tests.campaign.running import Outcome, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from tests.campaign.running import Target

MEMORY_BYTES = 1 << 30
"""What one process may take beyond what it has at its start, where the system can limit that."""

_REPORT_SECONDS = 60.0


@dataclass
class _Worker:
    process: BaseProcess
    heard: Connection
    number: c_longlong
    outcome: Outcome = field(default_factory=Outcome)
    ended: bool = False


def run_beside(
    make: Callable[[Path], Target],
    count: int,
    seed: int,
    jobs: int = 1,
    *,
    seconds: float = float("inf"),
    report: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Attempts the numbers from ``seed`` on; each of N processes takes every N-th of them.

    Args:
        make: makes the target in the folder of a process.
        count: how often.
        seed: the first number.
        jobs: how many processes.
        seconds: after which it stops earlier.
        report: called about once a minute, and where there are new failures.
    """
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    began = told = time.monotonic()
    workers = []
    for index in range(min(jobs, count)):
        heard, tells = context.Pipe(duplex=False)
        share = (count - index + jobs - 1) // jobs
        number = context.RawValue(c_longlong, seed + index)
        process = context.Process(target=_work, args=(make, share, number, jobs, seconds, tells))
        process.start()
        tells.close()  # so that the end of the process is the end of the pipe
        workers.append(_Worker(process, heard, number))
    total = Outcome()
    failures: list[str] = []  # in the order in which they become known
    while listening := [worker for worker in workers if not worker.ended]:
        ready = wait([worker.heard for worker in listening], timeout=_REPORT_SECONDS)
        known = len(failures)
        for worker in listening:
            if worker.heard in ready:
                heard = len(worker.outcome.failures)
                _hear(worker)
                failures += worker.outcome.failures[heard:]
        now = time.monotonic()
        total = Outcome(failures=failures, seconds=now - began)
        for worker in workers:
            total.executions += worker.outcome.executions
            total.words.update(worker.outcome.words)
        if report is not None and (now - told > _REPORT_SECONDS or len(failures) > known):
            told = now
            report(total)
    return total


def _hear(worker: _Worker) -> None:
    """Takes the outcomes so far, or finds that the process has ended."""
    try:
        worker.outcome = worker.heard.recv()
    except EOFError:
        worker.process.join()
        worker.ended = True
        if worker.process.exitcode:
            failure = f"seed {worker.number.value}: the process ended with {worker.process.exitcode}\n"
            worker.outcome.failures.append(failure)
            worker.outcome.words["FAILED"] += 1
            worker.outcome.executions += 1


def _work(
    make: Callable[[Path], Target], count: int, number: c_longlong, step: int, seconds: float, tells: Connection
) -> None:
    """What a process does."""

    def begins(current: int) -> None:
        number.value = current

    with scratch.folder() as folder:
        target = make(folder)
        _limit_memory()
        tells.send(run(target, count, number.value, step=step, begins=begins, seconds=seconds, report=tells.send))


def _limit_memory() -> None:
    """Makes a failure, a MemoryError, of what is out of proportion to its input."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
