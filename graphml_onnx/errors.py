"""Every error that the library raises: what is wrong, where, and what to do about it."""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphml_onnx.results import Difference


class Category(Enum):
    """What kind of failure it is; the command line has one exit code for each (docs/troubleshooting.md)."""

    USAGE = "usage"
    BAD_DATA = "bad data"
    NO_INPUT = "input missing or unreadable"
    CANNOT_CREATE = "output cannot be created"
    INPUT_OUTPUT = "input/output error"
    DIFFERENCE = "a check found a difference"


def printable(text: str) -> str:
    """The text on one line; escapes what would break it or control a terminal, since names are not trusted."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


_SHOWN = 4000


def _cut(text: str) -> str:
    """The text, with its middle cut out if it is very long: a name in a file may be as long as the file."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN * 3 // 4]} … {text[-_SHOWN // 4 :]}"


class GraphmlOnnxError(Exception):
    """Base of all errors of this library.

    Args:
        message: what is wrong, in one line; very long text is cut, also in ``place``.
        file: the file that it is about.
        place: where in the file: ``byte 1024``, ``line 17``, ``graph.node[3].attribute[0]``.
        remedy: what the reader can do about it.
    """

    category = Category.BAD_DATA

    def __init__(
        self,
        message: str,
        *,
        file: str | os.PathLike[str] | None = None,
        place: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = _cut(message)
        super().__init__(self.message)
        self.file = os.fspath(file) if file is not None else None
        self.place = place and _cut(place)
        self.remedy = remedy

    def at(
        self, *, file: str | os.PathLike[str] | None = None, place: str | None = None, remedy: str | None = None
    ) -> GraphmlOnnxError:
        """Fills in file and remedy, and puts ``place`` in front of the place; returns the error for ``raise``.

        Code deep in a message knows only its own field; each level on the way out adds its part.
        """
        if file is not None and self.file is None:
            self.file = os.fspath(file)
        if place:
            joint = "" if self.place is None or self.place.startswith("[") else "."
            self.place = _cut(place if self.place is None else f"{place}{joint}{self.place}")
        if self.remedy is None:
            self.remedy = remedy
        return self

    def __str__(self) -> str:
        told = [_cut(printable(part)) for part in (self.place, self.message) if part]  # escaping makes it longer
        text = ": ".join([printable(self.file), *told] if self.file else told)
        return f"{text} ({printable(self.remedy)})" if self.remedy else text


class UsageError(GraphmlOnnxError):
    """The call itself is wrong: options that exclude each other, an output that is the input."""

    category = Category.USAGE


class ModelError(GraphmlOnnxError):
    """The file is not an ONNX model, is damaged, or is too large for protobuf."""


class ExternalDataError(ModelError):
    """External data of a model is missing, outside the model's folder, or too short."""


class GraphMLError(GraphmlOnnxError):
    """The GraphML is malformed, incomplete, contradicts itself, or is not of this format."""


class PayloadError(GraphmlOnnxError):
    """A payload (sidecar, embedded, or referenced file) is missing, too short, or has another digest."""


class MetadataError(GraphmlOnnxError):
    """The HTP metadata is not strict JSON, or violates its schema."""


class RoundTripError(GraphmlOnnxError):
    """The self-check found that the GraphML would not give the file back; nothing was published.

    Attributes:
        difference: the first difference of the decoded file, if it was compared.
    """

    difference: Difference | None = None


class NotExactError(GraphmlOnnxError):
    """The decoded model differs from the encoded original, and the caller asked for the original."""

    category = Category.DIFFERENCE


class InputError(GraphmlOnnxError):
    """An input file is missing, or may not be read."""

    category = Category.NO_INPUT


class OutputError(GraphmlOnnxError):
    """An output may not be created: it exists, its folder is missing or read-only, it is a link."""

    category = Category.CANNOT_CREATE


class StorageError(GraphmlOnnxError):
    """Reading or writing failed midway: no space, a file size limit, a broken disk."""

    category = Category.INPUT_OUTPUT


_STORAGE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)
_TOO_MANY_FILES = "close other programs, or let this one have more files open (ulimit -n)"


def reading_failed(error: OSError, file: str | os.PathLike[str]) -> GraphmlOnnxError:
    """The library's error for an ``OSError`` during opening or reading ``file``."""
    reason = error.strerror or str(error)
    if error.errno in _STORAGE_ERRNOS:
        remedy = "check the disk, and run it again"
        return StorageError(f"reading failed: {reason}", file=file, remedy=_remedy(error, remedy))
    if isinstance(error, FileNotFoundError):
        if os.path.islink(file):  # noqa: PTH114 of any name
            return InputError("a link to a file that is not there", file=file, remedy="mend the link, or remove it")
        return InputError("no such file", file=file, remedy="check the path")
    if isinstance(error, IsADirectoryError):
        return InputError("is a directory, not a file", file=file, remedy="name a file in it")
    if isinstance(error, PermissionError):
        return InputError("may not be read", file=file, remedy="check its permissions")
    return InputError(f"cannot be read: {reason}", file=file, remedy="check the path, and the limits of the system")


def _remedy(error: OSError, usual: str) -> str:
    return _TOO_MANY_FILES if error.errno in (errno.EMFILE, errno.ENFILE) else usual


def storage_failure(error: BaseException, file: str | os.PathLike[str]) -> GraphmlOnnxError | None:
    """The library's error for a full or broken disk; None for any other exception."""
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRNOS:
        return writing_failed(error, file)
    return None


def writing_failed(error: OSError, file: str | os.PathLike[str]) -> GraphmlOnnxError:
    """The library's error for an ``OSError`` during creating or writing ``file``."""
    reason = error.strerror or str(error)
    if error.errno in _STORAGE_ERRNOS:
        remedy = "free some space, or write elsewhere with `output=...`"
        return StorageError(f"writing failed: {reason}", file=file, remedy=_remedy(error, remedy))
    if isinstance(error, FileNotFoundError):
        return OutputError("its folder does not exist", file=file, remedy="create the folder first")
    if isinstance(error, IsADirectoryError):
        return OutputError("is a directory", file=file, remedy="name a file")
    if isinstance(error, PermissionError):
        return OutputError("may not be written", file=file, remedy="check the folder's permissions")
    if error.errno == errno.EROFS:
        return OutputError("the file system is read-only", file=file, remedy="write elsewhere with `output=...`")
    return OutputError(f"cannot be written: {reason}", file=file, remedy="write elsewhere with `output=...`")


class Stopped(BaseException):
    """The process received a signal to stop. It is no `Exception`, so that no error handler catches it.

    Args:
        name: name of the signal.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
