"""Work beside the copy: reading and hashing on other threads while the main one writes.

hashlib and the system's calls release the interpreter's lock, so that two cores hash and copy at the same time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType

_Item = TypeVar("_Item")

WINDOW = 1 << 22
"""Bytes that are read, hashed and written at a time."""

_PENDING = 2


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
