"""A folder on this machine or in a file system of fsspec; each written file appears complete, or not at all."""

from __future__ import annotations

import copy
import os
import posixpath
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from graphml_onnx.errors import GraphmlOnnxError, InputError, StorageError, UsageError, reading_failed, writing_failed
from graphml_onnx.files.names import new_token, temporary_path
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import fsspec

_T = TypeVar("_T")

_TOGETHER = 256
"""Number of files that are read or removed at once over a network."""

_WAITS = (0.2, 1.0, 3.0)
"""Seconds before each new attempt at an operation over a network."""

_WHOLE_OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory", "oss", "oci", "r2"})
"""Protocols whose files only appear when complete; for others, a file is first written under another name."""


def is_url(text: str) -> bool:
    """Whether a text is the URL of a file system rather than a path."""
    return "://" in text or "::" in text


class Place:
    """A folder, on this machine or in a file system of fsspec.

    Args:
        url: a path, or a URL such as ``s3://bucket/folder``.

    Attributes:
        url: the folder, for display; without credentials.
        local: its path, if it is on this machine; else None.

    Raises:
        UsageError: the file system is unknown, or its package is not installed.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        text = os.fspath(url)
        self.local: Path | None = None
        if not is_url(text):
            self.local = Path(text)
            self.url = text
            return
        self._fs, self._root = file_system(text)
        if "file" in _protocols(self._fs):
            self.local = Path(self._root)
            self.url = self._root
        else:
            self.url = str(self._fs.unstrip_protocol(self._root))

    def name(self, relative: str) -> str:
        """The full name of a file in it."""
        if self.local is not None:
            return os.fspath(self.local / relative)
        return posixpath.join(self.url, relative)

    def below(self, folder: str) -> Place:
        """One of its folders."""
        place = copy.copy(self)
        place.url = self.name(folder)
        if self.local is not None:
            place.local = self.local / folder
        else:
            place._root = self._path(folder)
        return place

    def has(self, relative: str) -> bool:
        """Whether a file exists.

        Raises:
            GraphmlOnnxError: that cannot be found out.
        """
        if self.local is not None:
            return (self.local / relative).is_file()
        return self._patiently(lambda: bool(self._fs.isfile(self._path(relative))), relative)

    def files(self, folder: str = "") -> list[str]:
        """The names of the files directly in one of its folders, in order; none if there is no such folder.

        Raises:
            GraphmlOnnxError: it cannot be read.
        """
        if self.local is not None:
            path = self.local / folder
            try:
                with os.scandir(path) as entries:
                    return sorted(entry.name for entry in entries if entry.is_file())
            except (FileNotFoundError, NotADirectoryError):
                return []
            except OSError as error:
                raise reading_failed(error, path) from error

        def listed() -> list[str]:
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return []
            return sorted(posixpath.basename(entry["name"]) for entry in entries if entry["type"] == "file")

        return self._patiently(listed, folder)

    def all_files(self, folder: str = "") -> set[str]:
        """The files in one of its folders and below, relative to this place; none if there is no such folder.

        Raises:
            GraphmlOnnxError: it cannot be read.
        """
        if self.local is not None:
            base = self.local
            return {
                (Path(parent) / name).relative_to(base).as_posix()
                for parent, _, names in os.walk(base / folder)
                for name in names
            }

        def found() -> set[str]:
            self._fs.invalidate_cache()
            try:
                paths = self._fs.find(self._path(folder))
            except FileNotFoundError:
                return set()
            return {posixpath.relpath(path, self._root) for path in paths}

        return self._patiently(found, folder)

    def read(self, relative: str) -> bytes | None:
        """The content of a file; None if it does not exist.

        Raises:
            GraphmlOnnxError: it cannot be read.
        """
        if self.local is not None:
            path = self.local / relative
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise reading_failed(error, path) from error

        def content() -> bytes | None:
            try:
                return cast("bytes", self._fs.cat_file(self._path(relative)))
            except FileNotFoundError:
                return None

        return self._patiently(content, relative)

    def read_all(self, relatives: Sequence[str]) -> list[bytes | None]:
        """The content of several files, many at a time over a network; see `read`.

        Raises:
            GraphmlOnnxError: one cannot be read.
        """
        if self.local is not None:
            return [self.read(relative) for relative in relatives]
        found: list[bytes | None] = []
        for start in range(0, len(relatives), _TOGETHER):
            paths = [self._path(relative) for relative in relatives[start : start + _TOGETHER]]
            contents = self._patiently(lambda paths=paths: self._contents(paths), relatives[start])  # type: ignore[misc]
            found += [contents.get(path) for path in paths]
        return found

    def _contents(self, paths: list[str]) -> dict[str, bytes]:
        try:
            read = self._fs.cat(paths, on_error="return")
        except FileNotFoundError:
            return {}
        for error in read.values():
            if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                raise error
        return {path: content for path, content in read.items() if isinstance(content, bytes)}

    def write(self, relative: str, data: bytes) -> None:
        """Writes a file; one of that name is replaced.

        Raises:
            GraphmlOnnxError: it cannot be written.
        """
        if self.local is not None:
            _write_local(self.local / relative, lambda temporary: temporary.write_bytes(data))
            return
        self._write_remote(relative, lambda path: self._fs.pipe_file(path, data))

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Writes several files, at the same time over a network; see `write`.

        Raises:
            GraphmlOnnxError: one cannot be written.
        """
        if self.local is not None or not _protocols(self._fs) & _WHOLE_OBJECTS:
            for relative, data in files.items():
                self.write(relative, data)
        elif files:
            contents = {self._path(relative): data for relative, data in files.items()}
            self._patiently(lambda: self._fs.pipe(contents), next(iter(files)))

    def upload(self, file: Path, relative: str) -> None:
        """Copies a file of this machine here; one of that name is replaced.

        Raises:
            GraphmlOnnxError: it cannot be written.
        """
        if self.local is not None:
            _write_local(self.local / relative, lambda temporary: shutil.copyfile(file, temporary))
            return

        def put(path: str) -> None:
            self._fs.put_file(os.fspath(file), path)
            self._fs.invalidate_cache(posixpath.dirname(path))
            arrived, size = self._fs.info(path)["size"], file.stat().st_size
            if arrived != size:
                raise StorageError(
                    f"{arrived} of {size} bytes arrived", file=self.name(relative), remedy="run it again with `resume`"
                )

        self._write_remote(relative, put)

    def remove(self, relatives: Iterable[str]) -> None:
        """Removes files; missing ones are ignored.

        Raises:
            GraphmlOnnxError: one cannot be removed.
        """
        names = list(relatives)
        if self.local is not None:
            for name in names:
                path = self.local / name
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise writing_failed(error, path) from error
            return
        for start in range(0, len(names), _TOGETHER):
            some = names[start : start + _TOGETHER]
            self._patiently(lambda some=some: self._remove_remote(some), some[0])  # type: ignore[misc]

    def remove_folder(self, folder: str) -> None:
        """Removes a folder if it is empty; object stores have none."""
        if self.local is not None:
            with suppress(OSError):
                (self.local / folder).rmdir()

    def _remove_remote(self, relatives: list[str]) -> None:
        try:
            self._fs.rm([self._path(relative) for relative in relatives])
        except FileNotFoundError:
            for relative in relatives:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(self._path(relative))

    def _path(self, relative: str) -> str:
        return posixpath.join(self._root, relative) if relative else self._root

    def _write_remote(self, relative: str, write: Callable[[str], object]) -> None:
        path = self._path(relative)

        def put() -> None:
            if _protocols(self._fs) & _WHOLE_OBJECTS:
                write(path)
                return
            self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
            temporary = posixpath.join(posixpath.dirname(path), temporary_path(Path("file"), new_token()).name)
            write(temporary)
            self._fs.mv(temporary, path)

        self._patiently(put, relative)

    def _patiently(self, do: Callable[[], _T], relative: str) -> _T:
        """Retries operations over a network, which may fail for a moment."""
        return patiently(do, self.name(relative))


def _write_local(path: Path, write: Callable[[Path], object]) -> None:
    temporary = temporary_path(path, new_token())
    try:
        try:
            try:
                write(temporary)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(temporary)
            os.replace(temporary, path)  # noqa: PTH105 with what a folder in its place raises
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise writing_failed(error, path) from error


RESUME: Final = "check the connection; with `resume` only what is missing is done"
"""The remedy for a batch whose network failed."""

CONNECTION: Final = "check the connection, and the credentials if there are any"
"""The remedy in all other cases."""


def patiently(do: Callable[[], _T], name: str, remedy: str = RESUME) -> _T:
    """Does something over a network, and tries again after an error of the network.

    Args:
        do: the operation; doing it twice must be harmless.
        name: the file that it is about.
        remedy: what the user can do if it fails for good.

    Raises:
        GraphmlOnnxError: it failed for good.
    """
    for wait in (*_WAITS, None):
        try:
            return do()
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise reading_failed(error, name) from error
        except (ImportError, GraphmlOnnxError):
            raise
        except Exception as error:  # each file system has errors of its own
            if wait is None:
                raise _network_failed(error, name, remedy) from error
        time.sleep(wait)
    raise AssertionError


def _network_failed(error: Exception, name: str, remedy: str) -> StorageError:
    told = " ".join(str(error).split()) or type(error).__name__
    return StorageError(f"the file system failed several times: {told}", file=name, remedy=remedy)


def file_system(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URL, and the path in it.

    Raises:
        UsageError: it is unknown, or its package is not installed.
    """
    require("fsspec", "a URL")
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"the file system needs a package: {error}", file=url, remedy="install it") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"is no URL of a file system: {error}", file=url, remedy="check the URL") from error
    except Exception as error:  # each file system has errors of its own
        raise _network_failed(error, url, CONNECTION) from error
    return fs, str(path)


def _protocols(fs: fsspec.AbstractFileSystem) -> frozenset[str]:
    protocol = fs.protocol
    return frozenset([protocol] if isinstance(protocol, str) else protocol)


def check_is_no_file(place: Place) -> None:
    """Raises InputError if the name of a folder is that of a file."""
    if place.local is not None and place.local.is_file():
        raise InputError("is a file, not a folder", file=place.local, remedy="name a folder")
