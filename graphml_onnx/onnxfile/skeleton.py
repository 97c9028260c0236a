"""The skeleton of an ONNX file: the file less its payloads, each replaced by a marker; and the file again from both.

The skeleton is small and protobuf can parse it; payload bytes never pass through protobuf or Python objects. A marker
is 32 ASCII characters: 16 that stand for nothing else in the file (the nonce), and 16 hexadecimal digits, the address
that the payload has in its store. ASCII characters are also 8 fixed32, 4 fixed64 or 32 one-byte varints, so that a
marker can stand in any packed field and comes back from protobuf unchanged.
"""

from __future__ import annotations

import codecs
import hashlib
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphml_onnx.onnxfile.extents import Copied, Extent, Route, find_extents, resize
from graphml_onnx.onnxfile.source import BytesSource, Source
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set

NONCE_BYTES = 16
MARKER_BYTES = 32

MAX_SKELETON = (1 << 31) - 1
"""Bytes of a message that protobuf reads."""


class Payload(NamedTuple):
    """A payload in an ONNX file.

    Attributes:
        offset: where it starts in the file, in bytes.
        length: how long it is, in bytes.
        address: where it starts in the store that keeps it, in bytes.
    """

    offset: int
    length: int
    address: int


class Skeleton(NamedTuple):
    """An ONNX file without its payloads.

    Attributes:
        data: the file's bytes with a marker in place of each payload.
        nonce: the first half of every marker.
        payloads: what was cut out, in the order of the file.
    """

    data: bytes
    nonce: bytes
    payloads: tuple[Payload, ...]


def marker(nonce: bytes, address: int) -> bytes:
    """What stands in a skeleton for the payload that its store keeps at ``address``."""
    return nonce + b"%016x" % address


def read_marker(nonce: bytes, content: bytes) -> int | None:
    """The address that a marker names, or None where ``content`` is no marker; the inverse of `marker`."""
    if len(content) != MARKER_BYTES or not content.startswith(nonce):
        return None
    try:
        address = int(content[NONCE_BYTES:], 16)
    except ValueError:
        return None
    return address if marker(nonce, address) == content else None


def split(source: Source, limit: int, place: Callable[[int, int], int], keep: Set[int] = frozenset()) -> Skeleton:
    """Cuts the payloads out of an ONNX file.

    Args:
        source: the file.
        limit: tensor fields of up to this many bytes stay; never less than the 32 bytes of a marker.
        place: called with offset and length of each payload in the order of the file; returns its address.
        keep: offsets of fields that stay, whatever their length.

    Raises:
        WireError: the file is not wire format.
    """

    def selects(route: Route, start: int, end: int) -> bool:
        if end - start <= max(limit, MARKER_BYTES) or (start in keep and route.payload):
            return False
        return not route.text or not _is_text(source, start, end)

    extents = find_extents(source, selects)
    payloads: list[Payload] = []
    parts: list[bytes] = []
    gaps: list[int] = []  # where the markers go
    pieces = list(resize(extents, source.size, lambda _: MARKER_BYTES))
    size = sum(piece.end - piece.start for piece in pieces if isinstance(piece, Copied))
    if size > MAX_SKELETON:
        raise WireError(f"the model has {size:,} bytes without its tensors; protobuf reads no more than 2 GiB", 0)
    for piece in pieces:
        if isinstance(piece, Extent):
            payloads.append(Payload(piece.start, piece.length, place(piece.start, piece.length)))
            gaps.append(len(parts))
            parts.append(b"")
        elif isinstance(piece, Copied):
            parts.append(source.read(piece.start, piece.end - piece.start))
        else:
            parts.append(piece)
    nonce = _unused_nonce(parts)
    for gap, payload in zip(gaps, payloads, strict=True):
        parts[gap] = marker(nonce, payload.address)
    return Skeleton(b"".join(parts), nonce, tuple(payloads))


def _is_text(source: Source, start: int, end: int) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = limits.LIMITS.window
    try:
        for position in range(start, end, size):
            chunk = source.read(position, min(size, end - position))
            decoder.decode(chunk, final=position + size >= end)
    except UnicodeDecodeError:
        return False
    return True


def _unused_nonce(parts: Sequence[bytes]) -> bytes:
    """A nonce that stands nowhere in the file; the same for the same file, so that a residue can refer to it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    while True:
        nonce = digest.hexdigest()[:NONCE_BYTES].encode()
        if not any(nonce in part for part in parts):
            return nonce
        digest.update(nonce)


class Stored(NamedTuple):
    """The payload at ``address`` of its store, in a file to be assembled."""

    address: int


FilePiece: TypeAlias = "memoryview | bytes | Stored"


class MarkerError(ValueError):
    """A skeleton has a marker where no payload can stand, or one that its store does not know."""


def _find_marks(skeleton: bytes, nonce: bytes) -> list[int]:
    """Where the nonce stands."""
    marks = []
    position = skeleton.find(nonce)
    while position >= 0:
        marks.append(position)
        position = skeleton.find(nonce, position + NONCE_BYTES)
    return marks


def _find_marked(skeleton: bytes, nonce: bytes, marks: Sequence[int]) -> list[Extent]:
    """The fields that are markers."""

    def selects(route: Route, start: int, end: int) -> bool:
        if route.payload:
            return read_marker(nonce, skeleton[start:end]) is not None if end - start == MARKER_BYTES else False
        first = bisect_left(marks, start)
        return first < len(marks) and marks[first] < end

    return find_extents(BytesSource(skeleton), selects) if marks else []


def merged_payloads(skeleton: Skeleton, canonical: bytes) -> frozenset[int]:
    """Offsets of payloads that protobuf has joined to something else, so that their markers stand for nothing.

    A packed field may stand in several pieces, which protobuf puts together.

    Args:
        skeleton: a skeleton that is not canonical.
        canonical: what protobuf makes of it.
    """
    marks = _find_marks(canonical, skeleton.nonce)
    todo = _find_marked(canonical, skeleton.nonce, marks)
    whole: set[int] = set()
    while todo:
        extent = todo.pop()
        whole.add(extent.start)
        todo += extent.children or ()
    merged = {int(canonical[mark + NONCE_BYTES : mark + MARKER_BYTES], 16) for mark in marks if mark not in whole}
    return frozenset(payload.offset for payload in skeleton.payloads if payload.address in merged)


def join(skeleton: bytes, nonce: bytes, lengths: Mapping[int, int]) -> Iterator[FilePiece]:
    """Puts the payloads back; the inverse of `split`.

    Args:
        skeleton: a skeleton.
        nonce: its nonce.
        lengths: length in bytes of each payload by its address.

    Yields:
        What the file consists of, in order.

    Raises:
        MarkerError: a marker's address is not in ``lengths``, or stands outside the payload fields.
        WireError: the skeleton is not wire format.
    """
    marks = _find_marks(skeleton, nonce)
    extents = _find_marked(skeleton, nonce, marks)

    def address(extent: Extent) -> int:
        return int(skeleton[extent.start + NONCE_BYTES : extent.end], 16)

    def new_length(extent: Extent) -> int:
        try:
            return lengths[address(extent)]
        except KeyError:
            raise MarkerError(f"no payload is known at offset {address(extent)}") from None

    count = 0
    view = memoryview(skeleton)
    for piece in resize(extents, len(skeleton), new_length):
        if isinstance(piece, Extent):
            count += 1
            yield Stored(address(piece))
        elif isinstance(piece, Copied):
            yield view[piece.start : piece.end]
        else:
            yield piece
    if count != len(marks):
        raise MarkerError("text of the graph looks like the marker of a payload")
