"""Moves payloads between a model file and a store, and compares the two, as streams of chunks.

Both directions are here: `collect` reads a model file once, and `assemble` puts one together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.errors import PayloadError
from graphml_onnx.onnxfile.skeleton import FilePiece, Payload, Stored
from graphml_onnx.onnxfile.source import FileSource, source_at
from graphml_onnx.parameters.chunks import Output, chunks, drive, packed
from graphml_onnx.parameters.store import sha256_of
from graphml_onnx.parameters.weight_files import changed_weights
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.parameters.store import PayloadReference

Report = Callable[[int], None]
"""Called with the number of bytes since the last call."""


class Collected(NamedTuple):
    """Digests of a file and of its payloads, in lower-case hexadecimal digits."""

    sha256: str
    payloads: tuple[str, ...]


class _Part(NamedTuple):
    """Some bytes of a payload: its number in the file, and the bytes from ``position`` of the payload on."""

    payload: Payload
    number: int
    position: int
    data: memoryview

    @property
    def is_last(self) -> bool:
        return self.position + len(self.data) == self.payload.length


_Cut = tuple[bytes, list[_Part]]  # a chunk, and the parts of payloads in it


def collect(
    source: Source, payloads: Sequence[Payload], addresses: Sequence[int | None], store: Output | None, report: Report
) -> Collected:
    """Reads a file once: its digest, the digests of its payloads, and their bytes into the store.

    Args:
        source: the file.
        payloads: its payloads, in the order of the file, none of them empty.
        addresses: the address of each in the store; None for those that are not stored.
        store: takes each payload at its address; None only hashes.
        report: progress.
    """
    whole = hashlib.sha256()
    digests = _Digests()

    def keep(cut: _Cut) -> None:
        if store is not None:
            for part in cut[1]:
                if (address := addresses[part.number]) is not None:
                    store.write_at(address + part.position, part.data)
        report(len(cut[0]))

    threaded = source.size > limits.LIMITS.threads
    drive(_cut(source, payloads), keep, lambda cut: whole.update(cut[0]), digests.update, threaded=threaded)
    return Collected(whole.hexdigest(), tuple(digests.found))


class _Digests:
    """SHA-256 of each payload."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._hash = hashlib.sha256()

    def update(self, cut: _Cut) -> None:
        for part in cut[1]:
            self._hash.update(part.data)
            if part.is_last:
                self.found.append(self._hash.hexdigest())
                self._hash = hashlib.sha256()


def _cut(source: Source, payloads: Sequence[Payload]) -> Iterator[_Cut]:
    current = 0
    end = 0
    for chunk in chunks(source, 0, source.size):
        start, end = end, end + len(chunk)
        parts: list[_Part] = []
        while current < len(payloads) and payloads[current].offset < end:
            payload = payloads[current]
            first, last = max(payload.offset, start), min(payload.offset + payload.length, end)
            data = memoryview(chunk)[first - start : last - start]
            parts.append(_Part(payload, current, first - payload.offset, data))
            if not parts[-1].is_last:
                break
            current += 1
        yield chunk, parts


def read_payloads(source: Source, payloads: Sequence[Payload]) -> Iterator[bytes]:
    """The bytes of the payloads, one after the other, in chunks."""
    return packed(c for payload in payloads for c in chunks(source, payload.offset, payload.offset + payload.length))


def contents(pieces: Iterable[FilePiece], references: Mapping[int, PayloadReference], store: Source) -> Iterator[bytes]:
    """The file that the pieces make up, in chunks; see `assemble` for the arguments."""
    return packed(part for piece in pieces for part in _parts(piece, references, store))


def _parts(piece: FilePiece, references: Mapping[int, PayloadReference], store: Source) -> Iterable[bytes | memoryview]:
    if not isinstance(piece, Stored):
        return (piece,)
    reference = references[piece.number]
    return chunks(store, reference.offset, reference.end)


def assemble(
    pieces: Iterable[FilePiece],
    references: Mapping[int, PayloadReference],
    store: Source,
    write: Callable[[bytes], object],
    report: Report,
    *,
    threaded: bool,
) -> str:
    """Writes a file from its pieces.

    Args:
        pieces: the pieces of the file.
        references: the payloads by number.
        store: has them; its size was checked against the references.
        write: takes the result, chunk by chunk.
        report: progress.
        threaded: whether the file is large enough for hashing on another thread.

    Returns:
        SHA-256 of the file, in lower-case hexadecimal digits. If it is not that of the original, check the payloads
        with `check_payloads`.
    """
    whole = hashlib.sha256()

    def keep(chunk: bytes) -> None:
        write(chunk)
        report(len(chunk))

    drive(contents(pieces, references, store), keep, whole.update, threaded=threaded)
    return whole.hexdigest()


def check_payloads(references: Iterable[PayloadReference], store: Source) -> None:
    """Checks the digests of a store's payloads against a GraphML.

    Raises:
        PayloadError: a payload has another digest.
    """
    for reference in references:
        try:
            check_digest(reference, sha256_of(store, reference.offset, reference.end))
        except PayloadError as error:
            file = source_at(store, reference.offset)[0]
            if reference.file is None or not isinstance(file, FileSource):
                raise
            raise error.at(file=file.path) from None


def check_digest(reference: PayloadReference, found: str) -> None:
    """Raises PayloadError if the bytes of a payload are not those that were encoded."""
    if found != reference.sha256:
        if reference.file is not None:
            raise changed_weights(f"{reference.label} has SHA-256 {found}, but the GraphML says {reference.sha256}")
        raise PayloadError(
            f"{reference.label} has SHA-256 {found}, but the GraphML says {reference.sha256}",
            place=f"byte {reference.offset}",
            remedy=(
                "the file was changed or damaged since it was written"
                if reference.name is None
                else "the file was damaged; decode weights that were edited with `edited_weights=True`"
            ),
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
        Offset of the first byte that differs, or of the end of the shorter file; None if they are equal.
    """
    position = 0
    for piece in pieces:
        reference = references[piece.number] if isinstance(piece, Stored) else None
        if reference is not None and store is original and reference.offset == position:
            position = reference.end  # it is where it belongs: both are the same bytes
            continue
        for chunk in packed(_parts(piece, references, store)):
            found = original.read(position, min(len(chunk), original.size - position))
            if chunk != found:
                return position + _common_prefix(chunk, found)
            position += len(chunk)
            report(len(chunk))
    return position if position != original.size else None


def _common_prefix(left: bytes, right: bytes) -> int:
    """How many leading bytes of both are equal."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
