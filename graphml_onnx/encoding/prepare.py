"""Reads a model, finds its hierarchy and places its payloads, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import onnx
from google.protobuf.message import EncodeError

from graphml_onnx.codec.module_facts import hierarchy_of
from graphml_onnx.codec.unknown import canonical_form
from graphml_onnx.encoding.companions import companions_of
from graphml_onnx.encoding.placement import Placement, place
from graphml_onnx.errors import (
    ExternalDataError,
    GraphmlOnnxError,
    MetadataError,
    ModelError,
    UsageError,
    reading_failed,
)
from graphml_onnx.hierarchy import Hierarchy, HtpMetadata, read_metadata
from graphml_onnx.onnxfile.external import DataFile, check_range, external_tensors
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.skeleton import Skeleton, merged_payloads, split
from graphml_onnx.onnxfile.source import BytesSource, FileSource, Source
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.store import STRATEGIES, StoreInfo
from graphml_onnx.results import LAYOUTS
from graphml_onnx.support.sniff import looks_like, named_like

if TYPE_CHECKING:
    import os
    from contextlib import ExitStack

    from graphml_onnx.parameters.weight_files import WeightFile
    from graphml_onnx.results import Layout, ParameterStrategy
    from graphml_onnx.support.notices import Notice

DEFAULT_INLINE_LIMIT = 1024
"""Tensors of up to this many bytes are written into the GraphML as numbers."""

_HEAD = 512


class Options(NamedTuple):
    """How a model is encoded; see `encode`."""

    parameters: ParameterStrategy = "sidecar"
    layout: Layout = "nested"
    show_parameters: bool = False
    inline_limit: int = DEFAULT_INLINE_LIMIT
    refine: bool = True
    open_depth: int | None = None

    def check(self) -> None:
        """Raises UsageError for a value that is not allowed."""
        if self.parameters not in STRATEGIES:
            raise UsageError(f"parameters is {self.parameters!r}, not one of {', '.join(STRATEGIES)}")
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout is {self.layout!r}, not one of {', '.join(LAYOUTS)}")
        if self.inline_limit < 0:
            raise UsageError("inline_limit is negative", remedy="give a number of bytes")
        if self.open_depth is not None and self.open_depth < 0:
            raise UsageError("open_depth is negative", remedy="give a number of levels")


class Inputs(NamedTuple):
    """What is read: the model, its metadata, and the folder of its data files.

    Attributes:
        source: the model's bytes.
        path: its file, or None for a model in memory.
        metadata: the HTP metadata.
        files: all files that are read.
    """

    source: Source
    path: Path | None
    metadata: HtpMetadata | None
    files: tuple[Path, ...]


class PreparedModel(NamedTuple):
    """A model that is ready to be encoded.

    Attributes:
        inputs: what was read.
        options: how it is to be encoded.
        skeleton: the model without its payloads.
        model: the skeleton, parsed; the exact message.
        canonical: the canonical skeleton, or None if the skeleton itself is canonical.
        has_unknown: whether the message has fields that ONNX does not define.
        hierarchy: modules, and the place of each operator.
        externals: the model's data files.
        placement: where payloads and data files go.
        weights: the weight files that the graph refers to.
    """

    inputs: Inputs
    options: Options
    skeleton: Skeleton
    model: onnx.ModelProto
    canonical: bytes | None
    has_unknown: bool
    hierarchy: Hierarchy
    externals: tuple[DataFile, ...]
    placement: Placement
    weights: tuple[WeightFile, ...] = ()

    @property
    def findings(self) -> tuple[Notice, ...]:
        """Findings, one line each."""
        return (*self.hierarchy.findings, *companions_of(self.model, self.skeleton.data))

    @property
    def has_sidecar(self) -> bool:
        """Whether there is anything to put into a sidecar."""
        return self.options.parameters == "sidecar" and self.placement.size > 0

    def store_info(self, checksum: str, sidecar: Path | None) -> StoreInfo:
        """What the GraphML says of its store, given the checksum and name of the sidecar."""
        strategy = self.options.parameters
        in_model = strategy == "reference" and any(place.file is None for place in self.placement.payloads)
        if in_model and self.inputs.path is not None:
            return StoreInfo(strategy, self.inputs.path.name, self.inputs.source.size)
        if sidecar is not None:
            return StoreInfo(strategy, sidecar.name, self.placement.size, checksum)
        return StoreInfo(strategy, None, self.placement.size if strategy == "embedded" else 0)


def open_inputs(
    model: str | os.PathLike[str] | onnx.ModelProto,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None,
    stack: ExitStack,
) -> Inputs:
    """Opens what `encode` reads; ``stack`` closes it."""
    source: Source
    if isinstance(model, onnx.ModelProto):
        path = None
        source = BytesSource(_serialised(model))
    else:
        path = Path(model)
        source = stack.enter_context(FileSource.open(path))
    files = [] if path is None else [path]
    if metadata is None:
        return Inputs(source, path, None, tuple(files))
    if isinstance(metadata, Mapping):
        content, name = _metadata_content(metadata), None
    else:
        name = Path(metadata)
        files.append(name)
        with FileSource.open(name, MetadataError) as file:
            content = file.read(0, file.size)
    return Inputs(source, path, read_metadata(content, name), tuple(files))


def _serialised(model: onnx.ModelProto) -> bytes:
    try:
        return model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise ModelError(
            f"the model in memory cannot be serialised: {error}",
            remedy="protobuf writes up to 2 GiB: save it with external data, and encode the file",
        ) from None


def _metadata_content(metadata: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(metadata, indent=2, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MetadataError(f"the metadata cannot be written as JSON: {error}") from None


def prepare(inputs: Inputs, options: Options, *, cut_lists: bool = False) -> PreparedModel:
    """Reads a model, finds its hierarchy and places its payloads.

    Args:
        inputs: the model and its metadata.
        options: how it is to be encoded.
        cut_lists: whether to cut out long lists where possible; the GraphML must then be written to a file.

    Raises:
        ModelError: it is no ONNX model, or beyond what protobuf reads back.
        ExternalDataError: its data files are missing or do not match it.
    """
    read = read_skeleton(inputs, options, cut_lists=cut_lists)
    try:
        externals = _find_externals(read.model, read.skeleton.data, inputs.path)
    except ExternalDataError as error:
        raise error.at(file=inputs.path, remedy="export the model again") from None
    try:
        files = {file.location: file.size for file in externals}
        placement = place(options.parameters, read.model, read.skeleton, files)
    except ModelError as error:
        raise error.at(file=inputs.path) from None
    hierarchy = hierarchy_of(read.model, read.skeleton.data, inputs.metadata, refine=options.refine)
    return PreparedModel(
        inputs,
        options,
        read.skeleton,
        read.model,
        read.canonical,
        read.has_unknown,
        hierarchy,
        externals,
        placement,
    )


class ParsedSkeleton(NamedTuple):
    """A model that was cut and parsed; see `PreparedModel`."""

    skeleton: Skeleton
    model: onnx.ModelProto
    canonical: bytes | None
    has_unknown: bool


def read_skeleton(inputs: Inputs, options: Options, *, cut_lists: bool = False) -> ParsedSkeleton:
    """Only cuts and parses a model; see `prepare`.

    Raises:
        ModelError: it is no ONNX model, or beyond what protobuf reads back.
    """
    read = _read_skeleton(inputs, options, frozenset(), cut_lists=cut_lists)
    if read.canonical is not None and read.skeleton.lists:
        read = _read_skeleton(inputs, options, frozenset())  # a residue is for the file with its lists
    if read.canonical is not None and (merged := merged_payloads(read.skeleton, read.canonical)):
        read = _read_skeleton(inputs, options, merged)
    return read


def _read_skeleton(
    inputs: Inputs, options: Options, keep: frozenset[int], *, cut_lists: bool = False
) -> ParsedSkeleton:
    """Cuts and parses a model; ``keep`` names payloads that stay."""
    try:
        skeleton = split(inputs.source, options.inline_limit, keep, cut_lists=cut_lists)
        model = parse_model(skeleton.data)
    except WireError as error:
        raise _not_onnx(inputs, error.message, f"byte {error.offset}") from None
    except ValueError as error:
        raise _not_onnx(inputs, str(error), None) from None
    except GraphmlOnnxError as error:
        raise error.at(file=inputs.path) from None
    if not model.HasField("graph"):
        raise _not_onnx(inputs, "it holds no graph", None)
    model, canonical, has_unknown = canonical_form(model, skeleton.data)
    return ParsedSkeleton(skeleton, model, None if canonical == skeleton.data else canonical, has_unknown)


def _not_onnx(inputs: Inputs, reason: str, place: str | None) -> ModelError:
    head = inputs.source.read(0, min(_HEAD, inputs.source.size))
    if not head:
        return ModelError("the file is empty, not an ONNX model", file=inputs.path, remedy="export it again")
    look = looks_like(head) or (named_like(inputs.path.name) if inputs.path is not None else None)
    if look is not None:
        is_named_onnx = inputs.path is not None and inputs.path.suffix == ".onnx"
        remedy = "download or export it again" if is_named_onnx else "give a file that ends in .onnx"
        return ModelError(f"is not an ONNX model; it looks like {look}", file=inputs.path, remedy=remedy)
    return ModelError(
        f"is not an ONNX model, or a damaged one: {reason}",
        file=inputs.path,
        place=place,
        remedy="copy or export it again",
    )


def _find_externals(model: onnx.ModelProto, skeleton: bytes, path: Path | None) -> tuple[DataFile, ...]:
    found: dict[str, DataFile] = {}
    for tensor in external_tensors(model, skeleton):
        if path is None:
            raise tensor.fail("a model in memory has no folder", "save the model, and encode the file")
        if tensor.location not in found:
            try:
                file = DataFile.find(path, tensor.location)
            except GraphmlOnnxError as error:
                raise type(error)(
                    f"external data of tensor {tensor.name!r}: {error.message}",
                    file=error.file,
                    place=tensor.path,
                    remedy=error.remedy,
                ) from None
            if _is_model(file, path):
                raise tensor.fail("the location is the model file itself")
            found[tensor.location] = file
        check_range(tensor, found[tensor.location].size)
    return tuple(found.values())


def _is_model(file: DataFile, path: Path) -> bool:
    try:
        status = path.stat()
    except OSError as error:
        raise reading_failed(error, path) from None
    return (file.state.device, file.state.inode) == (status.st_dev, status.st_ino)
