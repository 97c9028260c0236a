"""Stages output files and publishes all of them, or none."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from graphml_onnx.errors import OutputError, UsageError, writing_failed
from graphml_onnx.files.leftovers import remove_aliases, remove_temporaries
from graphml_onnx.files.locks import LockedFolders, locked, sync_file, try_lock
from graphml_onnx.files.moves import FinishedFile, Moves, already_exists, writing
from graphml_onnx.files.names import alias_path, new_token, temporary_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

_RESERVE = 2 << 20
"""Bytes that are reserved for the cleanup, so that it works when there is no memory left."""

_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(slots=True, eq=False)
class StagedFile:
    """An output that is written under a temporary name.

    Attributes:
        path: the final name.
        temporary: the temporary name; valid until the publication ends.
        file: open for reading and writing in binary, without a buffer. A buffer around it is its writer's to flush.
            It may be closed as soon as all is written; that frees a descriptor.
        permissions: permission bits of the file that is replaced, or None for a new file.
        alias_digest: digest of the content, in lower-case hexadecimal digits. If set, the file is published first
            as `alias_path`, and gets its final name after all files without a digest have theirs.
        durable: whether it is to outlast a power failure.
    """

    path: Path
    temporary: Path
    file: io.FileIO
    permissions: int | None
    alias_digest: str | None = None
    durable: bool = True


class Publication:
    """Context manager for outputs that become visible together, or not at all.

    Leaving it without `publish`, or by an exception, removes every temporary file and leaves earlier outputs as they
    were. One thread uses it at a time.

    Args:
        overwrite: whether existing files may be replaced.
        inputs: files that are read meanwhile; none of them may be an output.
        durable: whether outputs are to outlast a power failure; those of a check, which are removed, need not wait
            for the disk.
    """

    def __init__(self, *, overwrite: bool = False, inputs: Iterable[Path] = (), durable: bool = True) -> None:
        self._overwrite = overwrite
        self._durable = durable
        self._inputs = frozenset(_identities(inputs))
        self._token = new_token()
        self._staged: list[StagedFile] = []
        self._names: set[tuple[int, int, str]] = set()
        self._temporaries: list[Path] = []
        self._holders: dict[tuple[int, int], int] = {}
        self._reserve = bytes(_RESERVE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._discard()

    def stage(self, path: Path) -> StagedFile:
        """Checks that an output can be created, and opens a temporary file for it in the same folder.

        Removes temporary files that killed runs left for the same output.

        Args:
            path: the final name of the output.

        Returns:
            The open file. It gets the permissions of the file that it replaces, or those of any new file.

        Raises:
            OutputError: the folder is missing or may not be written; the output is a directory, a link or a device,
                or exists and ``overwrite`` is not set.
            UsageError: the output is one of the inputs, or staged already.
            StorageError: no space for the temporary file.
        """
        try:
            folder = self._check_folder(path)
            existing = self._check_output(path)
        except ValueError as error:
            raise OutputError(f"cannot be a file name: {error}", file=path, remedy="name another file") from error
        name = (*folder, os.path.normcase(path.name))
        if name in self._names:
            raise UsageError("is named for two outputs", file=path, remedy="name another file for one of them")
        with locked([path.parent]):
            remove_temporaries(path)
            staged = self._create(path, None if existing is None else stat.S_IMODE(existing.st_mode) & 0o777)
            self._staged.append(staged)
            self._names.add(name)
            if folder not in self._holders:
                with writing(path):
                    self._holders[folder] = os.dup(staged.file.fileno())
                with suppress(OSError):  # no locks here: then no other run takes the file for a leftover either
                    try_lock(self._holders[folder])
        return staged

    def keep(self, path: Path) -> None:
        """Lets `publish` refuse to replace a file that what is published needs as it is."""
        self._inputs |= frozenset(_identities([path]))

    def publish(self, *, last: StagedFile | None = None) -> None:
        """Makes all staged files visible under their final names; see the package for the order.

        The last file without a digest is the commit point. Ends the publication also when it fails.

        Args:
            last: published after the others; by default the files come in the order in which they were staged.

        Raises:
            OutputError: an output cannot be created, or was created by another program since it was staged.
            UsageError: an output has become one of the inputs.
            StorageError: no space, a file size limit, a broken disk.
            PayloadError: an ``alias_digest`` is not a digest.
        """
        try:
            files = [_finish(staged) for staged in sorted(self._staged, key=lambda staged: staged is last)]
            with locked(file.path.parent for file in files) as folders:
                for file in files:
                    self._check_output(file.path)
                self._close()  # Windows renames no open file; from here on the folders' locks protect them
                published = frozenset(file.identity for file in files)
                synchronised = folders if self._durable else LockedFolders(())
                with Moves(
                    synchronised, overwrite=self._overwrite, published=published, backup_name=self._backup_name
                ) as moves:
                    _move(files, moves)
                for file in files:
                    if file.alias:
                        remove_aliases(file.path, self._inputs)
        finally:
            self._discard()

    def _check_folder(self, path: Path) -> tuple[int, int]:
        with writing(path):
            status = path.parent.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise OutputError("its folder is a file", file=path, remedy="name a file in a folder")
        return status.st_dev, status.st_ino

    def _check_output(self, path: Path) -> os.stat_result | None:
        """Refuses what may not be replaced; returns the status of what may, None if there is nothing."""
        with writing(path):
            try:
                status = path.lstat()
            except FileNotFoundError:
                return None
        if stat.S_ISDIR(status.st_mode):
            raise OutputError("is a directory", file=path, remedy="name a file")
        if stat.S_ISLNK(status.st_mode):
            message = "is a symbolic link, and links are not followed"
            raise OutputError(message, file=path, remedy="name the file that it points to, or remove it")
        if (status.st_dev, status.st_ino) in self._inputs:
            raise UsageError("is an input as well as an output", file=path, remedy="name another output")
        if not stat.S_ISREG(status.st_mode):
            raise OutputError("is not a regular file", file=path, remedy="name another file")
        if not self._overwrite:
            raise already_exists(path)
        return status

    def _create(self, path: Path, permissions: int | None) -> StagedFile:
        temporary = temporary_path(path, self._token)
        self._temporaries.append(temporary)  # first, so that an interrupt in between leaves nothing
        mode = 0o666 if permissions is None else permissions | 0o600
        try:
            descriptor = os.open(temporary, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            self._temporaries.remove(temporary)
            raise writing_failed(error, path) from error
        return StagedFile(path, temporary, io.FileIO(descriptor, "w+b"), permissions, durable=self._durable)

    def _backup_name(self, path: Path) -> Path:
        backup = temporary_path(path, new_token())
        self._temporaries.append(backup)
        return backup

    def _close(self) -> None:
        for staged in self._staged:
            with writing(staged.path):
                staged.file.close()
        self._release()

    def _release(self) -> None:
        while self._holders:
            with suppress(OSError):  # closed all the same; what was written is on the disk already
                os.close(self._holders.popitem()[1])

    def _discard(self) -> None:
        """Closes and removes what is left of the temporary files; other writers may be publishing meanwhile."""
        self._reserve = b""
        for staged in self._staged:
            with suppress(OSError):
                staged.file.close()
        for temporary in self._temporaries:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._release()
        self._staged.clear()
        self._names.clear()
        self._temporaries.clear()


def _finish(staged: StagedFile) -> FinishedFile:
    """Step 1: permissions and content reach the disk."""
    alias = None if staged.alias_digest is None else alias_path(staged.path, staged.alias_digest)
    with writing(staged.path):
        if not staged.temporary.exists():
            message = f"its temporary file {staged.temporary.name} has been removed"
            raise OutputError(message, file=staged.path, remedy="run again, and let no other program clean the folder")
        own = staged.file.closed
        descriptor = os.open(staged.temporary, _OPEN_FLAGS) if own else staged.file.fileno()
        try:
            if sys.platform != "win32" and staged.permissions is not None:
                os.fchmod(descriptor, staged.permissions)
            if staged.durable:
                sync_file(descriptor)
            status = os.fstat(descriptor)
        finally:
            if own:
                os.close(descriptor)
    return FinishedFile(staged.path, staged.temporary, alias, (status.st_dev, status.st_ino))


def _move(files: list[FinishedFile], moves: Moves) -> None:
    """Steps 2 to 4."""
    aliased = [(file, file.alias) for file in files if file.alias]
    if aliased:
        for file, alias in aliased:
            moves.to_alias(file, alias)
        moves.barrier()
    for file in files:
        if not file.alias:
            moves.to_final(file)
    moves.barrier()
    if aliased:
        for file, _ in aliased:
            moves.to_final(file)
        moves.barrier()
    moves.commit()


def _identities(files: Iterable[Path]) -> Iterable[tuple[int, int]]:
    for file in files:
        with suppress(OSError, ValueError):  # opening the file reports what is wrong with it
            status = file.stat()
            yield status.st_dev, status.st_ino
