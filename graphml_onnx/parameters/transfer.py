"""Moves payloads between a model file and a store, in windows of a few megabytes, hashing on the way.

Both directions are here: `collect` reads a model file once, and `assemble` puts one together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphml_onnx.errors import PayloadError
from graphml_onnx.onnxfile.skeleton import FilePiece, Payload, Stored
from graphml_onnx.parameters.lanes import WINDOW, Digest, Digests, Lane
from graphml_onnx.parameters.store import PayloadReference

if TYPE_CHECKING:
    from graphml_onnx.onnxfile.source import Source

Report = Callable[[int], None]
"""Called with the number of bytes that were done since the last call."""

_ZEROS = bytes(WINDOW)


class RawFile(Protocol):
    """An unbuffered binary file."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Writes some of ``data``; returns how much."""

    def seek(self, offset: int, /) -> int:
        """Moves to an offset from the start."""

    def truncate(self, size: int, /) -> int:
        """Sets the size."""


def write_all(file: RawFile, data: bytes | memoryview) -> None:
    """Writes all of ``data``: an unbuffered file may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


class StoreWriter:
    """Writes payloads to a store, in ascending order of their addresses, and hashes the store.

    Args:
        file: the store's file.
        lane: where it is hashed.
    """

    def __init__(self, file: RawFile, lane: Lane) -> None:
        self._file = file
        self._digest = Digest(lane)
        self.size = 0
        """Bytes written so far."""

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Writes bytes at an address; what was left out before it is zero."""
        if address > self.size:
            self._append(bytes(address - self.size))
        self._append(data)

    def _append(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        if len(data) == WINDOW and data == _ZEROS:
            self.size += WINDOW  # a hole in a sparse file stays one
            self._file.seek(self.size)
            return
        write_all(self._file, data)
        self.size += len(data)

    def finish(self) -> str:
        """Ends the store; returns its SHA-256."""
        self._file.truncate(self.size)
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Collected:
    """Digests of a file and of its payloads, in lower-case hexadecimal digits."""

    sha256: str
    references: tuple[PayloadReference, ...]


def collect(source: Source, payloads: Sequence[Payload], store: StoreWriter | None, report: Report) -> Collected:
    """Reads a file once: its digest, the digests of its payloads, and their bytes into the store.

    Args:
        source: the file.
        payloads: its payloads, in the order of the file.
        store: takes the payloads; None only hashes.
        report: progress.
    """
    threaded = source.size > WINDOW
    found: list[str] = []
    with Lane(threaded=threaded) as whole_lane, Lane(threaded=threaded) as payload_lane:
        whole = Digest(whole_lane)
        digests = Digests(payload_lane, found.append)
        current = 0
        for start in range(0, source.size, WINDOW):
            data = source.read(start, min(WINDOW, source.size - start))
            whole.update(data)
            end = start + len(data)
            view = memoryview(data)
            parts: list[tuple[bytes | memoryview, bool]] = []
            while current < len(payloads) and payloads[current].offset < end:
                payload = payloads[current]
                first, last = max(payload.offset, start), min(payload.offset + payload.length, end)
                part = data if last - first == len(data) else view[first - start : last - start]
                ends = last == payload.offset + payload.length
                parts.append((part, ends))
                if store is not None:
                    store.write(payload.address + first - payload.offset, part)
                if not ends:
                    break
                current += 1
            digests.update(parts)
            report(len(data))
        payload_lane.finish()
        sha256 = whole.hexdigest()
    references = [
        PayloadReference(payload.address, payload.length, digest)
        for payload, digest in zip(payloads, found, strict=True)
    ]
    return Collected(sha256, tuple(references))


def read_payloads(source: Source, payloads: Sequence[Payload]) -> Iterator[bytes]:
    """The bytes of the payloads, one after the other, in chunks."""
    for payload in payloads:
        end = payload.offset + payload.length
        for start in range(payload.offset, end, WINDOW):
            yield source.read(start, min(WINDOW, end - start))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of a window that belongs to a payload; ``ends`` where the payload ends with it."""

    reference: PayloadReference
    start: int
    end: int
    ends: bool


def _windows(
    pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], store: Source
) -> Iterator[tuple[bytes, list[_Stretch]]]:
    """The file that the pieces make up, in windows; with the stretches that come from payloads."""
    parts: list[bytes | memoryview] = []
    stretches: list[_Stretch] = []
    size = 0

    def window() -> tuple[bytes, list[_Stretch]]:
        nonlocal parts, stretches, size
        only = parts[0] if len(parts) == 1 else None
        data = only if isinstance(only, bytes) else b"".join(parts)
        found = data, stretches
        parts, stretches, size = [], [], 0
        return found

    for piece in pieces:
        if not isinstance(piece, Stored):
            parts.append(piece)
            size += len(piece)
            if size >= WINDOW:
                yield window()
            continue
        reference = references[piece.address]
        position = reference.offset
        while position < reference.end:
            length = min(WINDOW - size, reference.end - position)
            parts.append(store.read(position, length))
            stretches.append(_Stretch(reference, size, size + length, position + length == reference.end))
            size += length
            position += length
            if size >= WINDOW:
                yield window()
    if parts:
        yield window()


def assemble(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    file: RawFile,
    report: Report,
    *,
    threaded: bool,
) -> str:
    """Writes a file from its pieces, and checks the digest of each payload.

    Args:
        pieces: what the file consists of.
        references: the payloads by address.
        store: holds them; its size was checked against the references.
        file: takes the result.
        report: progress.
        threaded: whether the file is large enough for hashing on other threads.

    Returns:
        SHA-256 of the file, in lower-case hexadecimal digits.

    Raises:
        PayloadError: a payload has another digest.
    """
    expected: deque[PayloadReference] = deque()
    with Lane(threaded=threaded) as whole_lane, Lane(threaded=threaded) as payload_lane:
        whole = Digest(whole_lane)
        digests = Digests(payload_lane, lambda found: check_digest(expected.popleft(), found))
        size = 0
        for data, stretches in _windows(pieces, references, store):
            whole.update(data)
            view = memoryview(data)
            expected.extend(stretch.reference for stretch in stretches if stretch.ends)
            digests.update([(view[stretch.start : stretch.end], stretch.ends) for stretch in stretches])
            size += len(data)
            if len(data) == WINDOW and data == _ZEROS:
                file.seek(size)
            else:
                write_all(file, data)
            report(len(data))
        payload_lane.finish()
        file.truncate(size)
        return whole.hexdigest()


def check_digest(reference: PayloadReference, found: str) -> None:
    """Raises PayloadError where the bytes of a payload are not those that were encoded."""
    if found != reference.sha256:
        raise PayloadError(
            f"the payload has SHA-256 {found}, but the GraphML says {reference.sha256}",
            place=f"byte {reference.offset}",
            remedy="the file was changed or damaged since it was written",
        )


def first_difference(
    pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], store: Source, original: Source
) -> int | None:
    """Compares the file that the pieces make up with the original, without writing it.

    Returns:
        Offset of the first byte that differs, or of the end of the shorter one; None where they are the same.
    """
    position = 0
    for data, _ in _windows(pieces, references, store):
        expected = original.read(position, max(0, min(len(data), original.size - position)))
        if data != expected:
            return position + _common_prefix(data, expected)
        position += len(data)
    return position if position != original.size else None


def _common_prefix(left: bytes, right: bytes) -> int:
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
