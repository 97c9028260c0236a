"""Where executions write: a folder in memory if the system has one, and no waiting for a disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="g2o-campaign-", dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Synchronising does nothing: what is looked at here is not what survives a power failure."""
    honest = os.fsync
    os.fsync = lambda _: None
    try:
        yield
    finally:
        os.fsync = honest


def clear(place: Path, keep: Collection[str]) -> None:
    """Removes everything from a folder except what has one of these names."""
    for path in place.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def names(place: Path) -> set[str]:
    """All that is in a folder and in those within it."""
    return set(_below(os.fspath(place), ""))


def _below(place: str, prefix: str) -> Iterator[str]:
    with os.scandir(place) as entries:
        for entry in entries:
            yield prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, f"{prefix}{entry.name}/")
