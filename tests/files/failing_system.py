"""A file system that fails, interrupts or ends the process at its n-th call, and that tells what was called."""

from __future__ import annotations

import functools
import io
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

CHANGING = ("link", "rename", "replace", "unlink", "open", "fsync", "fchmod", "mkdir", "rmdir")
OTHERS = ("dup", "fstat", "listdir", "lstat", "pread", "preadv", "readlink", "scandir", "stat")
FILE_CALLS = ("close", "flush", "seek", "truncate", "write")


class ProcessEndedError(BaseException):
    """Stands for the end of the process: from then on nothing reaches the disk."""


@dataclass
class FailingSystem:
    """Counts calls, and does something at one of them.

    Attributes:
        at: number of that call, from 0.
        event: raises what has to be raised.
        done_first: whether that call takes effect before.
        stays_dead: whether all calls after that one have no effect.
        called: names of the functions called so far.
        hit: name of the function that was called then, None as long as that has not happened.
    """

    at: int
    event: Callable[[], None]
    done_first: bool = False
    stays_dead: bool = False
    called: list[str] = field(default_factory=list)
    hit: str | None = None

    def call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        dead = self.stays_dead and self.hit is not None
        number = len(self.called)
        self.called.append(name)
        if dead:
            creates = name == "open" and args[1] & os.O_CREAT
            if creates:
                raise ProcessEndedError
            return None if name in CHANGING and name != "open" else real(*args, **kwargs)
        if number != self.at:
            return real(*args, **kwargs)
        self.hit = name
        if self.done_first:
            with suppress(OSError):
                result = real(*args, **kwargs)
                if name in ("open", "dup"):
                    os.close(result)  # nobody will; the kernel does at the end of a process
        self.event()
        raise AssertionError("the event has to raise")


@contextmanager
def failing(patch: pytest.MonkeyPatch, system: FailingSystem) -> Iterator[None]:
    with patch.context() as context:
        for name in CHANGING + OTHERS:
            if hasattr(os, name):
                context.setattr(os, name, _wrapped(system, name, getattr(os, name)))
        yield


@contextmanager
def failing_files(patch: pytest.MonkeyPatch, system: FailingSystem) -> Iterator[None]:
    """The calls of files that are staged fail too."""

    class File(io.FileIO):
        pass

    def wrapped(name: str) -> Callable[..., Any]:
        real = getattr(io.FileIO, name)

        def call(self: File, *args: Any) -> Any:
            if name == "close" and self.closed:
                return None
            return system.call(name, functools.partial(real, self), *args)

        return call

    for name in FILE_CALLS:
        setattr(File, name, wrapped(name))
    with patch.context() as context:
        context.setattr(io, "FileIO", File)
        yield


def _wrapped(system: FailingSystem, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return system.call(name, real, *args, **kwargs)

    return call


@dataclass(frozen=True)
class Change:
    """What one call changes: entries of the folder (None removes one), a file on the disk, or all entries."""

    entries: dict[str, int | None] = field(default_factory=dict)
    file_synced: int | None = None
    folder_synced: bool = False


@contextmanager
def recording(patch: pytest.MonkeyPatch) -> Iterator[list[Change]]:
    """Records each change of a folder, and each synchronisation, in order."""
    changes: list[Change] = []
    real = {name: getattr(os, name) for name in ("link", "rename", "replace", "unlink", "fsync", "open", "stat")}

    def inode_of(path: Any) -> int | None:
        try:
            inode: int = real["stat"](path).st_ino
        except FileNotFoundError:
            return None
        return inode

    def rename(source: Any, target: Any) -> None:
        inode = inode_of(source)
        same = inode_of(target) == inode
        real["replace"](source, target)
        if not same:
            changes.append(Change({Path(source).name: None, Path(target).name: inode}))

    def link(source: Any, target: Any, **kwargs: Any) -> None:
        real["link"](source, target, **kwargs)
        changes.append(Change({Path(target).name: inode_of(target)}))

    def unlink(path: Any) -> None:
        real["unlink"](path)
        changes.append(Change({Path(path).name: None}))

    def fsync(descriptor: int) -> None:
        real["fsync"](descriptor)
        status = real["stat"](descriptor)
        folder = stat.S_ISDIR(status.st_mode)
        changes.append(Change(folder_synced=True) if folder else Change(file_synced=status.st_ino))

    def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        descriptor: int = real["open"](path, flags, *args, **kwargs)
        if flags & os.O_CREAT:
            changes.append(Change({Path(path).name: inode_of(descriptor)}))
        return descriptor

    with patch.context() as context:
        for name, replacement in {
            "rename": rename, "replace": rename, "link": link, "unlink": unlink, "fsync": fsync, "open": opened,
        }.items():  # fmt: skip
            context.setattr(os, name, replacement)
        yield changes
