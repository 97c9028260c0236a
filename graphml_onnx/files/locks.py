"""Locks between processes, which end with the process that holds them, and writing through to the disk."""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.errors import OutputError, writing_failed
from graphml_onnx.files.names import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WAIT_SECONDS = 60.0
"""How long a writer waits for the others; they hold the lock for a few renames."""

_POLL_SECONDS = 0.005
_NO_LOCKS = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_FOLDER_SYNC = frozenset({errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})

if sys.platform == "win32":
    import msvcrt

    _LOCK_OFFSET = 1 << 40  # Windows locks bytes, and keeps readers from them: take one beyond any content

    def try_lock(descriptor: int) -> bool:
        """Takes the exclusive lock of an open file, without waiting; returns whether that succeeded.

        Raises:
            OSError: the file system has no locks.
        """
        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    @contextmanager
    def _opened(folder: Path) -> Iterator[int]:
        """A descriptor to lock: folders have none on Windows, so that of a file in it, removed afterwards."""
        file = folder / LOCK_NAME
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
        try:
            yield descriptor
        finally:
            with suppress(OSError):  # closed all the same; nothing was written by it
                os.close(descriptor)
            with suppress(OSError):  # fails while another writer has it open, who removes it then
                file.unlink()

    def _sync_folder(descriptor: int) -> None:
        """Windows has no call for that."""

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Takes the exclusive lock of an open file, without waiting; returns whether that succeeded.

        Raises:
            OSError: the file system has no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def _opened(folder: Path) -> Iterator[int]:
        """A descriptor of the folder, to lock and to synchronise."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            with suppress(OSError):  # closed all the same; nothing was written by it
                os.close(descriptor)

    def _sync_folder(descriptor: int) -> None:
        os.fsync(descriptor)


class LockedFolders(NamedTuple):
    """Folders that this process has locked against other writers."""

    descriptors: tuple[tuple[Path, int], ...]

    def sync(self) -> None:
        """Makes the renames so far survive a power failure, if the file system supports it.

        Raises:
            GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says.
        """
        for folder, descriptor in self.descriptors:
            try:
                _sync_folder(descriptor)
            except OSError as error:
                if error.errno not in _NO_FOLDER_SYNC:
                    raise writing_failed(error, folder) from error


@contextmanager
def locked(folders: Iterable[Path]) -> Iterator[LockedFolders]:
    """Holds the locks of some folders. Every writer takes them in the same order, so there is no deadlock.

    A file system without locks is used without them.

    Raises:
        OutputError: another writer did not give a folder free in `WAIT_SECONDS`.
        GraphmlOnnxError: a folder cannot be opened; as `graphml_onnx.errors.writing_failed` says.
    """
    with ExitStack() as stack:
        opened: dict[tuple[int, int], tuple[Path, int]] = {}
        for folder in dict.fromkeys(folders):
            try:
                descriptor = stack.enter_context(_opened(folder))
                status = os.fstat(descriptor)
            except OSError as error:
                raise writing_failed(error, folder) from error
            opened.setdefault((status.st_dev, status.st_ino), (folder, descriptor))
        ordered = tuple(opened[identity] for identity in sorted(opened))
        for folder, descriptor in ordered:
            _wait_for_lock(folder, descriptor)
        yield LockedFolders(ordered)


def sync_file(descriptor: int) -> None:
    """Makes the content of a file survive a power failure.

    Raises:
        OSError: no space, or a broken disk.
    """
    if sys.platform == "darwin":
        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync of macOS leaves the data in the drive's cache
            return
    os.fsync(descriptor)


def _wait_for_lock(folder: Path, descriptor: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                message = f"another program has kept this folder locked for {WAIT_SECONDS:g} seconds"
                raise OutputError(message, file=folder, remedy="end that program, or write to another folder")
            time.sleep(_POLL_SECONDS)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise writing_failed(error, folder) from error
