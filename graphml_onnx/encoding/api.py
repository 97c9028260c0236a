"""Encodes an ONNX file as GraphML with its payloads, checks that it comes back, and publishes both as one step."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.encoder import Counts, GraphEncoder
from graphml_onnx.codec.exactness import Residue, make_residue
from graphml_onnx.codec.externals import ExternalFile, externals_text
from graphml_onnx.codec.scalars import PayloadBook
from graphml_onnx.decoding.records import EMBEDDED_KEY, LoadedModel, load_graphml
from graphml_onnx.encoding.prepare import DEFAULT_INLINE_LIMIT, Options, Work, open_inputs, prepare
from graphml_onnx.errors import (
    GraphmlOnnxError,
    RoundTripError,
    StorageError,
    UsageError,
    writing_failed,
)
from graphml_onnx.files import Publication, StagedFile, with_suffix
from graphml_onnx.graphml.text import escape
from graphml_onnx.graphml.writer import GraphMLWriter, TextSink
from graphml_onnx.onnxfile.skeleton import Payload, Stored
from graphml_onnx.onnxfile.source import FileSource, Source
from graphml_onnx.parameters.embedded import encode_base64, encoded_size
from graphml_onnx.parameters.lanes import WORTH_THREADS, DrainingFile, Lane
from graphml_onnx.parameters.store import PayloadReference, StoreInfo, store_checksum
from graphml_onnx.parameters.transfer import StoreWriter, collect, first_difference, read_payloads, write_all
from graphml_onnx.results import EncodePreview, EncodeResult, Layout, ParameterStrategy, Progress
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx

    from graphml_onnx.graphml.elements import Data

_NO_DIGEST = "0" * 64


def encode(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output: str | os.PathLike[str] | None = None,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    overwrite: bool = False,
    progress: Progress | None = None,
    show_parameters: bool = False,
    inline_limit: int = DEFAULT_INLINE_LIMIT,
    self_check: bool = True,
) -> EncodeResult:
    """Writes an ONNX model as a GraphML graph from which `decode` gives it back byte for byte.

    Args:
        model: an ONNX file, or a model in memory (which is serialised first, and needs ``output``).
        output: the GraphML file; by default ``NAME_hierarchical_graph.graphml`` beside ``NAME.onnx``. The sidecar has
            the same name with the suffix ``.onnxdata``.
        metadata: HTP metadata, a file or its content; it says which module each operator belongs to.
        parameters: where payloads go, which are all tensor fields of more than ``inline_limit`` bytes: ``sidecar``,
            a file of their own; ``embedded``, base64 in the GraphML; ``reference``, nowhere: the GraphML points into
            the model file, which has to stay beside it.
        layout: ``nested`` for yEd, Cytoscape and networkx; ``flat`` for igraph, rustworkx, Gephi, graph databases;
            ``plain``, nested without anything that the GraphML schema does not know.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.
        show_parameters: whether initializers are nodes, in the module that owns them.
        inline_limit: in bytes; at least the 32 bytes that a payload's marker has are always inline.
        self_check: whether to decode what was written, and compare every byte, before anything is published.

    Raises:
        ModelError: the model is no ONNX, damaged, or beyond what protobuf reads; its external data are not there.
        MetadataError: the metadata are not strict JSON, or not HTP metadata.
        RoundTripError: the self-check failed; nothing was published.
        UsageError: options that do not go together.
        InputError: a file is missing or may not be read.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    options = Options(parameters, layout, show_parameters, inline_limit)
    with ExitStack() as stack:
        work, target = _prepare(model, output, metadata, options, stack)
        return encode_prepared(work, target, stack, overwrite=overwrite, progress=progress, self_check=self_check)


def preview(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output: str | os.PathLike[str] | None = None,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    show_parameters: bool = False,
    inline_limit: int = DEFAULT_INLINE_LIMIT,
) -> EncodePreview:
    """Says what `encode` would do with the same arguments, and writes nothing.

    Raises:
        ModelError, MetadataError, UsageError, InputError: as `encode` would.
    """
    options = Options(parameters, layout, show_parameters, inline_limit)
    with ExitStack() as stack:
        work, target = _prepare(model, output, metadata, options, stack)
        sidecar = with_suffix(target, ".onnxdata") if work.has_sidecar else None
        references = [PayloadReference(p.address, p.length, _NO_DIGEST) for p in work.skeleton.payloads]
        externals = [ExternalFile(e.file.location, e.reference(_NO_DIGEST)) for e in work.externals]
        counter = _Counter()
        info = work.store_info(_NO_DIGEST, sidecar)
        counts, _ = write_graph(work, counter, info, _NO_DIGEST, references, externals, None, embed=False)
        outputs = [target] if sidecar is None else [target, sidecar]
        embedded = encoded_size(work.store_size) if parameters == "embedded" else 0
        return EncodePreview(
            nodes=counts.operators,
            modules=counts.modules,
            coverage=work.hierarchy.coverage,
            hierarchy_source=work.hierarchy.source,
            placements=dict(work.hierarchy.rules),
            findings=work.hierarchy.findings,
            payloads=len(references) + len(externals),
            payload_bytes=sum(r.length for r in references) + sum(e.content.length for e in externals),
            graphml=target,
            graphml_bytes=counter.size + embedded,
            sidecar=sidecar,
            sidecar_bytes=work.store_size if sidecar is not None else 0,
            existing=tuple(path for path in outputs if os.path.lexists(path)),
        )


def _prepare(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output: str | os.PathLike[str] | None,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None,
    options: Options,
    stack: ExitStack,
) -> tuple[Work, Path]:
    """Checks the arguments and reads the model; gives also where the GraphML goes."""
    options.check()
    inputs = open_inputs(model, metadata, stack)
    target = _output_path(inputs.path, output)
    _check_reference(inputs.path, target, options.parameters)
    return prepare(inputs, options), target


def _output_path(model: Path | None, output: str | os.PathLike[str] | None) -> Path:
    if output is not None:
        return Path(output)
    if model is None:
        raise UsageError("a model in memory has no folder", remedy="say where the GraphML goes: output=...")
    return model.with_name(f"{model.stem}_hierarchical_graph.graphml")


def _check_reference(model: Path | None, target: Path, parameters: ParameterStrategy) -> None:
    if parameters != "reference":
        return
    if model is None:
        raise UsageError("a model in memory has no file to refer to", remedy="use sidecar or embedded")
    if model.parent.resolve() != target.parent.resolve():
        raise UsageError(
            "with --params reference the GraphML has to lie beside the model",
            file=target,
            remedy="leave out --output, or use sidecar or embedded",
        )


class _Counter:
    """Counts bytes instead of writing them."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self.size += len(data)


class _RawText:
    """Writes all of what it is given to an unbuffered file."""

    def __init__(self, staged: StagedFile) -> None:
        self._file = staged.file

    def write(self, data: bytes, /) -> None:
        write_all(self._file, data)


def write_graph(
    work: Work,
    file: TextSink,
    info: StoreInfo,
    sha256: str,
    references: Sequence[PayloadReference],
    externals: Sequence[ExternalFile],
    stage: Stage | None,
    *,
    embed: bool,
) -> tuple[Counts, int]:
    """Writes the GraphML of a model.

    Args:
        work: the model.
        file: takes the GraphML.
        info: what the GraphML says of its store.
        sha256: digest of the model.
        references: its payloads.
        externals: its data files.
        stage: progress in operators.
        embed: whether an embedded store is written, and not only its key.

    Returns:
        What the graph consists of, and the size of the residue in bytes.
    """
    encoder, residue_bytes = graph_encoder(work, info, sha256, references, externals, embed=embed)
    writer = GraphMLWriter(file, encoder.keys(), work.options.layout)
    encoder.emit(writer, stage.advance if stage is not None else lambda _: None)
    writer.close()
    return encoder.counts, residue_bytes


def graph_encoder(
    work: Work,
    info: StoreInfo,
    sha256: str,
    references: Sequence[PayloadReference],
    externals: Sequence[ExternalFile],
    *,
    embed: bool,
) -> tuple[GraphEncoder, int]:
    """What emits the graph of a model, and the size of the residue in bytes; see `write_graph` for the arguments."""
    residue = _residue(work, references)
    about = _about(work, info, sha256, residue, externals, embed=embed)
    book = PayloadBook(work.skeleton.nonce, {reference.offset: reference for reference in references})
    encoder = GraphEncoder(
        work.model,
        work.hierarchy,
        book,
        about,
        show_parameters=work.options.show_parameters,
        has_unknown=work.has_unknown,
    )
    return encoder, 0 if residue is None else len(residue.patch)


def _residue(work: Work, references: Sequence[PayloadReference]) -> Residue | None:
    if work.canonical is None:
        return None
    return make_residue(work.skeleton.data, work.canonical, work.skeleton.nonce, references)


def _about(
    work: Work,
    info: StoreInfo,
    sha256: str,
    residue: Residue | None,
    externals: Sequence[ExternalFile],
    *,
    embed: bool,
) -> Data:
    about: dict[str, str | Iterator[str]] = {
        "source_sha256": sha256,
        "source_size": str(work.inputs.source.size),
        "parameter_strategy": info.strategy,
    }
    if info.file is not None:
        about["parameter_file"] = escape(info.file)
    if info.checksum:
        about["parameter_checksum"] = info.checksum
    if info.size:
        about["parameter_size"] = str(info.size)
    if externals:
        about["external_files"] = externals_text(externals)
    if residue is not None:
        about["residue"] = residue.text()
    if work.inputs.metadata is not None:
        about["htp_metadata"] = escape(work.inputs.metadata.text)
    if info.strategy == "embedded" and info.size:
        about[EMBEDDED_KEY] = encode_base64(_store_chunks(work)) if embed else iter(())
    return cast("Data", about)


def _store_chunks(work: Work) -> Iterator[bytes]:
    yield from read_payloads(work.inputs.source, work.skeleton.payloads)
    for external in work.externals:
        with external.file.open() as source:
            yield from read_payloads(source, [Payload(0, source.size, 0)])


def encode_prepared(
    work: Work,
    target: Path,
    stack: ExitStack,
    *,
    overwrite: bool,
    progress: Progress | None,
    self_check: bool,
) -> EncodeResult:
    """Writes, checks and publishes; see `encode` for the arguments and errors."""
    data_files = [external.file.path for external in work.externals]
    publication = stack.enter_context(Publication(overwrite=overwrite, inputs=[*work.inputs.files, *data_files]))
    sidecar_path = with_suffix(target, ".onnxdata") if work.has_sidecar else None
    graph = publication.stage(target)  # first, so that refusals name what the user named
    sidecar = None if sidecar_path is None else publication.stage(sidecar_path)
    disk = stack.enter_context(Lane(threaded=work.has_sidecar and work.store_size > WORTH_THREADS))
    store = None if sidecar is None else StoreWriter(DrainingFile(sidecar.file, disk))
    try:
        sha256, references, externals = move_payloads(work, store, progress)
    except OSError as error:
        raise writing_failed(error, sidecar_path or target) from error
    checksum = store_checksum([*references, *(file.content for file in externals)])
    if sidecar is not None:
        sidecar.alias_digest = checksum
        if work.store_size > WORTH_THREADS:  # the disk goes on while the graph is written and checked
            disk.run(partial(os.fsync, sidecar.file.fileno()))
    info = work.store_info(checksum, sidecar_path)
    with Stage(progress, "write graph", len(work.model.graph.node), "nodes") as stage:
        try:
            counts, residue_bytes = write_graph(
                work, _RawText(graph), info, sha256, references, externals, stage, embed=True
            )
        except OSError as error:
            raise writing_failed(error, target) from error
    if self_check:
        _check(work, graph, sidecar, target, progress)
    with Stage(progress, "publish", 1, "nodes"):
        try:
            disk.finish()
        except OSError as error:  # a system tells it once: publication would not hear of it again
            raise writing_failed(error, sidecar_path or target) from error
        publication.publish()
    return EncodeResult(
        graphml=target,
        sidecar=sidecar_path,
        sha256=sha256,
        residue_bytes=residue_bytes,
        nodes=counts.operators,
        modules=counts.modules,
        coverage=work.hierarchy.coverage,
        hierarchy_source=work.hierarchy.source,
        placements=dict(work.hierarchy.rules),
        findings=work.hierarchy.findings,
    )


def move_payloads(
    work: Work, store: StoreWriter | None, progress: Progress | None
) -> tuple[str, Sequence[PayloadReference], Sequence[ExternalFile]]:
    """Hashes the model and its payloads, and copies them into a store, if there is one.

    Returns:
        The model's digest, the payloads, and the data files.
    """
    total = work.inputs.source.size + sum(external.file.size for external in work.externals)
    externals = []
    with Stage(progress, "payloads", total, "bytes") as stage:
        collected = collect(work.inputs.source, work.skeleton.payloads, store, stage.advance)
        for external in work.externals:
            payloads = [Payload(0, external.file.size, external.address)] if external.file.size else []
            with external.file.open() as source:
                digest = collect(source, payloads, store, stage.advance).sha256
            externals.append(ExternalFile(external.file.location, external.reference(digest)))
        if store is not None:
            store.finish()
    return collected.sha256, collected.references, externals


def _check(work: Work, graph: StagedFile, sidecar: StagedFile | None, target: Path, progress: Progress | None) -> None:
    """Decodes what was written and compares it with what was read."""
    with ExitStack() as stack:
        source = stack.enter_context(FileSource.sharing(target, graph.file.fileno()))
        total = source.size + work.inputs.source.size
        with Stage(progress, "check", total, "bytes") as stage:
            try:
                model = load_graphml(source, target, stack, stage.advance, trust=None, spool_folder=target.parent)
            except StorageError:
                raise
            except GraphmlOnnxError as error:
                raise _failed(work, f"what was written cannot be read: {error}") from error
            store = _written_store(work, model, sidecar, stack)
            difference = first_difference(model.pieces(), model.references, store, work.inputs.source, stage.advance)
            if difference is not None:
                from graphml_onnx.onnxfile.locate import locate

                place = f"byte {difference}"
                raise _failed(work, f"differs in {locate(work.inputs.source, difference) or 'its end'}", place)
            if model.store.strategy != "reference":  # there, data files stay where they are
                _check_data_files(work, model, store, stage)
            expected = None if work.inputs.metadata is None else work.inputs.metadata.text.encode()
            if model.metadata != expected:
                raise _failed(work, "the HTP metadata differ")


def _check_data_files(work: Work, model: LoadedModel, store: Source, stage: Stage) -> None:
    for external, file in zip(work.externals, model.externals, strict=True):
        pieces = [Stored(file.content.offset)] if file.content.length else []
        references = {file.content.offset: file.content}
        with external.file.open() as original:
            difference = first_difference(pieces, references, store, original, stage.advance)
        if difference is not None:
            raise _failed(work, f"the data file {external.file.location} differs", f"byte {difference}")


def _written_store(work: Work, model: LoadedModel, sidecar: StagedFile | None, stack: ExitStack) -> Source:
    if model.embedded is not None:
        return model.embedded
    if sidecar is not None:
        return stack.enter_context(FileSource.sharing(sidecar.path, sidecar.file.fileno()))
    return work.inputs.source


def _failed(work: Work, reason: str, place: str | None = None) -> RoundTripError:
    return RoundTripError(
        f"the self-check failed, and nothing was published: {reason}",
        file=work.inputs.path,
        place=place,
        remedy="please report this, with the model if you can",
    )
