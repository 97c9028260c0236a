"""Work beside the copy: reading and hashing on other threads while the main one writes.

hashlib and the system's calls release the interpreter's lock, so that two cores hash and copy at the same time.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType

    from graphml_onnx.onnxfile.source import Source

_Item = TypeVar("_Item")

WINDOW = 1 << 20
"""Bytes that are read, hashed and written at a time."""

WORTH_THREADS = 1 << 22
"""Bytes from which on threads pay."""

_PENDING = 2
_IN_USE = _PENDING + 2  # windows: those that wait in a lane, the current one, and the one that is read ahead


def _thread() -> ThreadPoolExecutor | None:
    """A thread that waits for work; None where the system starts no more, and the work is done without."""
    from concurrent.futures import ThreadPoolExecutor  # with logging and more, which small files do not need

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        pool.submit(int).result()
    except RuntimeError:  # too little memory for its stack, or too many threads
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    return pool


class Lane:
    """Runs calls one after the other on a thread of its own, a bounded number of them ahead.

    Args:
        threaded: False runs each call at once; starting a thread does not pay for a small file.
    """

    def __init__(self, *, threaded: bool) -> None:
        self._pool = _thread() if threaded else None
        self._pending: deque[Future[None]] = deque()

    def run(self, work: Callable[[], None]) -> None:
        """Runs ``work`` after all that was given before."""
        if self._pool is None:
            work()
            return
        self._pending.append(self._pool.submit(work))
        if len(self._pending) > _PENDING:
            self._pending.popleft().result()

    def offer(self, work: Callable[[], None]) -> None:
        """Runs ``work`` if there is nothing else to do, and a thread to do it; raises what earlier work raised."""
        if self._pool is not None and all(future.done() for future in self._pending):
            self.finish()
            self._pending.append(self._pool.submit(work))

    def finish(self) -> None:
        """Waits until everything has run; raises what it raised."""
        while self._pending:
            self._pending.popleft().result()

    def __enter__(self) -> Lane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)


def ahead(items: Iterable[_Item], *, threaded: bool) -> Iterator[_Item]:
    """The same items, each made on another thread while the one before it is used."""
    pool = _thread() if threaded else None
    if pool is None:
        yield from items
        return
    iterator = iter(items)
    with pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item


class Windows:
    """Reads windows into the same few pieces of memory, in turn.

    A window holds what was read while lanes and `ahead` go through those that follow it, one by one. Memory that comes
    anew from the system for each window would cost as much time as reading it; and to memory that starts a little
    after the start of a page, some processors copy at a fifth of the speed.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._memory: deque[mmap.mmap] = deque()

    def read(self, offset: int, length: int) -> memoryview:
        """At most a window from ``offset``; raises as `Source.read`."""
        memory = self._memory.popleft() if len(self._memory) == _IN_USE else _new_memory()
        self._memory.append(memory)
        window = memoryview(memory)[:length]
        self._source.read_into(offset, window)
        return window


def _new_memory() -> mmap.mmap:
    try:
        return mmap.mmap(-1, WINDOW)
    except OSError as error:  # which says nothing about a file
        raise MemoryError from error


class DrainingFile:
    """An unbuffered file that goes to the disk while it is written, so that the last fsync finds little left to do.

    Args:
        file: where it is written.
        disk: waits for the disk; `Lane.finish` it before the file is published, as errors are told only once.
    """

    def __init__(self, file: io.FileIO, disk: Lane) -> None:
        self._file, self._disk = file, disk

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Writes some of ``data``; returns how much."""
        written = self._file.write(data)
        if sys.platform == "linux":  # others wait for longer, or cannot wait for this file alone
            self._disk.offer(partial(os.fdatasync, self._file.fileno()))
        return written

    def seek(self, offset: int, /) -> int:
        """Moves to an offset from the start."""
        return self._file.seek(offset)

    def truncate(self, size: int, /) -> int:
        """Sets the size."""
        return self._file.truncate(size)


class Digest:
    """SHA-256 on a lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._hash = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Adds bytes, which must not change afterwards."""
        self._lane.run(lambda: self._hash.update(data))

    def hexdigest(self) -> str:
        """The digest of all that was added, in lower-case hexadecimal digits."""
        self._lane.finish()
        return self._hash.hexdigest()


class Digests:
    """SHA-256 of each of many payloads that follow each other, on a lane.

    Args:
        lane: where they are hashed.
        ended: called on the lane with each digest, in order; what it raises, a later call or `finish` raises.
    """

    def __init__(self, lane: Lane, ended: Callable[[str], None]) -> None:
        self._lane = lane
        self._ended = ended
        self._hash = hashlib.sha256()

    def update(self, parts: Sequence[tuple[bytes | memoryview, bool]]) -> None:
        """Adds stretches of payloads, each with whether it ends its payload; all of them in one step of the lane."""
        self._lane.run(lambda: self._update(parts))

    def _update(self, parts: Sequence[tuple[bytes | memoryview, bool]]) -> None:
        for data, ends in parts:
            self._hash.update(data)
            if ends:
                self._ended(self._hash.hexdigest())
                self._hash = hashlib.sha256()
