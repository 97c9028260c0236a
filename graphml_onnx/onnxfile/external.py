"""External data of a model: finds the data files that its tensors name, and opens them only within the model's folder.

ONNX's own walker misses tensors in sparse initializers, functions, training_info and attributes; this one visits every
message. A location is confined by the way in which it is opened, not by comparing paths: each folder on the way is
opened without following symbolic links, so nothing can be exchanged between a check and the opening. Links are resolved
before that, and only if they lead to a file in the model's real folder.

Source: onnx.proto, ``TensorProto.external_data``; docs/format.md, section "External data".
"""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

import onnx

from graphml_onnx.errors import ExternalDataError, reading_failed
from graphml_onnx.files.names import is_reserved
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.source import OPEN_FLAGS, FileSource, FileState, changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file; with a suffix, other systems have them for data files
# that exporters have called after parameters: aux.0.weight.
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *", re.IGNORECASE)
_MAX_LOCATION = 4096  # what Linux takes as a path
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class ExternalTensor(NamedTuple):
    """A tensor with external data.

    Attributes:
        path: its place in the model: ``graph.initializer[3]``.
        name: its name.
        location: the data file, relative to the model's folder, with ``/`` between folders.
        offset: where its data start, in bytes.
        length: how long they are in bytes, or None for the rest of the file.
    """

    path: str
    name: str
    location: str
    offset: int
    length: int | None

    def fail(self, problem: str, remedy: str | None = None) -> ExternalDataError:
        """An error that names this tensor."""
        return ExternalDataError(f"external data of tensor {self.name!r}: {problem}", place=self.path, remedy=remedy)


def external_tensors(model: Message, skeleton: bytes) -> list[ExternalTensor]:
    """All tensors of a model with external data, in the order of the messages.

    Args:
        model: the exact ``ModelProto``.
        skeleton: what it was parsed from.

    Raises:
        ExternalDataError: a location leaves the folder or is invalid, or an offset or length is no number.
    """
    if b"location" not in skeleton:  # the key that every one of them has
        return []
    entries = (external_entry(tensor, path) for tensor, path in tensors_of(model))
    return [entry for entry in entries if entry is not None]


def external_entry(tensor: onnx.TensorProto, path: str) -> ExternalTensor | None:
    """The place of a tensor's data, if they are in a data file; raises as `external_tensors`."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL and _has_location(tensor):
        return _read_entry(tensor, path)
    return None


def tensors_of(message: Message, path: str = "") -> Iterator[tuple[onnx.TensorProto, str]]:
    """All tensors in a message, with their paths: ``graph.initializer[3]``."""
    if schema.message_name(schema.descriptor_of(message)) == "TensorProto":
        yield cast("onnx.TensorProto", message), path
        return
    for field, value in message.ListFields():
        if field.message_type is None or not _reaches_tensors(field.message_type):
            continue
        name = f"{path}.{field.name}" if path else field.name
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from tensors_of(item, f"{name}[{index}]")
        else:
            yield from tensors_of(value, name)


@cache
def _reaches_tensors(descriptor: Descriptor) -> bool:
    """Whether a message of this type can contain a tensor; such messages contain each other."""
    seen: set[str] = set()
    todo = [descriptor]
    while todo:
        current = todo.pop()
        if schema.message_name(current) == "TensorProto":
            return True
        if current.full_name not in seen:
            seen.add(current.full_name)
            todo.extend(field.message_type for field in current.fields if field.message_type is not None)
    return False


def _has_location(tensor: onnx.TensorProto) -> bool:
    """Whether there is a file to open; a tensor that names none is kept as it is."""
    return any(cast("bytes", entry.key) == b"location" for entry in tensor.external_data)


def _read_entry(tensor: onnx.TensorProto, path: str) -> ExternalTensor:
    # The exact classes hold strings as bytes.
    name = cast("bytes", tensor.name).decode("utf-8", "replace")
    entries = [(cast("bytes", entry.key), cast("bytes", entry.value)) for entry in tensor.external_data]
    keys = [key for key, _ in entries]
    problem = ExternalTensor(path, name, "", 0, None)
    for key in (b"location", b"offset", b"length"):
        if keys.count(key) > 1:
            raise problem.fail(f"more than one {key.decode()}")
    values = dict(entries)
    try:
        location = check_location(values[b"location"].decode())
    except UnicodeDecodeError:
        raise problem.fail("the location is not UTF-8") from None
    except LocationError as error:
        remedy = error.remedy or "every data file must lie in the folder of the model"
        raise problem.fail(str(error), remedy) from None
    numbers = {}
    for key in (b"offset", b"length"):
        text = values.get(key, b"").decode("ascii", "replace")
        if key in values and not _NUMBER.fullmatch(text):
            raise problem.fail(f"the {key.decode()} {text!r} is not a number of bytes")
        numbers[key] = int(text) if key in values else None
    return ExternalTensor(path, name, location, numbers[b"offset"] or 0, numbers[b"length"])


class LocationError(ValueError):
    """A location that no data file can have.

    Args:
        message: why.
        remedy: what to do; by default, to put the file into the folder of the model.
    """

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


def check_location(location: str) -> str:
    """The normal form of a location within a folder.

    Raises:
        LocationError: it is empty, absolute, leaves the folder, has characters or a name with another meaning on other
            systems, or a name that publication reserves.
    """
    if "\\" in location:
        raise LocationError(
            f"the location {location!r} has a backslash, which separates folders on Windows only",
            "save the model again with '/' between folders",
        )
    strange = sorted(set(location) & set(":\0")) or [sign for sign in location if "\ud800" <= sign <= "\udfff"]
    if strange:
        raise LocationError(
            f"the location {location!r} has the character {strange[0]!r}, which not every system allows in file names",
            "rename the data file, and save the model again with its new name",
        )
    if not location:
        raise LocationError("the location is empty", "save the model again with the name of its data file")
    if len(location) > _MAX_LOCATION:
        raise LocationError(f"the location {location[:40]!r}... is longer than {_MAX_LOCATION:,} characters")
    path = PurePosixPath(location)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise LocationError(f"the location {location!r} leads out of the model's folder")
    for part in path.parts:
        if is_reserved(part):
            raise LocationError(
                f"the location {location!r} has a name that is reserved for temporary files",
                "rename the data file, and save the model again with its new name",
            )
        if _DEVICE.fullmatch(part if sys.platform != "win32" else part.partition(".")[0]):
            raise LocationError(
                f"the location {location!r} has the name of a device of Windows",
                "rename the data file, and save the model again with its new name",
            )
    return path.as_posix()


def real_folder(model: Path) -> Path:
    """The folder of the model's real file, since the model itself may be a link.

    Raises:
        InputError: links lead in a circle.
    """
    try:
        return model.resolve().parent
    except (OSError, RuntimeError) as error:  # the latter of Python 3.11 and 3.12
        raise reading_failed(error if isinstance(error, OSError) else OSError(errno.ELOOP, str(error)), model) from None


def open_external(folder: Path, location: str, home: Path | None = None) -> FileSource:
    """Opens a data file within a folder; links in it may lead to files in the model's real folder.

    The cache of the Hugging Face hub has such links: model and data files are links to files of one other folder. The
    path that is opened has no links left, and links that appear meanwhile are not followed.

    Args:
        folder: the model's folder.
        location: the result of `check_location`.
        home: the result of `real_folder`; by default the folder with its links resolved.

    Raises:
        ExternalDataError: a link leads out of the model's real folder, or to something other than a regular file.
        InputError: the file is missing, or may not be read.
    """
    full = folder / location
    parts: Sequence[str] = PurePosixPath(location).parts
    try:
        if any((folder / Path(*parts[: count + 1])).is_symlink() for count in range(len(parts))):
            home = folder.resolve() if home is None else home
            folder, parts = home, _real_parts(full, home)
        return FileSource(full, _open_confined(folder, parts), ExternalDataError)
    except OSError as error:
        raise reading_failed(error, full) from None


def _real_parts(full: Path, home: Path) -> Sequence[str]:
    """The path from a folder to the file that a link leads to."""
    try:
        return full.resolve(strict=True).relative_to(home).parts
    except (OSError, RuntimeError, ValueError):
        raise ExternalDataError(
            f"a symbolic link, or behind one, that leads to no file in {home}, the folder of the model",
            file=full,
            remedy="copy the model with its links resolved: cp -rL FOLDER COPY",
        ) from None


def _open_confined(folder: Path, parts: Sequence[str]) -> int:
    if os.open not in os.supports_dir_fd or not _NOFOLLOW:
        return os.open(folder.joinpath(*parts), OPEN_FLAGS)
    current = os.open(folder, _FOLDER_FLAGS)
    try:
        for part in parts[:-1]:
            outer, current = current, os.open(part, _FOLDER_FLAGS | _NOFOLLOW, dir_fd=current)
            os.close(outer)
        return os.open(parts[-1], OPEN_FLAGS | _NOFOLLOW, dir_fd=current)
    finally:
        with suppress(OSError):  # closed all the same, and an open file would be lost
            os.close(current)


class DataFile(NamedTuple):
    """A data file of a model. It is open only while it is read: a model may have more files than a process may open.

    Attributes:
        folder: the model's folder.
        location: as `check_location` gave it.
        state: of the file when it was found.
        home: the model's real folder.
    """

    folder: Path
    location: str
    state: FileState
    home: Path

    @classmethod
    def find(cls, model: Path, location: str) -> DataFile:
        """Examines a data file of a model; raises what `open_external` and `real_folder` raise."""
        home = real_folder(model)
        with open_external(model.parent, location, home) as source:
            return cls(model.parent, location, source.state, home)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.state.size

    @property
    def path(self) -> Path:
        """Its path, for messages."""
        return self.folder / self.location

    def open(self) -> FileSource:
        """Opens the file that was found.

        Raises:
            StorageError: it was replaced, or has changed.
            ExternalDataError, InputError: as `open_external`.
        """
        source = open_external(self.folder, self.location, self.home)
        if source.state != self.state:
            source.close()
            raise changed(self.path)
        return source


def check_range(tensor: ExternalTensor, size: int) -> None:
    """Raises ExternalDataError if a tensor's data go beyond the end of its file of ``size`` bytes."""
    end = tensor.offset + (tensor.length or 0)
    if end > size:
        raise tensor.fail(f"bytes {tensor.offset} to {end} of {tensor.location!r}, which has {size}")
