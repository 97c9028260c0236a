"""A folder that may not be read, also where the tests run as root, who may read everything."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def unreadable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Makes a folder that this process cannot search."""
    folder.mkdir()
    honest = os.scandir

    def scandir(path: str | int) -> Iterator[os.DirEntry[str]]:
        if not isinstance(path, int) and Path(path) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return honest(path)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "scandir", scandir)
    return folder
