"""The safetensors format: a header of JSON, then the tensors side by side. This module never touches tensor bytes.

Both directions are here: `lay_out` and `header_of` write what `read_header` reads. The library of the same name needs
all tensors in memory to write a file; the tests use it to read the files that are written here.

Source: the section "Format" of https://github.com/huggingface/safetensors; docs/format.md, section "Sidecar".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from graphml_onnx.errors import PayloadError
from graphml_onnx.parameters.chunks import chunks
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.support.strictjson import Json

METADATA = "__metadata__"
"""The member of a header that is not a tensor."""

MAX_HEADER = 100_000_000
"""Largest header that readers of the format accept, in bytes of JSON."""

_LENGTH = 8  # bytes before the JSON, which say how long it is
_UNIT = 8  # the tensors start at a multiple of this, for the widest elements
_MAX_SIZE = 1 << 62
_SHOWN = 80  # characters of a name or value in a message

# Bits of an element. The format's own writer orders tensors by this list, from its end.
_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_RANK = {dtype: rank for rank, dtype in enumerate(reversed(_BITS))}


class TensorSpec(NamedTuple):
    """A tensor as a header describes it.

    Attributes:
        name: its name in the file.
        dtype: its type as the format names it: ``F32``, ``U8``.
        shape: its dimensions.
        length: bytes of its content.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    length: int


class Layout(NamedTuple):
    """The places of tensors in a file to write.

    Attributes:
        order: the tensors, in the order of the file.
        offsets: where each of them starts, counted from the end of the header, in the same order.
        size: bytes of all of them.
    """

    order: tuple[TensorSpec, ...]
    offsets: tuple[int, ...]
    size: int


class StoredTensor(NamedTuple):
    """A tensor in a file.

    Attributes:
        spec: what it is.
        offset: where its content starts, in bytes from the start of the file.
    """

    spec: TensorSpec
    offset: int

    @property
    def end(self) -> int:
        """Where its content ends."""
        return self.offset + self.spec.length


class Header(NamedTuple):
    """The content of a file's header.

    Attributes:
        tensors: the tensors by name, in the order of the file.
        metadata: the texts that the writer added.
        size: bytes of the header with its length; the tensors follow.
    """

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    size: int


def content_size(dtype: str, shape: Sequence[int]) -> int | None:
    """Size of a tensor in bytes; None if its elements do not fill whole bytes, or exceed any file."""
    bits = _BITS[dtype]
    for dimension in shape:
        bits *= dimension
        if bits > 8 * _MAX_SIZE:
            return None
    return bits // 8 if bits % 8 == 0 else None


def lay_out(tensors: Sequence[TensorSpec]) -> Layout:
    """Places tensors side by side: wide elements first, so that all are aligned; otherwise in the given order."""
    order = sorted(tensors, key=lambda tensor: _RANK[tensor.dtype])
    offsets = []
    position = 0
    for tensor in order:
        offsets.append(position)
        position += tensor.length
    return Layout(tuple(order), tuple(offsets), position)


def header_of(layout: Layout, metadata: Mapping[str, str]) -> bytes:
    """The header of a file; the tensors follow it.

    Args:
        layout: the tensors; their names differ and contain no surrogates.
        metadata: texts for readers of the file.
    """
    members: dict[str, object] = {METADATA: metadata} if metadata else {}
    for tensor, offset in zip(layout.order, layout.offsets, strict=True):
        offsets = (offset, offset + tensor.length)
        members[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = orjson.dumps(members)
    text += b" " * (-len(text) % _UNIT)
    return len(text).to_bytes(_LENGTH, "little") + text


def read_header(source: Source) -> Header:
    """Reads the header of a file; see `raw_header` and `parse_header`."""
    return parse_header(raw_header(source), source.size)


def raw_header(source: Source) -> bytes:
    """The bytes of the header of a file, with its length.

    Raises:
        PayloadError: the length is impossible.
    """
    if source.size < _LENGTH:
        raise _damaged(f"has {source.size} bytes, fewer than the length of a header", 0)
    head = source.read(0, _LENGTH)
    length = int.from_bytes(head, "little")
    if length > min(MAX_HEADER, source.size - _LENGTH):
        limit = "the file" if length > source.size - _LENGTH else f"the limit of {MAX_HEADER:,}"
        raise _damaged(f"claims a header of {length:,} bytes, more than {limit}", 0)
    return head + b"".join(chunks(source, _LENGTH, _LENGTH + length))


def parse_header(header: bytes, size: int) -> Header:
    """Reads a header, and checks that the tensors fill the rest of the file without gaps and overlaps.

    Args:
        header: the result of `raw_header`.
        size: of the file in bytes.

    Raises:
        PayloadError: the file is not safetensors.
    """
    tensors, metadata = _members(header[_LENGTH:], len(header))
    end = len(header)
    for tensor in tensors:
        if tensor.offset != end:
            kind = "overlaps the tensor before it" if tensor.offset < end else "leaves a gap before it"
            raise _damaged(f"the tensor {_shown(tensor.spec.name)} {kind}", tensor.offset)
        end = tensor.end
    if end != size:
        raise _damaged(f"has {size:,} bytes, but its tensors end at {end:,}", min(end, size))
    return Header({tensor.spec.name: tensor for tensor in tensors}, metadata, len(header))


def _members(text: bytes, start: int) -> tuple[list[StoredTensor], Mapping[str, str]]:
    """The tensors in the order of the file, and the metadata."""
    try:
        value = parse(text.decode())
    except (UnicodeDecodeError, JsonError) as error:
        raise _damaged(f"the header is not JSON: {error}", _LENGTH) from None
    if not isinstance(value, dict) or not text.startswith(b"{"):
        raise _damaged("the header is not a JSON object", _LENGTH)
    metadata = value.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
        raise _damaged(f"{METADATA} is not an object of texts", _LENGTH)
    tensors = [_tensor(name, member, start) for name, member in value.items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.end))
    return tensors, {key: item for key, item in metadata.items() if isinstance(item, str)}


def _tensor(name: str, value: Json, start: int) -> StoredTensor:
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise _damaged(f"the name {name[:_SHOWN]!r} is no text", _LENGTH)
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise _damaged(f"the tensor {_shown(name)} needs dtype, shape and data_offsets, and nothing else", _LENGTH)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _damaged(f"the tensor {_shown(name)} has the unknown dtype {str(dtype)[:_SHOWN]!r}", _LENGTH)
    dimensions, ends = _numbers(shape), _numbers(offsets)
    if dimensions is None or ends is None or len(ends) != 2 or ends[0] > ends[1]:
        raise _damaged(f"the tensor {_shown(name)} has an invalid shape or offsets", _LENGTH)
    length = ends[1] - ends[0]
    if content_size(dtype, dimensions) != length:
        problem = f"has {length:,} bytes, which does not fit {dtype}{list(dimensions[:8])}"
        raise _damaged(f"the tensor {_shown(name)} {problem}", start + ends[0])
    return StoredTensor(TensorSpec(name, dtype, dimensions, length), start + ends[0])


def _numbers(value: Json) -> tuple[int, ...] | None:
    """A list of non-negative integers; None for anything else."""
    if not isinstance(value, list):
        return None
    numbers = tuple(item for item in value if type(item) is int and 0 <= item < _MAX_SIZE)
    return numbers if len(numbers) == len(value) else None


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


def _damaged(problem: str, offset: int) -> PayloadError:
    place = f"byte {offset}"
    return PayloadError(
        problem, place=place, remedy="it is no safetensors file, or a damaged one: copy or encode it again"
    )
