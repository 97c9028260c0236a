"""Finds and resizes the payloads and long lists of an ONNX file, at the level of the wire format.

`find_extents` walks the length-delimited fields that lead to them and reads nothing else. `resize` is the other way: it
gives the bytes of the file with each payload or list replaced by something of another length, and corrects the lengths
of all enclosing messages. Both directions of the codec use this pair: cutting payloads out of a file, and putting them
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.lists import ListShape, find_run, list_shape
from graphml_onnx.onnxfile.unreadable import MAX_DEPTH
from graphml_onnx.onnxfile.wire import (
    END_GROUP,
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    START_GROUP,
    VARINT,
    WireError,
    decode_varint,
    encode_varint,
    varint_size,
)
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from graphml_onnx.onnxfile.source import Source

_RUN = 16  # fields of one tag after which numpy looks for more
_NO_PAYLOAD = 32  # bytes: the size of a marker; a shorter field is no payload
_MARGIN = 2 * 10  # a tag and a length, each a varint of the greatest width


@dataclass(slots=True, eq=False)
class Route:
    """A field that is a payload or a list, or a message that leads to one.

    Attributes:
        payload: whether the field's content can be a payload.
        text: whether the content is usually text, and a payload only if it is not.
        shape: of the items, if the field is a list that can be cut out.
        fields: for a message, the routes of its fields by field number.
    """

    payload: bool = False
    text: bool = False
    shape: ListShape | None = None
    fields: dict[int, Route] = field(default_factory=dict)


def _route(descriptor: FieldDescriptor) -> Route | None:
    """Any bytes field and packed numeric field of a tensor; bytes elsewhere only if they are not text; lists."""
    original = schema.original_field(descriptor)
    owner = schema.message_name(schema.owner_of(descriptor))
    shape = list_shape(descriptor)
    if original.type == original.TYPE_BYTES:
        is_raw = owner == "TensorProto" and descriptor.name == "raw_data"
        return Route(payload=True, text=not is_raw, shape=shape)
    if owner == "TensorProto" and descriptor.is_packed:
        return Route(payload=True)
    return None if shape is None else Route(shape=shape)


@cache
def model_routes() -> Mapping[int, Route]:
    """The routes from ``ModelProto`` down, taken from ONNX's descriptors."""
    routes: dict[str, Route] = {}

    def visit(message: Descriptor) -> Route:
        route = routes.get(message.full_name)
        if route is None:
            route = routes[message.full_name] = Route()
            for descriptor in message.fields:
                if descriptor.message_type is not None:
                    route.fields[descriptor.number] = visit(descriptor.message_type)
                elif (leaf := _route(descriptor)) is not None:
                    route.fields[descriptor.number] = leaf
        return route

    model = visit(schema.descriptor_of(schema.message_class("ModelProto")()))
    _drop_dead_ends(routes)
    return model.fields


def _drop_dead_ends(routes: Mapping[str, Route]) -> None:
    """Removes routes that reach neither a payload nor a list; messages contain each other, so until nothing changes."""
    alive: set[int] = set()

    def is_alive(route: Route) -> bool:
        return route.payload or route.shape is not None or id(route) in alive

    count = -1
    while count != len(alive):
        count = len(alive)
        alive |= {id(route) for route in routes.values() if any(map(is_alive, route.fields.values()))}
    for route in routes.values():
        for number in [number for number, child in route.fields.items() if not is_alive(child)]:
            del route.fields[number]


@dataclass(slots=True, eq=False)
class Extent:
    """A length-delimited field (a payload, or a message that contains payloads), or all items of a list.

    Attributes:
        length_at: offset of the length before the content; a list has no length, so its start.
        start: offset of the content; for a list, of its first tag.
        end: offset after the content.
        children: the extents within, in the order of the file; None for a payload and for a list.
        shape: for a list, that of its items.
    """

    length_at: int
    start: int
    end: int
    children: list[Extent] | None
    shape: ListShape | None = None

    @property
    def length(self) -> int:
        """Length of the content in bytes."""
        return self.end - self.start


Selector: TypeAlias = Callable[[Route, int, int], bool]


class Lists(NamedTuple):
    """Which lists are taken as one extent each.

    Attributes:
        long: from how many items on.
        short: the length in bytes up to which an item is no payload.
    """

    long: int
    short: int


_SKIPPED = Lists(1 << 62, _NO_PAYLOAD - 1)  # none, but long ones are skipped at once
_NONE_KNOWN: Mapping[int, tuple[int, ListShape]] = {}


def find_extents(
    source: Source,
    selects: Selector,
    lists: Lists = _SKIPPED,
    known: Mapping[int, tuple[int, ListShape]] = _NONE_KNOWN,
) -> list[Extent]:
    """Walks an ONNX file down to the payloads.

    Args:
        source: the file, or a skeleton.
        selects: called with the route, the start and the end of each field on a route; returns whether to take the
            payload, or to enter the message.
        lists: which lists are taken.
        known: end and shape of lists that are taken in any case, by their start.

    Returns:
        The extents of the selected fields of ``ModelProto``, with those inside them; without messages that contain
        none.

    Raises:
        WireError: the bytes are not wire format, or messages are nested deeper than protobuf reads.
    """
    top: list[Extent] = []
    routes, end, found = model_routes(), source.size, top
    outer: list[tuple[Mapping[int, Route], int, list[Extent]]] = []
    window, base, stop = b"", 0, 0
    size = max(limits.LIMITS.window, _MARGIN)
    position = 0
    last_tag = repeats = run_at = judged = -1  # fields of one tag that follow each other, and whether they are a list
    while True:
        if position >= end:
            if not outer:
                return top
            nothing = not found
            routes, end, found = outer.pop()
            last_tag = -1
            if nothing:
                found.pop()
            continue
        if known and position in known:
            run_end, shape = known[position]
            found.append(Extent(position, position, run_end, None, shape))
            position, last_tag = run_end, -1
            continue
        if position + _MARGIN > stop < source.size:
            window = source.read(position, min(size, source.size - position))
            base, stop = position, position + len(window)
        index = position - base
        tag = window[index]
        if tag < 0x80:
            index += 1
        else:
            tag, index = _varint(window, index, base)
        if tag == last_tag:
            repeats += 1
        else:
            last_tag, repeats, run_at = tag, 0, position
        kind = tag & 7
        if kind == LENGTH_DELIMITED:
            length_at = base + index
            if index < len(window) and window[index] < 0x80:
                start = length_at + 1
                position = start + window[index]
            else:
                length, index = _varint(window, index, base)
                start = base + index
                position = start + length
            if position > end:
                raise _ends_too_early(length_at, in_message=bool(outer))
            route = routes.get(tag >> 3)
            if route is not None and selects(route, start, position):
                if route.payload:
                    found.append(Extent(length_at, start, position, None))
                    judged = run_at  # the rest is not another list
                    continue
                if len(outer) >= MAX_DEPTH:
                    raise WireError(
                        f"messages are nested more than {MAX_DEPTH} deep, which protobuf cannot read", start
                    )
                outer.append((routes, end, found))
                within: list[Extent] = []
                found.append(Extent(length_at, start, position, within))
                routes, end, found = route.fields, position, within
                position, last_tag = start, -1
                continue
        elif kind == VARINT:
            position = base + _varint(window, index, base)[1]
        elif kind == FIXED32:
            position = base + index + 4
        elif kind == FIXED64:
            position = base + index + 8
        elif kind == START_GROUP:
            position = _skip_group(source, base + index, end, tag >> 3)
        else:
            raise WireError(f"a field has wire type {kind}, which is not allowed here", position)
        if position > end:
            raise _ends_too_early(base + index, in_message=bool(outer))
        if repeats > _RUN and run_at != judged:
            judged = run_at
            route = routes.get(tag >> 3)
            if route is not None and route.shape is not None:
                run = find_run(source, route.shape, run_at, end)
                if run is not None and (not route.payload or run.longest <= lists.short):
                    if run.length >= lists.long:
                        found.append(Extent(run_at, run_at, run.end, None, route.shape))
                    position = run.end


def _ends_too_early(offset: int, *, in_message: bool) -> WireError:
    return WireError("a field runs past the end of its message" if in_message else "the file ends too early", offset)


def _varint(window: bytes, index: int, base: int) -> tuple[int, int]:
    try:
        return decode_varint(window, index)
    except WireError as error:
        raise WireError(error.message, base + error.offset) from None


def _skip_group(source: Source, position: int, end: int, number: int) -> int:
    """Position after an unknown group; groups nest, and their content is not examined."""
    open_groups = [number]
    while open_groups:
        if position >= end:
            raise WireError("a group is not closed", position)
        window = source.read(position, min(_MARGIN, end - position))
        tag, index = _varint(window, 0, position)
        kind = tag & 7
        if kind == START_GROUP:
            open_groups.append(tag >> 3)
            if len(open_groups) > MAX_DEPTH:
                raise WireError(f"groups are nested more than {MAX_DEPTH} deep", position)
        elif kind == END_GROUP:
            if open_groups.pop() != tag >> 3:
                raise WireError("a group is closed by another number", position)
        elif kind == VARINT:
            index = _varint(window, index, position)[1]
        elif kind == LENGTH_DELIMITED:
            length, index = _varint(window, index, position)
            index += length
        elif kind in (FIXED32, FIXED64):
            index += 4 if kind == FIXED32 else 8
        else:
            raise WireError(f"a field has wire type {kind}, which protobuf does not know", position)
        position += index
    return position


@dataclass(slots=True, frozen=True)
class Copied:
    """Bytes ``start`` to ``end`` of the input, unchanged."""

    start: int
    end: int


Piece: TypeAlias = "Copied | bytes | Extent"


def resize(extents: Sequence[Extent], size: int, new_length: Callable[[Extent], int]) -> Iterator[Piece]:
    """The input with payloads and lists of other lengths.

    Lengths are as wide as necessary. If a writer made one over-long, it stays over-long by the same number of bytes, so
    that resizing there and back gives the same bytes.

    Args:
        extents: what `find_extents` found.
        size: size of the input in bytes.
        new_length: the new length of each payload or list in bytes.

    Yields:
        The pieces of the output in order: ranges of the input, new bytes (lengths), and payloads and lists, which the
        caller replaces by content of the new length.
    """
    lengths: dict[Extent, int] = {}
    order = [(extent, False) for extent in reversed(extents)]
    while order:  # children before parents, without recursion
        extent, done = order.pop()
        if extent.children is None:
            lengths[extent] = new_length(extent)
        elif done:
            lengths[extent] = extent.length + sum(
                lengths[child] - child.length + _width(child, lengths[child]) - (child.start - child.length_at)
                for child in extent.children
            )
        else:
            order.append((extent, True))
            order.extend((child, False) for child in extent.children)
    position = 0
    todo = list(reversed(extents))
    while todo:
        extent = todo.pop()
        if position < extent.length_at:  # at least a tag, except before a list
            yield Copied(position, extent.length_at)
        new = lengths[extent]
        if extent.shape is None:
            yield encode_varint(new, _width(extent, new) - varint_size(new))
        position = extent.start
        if extent.children is None:
            yield extent
            position = extent.end
        else:
            todo.extend(reversed(extent.children))
    if position < size:
        yield Copied(position, size)


def _width(extent: Extent, new: int) -> int:
    if extent.shape is not None:
        return 0
    extra = extent.start - extent.length_at - varint_size(extent.length)
    return varint_size(new) + extra
