"""Reads a GraphML file as a model without its payloads."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar

from graphml_onnx.codec.decoder import DecodedGraph, Parents, decode_graph
from graphml_onnx.codec.externals import ExternalFile, read_externals
from graphml_onnx.codec.keys import EMBEDDED_KEY
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.residue import Residue, ranks
from graphml_onnx.codec.stores import read_store_info
from graphml_onnx.codec.unknown import canonical_form
from graphml_onnx.errors import GraphMLError, PayloadError, writing_failed
from graphml_onnx.graphml.elements import Wanted, one_by_one
from graphml_onnx.graphml.lists import NotAsWrittenError
from graphml_onnx.graphml.reader import read_graphml
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.skeleton import FilePiece, LongList, join, renumbered, with_lists
from graphml_onnx.onnxfile.source import FileSource, Source
from graphml_onnx.parameters.embedded import Base64Decoder
from graphml_onnx.parameters.store import PayloadReference, StoreInfo, form_problems, range_problems
from graphml_onnx.support.notices import Notice
from graphml_onnx.support.sniff import HEAD, unlike_graphml
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.codec.graph_location import GraphLocation
    from graphml_onnx.codec.lists import ListsOfDocument
    from graphml_onnx.graphml.elements import Batch, Readable, Record
    from graphml_onnx.parameters.transfer import Report
    from graphml_onnx.results import Trust

_READ_HERE = frozenset({"external_files", "htp_metadata", "residue"})  # the codec passes over these texts

Result = TypeVar("Result")


_NO_LISTS: Mapping[int, LongList] = {}


class LoadedModel(NamedTuple):
    """A model as a GraphML file holds it, before its payloads are put in.

    Attributes:
        skeleton: the skeleton, with its residue applied, and markers in place of its long lists.
        nonce: first half of its markers.
        references: its payloads by number.
        store: where they are.
        embedded: the store that was in the GraphML, or in the graph; None for other strategies.
        externals: the model's data files.
        metadata: content of the HTP metadata file, if there is one.
        sha256: digest of the file that was encoded, if the GraphML says it.
        findings: findings, one line each.
        older: the earlier format that it was read from, as in messages; None for this one.
        lists: its long lists by address.
        parents: the compounds of the operators of the main graph, and of each function; empty for an earlier format.
    """

    skeleton: bytes
    nonce: bytes
    references: Mapping[int, PayloadReference]
    store: StoreInfo
    embedded: Source | None
    externals: tuple[ExternalFile, ...]
    metadata: bytes | None
    sha256: str | None
    findings: tuple[Notice, ...]
    older: str | None = None
    lists: Mapping[int, LongList] = _NO_LISTS
    parents: Sequence[Parents] = ()

    def with_lists(self) -> LoadedModel:
        """The same with its long lists in the skeleton."""
        skeleton = with_lists(self.skeleton, self.nonce, self.lists)
        return self._replace(skeleton=skeleton, lists=_NO_LISTS)

    def pieces(self) -> Iterator[FilePiece]:
        """What the ONNX file consists of.

        Raises:
            MarkerError: a text of the graph looks like a payload.
            WireError: the residue gives something that is no ONNX file.
        """
        lengths = {number: reference.length for number, reference in self.references.items()}
        return join(self.skeleton, self.nonce, lengths, self.lists)

    @property
    def stored(self) -> tuple[PayloadReference, ...]:
        """All payloads and data files in the store."""
        kept = (file.content for file in self.externals if self.store.has_data_files)
        return (*(part for part in self.references.values() if part.file is None), *kept)

    @property
    def size(self) -> int:
        """About how many bytes the ONNX file has; for progress."""
        lists = sum(len(found.content) for found in self.lists.values())
        return len(self.skeleton) + lists + sum(reference.length for reference in self.references.values())


class GraphmlFile:
    """A GraphML file as a `Document` of the reader.

    Args:
        source: the file.
        report: progress in bytes; a second reading reports only what goes beyond the first.
    """

    def __init__(self, source: Source, report: Report) -> None:
        self._source, self._report = source, report
        self._reported = 0
        self.size = source.size

    def open(self) -> Readable:
        """The bytes from the start."""
        return _FromStart(self._source, self._advance)

    def _advance(self, position: int) -> None:
        if position > self._reported:
            self._report(position - self._reported)
            self._reported = position


class _FromStart:
    def __init__(self, source: Source, reached: Callable[[int], None]) -> None:
        self._source, self._reached = source, reached
        self._position = 0

    def read(self, size: int) -> bytes:
        data = self._source.read(self._position, min(size, self._source.size - self._position))
        self._position += len(data)
        self._reached(self._position)
        return data


def read_records(
    source: Source,
    path: Path,
    wanted: Wanted,
    attempt: Callable[[Iterator[Record]], Result],
    lists: ListsOfDocument | None = None,
) -> Result:
    """Reads the nodes and edges of a GraphML file one by one, and passes over an embedded store.

    Args:
        source: the file.
        path: its name, for messages.
        wanted: what is kept of them.
        attempt: makes a result of them; see `read_graphml`.
        lists: long lists; the values then have tokens in their places.

    Raises:
        GraphMLError: the file is not well-formed or not GraphML.
    """
    check_head(source, path)
    file = GraphmlFile(source, _ignore)
    return read_graphml(file, path, wanted, lambda read: attempt(one_by_one(read({EMBEDDED_KEY: _ignore}, lists))))


def _ignore(_: object) -> None:
    pass


def load_records(
    records: Iterable[Batch],
    origin: GraphLocation,
    trust: Trust | None,
    embedded: Callable[[], Source | None],
    lists: ListsOfDocument | None = None,
) -> LoadedModel:
    """Builds a model from the nodes and edges of its graph.

    Args:
        records: nodes and edges in any order.
        origin: where they come from, for messages.
        trust: which side to believe if edges and nodes disagree; see `decode_graph`.
        embedded: gives the store that was in the graph, if there is one; called after the last record.
        lists: long lists; the records have tokens in their places.

    Raises:
        GraphMLError: the graph is not of this format, incomplete, or contradicts itself.
        PayloadError: references lie outside their store.
    """
    graph = decode_graph(records, origin, trust, lists)
    try:
        if lists is None:
            return _load(graph, origin, embedded(), _NO_LISTS)
        texts = {key: lists.restored(text) if key in _READ_HERE else text for key, text in graph.texts.items()}
        model = _load(graph._replace(texts=texts), origin, embedded(), lists.contents())
    except NumberError as error:
        raise GraphMLError(str(error), file=origin.file, place=origin.place(graph.line)) from None
    if not lists.are_all_used:
        raise NotAsWrittenError
    return model


def check_head(source: Source, path: Path) -> None:
    """Checks that a file can be GraphML.

    Raises:
        GraphMLError: its first bytes are those of something else.
    """
    unlike = unlike_graphml(source.read(0, min(HEAD, source.size)))
    if unlike is not None:
        message, remedy = unlike
        raise GraphMLError(message, file=path, remedy=remedy)


def _load(
    graph: DecodedGraph, origin: GraphLocation, embedded: Source | None, lists: Mapping[int, LongList]
) -> LoadedModel:
    texts = graph.texts
    store, problems = read_store_info(texts)
    if problems:
        raise NumberError(problems[0])
    with _within("external_files"):
        externals = read_externals(texts["external_files"]) if "external_files" in texts else ()
    model = LoadedModel(
        graph.skeleton,
        graph.nonce,
        dict(graph.references),
        store,
        embedded,
        externals,
        _metadata(texts),
        _text(texts, "source_sha256"),
        _passed_over(graph, origin),
        lists=lists,
        parents=graph.parents,
    )
    if "residue" in texts:
        with _within("residue"):
            model = _with_residue(model.with_lists(), Residue.from_text(texts["residue"]))
    # Before any of them is read or allocated.
    size = store.size if embedded is None else embedded.size
    problems = [*form_problems(store.strategy, model.stored), *range_problems(model.stored, size)]
    if problems:
        raise PayloadError(problems[0])
    return model


def _passed_over(graph: DecodedGraph, origin: GraphLocation) -> tuple[Notice, ...]:
    if not graph.passed_over:
        return ()
    count, first = len(graph.passed_over), origin.place(graph.passed_over[0])
    nodes = "a node that holds" if count == 1 else f"{count:,} nodes that hold"
    text = f"{first}: passed over {nodes} no data of the format, and the edges that end there"
    return (Notice("passed-over", text),)


def _with_residue(model: LoadedModel, residue: Residue) -> LoadedModel:
    """The model with the bytes of its original file, unless the graph was edited; raises NumberError."""
    more = enumerate(residue.payloads, max(model.references, default=-1) + 1)
    references = {**model.references, **dict(more)}
    numbers = ranks(references)
    canonical = renumbered(model.skeleton, model.nonce, residue.nonce, numbers)
    if not residue.applies_to(canonical):
        text = "the graph was edited: the model is written in protobuf's own order of fields and width of numbers"
        return model._replace(findings=(*model.findings, Notice("edited", text)))
    original = residue.apply(canonical)
    if _canonical(original) != canonical:
        raise NumberError("gives another graph than the text of the GraphML")
    numbered = {numbers[number]: reference for number, reference in references.items()}
    return model._replace(skeleton=original, nonce=residue.nonce, references=numbered)


def _canonical(skeleton: bytes) -> bytes:
    """The canonical skeleton of a skeleton; raises NumberError if it is no model."""
    try:
        return canonical_form(parse_model(skeleton), skeleton)[1]
    except ValueError as error:
        raise NumberError(f"gives no model: {error}") from None


@contextmanager
def _within(key: str) -> Iterator[None]:
    """Adds the key to an error about its text."""
    try:
        yield
    except (JsonError, NumberError) as error:
        raise NumberError(f"{key}: {error}") from None


def _text(texts: Mapping[str, str], key: str) -> str | None:
    with _within(key):
        return unescape(texts[key]) if key in texts else None


def _metadata(texts: Mapping[str, str]) -> bytes | None:
    text = _text(texts, "htp_metadata")
    try:
        return None if text is None else text.encode()
    except UnicodeEncodeError:
        raise NumberError("htp_metadata: holds a surrogate, which is no text") from None


def _close(file: IO[bytes]) -> None:
    """Closes a temporary file. Its content has been used by then, so an error does not matter."""
    with suppress(OSError):
        file.close()


class Spool:
    """Unpacks an embedded store to a temporary file, which is only created if there is a store."""

    def __init__(self, folder: Path, graphml: Path, stack: ExitStack) -> None:
        self._folder, self._graphml, self._stack = folder, graphml, stack
        self._decoder: Base64Decoder | None = None

    def feed(self, text: bytes) -> None:
        """Adds the next piece of the store, in base64."""
        if self._decoder is None:
            try:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            except OSError as error:
                raise writing_failed(error, self._folder) from error
            self._stack.callback(_close, self._file)
            self._decoder = Base64Decoder(self._file)
        try:
            self._decoder.feed(text)
        except PayloadError as error:
            raise error.at(place=EMBEDDED_KEY) from None
        except OSError as error:
            raise writing_failed(error, self._folder) from error

    def close(self) -> FileSource | None:
        """The unpacked store, or None if the GraphML has none."""
        if self._decoder is None:
            return None
        try:
            self._decoder.close()
            self._file.flush()
            descriptor = os.dup(self._file.fileno())
        except PayloadError as error:
            raise error.at(place=EMBEDDED_KEY) from None
        except OSError as error:
            raise writing_failed(error, self._folder) from error
        return self._stack.enter_context(FileSource(self._graphml, descriptor, PayloadError))
