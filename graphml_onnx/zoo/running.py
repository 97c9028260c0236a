"""Runs jobs on an executor: a bounded number at a time, and again if a worker process died."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from graphml_onnx.errors import StorageError, UsageError
from graphml_onnx.zoo.jobs import blank_row, failed_row, run_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from graphml_onnx.zoo.jobs import Job
    from graphml_onnx.zoo.rows import BatchRow

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WINDOW = 256
"""Number of jobs that a foreign executor has at a time: enough for a cluster, and few compared with a million."""
_TOGETHER = 32
"""Number of small models that go to a process together: one by one, the way there and back, and a file of tables for
each, take longer than reading it."""
_SMALL = 1 << 17
"""Bytes of models that go to a process together."""


def on_executor(jobs: Iterable[Job], executor: Executor) -> Iterator[BatchRow]:
    """Runs jobs on a given executor; each gives a row, in the order in which they end."""
    broken = yield from _on(([job] for job in jobs), executor, _WINDOW)
    for job in broken:
        yield failed_row(blank_row(job), _lost(), job.source)


def in_this_process(jobs: Sequence[Job]) -> Iterator[BatchRow]:
    """Runs jobs one after the other."""
    for together in _handed_out(jobs, 1):
        yield from run_jobs(together)


def in_processes(jobs: Sequence[Job], workers: int) -> Iterator[BatchRow]:
    """Runs jobs in separate processes.

    If one of them dies, all running jobs are tried again one by one; the job during which a new process dies is the one
    that failed.
    """
    left = _handed_out(jobs, workers)
    while True:
        with _Pool(workers) as pool:
            broken = yield from _on(left, pool.executor, 2 * workers)
        if not broken:
            return
        _check_that_processes_start()
        while broken:
            alone = iter([[job] for job in broken])
            with _Pool(1) as pool:
                lost = yield from _on(alone, pool.executor, 1)
            if lost == broken[:1]:
                yield failed_row(blank_row(lost[0]), _lost(), lost[0].source)
                lost = []
            broken = [*lost, *(job for [job] in alone)]  # it may have died after its last job


def _handed_out(jobs: Sequence[Job], workers: int) -> Iterator[list[Job]]:
    """Jobs that go to a process together: several small models, fewer towards the end, or one large one."""
    together: list[Job] = []
    size = 0
    for done, job in enumerate(jobs):
        most = min(_TOGETHER, (len(jobs) - done) // (4 * workers))
        if together and (size + job.source.size > _SMALL or len(together) >= most):
            yield together
            together, size = [], 0
        together.append(job)
        size += job.source.size
    if together:
        yield together


def _on(handed_out: Iterator[list[Job]], executor: Executor, window: int) -> Generator[BatchRow, None, list[Job]]:
    """Runs jobs until they or the executor end; returns those that were running when it broke."""
    ended: SimpleQueue[Future[list[BatchRow]]] = SimpleQueue()
    running: dict[Future[list[BatchRow]], list[Job]] = {}
    broken: list[Job] = []
    try:
        while True:
            while not broken and len(running) < window and (jobs := next(handed_out, None)) is not None:
                try:
                    future = executor.submit(run_jobs, jobs)
                except (BrokenExecutor, RuntimeError):
                    broken += jobs
                    break
                running[future] = jobs
                future.add_done_callback(ended.put)
            if not running:
                return broken
            future = ended.get()
            jobs = running.pop(future)
            try:
                rows = future.result()
            except BrokenExecutor:
                broken += jobs
            except Exception as error:  # noqa: BLE001 - a failure of one model must not stop the others
                yield from [failed_row(blank_row(job), error, job.source) for job in jobs]
            else:
                yield from rows
    finally:
        for future in running:
            future.cancel()


def _check_that_processes_start() -> None:
    """Raises if the processes die before they get to a model."""
    with _Pool(1) as pool:
        try:
            pool.executor.submit(os.getpid).result()
        except BrokenExecutor as error:
            raise UsageError(
                "worker processes end as soon as they are started",
                remedy='a script that calls batch needs `if __name__ == "__main__":` around the call',
            ) from error


def _lost() -> StorageError:
    return StorageError(
        "the worker process ended while it worked on it",
        remedy="was there enough memory? Use fewer workers; or try it alone, with g2o encode",
    )


class _Pool:
    """Processes that end with this one."""

    def __init__(self, workers: int) -> None:
        # Threads of file systems and of Arrow do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.executor = _Processes(workers, mp_context=context, initializer=_start)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)


class _Processes(ProcessPoolExecutor):
    """Starts processes that no signal stops half-way."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        with _signals_wait():
            return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Handles signals afterwards. Processes that are started meanwhile inherit that Ctrl-C is blocked."""
    if sys.platform == "win32":
        yield
        return
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # which runs all handlers
    stops = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    handlers = {number: handler for number in stops if (handler := signal.getsignal(number)) is not None}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for late in came:
            signal.raise_signal(late)


def _start() -> None:
    """Sets up a worker: only its parent handles Ctrl-C, and it ends when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
