"""The key of a model: the digest of its content, of the file and of its external data."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.encoding.prepare import Options, open_inputs, read_skeleton
from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.onnxfile.external import external_tensors, open_external
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.chunks import chunks
from graphml_onnx.parameters.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

_MARK = b"location"  # the key of external data in every model


class Identity(NamedTuple):
    """Identifies a model.

    Attributes:
        key: SHA-256 of the file; for a model with external data, that of the lines ``SHA-256  location`` of the file
            (with an empty location) and its data files, sorted by location.
        sha256: SHA-256 of the file.
        size: bytes of the file and of its data files.
        locations: its data files, relative to its folder, in the order of their names.
    """

    key: str
    sha256: str
    size: int
    locations: tuple[str, ...]


def identity_of(path: Path) -> Identity:
    """Reads a model and its data files to compute their digest.

    Raises:
        ExternalDataError, InputError: a data file is missing, or may not be read.
        GraphmlOnnxError: the file cannot be read.
    """
    digest = hashlib.sha256()
    tail = b""
    marked = False
    with FileSource.open(path) as source:
        size = source.size
        for chunk in chunks(source, 0, size):
            digest.update(chunk)
            marked = marked or _MARK in tail + chunk[: len(_MARK)] or _MARK in chunk
            tail = bytes(chunk[-len(_MARK) :])
        source.check_unchanged()
    sha256 = digest.hexdigest()
    locations = _locations(path) if marked else ()
    if not locations:
        return Identity(sha256, sha256, size, ())
    lines = [f"{sha256}  \n"]
    for location in locations:
        try:
            with open_external(path.parent, location) as source:
                lines.append(f"{sha256_of(source)}  {location}\n")
                size += source.size
        except GraphmlOnnxError as error:
            message = f"its data file {location}: {error.message}"
            raise type(error)(message, file=path, remedy=error.remedy) from None
    key = hashlib.sha256("".join(lines).encode()).hexdigest()
    return Identity(key, sha256, size, locations)


def external_locations(path: Path) -> tuple[str, ...]:
    """The data files that a model names, relative to its folder; none for a file that is no ONNX model.

    Raises:
        ExternalDataError: a location leads out of the folder, or is invalid.
        GraphmlOnnxError: the file cannot be read, or may name some and is damaged.
    """
    return _locations(path) if names_data(path) else ()


def names_data(path: Path) -> bool:
    """Whether a file may be a model with external data: whether it contains the word of the format.

    Raises:
        GraphmlOnnxError: it cannot be read.
    """
    tail = b""
    with FileSource.open(path) as source:
        for chunk in chunks(source, 0, source.size):
            if _MARK in chunk or _MARK in tail + chunk[: len(_MARK)]:
                return True
            tail = bytes(chunk[-len(_MARK) :])
    return False


def _locations(path: Path) -> tuple[str, ...]:
    from graphml_onnx.graph.loading import is_xml

    if is_xml(path):
        return ()
    with ExitStack() as stack:
        read = read_skeleton(open_inputs(path, None, stack), Options("reference"))
        found = external_tensors(read.model, read.skeleton.data)
    return tuple(sorted({tensor.location for tensor in found}))
