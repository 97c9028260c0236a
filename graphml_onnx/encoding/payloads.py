"""Moves the payloads of a prepared model into its store; `graphml_onnx.decoding.payloads` is the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.codec.externals import ExternalFile
from graphml_onnx.onnxfile.skeleton import Payload
from graphml_onnx.parameters.transfer import collect, read_payloads
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
    total = prepared.inputs.source.size + sum(external.file.size for external in prepared.externals)
    externals = []
    with Stage(progress, "payloads", total, "bytes") as stage:
        collected = collect(prepared.inputs.source, prepared.skeleton.payloads, store, stage.advance)
        for external in prepared.externals:
            payloads = [Payload(0, external.file.size, external.address)] if external.file.size else []
            with external.file.open() as source:
                digest = collect(source, payloads, store, stage.advance).sha256
                source.check_unchanged()
            externals.append(ExternalFile(external.file.location, external.reference(digest)))
    return collected.sha256, collected.references, externals


def store_chunks(prepared: PreparedModel) -> Iterator[bytes]:
    """The bytes of an embedded store, in chunks."""
    yield from read_payloads(prepared.inputs.source, prepared.skeleton.payloads)
    for external in prepared.externals:
        with external.file.open() as source:
            yield from read_payloads(source, [Payload(0, source.size, 0)])
