"""Decides where each payload goes: its address in the store, and in a sidecar its name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import orjson

from graphml_onnx.codec.keys import BASE_VERSION, version_of
from graphml_onnx.codec.payload_names import NamedPayload, name_files, name_payloads
from graphml_onnx.errors import ModelError
from graphml_onnx.parameters.safetensors import MAX_HEADER, Layout, header_of, lay_out
from graphml_onnx.parameters.store import PayloadReference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from graphml_onnx.onnxfile.skeleton import Payload, Skeleton
    from graphml_onnx.results import ParameterStrategy

_NO_DIGEST = "0" * 64


class Place(NamedTuple):
    """Where a payload or a data file goes.

    Attributes:
        address: where it starts in the store, in bytes.
        length: how long it is, in bytes.
        name: of its tensor, in a sidecar or a weight file.
        file: the weight file that has it; None for what goes into the store.
    """

    address: int
    length: int
    name: str | None = None
    file: str | None = None

    def reference(self, sha256: str) -> PayloadReference:
        """What the GraphML says of it, given its digest."""
        return PayloadReference(self.address, self.length, sha256, self.name, self.file)


class Placement(NamedTuple):
    """Where everything goes.

    Attributes:
        payloads: the place of each payload, in the order of the model file.
        files: the place of each data file.
        size: of the store in bytes.
        layout: of a sidecar.
        onnx_types: types of tensors that a sidecar has as bytes, by name.
    """

    payloads: tuple[Place, ...]
    files: tuple[Place, ...]
    size: int
    layout: Layout | None = None
    onnx_types: Mapping[str, str] = {}

    def header(self, sha256: str, references: Sequence[PayloadReference]) -> bytes:
        """The header of a sidecar.

        Args:
            sha256: digest of the model file.
            references: all payloads and data files, with digests.
        """
        content = hashlib.sha256()
        stored = [reference for reference in references if reference.file is None]
        for reference in sorted(stored, key=lambda reference: (reference.offset, reference.length)):
            content.update(f"{reference.sha256}\n".encode())
        version = version_of(references)
        return _header(self.layout or lay_out(()), self.onnx_types, version, sha256, content.hexdigest())


def _header(layout: Layout, onnx_types: Mapping[str, str], version: str, source: str, content: str) -> bytes:
    metadata = {
        "format": "graphml-onnx",
        "format_version": version,
        "source_sha256": source,
        "content_sha256": content,
    }
    if onnx_types:
        metadata["onnx_types"] = orjson.dumps(onnx_types).decode()
    return header_of(layout, metadata)


class TensorPlace(NamedTuple):
    """A tensor of a weight file: the file, relative to the folder of the GraphML, and its name there."""

    file: str
    name: str


def place(
    strategy: ParameterStrategy,
    model: onnx.ModelProto,
    skeleton: Skeleton,
    files: Mapping[str, int],
    found: Mapping[int, TensorPlace] | None = None,
) -> Placement:
    """Gives every payload and data file its place.

    Args:
        strategy: how they are kept.
        model: the exact message of the skeleton.
        skeleton: the model without its payloads.
        files: the size in bytes of each data file, by its location.
        found: the payloads that weight files have, by offset; the strategy applies to the others.

    Raises:
        ModelError: the names of the tensors do not fit into the header of a sidecar.
    """
    found = found or {}
    payloads = skeleton.payloads
    stored = [payload for payload in payloads if payload.offset not in found]
    if strategy == "reference":
        size = max((payload.offset + payload.length for payload in stored), default=0)
        in_model = tuple(Place(payload.offset, payload.length) for payload in stored)
        placement = Placement(in_model, tuple(Place(0, length) for length in files.values()), size)
    elif strategy == "embedded":
        placement = _one_after_the_other(stored, list(files.values()))
    else:
        named = zip(payloads, name_payloads(model, skeleton.nonce, payloads), strict=True)
        placement = _in_sidecar([name for payload, name in named if payload.offset not in found], name_files(files))
    if not found:
        return placement
    places = iter(placement.payloads)
    everywhere = (
        Place(0, payload.length, tensor.name, tensor.file)
        if (tensor := found.get(payload.offset)) is not None
        else next(places)
        for payload in payloads
    )
    return placement._replace(payloads=tuple(everywhere))


def _one_after_the_other(payloads: Sequence[Payload], files: Sequence[int]) -> Placement:
    places = []
    position = 0
    for length in (*(payload.length for payload in payloads), *files):
        places.append(Place(position, length))
        position += length
    return Placement(tuple(places[: len(payloads)]), tuple(places[len(payloads) :]), position)


def _in_sidecar(payloads: Sequence[NamedPayload], files: Sequence[NamedPayload]) -> Placement:
    everything = (*payloads, *files)
    layout = lay_out([named.spec for named in everything])
    onnx_types = {named.spec.name: named.onnx_type for named in everything if named.onnx_type}
    start = len(_header(layout, onnx_types, BASE_VERSION, _NO_DIGEST, _NO_DIGEST))
    if start > MAX_HEADER:
        raise ModelError(
            f"the names of its {len(everything):,} tensors take {start:,} bytes, "
            f"more than the {MAX_HEADER:,} that readers of a sidecar accept",
            remedy="use `parameters='embedded'`, or write small tensors as text with `inline_limit`",
        )
    starts = {spec.name: start + offset for spec, offset in zip(layout.order, layout.offsets, strict=True)}
    places = [Place(starts[spec.name], spec.length, spec.name) for spec, _ in everything]
    size = start + layout.size if everything else 0
    return Placement(tuple(places[: len(payloads)]), tuple(places[len(payloads) :]), size, layout, onnx_types)
