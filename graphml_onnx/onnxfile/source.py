"""Input files as random-access bytes, opened so that nothing hangs and nothing but a regular file is read."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Protocol

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, StorageError, reading_failed

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Opening a FIFO for reading waits for a writer, unless told not to wait.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


if sys.platform == "win32":

    def _read_some(descriptor: int, offset: int, length: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)

else:

    def _read_some(descriptor: int, offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset)


if sys.platform != "linux":

    def _read_some_into(descriptor: int, offset: int, buffer: memoryview) -> int:
        data = _read_some(descriptor, offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

else:

    def _read_some_into(descriptor: int, offset: int, buffer: memoryview) -> int:
        return os.preadv(descriptor, [buffer], offset)


class Source(Protocol):
    """Bytes of known size that can be read anywhere."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``.

        Raises:
            GraphmlOnnxError: they cannot be read.
        """

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from ``offset``; raises as `read`."""
        buffer[:] = self.read(offset, len(buffer))


class BytesSource(Source):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        return self._data[offset : offset + length]


def _examine(descriptor: int, path: Path, kind: type[GraphmlOnnxError]) -> tuple[int, tuple[int, int]]:
    """Size and identity of a regular file; raises for anything else."""
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        raise reading_failed(error, path) from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory, not a file", file=path, remedy="name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise kind("is not a regular file", file=path, remedy="name a file on disk")
    return status.st_size, (status.st_dev, status.st_ino)


class FileSource:
    """A regular file, open for reading; a context manager that closes it.

    Args:
        path: the file as the user named it, for messages.
        descriptor: an open file descriptor, which the object owns from then on.
        kind: the error for something that is not a regular file.

    Raises:
        InputError: it is a directory.
        GraphmlOnnxError: ``kind``, or as `graphml_onnx.errors.reading_failed` says; the descriptor is closed.
    """

    def __init__(self, path: Path, descriptor: int, kind: type[GraphmlOnnxError] = ModelError) -> None:
        self.path = path
        self._descriptor = descriptor
        try:
            self.size, self.identity = _examine(descriptor, path, kind)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def open(cls, path: Path, kind: type[GraphmlOnnxError] = ModelError) -> FileSource:
        """Opens a file that the user named; symbolic links are followed.

        Raises:
            InputError: the file is missing, a directory, or may not be read.
            GraphmlOnnxError: ``kind``, for a FIFO, a device or a socket.
        """
        try:
            descriptor = os.open(path, OPEN_FLAGS)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if isinstance(error, ValueError):
                raise InputError("is not a possible file name", file=repr(os.fspath(path))) from None
            if os.path.isdir(path):  # noqa: PTH112 pathlib raises for a name that is too long
                raise InputError("is a directory, not a file", file=path, remedy="name a file in it") from None
            raise reading_failed(error, path) from None
        return cls(path, descriptor, kind)

    @classmethod
    def sharing(cls, path: Path, descriptor: int) -> FileSource:
        """Reads a file that stays open under its own descriptor.

        Raises:
            GraphmlOnnxError: as `graphml_onnx.errors.reading_failed` says.
        """
        try:
            return cls(path, os.dup(descriptor))
        except OSError as error:
            raise reading_failed(error, path) from error

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``.

        Raises:
            StorageError: the file became shorter while it was read.
            GraphmlOnnxError: the operating system failed to read.
        """
        try:
            data = _read_some(self._descriptor, offset, length)
            if len(data) < length:
                data = self._read_rest(data, offset, length)
        except OSError as error:
            raise reading_failed(error, self.path) from error
        return data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from ``offset``; raises as `read`."""
        try:
            while buffer:
                size = _read_some_into(self._descriptor, offset, buffer)
                if not size:
                    raise self._shorter()
                offset, buffer = offset + size, buffer[size:]
        except OSError as error:
            raise reading_failed(error, self.path) from error

    def _read_rest(self, data: bytes, offset: int, length: int) -> bytes:
        parts = [data]
        have = len(data)
        while have < length:
            part = _read_some(self._descriptor, offset + have, length - have)
            if not part:
                raise self._shorter()
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def _shorter(self) -> StorageError:
        return StorageError("the file became shorter while it was read", file=self.path, remedy="run it again")

    def close(self) -> None:
        """Closes the file; it cannot be read after that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
