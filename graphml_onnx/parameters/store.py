"""The store of payloads: where each payload lies, and which file may hold it.

A store is a sequence of bytes in which each payload has an address. Of a *sidecar* it is a file of its own; *embedded*
it is base64 text in the GraphML; by *reference* it is the model file itself.

Source: docs/format.md, section "Payloads".
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.errors import GraphmlOnnxError, PayloadError, reading_failed
from graphml_onnx.files import Watch, candidates
from graphml_onnx.onnxfile.source import OPEN_FLAGS, FileSource
from graphml_onnx.parameters.chunks import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.results import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")

# A payload of a page or more starts on a page, so that ONNX runtimes can map it; smaller ones keep to cache lines.
_PAGE = 4096
_LINE = 64


class Placement:
    """Gives each payload its address, in the order of the calls.

    Args:
        strategy: how the payloads are kept.
    """

    def __init__(self, strategy: ParameterStrategy) -> None:
        self._strategy = strategy
        self.size = 0
        """Size of the store so far, in bytes."""

    def place(self, offset: int, length: int) -> int:
        """Address of a payload that stands at ``offset`` of the model file."""
        if not length:
            return self.size  # without padding: nothing is written there, and the store ends with what is written
        if self._strategy == "reference":
            self.size = max(self.size, offset + length)
            return offset
        unit = 1 if self._strategy == "embedded" else _PAGE if length >= _PAGE else _LINE
        address = -(-self.size // unit) * unit
        self.size = address + length
        return address


class PayloadReference(NamedTuple):
    """A payload in its store.

    Attributes:
        offset: where it starts in the store, in bytes; its address.
        length: how long it is, in bytes.
        sha256: SHA-256 of its bytes, in lower-case hexadecimal digits.
    """

    offset: int
    length: int
    sha256: str

    @property
    def end(self) -> int:
        """Where it ends in the store."""
        return self.offset + self.length


class StoreInfo(NamedTuple):
    """What the GraphML says of its store.

    Attributes:
        strategy: how the payloads are kept.
        file: name of the file that holds them, without a folder; None for embedded, and where there are none.
        size: size of the store in bytes.
        checksum: `store_checksum` of a sidecar; empty for other strategies.
    """

    strategy: ParameterStrategy
    file: str | None = None
    size: int = 0
    checksum: str = ""


def check_name(name: str) -> None:
    """Makes sure that a name from a GraphML names a file in the GraphML's own folder, on any system.

    Raises:
        PayloadError: it has a folder, a drive, or is no name at all.
    """
    if not name or name in (".", "..") or set(name) & set("/\\:\0") or not _is_encodable(name):
        raise PayloadError(
            f"parameter_file is {name[:80]!r}, which is not a plain file name",
            remedy="the file must lie beside the GraphML",
        )


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # surrogates
        return False
    return True


def store_checksum(references: Iterable[PayloadReference]) -> str:
    """What identifies a sidecar: SHA-256 over a line for each payload, by offset.

    A line is offset, length and SHA-256 of the payload with a space between them, and ends with a line feed.
    """
    digest = hashlib.sha256()
    for reference in sorted(references, key=lambda reference: reference.offset):
        digest.update(f"{reference.offset} {reference.length} {reference.sha256}\n".encode())
    return digest.hexdigest()


def range_problems(references: Iterable[PayloadReference], size: int) -> Iterator[str]:
    """What is wrong with the places of payloads, which lie within their store, side by side."""
    end = 0
    for reference in sorted(references, key=lambda reference: (reference.offset, reference.end)):
        place = f"the payload of {reference.length:,} bytes at offset {reference.offset:,}"
        if reference.end > size:
            yield f"{place} goes beyond its store of {size:,} bytes"
        elif reference.offset < end:
            yield f"{place} overlaps the one before it"
        end = max(end, reference.end)


def open_store(
    folder: Path, info: StoreInfo, references: Sequence[PayloadReference], watch: Watch | None = None
) -> FileSource:
    """Opens the file that holds the payloads.

    A writer that was killed while it replaced a pair leaves the new sidecar under its alias: both names are tried,
    and the one with the right content is taken.

    Args:
        folder: where the GraphML lies.
        info: what it says of its store; its ``file`` is not None.
        references: all payloads and data files in the store.
        watch: is told which files were looked at, before they are.

    Raises:
        PayloadError: there is no such file, it is a symbolic link, or no candidate has the right size; bytes between
            the payloads of a sidecar were changed.
    """
    name = cast("str", info.file)
    check_name(name)
    is_sidecar = info.strategy == "sidecar"
    paths = candidates(folder / name, info.checksum) if is_sidecar else (folder / name,)
    if watch is not None:
        watch.note(paths)
    present = [path for path in paths if os.path.lexists(path)]
    if not present:
        remedy = "keep it beside the GraphML under this name"
        raise PayloadError("the file of payloads is missing", file=folder / name, remedy=remedy)
    source = _open(present[0])
    if len(present) > 1 and not _holds(source, info, references):
        source.close()
        source = _open(present[1])
    try:
        _check_size(source, info)
        # After an edit, gaps may hold payloads that are no longer referred to.
        if is_sidecar and store_checksum(references) == info.checksum:
            _check_gaps(source, references)
    except GraphmlOnnxError:
        source.close()
        raise
    return source


def _check_size(source: FileSource, info: StoreInfo) -> None:
    if source.size != info.size:
        raise PayloadError(
            f"has {source.size:,} bytes, but the GraphML says {info.size:,}",
            file=source.path,
            remedy="the pair does not belong together, or the file was cut off",
        )


def _holds(source: FileSource, info: StoreInfo, references: Iterable[PayloadReference]) -> bool:
    return source.size == info.size and all(
        sha256_of(source, reference.offset, reference.end) == reference.sha256 for reference in references
    )


def _check_gaps(source: FileSource, references: Iterable[PayloadReference]) -> None:
    for start, end in _gaps(references, source.size):
        if not _is_zero(source, start, end):
            raise PayloadError(
                f"the bytes from {start} to {end} between payloads are not zero",
                file=source.path,
                place=f"byte {start}",
                remedy="the file was changed or damaged since it was written",
            )


def _gaps(references: Iterable[PayloadReference], size: int) -> Iterator[tuple[int, int]]:
    position = 0
    for reference in sorted(references, key=lambda reference: reference.offset):
        if reference.offset > position:
            yield position, reference.offset
        position = max(position, reference.end)
    if position < size:
        yield position, size


def _is_zero(source: Source, start: int, end: int) -> bool:
    return not any(chunk.strip(b"\0") for chunk in chunks(source, start, end))


def _open(path: Path) -> FileSource:
    try:
        if path.is_symlink():
            message = "is a symbolic link, which is not followed"
            raise PayloadError(message, file=path, remedy="put the file itself there")
        descriptor = os.open(path, OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise reading_failed(error, path) from None
    return FileSource(path, descriptor, PayloadError)


def sha256_of(source: Source, start: int = 0, end: int | None = None) -> str:
    """SHA-256 of a file, or of a part of it, in lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks(source, start, source.size if end is None else end):
        digest.update(chunk)
    return digest.hexdigest()
