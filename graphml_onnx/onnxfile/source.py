"""Input files as random-access bytes, opened so that nothing hangs and nothing but a regular file is read."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, StorageError, reading_failed

if TYPE_CHECKING:
    from types import TracebackType

# Opening a FIFO for reading waits for a writer, unless told not to wait.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


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


class BytesSource:
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


class FileSource:
    """A regular file, open for reading; a context manager that closes it.

    Args:
        path: the file as the user named it, for messages.
        descriptor: an open file descriptor, which the object owns from then on.
        kind: the error for something that is not a regular file.
    """

    def __init__(self, path: Path, descriptor: int, kind: type[GraphmlOnnxError] = ModelError) -> None:
        self.path = path
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise InputError("is a directory, not a file", file=path, remedy="name a file in it")
            raise kind("is not a regular file", file=path, remedy="name a file on disk")
        self.size = status.st_size
        self.identity = (status.st_dev, status.st_ino)

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
            if Path(path).is_dir():
                raise InputError("is a directory, not a file", file=path, remedy="name a file in it") from None
            raise reading_failed(error, path) from None
        return cls(path, descriptor, kind)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``.

        Raises:
            StorageError: the file became shorter while it was read.
            GraphmlOnnxError: the operating system failed to read.
        """
        try:
            data = self._read_some(offset, length)
            if len(data) < length:
                data = self._read_rest(data, offset, length)
        except OSError as error:
            raise reading_failed(error, self.path) from error
        return data

    def _read_some(self, offset: int, length: int) -> bytes:
        if sys.platform != "win32":
            return os.pread(self._descriptor, length, offset)
        else:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, length)

    def _read_rest(self, data: bytes, offset: int, length: int) -> bytes:
        parts = [data]
        have = len(data)
        while have < length:
            part = self._read_some(offset + have, length - have)
            if not part:
                raise StorageError("the file became shorter while it was read", file=self.path, remedy="run it again")
            parts.append(part)
            have += len(part)
        return b"".join(parts)

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
