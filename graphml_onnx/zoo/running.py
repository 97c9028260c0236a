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
from graphml_onnx.zoo.jobs import blank_row, failed_row, run_job

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from graphml_onnx.zoo.jobs import Job
    from graphml_onnx.zoo.rows import BatchRow

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WINDOW = 256
"""Number of jobs that a foreign executor has at a time: enough for a cluster, and few compared with a million."""


def on_executor(jobs: Iterable[Job], executor: Executor) -> Iterator[BatchRow]:
    """Runs jobs on a given executor; each gives a row, in the order in which they end."""
    broken = yield from _on(iter(jobs), executor, _WINDOW)
    for job in broken:
        yield failed_row(blank_row(job), _lost(), job.source)


def in_this_process(jobs: Iterable[Job]) -> Iterator[BatchRow]:
    """Runs jobs one after the other."""
    for job in jobs:
        try:
            row = run_job(job)
        except Exception as error:  # noqa: BLE001 - a failure of one model must not stop the others
            row = failed_row(blank_row(job), error, job.source)
        yield row


def in_processes(jobs: Iterable[Job], workers: int) -> Iterator[BatchRow]:
    """Runs jobs in separate processes.

    If one of them dies, all running jobs are tried again one by one; the job during which a process dies again is the
    one that failed.
    """
    left = iter(jobs)
    while True:
        with _Pool(workers) as pool:
            broken = yield from _on(left, pool.executor, 2 * workers)
        if not broken:
            return
        _check_that_processes_start()
        for job in broken:
            with _Pool(1) as pool:
                for lost in (yield from _on(iter([job]), pool.executor, 1)):
                    yield failed_row(blank_row(lost), _lost(), lost.source)


def _on(jobs: Iterator[Job], executor: Executor, window: int) -> Generator[BatchRow, None, list[Job]]:
    """Runs jobs until they or the executor end; returns those that were running when it broke."""
    ended: SimpleQueue[Future[BatchRow]] = SimpleQueue()
    running: dict[Future[BatchRow], Job] = {}
    broken: list[Job] = []
    try:
        while True:
            while not broken and len(running) < window and (job := next(jobs, None)) is not None:
                try:
                    future = executor.submit(run_job, job)
                except (BrokenExecutor, RuntimeError):
                    broken.append(job)
                    break
                running[future] = job
                future.add_done_callback(ended.put)
            if not running:
                return broken
            future = ended.get()
            job = running.pop(future)
            try:
                row = future.result()
            except BrokenExecutor:
                broken.append(job)
            except Exception as error:  # noqa: BLE001 - a failure of one model must not stop the others
                yield failed_row(blank_row(job), error, job.source)
            else:
                yield row
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
