"""A folder for what an exporter writes before it is published; the next run removes one that a killed run left."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import writing_failed
from graphml_onnx.files.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIX: Final = ".g2o-export"
_LOCK: Final = ".lock"


@contextmanager
def workspace(output: Path) -> Iterator[Path]:
    """A new, empty folder beside an output, and on its file system; removed when the context closes.

    Args:
        output: the file that is to be published.

    Raises:
        OutputError: the folder cannot be made.
        StorageError: no space, or a broken disk.
    """
    prefix = f".{output.name}."
    _remove_abandoned(output.parent, prefix)
    try:
        folder = Path(tempfile.mkdtemp(suffix=_SUFFIX, prefix=prefix, dir=output.parent))
    except OSError as error:
        raise writing_failed(error, output) from error
    descriptor = None
    try:
        with suppress(OSError):  # a file system without locks: then no other run takes the folder for abandoned
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
            try_lock(descriptor)
        content = folder / "content"
        content.mkdir()
        yield content
    finally:
        if descriptor is not None:
            os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """Removes the folders of runs that are gone: they hold no lock any more."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if folder.name.startswith(prefix) and folder.name.endswith(_SUFFIX) and not folder.is_symlink():
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
        try:
            abandoned = try_lock(descriptor)
        finally:
            os.close(descriptor)
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
