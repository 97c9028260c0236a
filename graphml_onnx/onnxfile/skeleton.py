"""The skeleton of an ONNX file: cuts the payloads out, leaves a marker for each, and puts them back.

The skeleton is small and protobuf can parse it; payload bytes never pass through protobuf or Python objects. A marker
has 32 ASCII characters: 16 that occur nowhere else in the file (the nonce), and the number of the payload as 16
hexadecimal digits. The number is the offset in the file that was cut. Read as numbers, the characters are 8 fixed32,
4 fixed64 or 32 one-byte varints, so a marker can be in any packed field and comes back from protobuf unchanged.

Long lists, whose items are separate fields, can be cut out as well. One marker replaces all items of the list, and is
itself such a list; its digits are the list's address, which is never the number of a payload.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphml_onnx.onnxfile.extents import Copied, Extent, Lists, Route, find_extents, resize
from graphml_onnx.onnxfile.lists import MARKER_BYTES, ListShape
from graphml_onnx.onnxfile.source import BytesSource, Source
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, WireError
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence, Set

NONCE_BYTES = 16

LIST_ADDRESS = 1 << 63
"""The address of a list, which its marker names, is its number plus this; no payload has such a number."""

LONG = 256
"""Number of items from which on a list is long: it is cut out, and its numbers have the form of long lists."""

_SHORT_MESSAGE = 1024  # bytes; to cut lists out of shorter messages gains nothing

MAX_SKELETON = (1 << 31) - 1
"""Largest message that protobuf reads, in bytes."""


class Payload(NamedTuple):
    """A payload in an ONNX file.

    Attributes:
        offset: where it starts in the file, in bytes.
        length: how long it is, in bytes.
    """

    offset: int
    length: int


class ListRun(NamedTuple):
    """A long list in an ONNX file: where its items start and end in bytes, and their shape."""

    start: int
    end: int
    shape: ListShape


class Skeleton(NamedTuple):
    """An ONNX file without its payloads.

    Attributes:
        data: the file's bytes with a marker in place of each payload.
        nonce: the first half of every marker.
        payloads: the payloads that were cut out, in the order of the file.
        lists: the long lists that were cut out, by their number.
    """

    data: bytes
    nonce: bytes
    payloads: tuple[Payload, ...]
    lists: tuple[ListRun, ...] = ()


def marker(nonce: bytes, number: int) -> bytes:
    """The text that replaces a payload in a skeleton."""
    return nonce + b"%016x" % number


def read_marker(nonce: bytes, content: bytes) -> int | None:
    """The number that a marker names, or None if ``content`` is no marker; the inverse of `marker`."""
    if len(content) != MARKER_BYTES or not content.startswith(nonce):
        return None
    try:
        number = int(content[NONCE_BYTES:], 16)
    except ValueError:
        return None
    return number if marker(nonce, number) == content else None


def renumbered(skeleton: bytes, nonce: bytes, new_nonce: bytes, numbers: Mapping[int, int]) -> bytes:
    """The skeleton with other markers.

    Args:
        skeleton: a skeleton, with all of its lists.
        nonce: its nonce.
        new_nonce: first half of the new markers.
        numbers: the new number of each payload.
    """

    def changed(match: re.Match[bytes]) -> bytes:
        return marker(new_nonce, numbers.get(number := int(match[1], 16), number))

    return re.sub(re.escape(nonce) + b"([0-9a-f]{16})", changed, skeleton)


def told_apart(skeleton: bytes, nonce: bytes, known: Container[int]) -> tuple[bytes, dict[int, int]]:
    """The skeleton with a number for each place of a payload, if several places had the same one.

    Args:
        skeleton: a skeleton.
        nonce: its nonce.
        known: the numbers of its payloads.

    Returns:
        The skeleton, and the former number of each place by its new number, in the order of the file.
    """
    former: dict[int, int] = {}

    def changed(match: re.Match[bytes]) -> bytes:
        number = int(match[1], 16)
        if number not in known:
            return match[0]
        former[len(former)] = number
        return marker(nonce, len(former) - 1)

    return re.sub(re.escape(nonce) + b"([0-9a-f]{16})", changed, skeleton), former


def split(source: Source, limit: int, keep: Set[int] = frozenset(), *, cut_lists: bool = False) -> Skeleton:
    """Cuts the payloads out of an ONNX file.

    Args:
        source: the file.
        limit: tensor fields of up to this many bytes stay, at least those of up to 32 bytes, the size of a marker.
        keep: offsets of fields that stay in any case.
        cut_lists: whether to cut out long lists too. This needs a canonical skeleton, in which all items of a list
            are in one place.

    Raises:
        WireError: the file is not wire format.
    """
    shortest = max(limit, MARKER_BYTES)
    shortest_message = min(shortest, _SHORT_MESSAGE) if cut_lists else shortest

    def selects(route: Route, start: int, end: int) -> bool:
        if not route.payload:
            return end - start > shortest_message and bool(route.fields)
        if end - start <= shortest or start in keep:
            return False
        return not route.text or not _is_text(source, start, end)

    extents = find_extents(source, selects, Lists(LONG, shortest)) if cut_lists else find_extents(source, selects)
    lists: list[ListRun] = []
    payloads: list[Payload] = []
    parts: list[bytes] = []
    gaps: list[tuple[int, ListShape | None]] = []  # where the markers go
    pieces = list(resize(extents, source.size, _marker_length))
    size = sum(piece.end - piece.start for piece in pieces if isinstance(piece, Copied))
    if size > MAX_SKELETON:
        raise WireError(f"the model has {size:,} bytes without its tensors; protobuf reads no more than 2 GiB", 0)
    for piece in pieces:
        if isinstance(piece, Extent):
            gaps.append((len(parts), piece.shape))
            parts.append(b"")
            if piece.shape is None:
                payloads.append(Payload(piece.start, piece.length))
            else:
                lists.append(ListRun(piece.start, piece.end, piece.shape))
        elif isinstance(piece, Copied):
            parts.append(source.read(piece.start, piece.end - piece.start))
        else:
            parts.append(piece)
    nonce = _unused_nonce(parts, {run.shape for run in lists})
    offsets = iter([payload.offset for payload in payloads])
    numbers = itertools.count(LIST_ADDRESS)
    for gap, shape in gaps:
        if shape is None:
            parts[gap] = marker(nonce, next(offsets))
        else:
            parts[gap] = shape.spelled(marker(nonce, next(numbers)))
    return Skeleton(b"".join(parts), nonce, tuple(payloads), tuple(lists))


def _marker_length(extent: Extent) -> int:
    return MARKER_BYTES if extent.shape is None else len(extent.shape.spelled(bytes(MARKER_BYTES)))


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


def _unused_nonce(parts: Sequence[bytes], shapes: Set[ListShape]) -> bytes:
    """A nonce that occurs nowhere in the file. It is the same for the same file, so a residue can refer to it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    while True:
        nonce = digest.hexdigest()[:NONCE_BYTES].encode()
        forms = [nonce, *(shape.spelled(nonce) for shape in shapes)]
        if not any(form in part for form in forms for part in parts):
            return nonce
        digest.update(nonce)


class Stored(NamedTuple):
    """A payload, by its number, in a file to be assembled."""

    number: int


FilePiece: TypeAlias = "memoryview | bytes | Stored"


class MarkerError(ValueError):
    """A skeleton has a marker where no payload can be, or for an unknown payload."""


def _find_all(skeleton: bytes, text: bytes) -> list[int]:
    """The positions of a text."""
    found = []
    position = skeleton.find(text)
    while position >= 0:
        found.append(position)
        position = skeleton.find(text, position + len(text))
    return found


def _find_marked(
    skeleton: bytes, nonce: bytes, marks: Sequence[int], known: Mapping[int, tuple[int, ListShape]]
) -> list[Extent]:
    """The fields that are markers, given the positions of the nonce, and the lists that are markers."""
    places = sorted([*marks, *known])
    starts = frozenset(marks)

    def selects(route: Route, start: int, end: int) -> bool:
        if route.payload:
            return start in starts and read_marker(nonce, skeleton[start:end]) is not None
        first = bisect_left(places, start)
        return bool(route.fields) and first < len(places) and places[first] < end

    return find_extents(BytesSource(skeleton), selects, known=known) if places else []


def merged_payloads(skeleton: Skeleton, canonical: bytes) -> frozenset[int]:
    """Offsets of payloads that protobuf has joined to something else, so that their markers are gone.

    A packed field may consist of several pieces, which protobuf joins.

    Args:
        skeleton: a skeleton that is not canonical, with all of its lists.
        canonical: the same, as protobuf writes it.
    """
    marks = _find_all(canonical, skeleton.nonce)
    todo = _find_marked(canonical, skeleton.nonce, marks, {})
    whole: set[int] = set()
    while todo:
        extent = todo.pop()
        whole.add(extent.start)
        todo += extent.children or ()
    merged = {int(canonical[mark + NONCE_BYTES : mark + MARKER_BYTES], 16) for mark in marks if mark not in whole}
    return frozenset(payload.offset for payload in skeleton.payloads if payload.offset in merged)


class LongList(NamedTuple):
    """The items of a long list as they lie in a file, and their shape."""

    content: bytes | bytearray
    shape: ListShape


_NO_LISTS: Mapping[int, LongList] = {}


def _find_lists(
    skeleton: bytes, nonce: bytes, lists: Mapping[int, LongList]
) -> tuple[dict[int, tuple[int, ListShape]], dict[int, LongList]]:
    """The places where lists were cut out of a skeleton: ends and shapes by start, and the lists by start."""
    known: dict[int, tuple[int, ListShape]] = {}
    found: dict[int, LongList] = {}
    for shape in {item.shape for item in lists.values()}:
        for start in _find_all(skeleton, shape.spelled(nonce)):
            content, end = shape.read_spelled(skeleton, start)
            address = read_marker(nonce, content)
            if shape.kind == LENGTH_DELIMITED and address is not None and address < LIST_ADDRESS:
                continue  # a payload among strings
            if address is None or address not in lists or lists[address].shape != shape:
                raise MarkerError("text of the graph looks like the marker of a list")
            known[start] = end, shape
            found[start] = lists[address]
    return known, found


def join(
    skeleton: bytes, nonce: bytes, lengths: Mapping[int, int], lists: Mapping[int, LongList] = _NO_LISTS
) -> Iterator[FilePiece]:
    """Puts the payloads and the lists back; the inverse of `split`.

    Args:
        skeleton: a skeleton.
        nonce: its nonce.
        lengths: length in bytes of each payload by its number.
        lists: the lists that were cut out, by address.

    Yields:
        The pieces of the file, in order.

    Raises:
        MarkerError: a marker's number is not in ``lengths``, or the marker is outside the payload fields.
        WireError: the skeleton is not wire format.
    """
    known, found = _find_lists(skeleton, nonce, lists)
    ends = {end for end, shape in known.values() if shape.kind == LENGTH_DELIMITED}
    marks = [mark for mark in _find_all(skeleton, nonce) if mark + MARKER_BYTES not in ends]
    extents = _find_marked(skeleton, nonce, marks, known)

    def number(extent: Extent) -> int:
        return int(skeleton[extent.start + NONCE_BYTES : extent.end], 16)

    def new_length(extent: Extent) -> int:
        if extent.shape is not None:
            return len(found[extent.start].content)
        try:
            return lengths[number(extent)]
        except KeyError:
            raise MarkerError(f"no payload is known with the number {number(extent)}") from None

    count = 0
    view = memoryview(skeleton)
    for piece in resize(extents, len(skeleton), new_length):
        if isinstance(piece, Extent):
            count += 1
            yield Stored(number(piece)) if piece.shape is None else memoryview(found[piece.start].content)
        elif isinstance(piece, Copied):
            yield view[piece.start : piece.end]
        else:
            yield piece
    if count != len(marks) + len(known):
        raise MarkerError("text of the graph looks like the marker of a payload")


def with_lists(skeleton: bytes, nonce: bytes, lists: Mapping[int, LongList]) -> bytes:
    """The skeleton with its lists in their places; see `join` for the arguments and errors."""
    if not lists:
        return skeleton
    known, found = _find_lists(skeleton, nonce, lists)
    parts: list[bytes | bytearray] = []
    for piece in resize(_find_marked(skeleton, nonce, (), known), len(skeleton), lambda e: len(found[e.start].content)):
        if isinstance(piece, Extent):
            parts.append(found.pop(piece.start).content)
        else:
            parts.append(skeleton[piece.start : piece.end] if isinstance(piece, Copied) else piece)
    if found:
        raise MarkerError("text of the graph looks like the marker of a list")
    return b"".join(parts)
