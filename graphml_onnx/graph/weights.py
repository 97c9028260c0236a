"""The weights of a model in their files: read only on demand, and then a window at a time."""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, NamedTuple, cast

import onnx
from onnx import numpy_helper

from graphml_onnx.codec.payloads import marked_fields
from graphml_onnx.errors import GraphmlOnnxError, ModelError
from graphml_onnx.graph.of_file import OfFile
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.external import external_tensors, open_external, real_folder
from graphml_onnx.onnxfile.source import BytesSource, FileSource, Source, source_at
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, delimited, encode_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from google.protobuf.message import Message

    from graphml_onnx.parameters.store import PayloadReference, Store

WINDOW = 1 << 20
"""Bytes that are read at a time."""

_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_AS_RAW = frozenset({"raw_data", "float_data", "double_data"})  # packed, they are the bytes of raw_data
_NAMES = {number: name for name, number in onnx.TensorProto.DataType.items()}
_WIDTH = re.compile(r"(?:B?FLOAT|U?INT|COMPLEX)(\d+)")
_BITS = {"FLOAT": 32, "DOUBLE": 64, "BOOL": 8}


def dtype_name(data_type: int) -> str:
    """Name of a ``TensorProto.DataType``: ``FLOAT``, ``INT64``; the number where it has none."""
    return _NAMES.get(data_type, str(data_type))


def element_bits(dtype: str) -> int | None:
    """Bits of an element; None for strings, and for types that this ONNX does not know."""
    match = _WIDTH.match(dtype)
    return int(match[1]) if match else _BITS.get(dtype)


class Location(NamedTuple):
    """Where the bytes of a tensor lie.

    Attributes:
        file: the file.
        offset: where they start in it, in bytes; None if they are part of its structure, like small tensors.
        length: how many there are; None if the file does not say it.
    """

    file: Path | None
    offset: int | None
    length: int | None


class Storage:
    """Where the weights of one model lie: payloads in the model file or in a store, external data in files of theirs.

    Args:
        path: the model or GraphML file; None for a model in memory.
        nonce: first half of the markers in the model's messages.
        references: the payloads by number; a digest that is not known is empty.
        store: opens what holds the payloads.
        stored_files: data files that lie in the store, by location.
        stack: closes what is opened.
    """

    def __init__(
        self,
        path: Path | None,
        nonce: bytes,
        references: Mapping[int, PayloadReference],
        store: Callable[[], Store],
        stored_files: Mapping[str, PayloadReference],
        stack: ExitStack,
    ) -> None:
        self.path = path
        self.nonce = nonce
        self._references = references
        self._open_store = store
        self._stored_files = stored_files
        self._stack = stack
        self._store: Store | None = None
        self._files: dict[str, FileSource] = {}

    @property
    def store(self) -> Source:
        """What holds the payloads; opened when it is first asked for."""
        return self._opened.source

    @property
    def _opened(self) -> Store:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    @property
    def located(self) -> Mapping[int, PayloadReference]:
        """The payloads by number, with their offsets; opens the store."""
        return self._opened.located_by_number(self._references)

    @property
    def payload_count(self) -> int:
        """How many payloads there are."""
        return len(self._references)

    def payload(self, tensor: onnx.TensorProto) -> tuple[str, PayloadReference] | None:
        """The field of a tensor that is a payload; None if the tensor holds its own content."""
        found = next(marked_fields(tensor, self.nonce), None)
        return None if found is None else (found[0], self._references[found[1]])

    def offset(self, reference: PayloadReference) -> int:
        """Where a payload starts in the store, which is opened for it."""
        return self._opened.located(reference).offset

    def in_store(self, location: str) -> PayloadReference | None:
        """The data file in the store, if it lies there."""
        return self._stored_files.get(location)

    def data_file(self, location: str) -> FileSource:
        """Opens a data file beside the model.

        Raises:
            ExternalDataError: a link leads out of the folder in which the model really lies; it is not a regular file.
            InputError: it is missing or may not be read.
        """
        if self.path is None:
            raise ModelError("a model in memory has no folder with external data", remedy="save it, and open the file")
        if location not in self._files:
            source = open_external(self.path.parent, location, real_folder(self.path))
            self._files[location] = self._stack.enter_context(source)
        return self._files[location]


class _Span(NamedTuple):
    """Bytes of a source, and their digest where it is known already."""

    source: Source
    offset: int
    length: int
    sha256: str


class TensorData(OfFile):
    """The content of a tensor; its bytes are only read on demand.

    Attributes:
        name: the tensor's name in the file; often empty in attributes.
        dtype: its element type as ONNX names it: ``FLOAT``, ``INT64``.
        shape: its dimensions.
    """

    __slots__ = ("_digest", "_storage", "_tensor", "dtype", "name", "shape")

    def __init__(self, tensor: onnx.TensorProto, storage: Storage) -> None:
        self._tensor = tensor
        self._storage = storage
        self._digest: str | None = None
        self.name: str = cast("bytes", tensor.name).decode("utf-8", "surrogateescape")
        self.dtype: str = dtype_name(tensor.data_type)
        self.shape: tuple[int, ...] = tuple(tensor.dims)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, packed as in ``raw_data``; of strings and unknown types, those that the file has."""
        bits = element_bits(self.dtype)
        if bits is not None:
            return (self.size * bits + 7) // 8
        if self.dtype == "STRING":
            return sum(map(len, self._tensor.string_data))
        if self.is_external:
            return self.location.length or 0
        field = self._storage.payload(self._tensor)
        return len(self._tensor.raw_data) if field is None else field[1].length

    @property
    def is_external(self) -> bool:
        """Whether the bytes lie in a data file beside the model."""
        return self._tensor.data_location == onnx.TensorProto.EXTERNAL

    @property
    def location(self) -> Location:
        """Where the bytes are; opens nothing."""
        path = self._storage.path
        if self.is_external:
            entries = {cast("bytes", entry.key): cast("bytes", entry.value) for entry in self._tensor.external_data}
            name = entries.get(b"location", b"").decode("utf-8", "replace")
            offset, length = (entries.get(key, b"") for key in (b"offset", b"length"))
            file = path.parent / name if path is not None else None
            return Location(file, int(offset or b"0"), int(length) if length.isdigit() else None)
        field = self._storage.payload(self._tensor)
        if field is None:
            return Location(path, None, None)
        reference = field[1]
        source, start = source_at(self._storage.store, self._storage.offset(reference))
        file = source.path if isinstance(source, FileSource) else path
        return Location(file, start, reference.length)

    @property
    def digest(self) -> str:
        """SHA-256 of the elements as ``raw_data`` has them, in lower-case hexadecimal digits.

        It does not depend on the form in which a file keeps them. A GraphML file contains it; for others it is computed
        on first use.

        Raises:
            GraphmlOnnxError: the bytes are missing, or cannot be read.
        """
        if self._digest is None:
            span = self._span()
            if span is not None and span.sha256:
                self._digest = span.sha256
            else:
                digest = hashlib.sha256()
                for chunk in self.chunks():
                    digest.update(chunk)
                self._digest = digest.hexdigest()
        return self._digest

    @property
    def known_digest(self) -> str | None:
        """The digest if it is known without reading the bytes; else None."""
        if self._digest is None and (field := self._storage.payload(self._tensor)) is not None and field[0] in _AS_RAW:
            return field[1].sha256 or None
        return self._digest

    def place(self) -> tuple[Path, int, int] | None:
        """The real file of the bytes, where they start in it, and how many there are; None if no named file has them.

        Raises:
            GraphmlOnnxError: they are missing.
        """
        span = self._span()
        if span is None:
            return None
        source, offset = source_at(span.source, span.offset)
        if not isinstance(source, FileSource):
            return None
        path = source.path.resolve()
        status = path.stat()  # an embedded store lies unpacked in a file without a name, and is called like the GraphML
        return (path, offset, span.length) if (status.st_dev, status.st_ino) == source.identity else None

    def chunks(self) -> Iterator[bytes]:
        """The elements as in ``raw_data``, a megabyte at a time; strings each with its length before it.

        Raises:
            GraphmlOnnxError: they are missing, or cannot be read.
        """
        span = self._span()
        if span is None:
            yield self._raw()
            return
        end = span.offset + span.length
        for start in range(span.offset, end, WINDOW):
            yield span.source.read(start, min(WINDOW, end - start))

    def numpy(self) -> npt.NDArray[np.generic]:
        """The elements as an array of this tensor's shape; strings as objects. Each call reads them again.

        Raises:
            GraphmlOnnxError: they are missing, cannot be read, or do not fit the shape.
        """
        try:
            return cast("npt.NDArray[np.generic]", numpy_helper.to_array(self.to_proto()))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ModelError(
                f"tensor {self.name!r} cannot be read as {self.dtype}{list(self.shape)}: {self._reason(error)}",
                file=self._storage.path,
                remedy="the tensor is damaged: write the model again with the program that made it",
            ) from None

    def _reason(self, error: Exception) -> str:
        if self.dtype.isdigit() or self.dtype == "UNDEFINED":
            return f"ONNX {onnx.__version__} has no such element type"
        return str(error)

    def check_length(self) -> None:
        """Compares the number of bytes in the file with type and shape; reads none of them.

        Raises:
            GraphmlOnnxError: they are more or fewer, or missing.
        """
        span = self._span()
        if span is not None and element_bits(self.dtype) is not None and span.length != self.nbytes:
            told = f"has {span.length:,} bytes, and {self.dtype}{list(self.shape)} takes {self.nbytes:,}"
            raise ModelError(f"tensor {self.name!r} {told}", file=self._storage.path)

    def to_proto(self) -> onnx.TensorProto:
        """The tensor as ONNX's message, with its elements.

        Raises:
            GraphmlOnnxError: they are missing, or cannot be read.
        """
        message = schema.message_class("TensorProto")()
        message.CopyFrom(cast("Message", self._tensor))
        tail = b""
        if self.is_external:
            span = cast("_Span", self._span())
            message.ClearField("data_location")
            message.ClearField("external_data")
            tail = _field("raw_data", span.source.read(span.offset, span.length))
        elif (field := self._storage.payload(self._tensor)) is not None:
            name, reference = field
            message.ClearField(name)
            tail = _field(name, self._storage.store.read(self._storage.offset(reference), reference.length))
        return onnx.TensorProto.FromString(message.SerializeToString() + tail)

    def _span(self) -> _Span | None:
        """Where the bytes of the elements are, if they are contiguous; None if they must be converted."""
        if self.is_external:
            return self._external_span()
        tensor = self._tensor
        field = self._storage.payload(self._tensor)
        if field is not None:
            name, reference = field
            if name not in _AS_RAW:
                return None
            offset = self._storage.offset(reference)
            return _Span(self._storage.store, offset, reference.length, reference.sha256)
        if tensor.HasField("raw_data"):
            return _Span(BytesSource(tensor.raw_data), 0, len(tensor.raw_data), "")
        return None

    def _external_span(self) -> _Span:
        wrapper = cast("Message", self._tensor)
        entry = next(iter(external_tensors(wrapper, b"location")), None)
        if entry is None:
            raise ModelError(f"tensor {self.name!r} has external data without a location")
        stored = self._storage.in_store(entry.location)
        if stored is not None:
            source, base, size = self._storage.store, self._storage.offset(stored), stored.length
        else:
            try:
                source = self._storage.data_file(entry.location)
            except GraphmlOnnxError as error:
                model = "" if self._storage.path is None else f" of {self._storage.path}"
                told = f"external data of tensor {self.name!r}{model}: {error.message}"
                raise type(error)(told, file=error.file, remedy=error.remedy) from None
            base, size = 0, source.size
        length = size - entry.offset if entry.length is None else entry.length
        if length < 0 or entry.offset + length > size:
            raise entry.fail(f"bytes {entry.offset} to {entry.offset + length} of {entry.location!r}, which has {size}")
        return _Span(source, base + entry.offset, length, "")

    def _raw(self) -> bytes:
        """The elements as in ``raw_data``, converted from another field."""
        if self.dtype == "STRING":
            strings = cast("list[bytes]", self._tensor.string_data)
            return b"".join(len(text).to_bytes(8, "little") + text for text in strings)
        raw: bytes = numpy_helper.from_array(self.numpy()).raw_data
        return raw

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or '(no name)'}: {self.dtype}{list(self.shape)}>"


def _field(name: str, content: bytes) -> bytes:
    number = onnx.TensorProto.DESCRIPTOR.fields_by_name[name].number
    return delimited(encode_varint(number << 3 | LENGTH_DELIMITED), content)


def same_content(left: TensorData, right: TensorData) -> bool:
    """Whether two tensors have the same type, shape and elements, bit for bit; reads only what it needs.

    Raises:
        GraphmlOnnxError: the bytes of one are missing, or cannot be read.
    """
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    digests = left.known_digest, right.known_digest
    if None not in digests:
        return digests[0] == digests[1]
    if digests != (None, None):
        return left.digest == right.digest
    if left.is_external and right.is_external and left.place() == right.place() is not None:
        return True  # models that share a data file, as a part and its whole
    return all(a == b for a, b in _side_by_side(left, right))


def _side_by_side(left: TensorData, right: TensorData) -> Iterator[tuple[bytes, bytes]]:
    ours, theirs = left.chunks(), right.chunks()
    while True:
        pair = next(ours, b""), next(theirs, b"")
        if pair == (b"", b""):
            return
        yield pair
