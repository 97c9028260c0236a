"""Finds and removes what a killed run left in a folder."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from graphml_onnx.files.locks import try_lock
from graphml_onnx.files.names import aliases_of, has_token, temporary_path, tokens_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def remove_temporaries(path: Path) -> None:
    """Removes the temporary files of this output whose writers are gone.

    The caller holds the lock of the folder. A writer alive holds the lock of one temporary file in the folder; its
    others carry the same token. What cannot be read or removed is left.
    """
    with suppress(OSError):
        names = [file.name for file in path.parent.iterdir()]
        for token in tokens_of(path, names):
            if all(_is_unlocked(path.parent / name) for name in names if has_token(name, token)):
                temporary_path(path, token).unlink()


def remove_aliases(path: Path, keep: Collection[tuple[int, int]]) -> None:
    """Removes the aliases of a sidecar that was just published under its final name.

    The caller holds the lock of the folder. What cannot be removed is left.

    Args:
        path: the sidecar.
        keep: device and inode of files that must stay, such as the inputs.
    """
    with suppress(OSError):
        for alias in aliases_of(path, [file.name for file in path.parent.iterdir()]):
            status = alias.lstat()
            if (status.st_dev, status.st_ino) not in keep:
                alias.unlink()


def _is_unlocked(file: Path) -> bool:
    """Whether no process holds the lock of the file; False if that cannot be found out."""
    access = os.O_RDWR if os.access(file, os.W_OK) else os.O_RDONLY  # NFS locks only what is open for writing
    flags = access | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            os.close(descriptor)
