"""Decides where each payload goes: its address in the store, and in a sidecar its name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import orjson

from graphml_onnx.codec.keys import FORMAT_VERSION
from graphml_onnx.codec.payload_names import NamedPayload, name_files, name_payloads
from graphml_onnx.errors import ModelError
from graphml_onnx.parameters.safetensors import MAX_HEADER, Layout, header_of, lay_out
from graphml_onnx.parameters.store import PayloadReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx

    from graphml_onnx.onnxfile.skeleton import Payload, Skeleton
    from graphml_onnx.results import ParameterStrategy

_NO_DIGEST = "0" * 64


class Place(NamedTuple):
    """Where a payload or a data file goes.

    Attributes:
        address: where it starts in the store, in bytes.
        length: how long it is, in bytes.
        name: of its tensor, in a sidecar.
    """

    address: int
    length: int
    name: str | None = None

    def reference(self, sha256: str) -> PayloadReference:
        """What the GraphML says of it, given its digest."""
        return PayloadReference(self.address, self.length, sha256, self.name)


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

    def header(self, sha256: str, references: Iterable[PayloadReference]) -> bytes:
        """The header of a sidecar, which stands before everything.

        Args:
            sha256: digest of the model file.
            references: all that is in the sidecar, with digests.
        """
        content = hashlib.sha256()
        for reference in sorted(references, key=lambda reference: (reference.offset, reference.length)):
            content.update(f"{reference.sha256}\n".encode())
        return _header(self.layout or lay_out(()), self.onnx_types, sha256, content.hexdigest())


def _header(layout: Layout, onnx_types: Mapping[str, str], source: str, content: str) -> bytes:
    metadata = {
        "format": "graphml-onnx",
        "format_version": FORMAT_VERSION,
        "source_sha256": source,
        "content_sha256": content,
    }
    if onnx_types:
        metadata["onnx_types"] = orjson.dumps(onnx_types).decode()
    return header_of(layout, metadata)


def place(
    strategy: ParameterStrategy, model: onnx.ModelProto, skeleton: Skeleton, files: Mapping[str, int]
) -> Placement:
    """Gives every payload and data file its place.

    Args:
        strategy: how they are kept.
        model: the exact message of the skeleton.
        skeleton: the model without its payloads.
        files: the size in bytes of each data file, by its location.

    Raises:
        ModelError: a sidecar cannot say the names of so many tensors.
    """
    payloads = skeleton.payloads
    if strategy == "reference":
        size = max((payload.offset + payload.length for payload in payloads), default=0)
        in_model = tuple(Place(payload.offset, payload.length) for payload in payloads)
        return Placement(in_model, tuple(Place(0, length) for length in files.values()), size)
    if strategy == "embedded":
        return _one_after_the_other(payloads, list(files.values()))
    return _in_sidecar(name_payloads(model, skeleton.nonce, payloads), name_files(files))


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
    start = len(_header(layout, onnx_types, _NO_DIGEST, _NO_DIGEST))
    if start > MAX_HEADER:
        raise ModelError(
            f"the names of its {len(everything):,} tensors take {start:,} bytes, "
            f"more than the {MAX_HEADER:,} that readers of a sidecar take",
            remedy="use `parameters='embedded'`, or write small tensors as text with `inline_limit`",
        )
    starts = {spec.name: start + offset for spec, offset in zip(layout.order, layout.offsets, strict=True)}
    places = [Place(starts[spec.name], spec.length, spec.name) for spec, _ in everything]
    size = start + layout.size if everything else 0
    return Placement(tuple(places[: len(payloads)]), tuple(places[len(payloads) :]), size, layout, onnx_types)
