"""Gives finished files their final names, so that all renames can be undone."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from graphml_onnx.errors import GraphmlOnnxError, OutputError, writing_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path
    from types import TracebackType

    from graphml_onnx.files.locks import LockedFolders

_NO_HARD_LINKS = frozenset(
    {errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL}
)


class FinishedFile(NamedTuple):
    """A file that is written, synchronised and closed, but still has its temporary name.

    Attributes:
        path: the final name.
        temporary: the name that it has.
        alias: the name that it takes until all files without an alias are published, or None.
        identity: device and inode.
    """

    path: Path
    temporary: Path
    alias: Path | None
    identity: tuple[int, int]


class Moves:
    """Context manager for renames: unless `commit` is called, leaving it undoes them in reverse order.

    Each inverse is recorded before its step, and checks whether the step was done: an interrupt may come at any point.
    After each inverse a reader finds an old or a new pair, so the undoing stops at an inverse that fails.

    Args:
        folders: the folders of all files, locked.
        overwrite: whether files may be replaced.
        published: device and inode of all files of this publication.
        backup_name: gives a new temporary name beside a file; its owner also removes files that are left there.
    """

    def __init__(
        self,
        folders: LockedFolders,
        *,
        overwrite: bool,
        published: Collection[tuple[int, int]],
        backup_name: Callable[[Path], Path],
    ) -> None:
        self._folders = folders
        self._overwrite = overwrite
        self._published = published
        self._backup_name = backup_name
        self._inverses: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._inverses:
            self._inverses.pop()()

    def to_alias(self, file: FinishedFile, alias: Path) -> None:
        """Renames a temporary file to its alias.

        Raises:
            GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says.
        """
        with writing(file.path):
            # An alias that is there already has the same digest, and may be what the GraphML in place needs.
            if _identity(alias) is None:
                self._inverses.append(partial(_remove, alias, file))
            file.temporary.replace(alias)

    def to_final(self, file: FinishedFile) -> None:
        """Publishes a file under its final name, from its alias if it has one.

        Without ``overwrite`` the file may keep its earlier name as well.

        Raises:
            OutputError: the file exists, and may not be replaced; or two outputs have names that are one here.
            GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says.
        """
        source = file.alias or file.temporary
        with writing(file.path):
            existing = _identity(file.path)
            if not self._overwrite or existing is None:
                self._inverses.append(partial(self._withdraw, file))
                self._give_free_name(source, file.path)
                return
            if existing in self._published:
                message = "has the same name as another output on this file system"
                raise OutputError(message, file=file.path, remedy="use a file system that tells capitals apart")
            backup = self._backed_up(file.path)
            self._inverses.append(partial(self._restore, file, backup))
            source.replace(file.path)

    def barrier(self) -> None:
        """Makes the disk finish all renames before it begins a later one, also when they are undone.

        Raises:
            GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says.
        """
        self._inverses.append(self._try_to_sync)
        self._folders.sync()

    def commit(self) -> None:
        """Makes all renames final."""
        self._inverses.clear()

    def _backed_up(self, path: Path) -> Path | None:
        """A second name for the file that is about to be replaced; None if there are no hard links."""
        backup = self._backup_name(path)
        try:
            backup.hardlink_to(path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            return None
        return backup

    def _give_free_name(self, source: Path, target: Path) -> None:
        """Publishes under a free name; without ``overwrite``, a file that has appeared since is never replaced.

        With hard links, ``source`` stays a name of the file.
        """
        if self._overwrite:
            source.replace(target)
            return
        if sys.platform != "win32":  # there, a rename does not replace
            try:
                target.hardlink_to(source)
                return
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
            if _identity(target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)

    def _try_to_sync(self) -> None:
        with suppress(GraphmlOnnxError):  # undoing continues on a broken disk
            self._folders.sync()

    def _withdraw(self, file: FinishedFile) -> None:
        """Inverse of publishing under a name that was free."""
        with writing(file.path):
            if _identity(file.path) == file.identity:
                if file.alias:
                    file.path.replace(file.alias)
                file.path.unlink(missing_ok=True)  # a rename between two names of one file does nothing

    def _restore(self, file: FinishedFile, backup: Path | None) -> None:
        """Inverse of replacing a file."""
        with writing(file.path):
            if _identity(file.path) != file.identity:
                return
            if backup is None:
                self._inverses.clear()  # undoing only the rest could leave a mixture
                return
            if file.alias:
                file.path.replace(file.alias)
                self._try_to_sync()
            backup.replace(file.path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an ``OSError`` into the library's error about the output ``path``.

    Raises:
        OutputError: the name is taken.
        GraphmlOnnxError: as `graphml_onnx.errors.writing_failed` says.
    """
    try:
        yield
    except FileExistsError as error:
        raise already_exists(path) from error
    except OSError as error:
        raise writing_failed(error, path) from error


def already_exists(path: Path) -> OutputError:
    """The error for an output that exists and may not be replaced."""
    return OutputError("exists already", file=path, remedy="name another file, or replace it with `overwrite=True`")


def _remove(path: Path, file: FinishedFile) -> None:
    with writing(file.path):
        if _identity(path) == file.identity:
            path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
