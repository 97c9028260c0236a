"""Writes the GraphML of a prepared model; `graphml_onnx.decoding.records` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.encoder import Counts, GraphEncoder
from graphml_onnx.codec.externals import ExternalFile, externals_text
from graphml_onnx.codec.keys import EMBEDDED_KEY, version_of
from graphml_onnx.codec.lists import ListsToWrite
from graphml_onnx.codec.residue import Residue, make_residue
from graphml_onnx.codec.scalars import PayloadTable
from graphml_onnx.encoding.payloads import store_chunks
from graphml_onnx.graphml.writer import GraphMLWriter, TextSink
from graphml_onnx.parameters.embedded import encode_base64
from graphml_onnx.support.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.encoding.prepare import PreparedModel
    from graphml_onnx.graphml.elements import Data
    from graphml_onnx.parameters.store import PayloadReference, StoreInfo
    from graphml_onnx.support.progress import Stage


def write_graph(
    prepared: PreparedModel,
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
        prepared: the model.
        file: takes the GraphML.
        info: what the GraphML says of its store.
        sha256: digest of the model.
        references: its payloads.
        externals: its data files.
        stage: progress in operators.
        embed: whether to write an embedded store, and not only its key.

    Returns:
        The keys and counts of the graph, and the size of the residue in bytes.
    """
    lists = ListsToWrite(prepared.inputs.source, prepared.skeleton.lists) if prepared.skeleton.lists else None
    encoder, residue_bytes = graph_encoder(prepared, info, sha256, references, externals, lists, embed=embed)
    sink = file if lists is None else lists.sink(file)
    writer = GraphMLWriter(sink, encoder.keys(), prepared.options.layout, prepared.options.open_depth)
    encoder.emit(writer, stage.advance if stage is not None else lambda _: None)
    writer.close()
    return encoder.counts, residue_bytes


def graph_encoder(
    prepared: PreparedModel,
    info: StoreInfo,
    sha256: str,
    references: Sequence[PayloadReference],
    externals: Sequence[ExternalFile],
    lists: ListsToWrite | None = None,
    *,
    embed: bool,
) -> tuple[GraphEncoder, int]:
    """What emits the graph of a model, and the size of the residue in bytes; see `write_graph` for the arguments.

    If ``lists`` were cut out of the model, the graph has tokens in their places.
    """
    residue = _residue(prepared, references)
    about = _about(prepared, info, sha256, residue, externals, version_of(references), embed=embed)
    book = PayloadTable(prepared.skeleton.nonce, _by_number(prepared, references), lists)
    encoder = GraphEncoder(
        prepared.model,
        prepared.hierarchy,
        book,
        about,
        show_parameters=prepared.options.show_parameters,
        has_unknown=prepared.has_unknown,
    )
    return encoder, 0 if residue is None else len(residue.patch)


def _residue(prepared: PreparedModel, references: Sequence[PayloadReference]) -> Residue | None:
    if prepared.canonical is None:
        return None
    by_number = _by_number(prepared, references)
    return make_residue(prepared.skeleton.data, prepared.canonical, prepared.skeleton.nonce, by_number)


def _by_number(prepared: PreparedModel, references: Sequence[PayloadReference]) -> dict[int, PayloadReference]:
    payloads = zip(prepared.skeleton.payloads, references, strict=True)
    return {payload.offset: reference for payload, reference in payloads}


def _about(
    prepared: PreparedModel,
    info: StoreInfo,
    sha256: str,
    residue: Residue | None,
    externals: Sequence[ExternalFile],
    version: str,
    *,
    embed: bool,
) -> Data:
    about: dict[str, str | Iterator[str]] = {
        "format_version": version,
        "source_sha256": sha256,
        "source_size": str(prepared.inputs.source.size),
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
    if prepared.inputs.metadata is not None:
        about["htp_metadata"] = escape(prepared.inputs.metadata.text)
    if info.strategy == "embedded" and info.size:
        about[EMBEDDED_KEY] = encode_base64(store_chunks(prepared)) if embed else iter(())
    return cast("Data", about)
