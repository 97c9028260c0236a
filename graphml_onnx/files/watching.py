"""Whether another program replaced files while they were read, so that reading them again makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Identity = tuple[int, ...] | None
"""What distinguishes a file from another at the same path, or None if there is none.

Device and inode do not suffice: a new file often gets the inode of the one that it replaced.
"""


class Watch:
    """What files are at some paths. A reader notes them before it opens them, and asks when something is wrong."""

    def __init__(self) -> None:
        self._noted: dict[Path, Identity] = {}

    def note(self, paths: Iterable[Path]) -> None:
        """Remembers what is at some paths now."""
        for path in paths:
            self._noted[path] = _identity(path)

    def has_changed(self) -> bool:
        """Whether there is another file now at one of them, or one where there was none, or none any more."""
        return any(_identity(path) != noted for path, noted in self._noted.items())


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except (OSError, ValueError):  # opening the file reports what is wrong with it
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
