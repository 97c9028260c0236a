"""Payload bytes as streams of chunks of 1 to ``LIMITS.chunk`` bytes: the only way in which they are moved.

Only `chunks` and `packed` make such streams. A chunk is immutable and belongs to its holder: files, digests and
comparisons (the sinks) take the same chunks, on their own threads if `drive` starts some.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

from graphml_onnx.errors import writing_failed
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path
    from types import TracebackType

    from graphml_onnx.onnxfile.source import Source

_Item = TypeVar("_Item")

_DEPTH = 4  # chunks that a sink may be behind


def chunks(source: Source, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from ``start`` to ``end``; raises as `Source.read`."""
    size = limits.LIMITS.chunk
    for offset in range(start, end, size):
        yield source.read(offset, min(size, end - offset))


def packed(parts: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The same bytes in few chunks: small parts are joined, parts larger than a chunk are cut."""
    limit = limits.LIMITS.chunk
    joined: list[bytes | memoryview] = []
    size = 0
    for part in parts:
        for start in range(0, len(part), limit):
            piece = part[start : start + limit]  # the whole part in most cases, without a copy
            if size + len(piece) > limit:
                yield b"".join(joined)
                joined, size = [], 0
            joined.append(piece)
            size += len(piece)
    if joined:
        yield b"".join(joined)


def drive(
    stream: Iterable[_Item], first: Callable[[_Item], object], *others: Callable[[_Item], object], threaded: bool
) -> None:
    """Gives each item of a stream to every sink, in order.

    Args:
        stream: the items; it runs on the caller's thread.
        first: the sink that also runs on the caller's thread.
        others: sinks that may each run on their own thread; hashing and system calls release the GIL.
        threaded: whether to use threads.

    Raises:
        Exception: the first error of the stream or a sink; after it, no sink runs any more.
    """
    with ExitStack() as stack:
        pools = [stack.enter_context(pool) for _ in others if (pool := _thread() if threaded else None)]
        behind: deque[Future[object]] = deque()
        for item in stream:
            for sink, pool in zip(others, pools, strict=False):
                behind.append(pool.submit(sink, item))
            first(item)
            for sink in others[len(pools) :]:
                sink(item)
            while len(behind) > _DEPTH * len(pools):
                behind.popleft().result()
        while behind:
            behind.popleft().result()


def _thread() -> ThreadPoolExecutor | None:
    """A thread that waits for work; None if the system starts no more threads, so that the caller does the work."""
    from concurrent.futures import ThreadPoolExecutor  # with logging and more, which small files do not need

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        pool.submit(int).result()
    except RuntimeError:  # too little memory for its stack, or too many threads
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    return pool


class RawFile(Protocol):
    """An unbuffered binary file."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Writes some of ``data``; returns how much."""

    def seek(self, offset: int, /) -> int:
        """Moves to an offset from the start."""


def write_all(file: RawFile, data: bytes | memoryview) -> None:
    """Writes all of ``data``: an unbuffered file may accept less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


class Output:
    """A file that the disk writes while it grows, so that the last fsync has little left to do.

    A context manager, which waits for the disk. Every method raises what `graphml_onnx.errors.writing_failed` says.

    Args:
        file: where it is written, without a buffer.
        path: its name, for messages.
        descriptor: the file's, where it is large enough for the disk to begin early.
    """

    def __init__(self, file: RawFile, path: Path, descriptor: int | None = None) -> None:
        self._file, self._path, self._position = file, path, 0
        # Other systems wait for longer, or cannot wait for one file alone.
        self._pool = _thread() if descriptor is not None and sys.platform == "linux" else None
        self._descriptor = descriptor
        self._syncing: Future[None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Writes all of ``data`` after what was written last."""
        self.write_at(self._position, data)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Writes at an offset; what is never written is zero."""
        try:
            if offset != self._position:
                self._file.seek(offset)
            write_all(self._file, data)
        except OSError as error:
            raise writing_failed(error, self._path) from error
        self._position = offset + len(data)
        if self._pool is not None and (self._syncing is None or self._syncing.done()):
            self.sync()

    def sync(self) -> None:
        """Lets the disk begin with the data so far, after it has finished the data before."""
        self.settle()
        if self._pool is not None and self._descriptor is not None:
            self._syncing = self._pool.submit(os.fdatasync, self._descriptor)

    def settle(self) -> None:
        """Waits for the disk. The system reports a write error only once, so a later sync would miss it."""
        syncing, self._syncing = self._syncing, None
        try:
            if syncing is not None:
                syncing.result()
        except OSError as error:
            raise writing_failed(error, self._path) from error

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
