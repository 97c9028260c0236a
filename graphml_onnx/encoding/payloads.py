"""Moves the payloads of a prepared model into its store; `graphml_onnx.decoding.payloads` is the way back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from graphml_onnx.codec.externals import ExternalFile
from graphml_onnx.onnxfile.skeleton import Payload
from graphml_onnx.parameters.transfer import collect, read_payloads
from graphml_onnx.support import limits
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.encoding.prepare import PreparedModel
    from graphml_onnx.parameters.chunks import Output
    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.results import Progress


def move_payloads(
    prepared: PreparedModel, store: Output | None, progress: Progress | None
) -> tuple[str, Sequence[PayloadReference], Sequence[ExternalFile]]:
    """Hashes the model and its payloads, and copies them into a store, if there is one.

    Returns:
        The model's digest, the payloads, and the data files.
    """
    total = prepared.inputs.source.size + sum(file.size for file in prepared.externals)
    placement = prepared.placement
    externals = []
    with Stage(progress, "payloads", total, "bytes") as stage:
        addresses = [place.address if place.file is None else None for place in placement.payloads]
        collected = collect(prepared.inputs.source, prepared.skeleton.payloads, addresses, store, stage.advance)
        for file, place in zip(prepared.externals, placement.files, strict=True):
            payloads = [Payload(0, file.size)] if file.size else []
            with file.open() as source:
                digest = collect(source, payloads, [place.address], store, stage.advance).sha256
                source.check_unchanged()
            externals.append(ExternalFile(file.location, place.reference(digest)))
    places = zip(placement.payloads, collected.payloads, strict=True)
    return collected.sha256, [place.reference(digest) for place, digest in places], externals


def write_header(
    prepared: PreparedModel,
    store: Output,
    sha256: str,
    references: Sequence[PayloadReference],
    externals: Sequence[ExternalFile],
) -> str:
    """Writes the header of a sidecar; see `move_payloads` for the arguments.

    Returns:
        SHA-256 of the header, which lists the content of the sidecar.
    """
    header = prepared.placement.header(sha256, [*references, *(file.content for file in externals)])
    for start in range(0, len(header), limits.LIMITS.chunk):
        store.write_at(start, header[start : start + limits.LIMITS.chunk])
    return hashlib.sha256(header).hexdigest()


def store_chunks(prepared: PreparedModel) -> Iterator[bytes]:
    """The bytes of an embedded store, in chunks."""
    places = zip(prepared.skeleton.payloads, prepared.placement.payloads, strict=True)
    stored = [payload for payload, place in places if place.file is None]
    yield from read_payloads(prepared.inputs.source, stored)
    for file in prepared.externals:
        with file.open() as source:
            yield from read_payloads(source, [Payload(0, source.size)])
