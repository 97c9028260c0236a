"""The store of payloads: the place of each payload, and the file that has it.

A store is a sequence of bytes. A *sidecar* is a separate safetensors file, in which each payload has a name. An
*embedded* store is base64 text in the GraphML, and a *reference* store is the model file itself; in both, each payload
has an offset.

Source: docs/format.md, section "Payloads".
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.errors import GraphmlOnnxError, PayloadError, reading_failed
from graphml_onnx.files import Watch, candidates
from graphml_onnx.onnxfile.source import OPEN_FLAGS, FileSource
from graphml_onnx.parameters.chunks import chunks
from graphml_onnx.parameters.safetensors import StoredTensor, parse_header, raw_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.results import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")
"""The ways to keep payloads. ``grep -rn 'strategy [!=]=' graphml_onnx`` finds each place where they differ."""
_OTHER = "the pair does not belong together, or was damaged; decode weights that were edited with `edited_weights=True`"
_SHOWN = 80  # characters of a name in a message
_LONGEST_NAME = 255  # bytes, on every usual file system


class PayloadReference(NamedTuple):
    """A payload in its store.

    Attributes:
        offset: where it starts in the store, in bytes. For a payload with a name, the offset comes from the header of
            the store: `Store.located`.
        length: how long it is, in bytes.
        sha256: SHA-256 of its bytes, in lower-case hexadecimal digits.
        name: of its tensor, in a sidecar or a weight file.
        file: the weight file that has it, relative to the folder of the GraphML; None for what is in the store.
    """

    offset: int
    length: int
    sha256: str
    name: str | None = None
    file: str | None = None

    @property
    def end(self) -> int:
        """Where it ends in the store."""
        return self.offset + self.length

    @property
    def key(self) -> tuple[str, str, int]:
        """Identifies and orders the payloads of a model before the store is opened."""
        return self.file or "", self.name or "", self.offset

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"the payload at byte {self.offset:,}" if self.name is None else f"the tensor {self.name[:_SHOWN]!r}"


class StoreInfo(NamedTuple):
    """The store as the GraphML describes it.

    Attributes:
        strategy: how the payloads are kept.
        file: name of the file that has them, without a folder; None for embedded, and if there are none.
        size: size of the store in bytes.
        checksum: SHA-256 of the header of a sidecar; empty for other strategies.
    """

    strategy: ParameterStrategy
    file: str | None = None
    size: int = 0
    checksum: str = ""

    @property
    def has_data_files(self) -> bool:
        """Whether the store also has the data files of a model, instead of leaving them in their places."""
        return self.strategy != "reference"


def check_name(name: str) -> None:
    """Checks that a name from a GraphML is a file in the GraphML's own folder, on any system.

    Raises:
        PayloadError: it has a folder, a drive, is longer than file systems allow, or is no name at all.
    """
    if not name or name in (".", "..") or set(name) & set("/\\:\0") or not _can_be_a_name(name):
        raise PayloadError(
            f"parameter_file is {name[:80]!r}, which is not a plain file name",
            remedy="the file must lie beside the GraphML",
        )


def _can_be_a_name(name: str) -> bool:
    try:
        return len(os.fsencode(name)) <= _LONGEST_NAME
    except UnicodeEncodeError:  # surrogates
        return False


class Store(NamedTuple):
    """A store that is open.

    Attributes:
        source: its bytes.
        tensors: the tensors of a sidecar, by name.
        weights: where tensors of weight files start in ``source``, by file and name.
    """

    source: Source
    tensors: Mapping[str, StoredTensor] = {}
    weights: Mapping[tuple[str, str], int] = {}

    def close(self) -> None:
        """Closes its file."""
        if isinstance(self.source, FileSource):
            self.source.close()

    def located(self, reference: PayloadReference) -> PayloadReference:
        """A reference with its offset in this store, which has it."""
        if reference.name is None:
            return reference
        if reference.file is not None:
            return reference._replace(offset=self.weights[reference.file, reference.name])
        return reference._replace(offset=self.tensors[reference.name].offset)

    def located_by_number(self, references: Mapping[int, PayloadReference]) -> dict[int, PayloadReference]:
        """The references with their offsets."""
        return {number: self.located(reference) for number, reference in references.items()}


def form_problems(strategy: ParameterStrategy, references: Iterable[PayloadReference]) -> Iterator[str]:
    """Checks the form of references: in a sidecar payloads have names, in other stores offsets."""
    for reference in references:
        if (reference.name is not None) != (strategy == "sidecar"):
            wanted = "a name" if strategy == "sidecar" else "an offset"
            yield f"{reference.label} needs {wanted} with the strategy {strategy}"


def range_problems(references: Iterable[PayloadReference], size: int) -> Iterator[str]:
    """Checks the offsets of payloads, which are side by side within their store."""
    end = 0
    by_offset = [reference for reference in references if reference.name is None]
    for reference in sorted(by_offset, key=lambda reference: (reference.offset, reference.end)):
        place = f"the payload of {reference.length:,} bytes at offset {reference.offset:,}"
        if reference.end > size:
            yield f"{place} goes beyond its store of {size:,} bytes"
        elif reference.offset < end:
            yield f"{place} overlaps the one before it"
        end = max(end, reference.end)


def open_store(
    folder: Path, info: StoreInfo, references: Sequence[PayloadReference], watch: Watch | None = None
) -> Store:
    """Opens the file that has the payloads.

    A writer that was killed while it replaced a pair leaves the new sidecar under its alias: both names are tried,
    and the one with the right content is taken.

    Args:
        folder: where the GraphML is.
        info: its store; ``file`` is not None.
        references: all references of the GraphML to the store.
        watch: records the files before they are opened.

    Raises:
        PayloadError: there is no such file, it is a symbolic link, or no candidate has the right size; the header of
            a sidecar was changed, or lacks a tensor.
    """
    name = cast("str", info.file)
    check_name(name)
    is_sidecar = info.strategy == "sidecar"
    paths = candidates(folder / name, info.checksum) if is_sidecar else (folder / name,)
    if watch is not None:
        watch.note(paths)
    present = [path for path in paths if os.path.lexists(path)]
    if not present:
        remedy = "keep it beside the GraphML under this name"
        raise PayloadError("the file of payloads is missing", file=folder / name, remedy=remedy)
    source = _open(present[0])
    if len(present) > 1 and not _holds(source, info, references):
        source.close()
        source = _open(present[1])
    try:
        return check_store(source, info, references)
    except PayloadError as error:
        source.close()
        raise error.at(file=source.path) from None
    except GraphmlOnnxError:
        source.close()
        raise


def check_store(source: Source, info: StoreInfo, references: Sequence[PayloadReference]) -> Store:
    """Checks that a file can be the store, without reading the payloads.

    Args:
        source: the file.
        info: the store as the GraphML describes it.
        references: all references of the GraphML to it.

    Raises:
        PayloadError: it has another size; the header of a sidecar was changed, or lacks a tensor.
    """
    is_sidecar = info.strategy == "sidecar"
    if source.size != info.size:
        raise PayloadError(
            f"has {source.size:,} bytes, but the GraphML says {info.size:,}",
            remedy=_OTHER if is_sidecar else "the pair does not belong together, or the file was cut off",
        )
    if not is_sidecar:
        return Store(source)
    header = raw_header(source)
    found = hashlib.sha256(header).hexdigest()
    if found != info.checksum:
        raise PayloadError(
            f"its header has SHA-256 {found}, but the GraphML says {info.checksum}",
            place="byte 0",
            remedy=_OTHER,
        )
    store = Store(source, parse_header(header, source.size).tensors)
    problem = next(tensor_problems(store, references), None)
    if problem is not None:
        raise PayloadError(problem, remedy="encode the model again")
    return store


def tensor_problems(store: Store, references: Iterable[PayloadReference]) -> Iterator[str]:
    """Checks references to tensors of a sidecar."""
    for reference in references:
        tensor = None if reference.name is None else store.tensors.get(reference.name)
        if tensor is None:
            yield f"lacks {reference.label}"
        elif tensor.spec.length != reference.length:
            yield (f"{reference.label} has {tensor.spec.length:,} bytes, but the GraphML says {reference.length:,}")


def _holds(source: FileSource, info: StoreInfo, references: Sequence[PayloadReference]) -> bool:
    try:
        store = check_store(source, info, references)
    except PayloadError:
        return False
    located = map(store.located, references)
    return all(sha256_of(source, part.offset, part.end) == part.sha256 for part in located)


def open_beside(folder: Path, name: str) -> FileSource:
    """Opens a file that a GraphML names.

    Raises:
        PayloadError: it is not in the folder, a symbolic link, or not a regular file.
        InputError: it is missing, or may not be read.
    """
    check_name(name)
    return _open(folder / name)


def _open(path: Path) -> FileSource:
    try:
        if path.is_symlink():
            message = "is a symbolic link, which is not followed"
            raise PayloadError(message, file=path, remedy="put the file itself there")
        descriptor = os.open(path, OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise reading_failed(error, path) from None
    return FileSource(path, descriptor, PayloadError)


def sha256_of(source: Source, start: int = 0, end: int | None = None) -> str:
    """SHA-256 of a file, or of a part of it, in lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks(source, start, source.size if end is None else end):
        digest.update(chunk)
    return digest.hexdigest()
