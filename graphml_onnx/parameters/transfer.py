"""Moves payloads between a model file and a store, in windows of a megabyte, hashing on the way.

Both directions are here: `collect` reads a model file once, and `assemble` puts one together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from graphml_onnx.errors import PayloadError
from graphml_onnx.onnxfile.skeleton import FilePiece, Payload, Stored
from graphml_onnx.parameters.lanes import WINDOW, WORTH_THREADS, Digest, Digests, Lane, Windows, ahead
from graphml_onnx.parameters.store import PayloadReference, sha256_of

if TYPE_CHECKING:
    from graphml_onnx.onnxfile.source import Source

Report = Callable[[int], None]
"""Called with the number of bytes that were done since the last call."""

_SMALL = 1 << 18  # bytes; smaller pieces are put together, which copies them


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


def write_sparse(file: RawFile, data: bytes | memoryview, end: int) -> None:
    """Writes ``data``, which ends at ``end``; a whole window of zeros is left as a hole, which `truncate` closes."""
    if len(data) == WINDOW and data[0] == 0 and not np.frombuffer(data, np.uint8).any():
        file.seek(end)
    else:
        write_all(file, data)


class StoreWriter:
    """Writes payloads to a store, in ascending order of their addresses.

    Args:
        file: the store's file.
    """

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self.size = 0
        """Bytes written so far."""

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Writes bytes at an address; what was left out before it is zero."""
        if address > self.size:
            self._append(bytes(address - self.size))
        self._append(data)

    def _append(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        write_sparse(self._file, data, self.size)

    def finish(self) -> None:
        """Ends the store."""
        self._file.truncate(self.size)


class Collected(NamedTuple):
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
    threaded = source.size > WORTH_THREADS
    found: list[str] = []
    with Lane(threaded=threaded) as whole_lane, Lane(threaded=threaded) as payload_lane:
        whole = Digest(whole_lane)
        digests = Digests(payload_lane, found.append)
        current = 0
        end = 0
        for data in ahead(_read_windows(source), threaded=threaded):
            whole.update(data)
            start, end = end, end + len(data)
            parts: list[tuple[memoryview, bool]] = []
            while current < len(payloads) and payloads[current].offset < end:
                payload = payloads[current]
                first, last = max(payload.offset, start), min(payload.offset + payload.length, end)
                part = data[first - start : last - start]
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


def _read_windows(source: Source) -> Iterator[memoryview]:
    windows = Windows(source)
    for start in range(0, source.size, WINDOW):
        yield windows.read(start, min(WINDOW, source.size - start))


def read_payloads(source: Source, payloads: Sequence[Payload]) -> Iterator[bytes]:
    """The bytes of the payloads, one after the other, in chunks."""
    for payload in payloads:
        end = payload.offset + payload.length
        for start in range(payload.offset, end, WINDOW):
            yield source.read(start, min(WINDOW, end - start))


def _blocks(
    pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], store: Source
) -> Iterator[bytes | memoryview]:
    """The file that the pieces make up, in blocks of at most a window; small pieces are put together."""
    small: list[bytes | memoryview] = []
    size = 0
    for block in _cut(pieces, references, store):
        joins = len(block) < _SMALL
        if small and not (joins and size + len(block) <= WINDOW):
            yield b"".join(small)
            small, size = [], 0
        if joins:
            small.append(block)
            size += len(block)
        else:
            yield block
    if small:
        yield b"".join(small)


def _cut(
    pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], store: Source
) -> Iterator[bytes | memoryview]:
    windows = Windows(store)
    for piece in pieces:
        if isinstance(piece, Stored):
            reference = references[piece.address]
            for start in range(reference.offset, reference.end, WINDOW):
                size = min(WINDOW, reference.end - start)
                yield store.read(start, size) if size < _SMALL else windows.read(start, size)
        else:
            for start in range(0, len(piece), WINDOW):
                yield piece[start : start + WINDOW]


def assemble(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    file: RawFile,
    report: Report,
    *,
    threaded: bool,
) -> str:
    """Writes a file from its pieces.

    Args:
        pieces: what the file consists of.
        references: the payloads by address.
        store: holds them; its size was checked against the references.
        file: takes the result.
        report: progress.
        threaded: whether the file is large enough for reading and hashing on other threads.

    Returns:
        SHA-256 of the file, in lower-case hexadecimal digits. Where it is not that of the original, the payloads
        have to be checked: `check_payloads`.
    """
    with Lane(threaded=threaded) as lane:
        whole = Digest(lane)
        size = 0
        for block in ahead(_blocks(pieces, references, store), threaded=threaded):
            whole.update(block)
            size += len(block)
            write_sparse(file, block, size)
            report(len(block))
        file.truncate(size)
        return whole.hexdigest()


def check_payloads(references: Iterable[PayloadReference], store: Source) -> None:
    """Makes sure that a store holds what a GraphML refers to.

    Raises:
        PayloadError: a payload has another digest.
    """
    for reference in references:
        check_digest(reference, sha256_of(store, reference.offset, reference.end))


def check_digest(reference: PayloadReference, found: str) -> None:
    """Raises PayloadError where the bytes of a payload are not those that were encoded."""
    if found != reference.sha256:
        raise PayloadError(
            f"the payload has SHA-256 {found}, but the GraphML says {reference.sha256}",
            place=f"byte {reference.offset}",
            remedy="the file was changed or damaged since it was written",
        )


def first_difference(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    original: Source,
    report: Report,
) -> int | None:
    """Compares the file that the pieces make up with the original, without writing it.

    Returns:
        Offset of the first byte that differs, or of the end of the shorter one; None where they are the same.
    """
    position = 0
    threaded = store is not original and original.size > WORTH_THREADS
    windows = Windows(original)
    for start, run in _runs(pieces, references, in_place=store is original):
        position = start
        for block in ahead(_blocks(run, references, store), threaded=threaded):
            expected = windows.read(position, max(0, min(len(block), original.size - position)))
            if (same := _common_prefix(block, expected)) < len(block):
                return position + same
            position += len(block)
            report(len(block))
    return position if position != original.size else None


def _runs(
    pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], *, in_place: bool
) -> Iterator[tuple[int, Iterable[FilePiece]]]:
    """Pieces in a row, with the offset of the first; the end of the file is the last.

    Args:
        pieces: what the file consists of.
        references: the payloads by address.
        in_place: whether the store is the file: payloads that are where they belong are left out.
    """
    if not in_place:
        yield 0, pieces
        return
    run: list[FilePiece] = []
    start = end = 0
    for piece in pieces:
        length = references[piece.address].length if isinstance(piece, Stored) else len(piece)
        if isinstance(piece, Stored) and piece.address == end:
            yield start, run
            run, start = [], end + length
        else:
            run.append(piece)
        end += length
    yield start, run


def _common_prefix(left: bytes | memoryview, right: bytes | memoryview) -> int:
    """How many bytes at the start of both are the same."""
    size = min(len(left), len(right))
    # numpy compares memory of any kind fast; Python only bytes.
    same = np.frombuffer(left, np.uint8, size) == np.frombuffer(right, np.uint8, size)
    return size if same.all() else int(same.argmin())
