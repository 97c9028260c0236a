"""Input files as random-access bytes. Opening never hangs, and accepts only regular files."""

from __future__ import annotations

import os
import stat
import sys
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from graphml_onnx.errors import Category, GraphmlOnnxError, InputError, ModelError, StorageError, reading_failed

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Opening a FIFO for reading waits for a writer, unless O_NONBLOCK is set.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


if sys.platform == "win32":

    def _read_some(descriptor: int, offset: int, length: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)

else:

    def _read_some(descriptor: int, offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset)


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

    def check_unchanged(self) -> None:
        """Checks that all reads saw the same content; raises StorageError."""
        return  # as of bytes in memory


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


class FileState(NamedTuple):
    """What changes when a file changes. A program can set one of the two times back, but not both."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """The state from the system's answer."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _examine(descriptor: int, path: Path, kind: type[GraphmlOnnxError]) -> FileState:
    """The state of a regular file; raises for anything else."""
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        raise reading_failed(error, path) from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory, not a file", file=path, remedy="name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise kind("is not a regular file", file=path, remedy="name a file on disk")
    return FileState.of(status)


def changed(path: Path) -> StorageError:
    """The error for a file that another program writes to while it is read."""
    return StorageError("changed while it was read", file=path, remedy="run it again when nothing writes to it")


class FileSource:
    """A regular file, open for reading; a context manager that closes it.

    If the file changed, an error about its content that is raised within the context becomes an error about the change:
    then no finding can be trusted.

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
            self.state = _examine(descriptor, path, kind)
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

    @property
    def size(self) -> int:
        """Length in bytes when it was opened."""
        return self.state.size

    @property
    def identity(self) -> tuple[int, int]:
        """Identifies the file, independently of its name."""
        return self.state.device, self.state.inode

    def check_unchanged(self) -> None:
        """Checks that all reads saw the same content.

        Raises:
            StorageError: another program has written to the file, or replaced it, since it was opened.
        """
        try:
            state = FileState.of(os.fstat(self._descriptor))
        except OSError as error:
            raise reading_failed(error, self.path) from error
        if state != self.state:
            raise changed(self.path)

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

    def _read_rest(self, data: bytes, offset: int, length: int) -> bytes:
        parts = [data]
        have = len(data)
        while have < length:
            part = _read_some(self._descriptor, offset + have, length - have)
            if not part:
                raise changed(self.path)
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Closes the file; it cannot be read after that."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # closed all the same, and what was read was read
                os.close(descriptor)

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, GraphmlOnnxError) and error.category in (Category.BAD_DATA, Category.DIFFERENCE):
                self.check_unchanged()
        finally:
            self.close()


class JoinedSource(Source):
    """Sources one after the other; a read never spans two of them."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._sources: list[Source] = []
        self._size = 0

    def add(self, source: Source) -> int:
        """Adds a source; returns the offset at which it starts."""
        start = self._size
        if source.size:
            self._starts.append(start)
            self._sources.append(source)
            self._size += source.size
        return start

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that are not empty, in order."""
        return tuple(self._sources)

    def at(self, offset: int) -> tuple[Source, int]:
        """The source that has an offset, and the offset in that source."""
        index = bisect_right(self._starts, offset) - 1
        return self._sources[index], offset - self._starts[index]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        source, start = self.at(offset)
        return source.read(start, length)

    def check_unchanged(self) -> None:
        """Checks that all reads of each source saw the same content."""
        for source in self._sources:
            source.check_unchanged()


def source_at(source: Source, offset: int) -> tuple[Source, int]:
    """The source that has an offset of a source or of joined sources, and the offset in it."""
    return source.at(offset) if isinstance(source, JoinedSource) else (source, offset)


def sources_of(source: Source) -> tuple[Source, ...]:
    """The sources of joined sources, or the source itself."""
    return source.sources if isinstance(source, JoinedSource) else (source,)
