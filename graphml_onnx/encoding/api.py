"""Encodes an ONNX file as GraphML with its payloads, checks that it comes back, and publishes all files in one step."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.codec.externals import ExternalFile
from graphml_onnx.encoding.payloads import move_payloads, write_header
from graphml_onnx.encoding.prepare import DEFAULT_INLINE_LIMIT, Options, PreparedModel, open_inputs, prepare
from graphml_onnx.encoding.self_check import check_written
from graphml_onnx.encoding.weights import refer_to_weights, weights_found
from graphml_onnx.encoding.write import write_graph
from graphml_onnx.errors import PayloadError, UsageError
from graphml_onnx.files import Publication, with_suffix
from graphml_onnx.parameters.chunks import Output
from graphml_onnx.parameters.embedded import encoded_size
from graphml_onnx.parameters.store import check_name
from graphml_onnx.results import EncodePreview, EncodeResult, Layout, ParameterStrategy, Progress
from graphml_onnx.support import limits
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx

    from graphml_onnx.decoding.records import LoadedModel

_NO_DIGEST = "0" * 64

Paths: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"
"""One file, or several."""


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
    refine: bool = True,
    open_depth: int | None = None,
    self_check: bool = True,
    parameter_output: str | os.PathLike[str] | None = None,
    weights: Paths = (),
) -> EncodeResult:
    """Writes an ONNX model as a GraphML graph. `decode` gives the model back byte for byte.

    Args:
        model: an ONNX file, or a model in memory (which is serialised first, and needs ``output``).
        output: the GraphML file, by default ``NAME_hierarchical_graph.graphml`` beside ``NAME.onnx``; a name without
            a suffix gets ``.graphml``. The sidecar has the same name with the suffix ``.onnxdata``.
        metadata: HTP metadata, a file or its content; it says which module each operator belongs to.
        parameters: where payloads go (all tensor fields of more than ``inline_limit`` bytes): ``sidecar``, a separate
            file; ``embedded``, base64 in the GraphML; ``reference``, nowhere: the GraphML points into the model file,
            which has to stay beside it.
        layout: ``nested`` for yEd, Cytoscape and networkx; ``flat`` for igraph, rustworkx, Gephi, graph databases;
            ``plain``, nested without anything that the GraphML schema does not know.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.
        show_parameters: whether initializers are nodes, in the module that owns them.
        inline_limit: in bytes. Tensors of up to 32 bytes, the size of a payload's marker, are always inline.
        refine: whether names of operators and parameters may add modules below those from metadata, tags or the
            exporter.
        open_depth: how many levels of groups are open when yEd opens a ``nested`` file; 1 is the model alone, None is
            all. networkx does not look into closed groups.
        self_check: whether to decode what was written, and compare every byte, before anything is published.
        parameter_output: the sidecar, beside the GraphML; by default it has the name of the GraphML.
        weights: safetensors files, or indices of their shards (``model.safetensors.index.json``), in the folder of the
            GraphML or below it. The graph refers to payloads that are a tensor there, byte for byte; only the others
            go where ``parameters`` says. `decode` needs these files unchanged.

    Raises:
        PayloadError: one of ``weights`` is a link, or not safetensors.
        ModelError: the model is no ONNX, damaged, or too large for protobuf; its external data are missing.
        MetadataError: the metadata are not strict JSON, or not HTP metadata.
        RoundTripError: the self-check failed; nothing was published.
        UsageError: the options contradict each other.
        InputError: a file is missing or may not be read.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    options = Options(parameters, layout, show_parameters, inline_limit, refine, open_depth)
    with ExitStack() as stack:
        prepared, target = _prepare(model, output, metadata, options, weights, stack, progress)
        result, _ = encode_prepared(
            prepared,
            target,
            stack,
            overwrite=overwrite,
            progress=progress,
            self_check=self_check,
            sidecar_path=_sidecar_path(target, parameter_output, parameters),
        )
        return result


def preview(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output: str | os.PathLike[str] | None = None,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    show_parameters: bool = False,
    inline_limit: int = DEFAULT_INLINE_LIMIT,
    refine: bool = True,
    open_depth: int | None = None,
    parameter_output: str | os.PathLike[str] | None = None,
    weights: Paths = (),
) -> EncodePreview:
    """Shows what `encode` would do with the same arguments, and writes nothing.

    Raises:
        ModelError, MetadataError, PayloadError, UsageError, InputError: as `encode` would.
    """
    options = Options(parameters, layout, show_parameters, inline_limit, refine, open_depth)
    with ExitStack() as stack:
        prepared, target = _prepare(model, output, metadata, options, weights, stack, None)
        sidecar_path = _sidecar_path(target, parameter_output, parameters)
        sidecar = sidecar_path if prepared.has_sidecar else None
        _check_stored_name(prepared.store_info("", sidecar).file, target)
        placement = prepared.placement
        references = [place.reference(_NO_DIGEST) for place in placement.payloads]
        files = zip(prepared.externals, placement.files, strict=True)
        externals = [ExternalFile(file.location, place.reference(_NO_DIGEST)) for file, place in files]
        counter = _Counter()
        info = prepared.store_info(_NO_DIGEST, sidecar)
        counts, _ = write_graph(prepared, counter, info, _NO_DIGEST, references, externals, None, embed=False)
        outputs = [target] if sidecar is None else [target, sidecar]
        embedded = encoded_size(placement.size) if parameters == "embedded" else 0
        return EncodePreview(
            operators=counts.operators,
            modules=counts.modules,
            coverage=prepared.hierarchy.coverage,
            coverages=dict(prepared.hierarchy.coverages),
            hierarchy_source=prepared.hierarchy.source,
            placements=dict(prepared.hierarchy.rules),
            findings=prepared.findings,
            payloads=len(references) + len(externals),
            payload_bytes=sum(r.length for r in references) + sum(e.content.length for e in externals),
            graphml=target,
            graphml_bytes=counter.size + embedded,
            sidecar=sidecar,
            sidecar_bytes=placement.size if sidecar is not None else 0,
            existing=tuple(path for path in outputs if os.path.lexists(path)),
            weights=weights_found(prepared),
        )


def _prepare(
    model: str | os.PathLike[str] | onnx.ModelProto,
    output: str | os.PathLike[str] | None,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None,
    options: Options,
    weights: Paths,
    stack: ExitStack,
    progress: Progress | None,
) -> tuple[PreparedModel, Path]:
    """Checks the arguments and reads the model; also returns where the GraphML goes."""
    options.check()
    inputs = open_inputs(model, metadata, stack)
    target = _output_path(inputs.path, output)
    _check_reference(inputs.path, target, options.parameters)
    with Stage(progress, "read model", 1, "steps"):
        prepared = prepare(inputs, options, cut_lists=True)
    files = [weights] if isinstance(weights, (str, os.PathLike)) else list(weights)
    return refer_to_weights(prepared, files, target.parent, stack, progress) if files else prepared, target


def _output_path(model: Path | None, output: str | os.PathLike[str] | None) -> Path:
    if output is not None:
        path = Path(output)
        # A folder or a device is refused as what it is. (pathlib raises for a name that is too long.)
        is_something_else = os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113
        return path if path.suffix or is_something_else or not path.name else path.with_name(f"{path.name}.graphml")
    if model is None:
        raise UsageError("a model in memory has no folder", remedy="say where the GraphML goes: `output=...`")
    return model.with_name(f"{model.stem}_hierarchical_graph.graphml")


def _sidecar_path(target: Path, output: str | os.PathLike[str] | None, parameters: ParameterStrategy) -> Path:
    if output is None:
        return with_suffix(target, ".onnxdata")
    path = Path(output)
    if parameters != "sidecar":
        raise UsageError("only a sidecar has a file", file=path, remedy="leave out `parameter_output`")
    if path.parent.resolve() != target.parent.resolve():
        raise UsageError(
            "the sidecar has to lie beside the GraphML", file=path, remedy=f"name it {target.with_name(path.name)}"
        )
    return target.with_name(path.name)


def _check_reference(model: Path | None, target: Path, parameters: ParameterStrategy) -> None:
    if parameters != "reference":
        return
    if model is None:
        raise UsageError("a model in memory has no file to refer to", remedy="use sidecar or embedded")
    if model.parent.resolve() != target.parent.resolve():
        raise UsageError(
            "with `parameters='reference'` the GraphML has to lie beside the model",
            file=target,
            remedy="leave out `output`, or use sidecar or embedded",
        )


def _check_stored_name(name: str | None, target: Path) -> None:
    """Refuses, before anything is written, a name that decode would refuse, as not every system has such names."""
    try:
        if name is not None:
            check_name(name)
    except PayloadError:
        raise UsageError(
            f"the graph cannot refer to a file named {name!r}, as not every system has such names",
            file=target,
            remedy="give it one without colons and backslashes, or use `parameters='embedded'`",
        ) from None


class _Counter:
    """Counts bytes instead of writing them."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self.size += len(data)


def encode_prepared(
    prepared: PreparedModel,
    target: Path,
    stack: ExitStack,
    *,
    overwrite: bool,
    progress: Progress | None,
    self_check: bool,
    sidecar_path: Path | None = None,
    durable: bool = True,
) -> tuple[EncodeResult, LoadedModel | None]:
    """Writes, checks and publishes; see `encode` for the arguments and errors, and `Publication` for ``durable``.

    Returns:
        The result, and the model as the self-check decoded it, for as long as ``stack`` is open.
    """
    sidecar_path = (sidecar_path or with_suffix(target, ".onnxdata")) if prepared.has_sidecar else None
    data_files = [file.path for file in prepared.externals]
    inputs = [*prepared.inputs.files, *data_files]
    publication = stack.enter_context(Publication(overwrite=overwrite, inputs=inputs, durable=durable))
    graph = publication.stage(target)  # first, so that refusals name what the user named
    sidecar = None if sidecar_path is None else publication.stage(sidecar_path)
    _check_stored_name(prepared.store_info("", sidecar_path).file, target)
    store = None
    if sidecar is not None:
        is_large = prepared.placement.size > limits.LIMITS.threads
        descriptor = sidecar.file.fileno() if is_large and sidecar.durable else None
        store = stack.enter_context(Output(sidecar.file, sidecar.path, descriptor))
    sha256, references, externals = move_payloads(prepared, store, progress)
    checksum = ""
    if sidecar is not None and store is not None:
        checksum = sidecar.alias_digest = write_header(prepared, store, sha256, references, externals)
        store.sync()  # the disk works on while the graph is written and checked
    info = prepared.store_info(checksum, sidecar_path)
    with Stage(progress, "write graph", len(prepared.model.graph.node), "operators") as stage:
        counts, residue_bytes = write_graph(
            prepared, Output(graph.file, target), info, sha256, references, externals, stage, embed=True
        )
    checked = check_written(prepared, graph, sidecar, target, stack, progress) if self_check else None
    for source in (prepared.inputs.source, *(file.source for file in prepared.weights)):
        source.check_unchanged()
    with Stage(progress, "publish", 1, "steps"):
        if store is not None:
            store.settle()
        publication.publish()
    result = EncodeResult(
        graphml=target,
        sidecar=sidecar_path,
        sha256=sha256,
        residue_bytes=residue_bytes,
        operators=counts.operators,
        modules=counts.modules,
        coverage=prepared.hierarchy.coverage,
        coverages=dict(prepared.hierarchy.coverages),
        hierarchy_source=prepared.hierarchy.source,
        placements=dict(prepared.hierarchy.rules),
        findings=prepared.findings,
        weights=weights_found(prepared),
    )
    return result, checked
