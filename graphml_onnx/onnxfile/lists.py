"""Long lists in a file: each item is a field, and the fields of a list follow each other as one run.

Numpy reads a run in pieces, never item by item.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.wire import (
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    MAX_VARINT_BYTES,
    VARINT,
    WireError,
    decode_varint,
    encode_varint,
    varint_size,
)
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.descriptor import FieldDescriptor

    from graphml_onnx.onnxfile.source import Source

MARKER_BYTES = 32
"""Length of a marker, in bytes: 8 fixed32, 4 fixed64, 32 one-byte varints, or one string."""

Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Positions: TypeAlias = "npt.NDArray[np.intp]"

_READ_ELSEWHERE = {
    "NodeProto": ("input", "output"),
    "FunctionProto": ("input", "output", "attribute"),
    "TensorProto": ("dims",),
}
"""Lists whose items the codec needs: the names that edges follow from, and dims."""


_DOUBLINGS = 6


class Items(NamedTuple):
    """The items at the start of some bytes.

    Attributes:
        starts: offset of the content of each item, a number or text.
        lengths: length of the content of each item, in bytes.
        end: where the last of them ends.
    """

    starts: Positions
    lengths: Positions
    end: int


class ListShape(NamedTuple):
    """The encoding of a list's items in a file, one field each.

    Attributes:
        tag: the tag of each item.
        kind: their wire type.
    """

    tag: bytes
    kind: int

    @property
    def width(self) -> int:
        """Bytes of each item of a marker."""
        return {FIXED32: 4, FIXED64: 8, VARINT: 1}.get(self.kind, MARKER_BYTES)

    def spelled(self, content: bytes) -> bytes:
        """The fields of a marker, or of the start of one, in a list of this shape."""
        head = self.tag + (bytes([MARKER_BYTES]) if self.kind == LENGTH_DELIMITED else b"")
        width = self.width
        return b"".join([head + content[start : start + width] for start in range(0, len(content), width)])

    def read_spelled(self, data: bytes, start: int) -> tuple[bytes, int]:
        """The marker whose fields start there, and their end; the inverse of `spelled`."""
        end = start + len(self.spelled(bytes(MARKER_BYTES)))
        width = self.width
        step = (end - start) // (MARKER_BYTES // width)
        return b"".join([data[at - width : at] for at in range(start + step, end + 1, step)]), end

    def items(self, data: bytes) -> Items:
        """The items at the start of ``data`` that are complete and written as protobuf writes them.

        More may follow. If there are none, the first item is of another kind, or cut off.
        """
        if self.kind == VARINT:
            return _varints(data, self.tag)
        if self.kind == LENGTH_DELIMITED:
            return _delimited(data, self.tag)
        return _fixed(data, self.tag, self.width)


@cache
def list_shape(field: FieldDescriptor) -> ListShape | None:
    """The shape of a field's list if it may be cut out; None for all other fields."""
    original = schema.original_field(field)
    kinds = {
        original.TYPE_FLOAT: FIXED32,
        original.TYPE_DOUBLE: FIXED64,
        original.TYPE_INT64: VARINT,
        original.TYPE_UINT64: VARINT,
        original.TYPE_STRING: LENGTH_DELIMITED,
        original.TYPE_BYTES: LENGTH_DELIMITED,
    }
    if not field.is_repeated or field.is_packed or original.type not in kinds:
        return None
    if field.name in _READ_ELSEWHERE.get(schema.message_name(schema.owner_of(field)), ()):
        return None
    kind = kinds[original.type]
    return ListShape(encode_varint(field.number << 3 | kind), kind)


class Run(NamedTuple):
    """Fields of one tag that follow each other.

    Attributes:
        end: where the last of them ends.
        length: their number.
        longest: length of the longest content, in bytes.
    """

    end: int
    length: int
    longest: int


def find_run(source: Source, shape: ListShape, start: int, end: int) -> Run | None:
    """The run that starts at ``start``; None if one of its items is not written as protobuf writes it.

    Args:
        source: the file.
        shape: of the items.
        start: where the first one starts.
        end: where the message ends.
    """
    count = longest = 0
    position = start
    for piece, items in pieces(source, shape, start, end):
        count += len(items.starts)
        longest = max(longest, int(np.max(items.lengths)))
        position += len(piece)
    if source.read(position, min(len(shape.tag), end - position)) == shape.tag:
        return None
    return Run(position, count, longest)


def pieces(source: Source, shape: ListShape, start: int, end: int) -> Iterator[tuple[bytes, Items]]:
    """The complete items from ``start`` to the end of the run, in pieces of bounded size."""
    size = limits.LIMITS.chunk
    while start < end:
        data = source.read(start, min(size, end - start))
        items = shape.items(data)
        if items.end:
            yield data[: items.end], items
            start += items.end
            size = limits.LIMITS.chunk
        elif len(data) < end - start and (data.startswith(shape.tag) or shape.tag.startswith(data)):
            size *= 2  # an item that is longer
        else:
            return


def _fixed(data: bytes, tag: bytes, width: int) -> Items:
    stride = len(tag) + width
    count = len(data) // stride
    rows = np.frombuffer(data, np.uint8, count * stride).reshape(count, stride)
    count = _leading((rows[:, : len(tag)] == np.frombuffer(tag, np.uint8)).all(axis=1))
    return Items(np.arange(len(tag), count * stride, stride), np.full(count, width), count * stride)


def _varints(data: bytes, tag: bytes) -> Items:
    numbers = np.frombuffer(data, np.uint8)
    return _varints_of_one_width(numbers, tag) or _any_varints(numbers, tag)


def _varints_of_one_width(numbers: Bytes, tag: bytes) -> Items | None:
    """The leading varints of the same width as the first; None if they are not most of them."""
    head = len(tag)
    ends = np.flatnonzero(numbers[head : head + MAX_VARINT_BYTES] < 0x80)
    if not len(ends):
        return None
    width = int(ends[0]) + 1
    stride = head + width
    count = len(numbers) // stride
    rows = numbers[: count * stride].reshape(count, stride)
    alike = rows[:, -1] < 0x80
    for index, byte in enumerate(tag):
        alike &= rows[:, index] == byte
    for index in range(head, stride - 1):
        alike &= rows[:, index] >= 0x80
    if width > 1:
        alike &= rows[:, -1] == 1 if width == MAX_VARINT_BYTES else rows[:, -1] != 0
    count = _leading(alike)
    if 2 * count * stride < len(numbers):
        return None
    return Items(np.arange(head, count * stride, stride), np.full(count, width), count * stride)


def _any_varints(numbers: Bytes, tag: bytes) -> Items:
    ends = np.flatnonzero(numbers < 0x80)  # of a tag, and of a number, in turn
    tags, last = ends[: len(ends) // 2 * 2].reshape(-1, 2).T
    starts = np.empty_like(last)
    starts[:1] = 0
    starts[1:] = last[:-1] + 1
    lengths = last - tags
    alike = tags == starts + (len(tag) - 1)
    for index, byte in enumerate(tag):
        alike &= numbers[starts + index] == byte
    alike &= (lengths == 1) | (numbers[last] != 0)
    if len(lengths) and np.max(lengths) >= MAX_VARINT_BYTES:
        alike &= (lengths < MAX_VARINT_BYTES) | ((lengths == MAX_VARINT_BYTES) & (numbers[last] == 1))
    count = _leading(alike)
    return Items(tags[:count] + 1, lengths[:count], int(last[count - 1]) + 1 if count else 0)


def varint_values(data: bytes, items: Items) -> npt.NDArray[np.uint64]:
    """The numbers of varints."""
    numbers = np.frombuffer(data, np.uint8)
    values = (numbers[items.starts] & 0x7F).astype(np.uint64)
    for place in range(1, int(np.max(items.lengths))):
        longer = items.lengths > place
        rest = slice(None) if longer.all() else np.flatnonzero(longer)
        part = numbers[items.starts[rest] + place] & 0x7F
        values[rest] |= part.astype(np.uint64) << np.uint64(7 * place)
    return values


def varint_fields(tag: bytes, values: npt.NDArray[np.uint64]) -> bytes:
    """A field for each number, as protobuf writes it; the inverse of `varint_values`."""
    width = varint_size(int(np.max(values))) if len(values) else 1
    head = len(tag)
    rows = np.empty((len(values), head + width), np.uint8)
    rows[:, :head] = np.frombuffer(tag, np.uint8)
    if width == 1:
        rows[:, head] = values
        return rows.tobytes()
    used = np.ones(rows.shape, np.bool_)
    for place in range(width):
        rest = values >> np.uint64(7 * place)
        rows[:, head + place] = rest & np.uint64(0x7F)
        if place:
            used[:, head + place] = rest != 0
            rows[:, head + place - 1] |= used[:, head + place].view(np.uint8) << 7
    return rows[used].tobytes()


def fixed_values(data: bytes, shape: ListShape) -> npt.NDArray[np.unsignedinteger[npt.NBitBase]]:
    """The bits of numbers of fixed width."""
    head, width = len(shape.tag), shape.width
    rows = np.frombuffer(data, np.uint8).reshape(-1, head + width)
    return np.ascontiguousarray(rows[:, head:]).view(f"<u{width}").reshape(-1)


def fixed_fields(tag: bytes, bits: npt.NDArray[np.generic]) -> bytes:
    """A field for each number of fixed width; the inverse of `fixed_values`."""
    head, width = len(tag), bits.itemsize
    rows = np.empty((len(bits), head + width), np.uint8)
    rows[:, :head] = np.frombuffer(tag, np.uint8)
    rows[:, head:] = bits.astype(f"<u{width}", copy=False).view(np.uint8).reshape(-1, width)
    return rows.tobytes()


def _delimited(data: bytes, tag: bytes) -> Items:
    found = _short_texts(data, tag[0]) if len(tag) == 1 else None
    return found or _any_texts(data, tag)


def _short_texts(data: bytes, tag: int) -> Items | None:
    """Texts of less than 128 bytes; None if the first is longer, or cut off.

    A text may contain the byte of the tag. A field starts there only if the one before ends there.
    """
    whole = np.frombuffer(data, np.uint8)
    fields = np.flatnonzero(whole[:-1] == tag)
    lengths = whole[fields + 1].astype(np.intp)
    ends = fields + 2 + lengths
    is_whole = (lengths < 0x80) & (ends <= len(data))
    if not len(fields) or fields[0] or not is_whole[0]:
        return None
    count = _leading(is_whole[:-1] & (ends[:-1] == fields[1:])) + 1
    if count < len(fields) and ends[count - 1] > fields[count]:
        follows = _chain(fields, np.where(is_whole, ends, len(data)), len(data))
        fields, lengths, ends, is_whole = fields[follows], lengths[follows], ends[follows], is_whole[follows]
        count = len(fields)
    count -= not is_whole[count - 1]
    return Items(fields[:count] + 2, lengths[:count], int(ends[count - 1]))


def _chain(fields: Positions, ends: Positions, size: int) -> Positions:
    """The numbers of the fields that follow from the first, each starting where the one before ends.

    Args:
        fields: the start of each.
        ends: the end of each; ``size`` if none follows.
        size: beyond all of them.
    """
    count = len(fields)
    numbers = np.full(size + 1, count)
    numbers[fields] = np.arange(count)
    ahead = np.append(numbers[ends], count)  # by one step; then by two, four, ...
    steps = []
    for _ in range(_DOUBLINGS):
        steps.append(ahead)
        ahead = ahead[ahead]
    some = [0]  # one of so many
    while (number := int(ahead[some[-1]])) < count:
        some.append(number)
    chain = np.array(some)
    for ahead in reversed(steps):
        chain = np.stack((chain, ahead[chain]), axis=1).reshape(-1)
    return chain[chain < count]


def _any_texts(data: bytes, tag: bytes) -> Items:
    starts: list[int] = []
    lengths: list[int] = []
    position = 0
    try:
        while data.startswith(tag, position):
            at = position + len(tag)
            length, start = decode_varint(data, at)
            if start + length > len(data) or start - at != varint_size(length):
                break
            starts.append(start)
            lengths.append(length)
            position = start + length
    except WireError:
        pass  # cut off
    return Items(np.array(starts, np.intp), np.array(lengths, np.intp), position)


def delimited_fields(tag: bytes, texts: Sequence[bytes]) -> bytes:
    """A field for each text."""
    return b"".join([tag + encode_varint(len(text)) + text for text in texts])


def _leading(alike: npt.NDArray[np.bool_]) -> int:
    """How many values are True before the first that is not."""
    return len(alike) if alike.all() else int(np.argmin(alike))
