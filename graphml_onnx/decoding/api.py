"""Decodes a GraphML file to the ONNX file that it describes, checks every digest, and publishes the result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.decoding.edited_model import findings_of_edited
from graphml_onnx.decoding.edited_weights import ModelWithWeights, NewTensor, Weights, new_tensors, replace_weights
from graphml_onnx.decoding.external_model import Targets, refer
from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.decoding.output import DataFiles, Folders, check_not_store, write_pieces
from graphml_onnx.decoding.payloads import naming, open_payloads
from graphml_onnx.decoding.records import LoadedModel, check_head
from graphml_onnx.errors import (
    GraphMLError,
    InputError,
    NotExactError,
    PayloadError,
    StorageError,
    UsageError,
    writing_failed,
)
from graphml_onnx.files import Publication, StagedFile, Watch, with_suffix
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.source import FileSource, changed
from graphml_onnx.parameters.store import open_beside
from graphml_onnx.parameters.transfer import assemble, check_payloads
from graphml_onnx.parameters.weight_files import shards_of
from graphml_onnx.results import DecodeResult, Progress, Trust
from graphml_onnx.support import limits
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from graphml_onnx.parameters.store import PayloadReference, Store


_ATTEMPTS = 20
"""How often decode starts again when another program replaces the pair while it is read."""


def decode(
    graphml: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    metadata_output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    require_exact: bool = False,
    trust: Trust | None = None,
    parameter_folder: str | os.PathLike[str] | None = None,
    infer_shapes: bool = False,
    parameters: Weights | None = None,
    edited_weights: bool = False,
    external: bool = False,
) -> DecodeResult:
    """Writes the ONNX file that a GraphML file describes.

    If another program replaces the GraphML and its payloads meanwhile, the new pair is read from the start.

    Args:
        graphml: the GraphML file.
        output: the ONNX file; by default the GraphML's name with the suffix ``.onnx``.
        metadata_output: where to write the HTP metadata file; by default it is not written.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.
        require_exact: raise, and write nothing, unless the result is the file that was encoded.
        trust: which side to believe if edges and the operators' inputs disagree: ``nodes``, or ``edges``, which
            rebuilds the inputs. Without it, such a graph is refused.
        parameter_folder: where the payloads are (the sidecar, or the original model); by default beside the GraphML.
        infer_shapes: whether to run strict shape inference on the model of an edited graph. ``onnx.checker`` checks
            it in any case. The results are among the findings.
        parameters: other weights for the model: a safetensors file, the index of its shards, or arrays, by the names
            of the tensors in the sidecar. All tensors of the model must be there, in the shapes of the graph.
            Floating-point numbers are converted to the type in the graph.
        edited_weights: whether to accept a sidecar that was edited, like `parameters`. Without it, such a sidecar is
            refused.
        external: whether the model refers to the sidecar and weight files as its external data, instead of holding the
            weights. These files must be in the folder of the output, or below it.

    Raises:
        GraphMLError: the GraphML is damaged, incomplete, or not of this format.
        PayloadError: the payloads are missing, or not those that were encoded.
        NotExactError: the graph was edited, and ``require_exact`` is set.
        UsageError: the options contradict each other.
        InputError: a file is missing or may not be read.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path = Path(graphml)
    target = with_suffix(path, ".onnx") if output is None else Path(output)
    options = _Options(
        metadata_output=None if metadata_output is None else Path(metadata_output),
        overwrite=overwrite,
        require_exact=require_exact,
        trust=trust,
        infer_shapes=infer_shapes,
        parameters=parameters,
        edited_weights=edited_weights,
        external=external,
    )
    options.check()
    folder = path.parent if parameter_folder is None else Path(parameter_folder)
    for _ in range(_ATTEMPTS):
        watch = Watch()
        try:
            return _decode(path, target, folder, options, watch, progress)
        except (PayloadError, InputError, StorageError):  # the halves of two pairs look like a damaged one
            if not watch.has_changed():
                raise
    raise changed(path)


def decode_loaded(
    model: LoadedModel | None,
    graphml: Path,
    output: Path,
    folder: Path,
    *,
    require_exact: bool = False,
    progress: Progress | None = None,
) -> DecodeResult:
    """Decodes a pair that nobody else writes, for a check: the output need not outlast a power failure.

    Args:
        model: what was read of the GraphML file already; None reads it.
        graphml: the GraphML file.
        output: the ONNX file, in a temporary folder.
        folder: where the payloads lie.
        require_exact: as for `decode`, which has the errors too.
        progress: called as the work goes on.
    """
    options = _Options(require_exact=require_exact, durable=False)
    return _decode(graphml, output, folder, options, Watch(), progress, model)


class _Options(NamedTuple):
    """The options of `decode`, which describes them, and whether outputs are to outlast a power failure."""

    metadata_output: Path | None = None
    overwrite: bool = False
    require_exact: bool = False
    trust: Trust | None = None
    infer_shapes: bool = False
    parameters: Weights | None = None
    edited_weights: bool = False
    external: bool = False
    durable: bool = True

    @property
    def file(self) -> Path | None:
        """The file with other weights, or the index of its shards."""
        return None if self.parameters is None or isinstance(self.parameters, Mapping) else Path(self.parameters)

    def check(self) -> None:
        """Raises UsageError for options that contradict each other."""
        if self.parameters is not None and self.edited_weights:
            raise UsageError(
                "the weights come from `parameters` or from the sidecar, not both", remedy="leave out one of them"
            )
        if self.external and (self.parameters is not None or self.edited_weights):
            raise UsageError(
                "a model cannot refer to weights that were edited",
                remedy="decode with the edited weights, and encode that model; its sidecar can be referred to",
            )
        if self.external and self.require_exact:
            raise UsageError("a model that refers to its sidecar is not the original", remedy="leave out one of them")


def _decode(
    path: Path,
    target: Path,
    folder: Path,
    options: _Options,
    watch: Watch,
    progress: Progress | None,
    loaded: LoadedModel | None = None,
) -> DecodeResult:
    with ExitStack() as stack:
        watch.note([path])
        source = stack.enter_context(FileSource.open(path, GraphMLError))
        check_head(source, path)  # the model would be both input and output
        folders = stack.enter_context(Folders(target.parent))
        shards = [] if options.file is None else shards_of(options.file)
        outputs = _stage(path, target, options, shards, stack)
        model = loaded or _load(source, path, target.parent, folder, stack, options.trust, progress)
        if outputs.metadata is not None:
            _write_metadata(model, path, outputs.metadata)
        model, store, changed = _with_weights(model, path, folder, options, shards, stack, watch)
        for output in (target, options.metadata_output):
            check_not_store(output, store.source)
        written = _write_model(model, store, changed, path, outputs.model, options, progress)
        data_files = DataFiles(written.model, folder, folders, target)
        with naming(path, store.source):
            data_files.stage(outputs.publication, store, progress)
        outputs.publication.publish(last=outputs.model)
        findings = [*model.findings, *data_files.findings]
        if written.is_edited:
            findings += findings_of_edited(target, source, path, infer_shapes=options.infer_shapes)
    return DecodeResult(
        target,
        written.sha256,
        not written.is_edited and not options.external,
        options.metadata_output,
        data_files.written,
        tuple(findings),
        model.older,
        changed,
        written.refers_to,
    )


class _Outputs(NamedTuple):
    """What is written: the staged files, and the metadata only if they are wanted."""

    publication: Publication
    metadata: StagedFile | None
    model: StagedFile


def _stage(path: Path, target: Path, options: _Options, shards: Sequence[Path], stack: ExitStack) -> _Outputs:
    """Stages in the order of publication: the model comes last, and refusals come before the work."""
    inputs = [path, *filter(None, [options.file]), *shards]
    publication = stack.enter_context(Publication(overwrite=options.overwrite, inputs=inputs, durable=options.durable))
    metadata = None if options.metadata_output is None else publication.stage(options.metadata_output)
    return _Outputs(publication, metadata, publication.stage(target))


def _load(
    source: FileSource,
    path: Path,
    spool_folder: Path,
    folder: Path,
    stack: ExitStack,
    trust: Trust | None,
    progress: Progress | None,
) -> LoadedModel:
    with Stage(progress, "read graph", source.size, "bytes") as stage:
        return load_graphml(
            source, path, stack, stage.advance, trust=trust, spool_folder=spool_folder, parameter_folder=folder
        )


def _with_weights(
    model: LoadedModel,
    path: Path,
    folder: Path,
    options: _Options,
    shards: Sequence[Path],
    stack: ExitStack,
    watch: Watch,
) -> ModelWithWeights:
    """The model with its weights: those that were encoded, or others."""
    try:
        if options.parameters is not None or options.edited_weights:
            return _edited(model, options, shards, folder, stack, watch)
        return ModelWithWeights(model, open_payloads(model, folder, stack, watch), ())
    except PayloadError as error:
        raise error.at(file=path) from None


def _edited(
    model: LoadedModel, options: _Options, shards: Sequence[Path], folder: Path, stack: ExitStack, watch: Watch
) -> ModelWithWeights:
    """The model with other weights."""
    if isinstance(options.parameters, Mapping):
        return replace_weights(model, new_tensors(options.parameters), None)
    if options.file is not None:
        weights: dict[str, NewTensor] = {}
        for shard in shards:
            tensors = new_tensors(stack.enter_context(FileSource.open(shard, PayloadError)))
            twice = min(weights.keys() & tensors.keys(), default=None)
            if twice is not None:
                raise PayloadError(f"an earlier shard has the tensor {twice!r} too", file=shard)
            weights |= tensors
        return replace_weights(model, weights, options.file)
    if model.store.strategy != "sidecar" or model.store.file is None:
        raise PayloadError("there is no sidecar that could have been edited", remedy="name a file with the weights")
    watch.note([folder / model.store.file])
    file = stack.enter_context(open_beside(folder, model.store.file))
    return replace_weights(model, new_tensors(file), file.path)


class _Written(NamedTuple):
    """The model file, before it is published.

    Attributes:
        model: what was written.
        sha256: digest of the file.
        is_edited: whether the file, with its weights, is another than was encoded.
        refers_to: the files that it refers to for its weights.
    """

    model: LoadedModel
    sha256: str
    is_edited: bool
    refers_to: tuple[Path, ...]


def _write_model(
    model: LoadedModel,
    store: Store,
    changed: tuple[str, ...],
    path: Path,
    staged: StagedFile,
    options: _Options,
    progress: Progress | None,
) -> _Written:
    """Writes the model, and checks what an edited one needs.

    Raises:
        NotExactError: it was edited, and must not be.
        GraphMLError: it was edited, and is no model any more.
    """
    references = store.located_by_number(model.references)
    whole = None  # digest of the model that holds its weights
    refers_to: tuple[Path, ...] = ()
    with naming(path, store.source):
        if options.external:
            targets = Targets(store, staged.path.parent)
            whole, model = _referring(model, references, store, targets, progress)
            refers_to = targets.files
        with Stage(progress, "write model", model.size, "bytes") as stage:
            sha256 = write_pieces(model.pieces(), references, store.source, staged, stage, model.size)
    store.source.check_unchanged()
    is_edited = bool(changed) or (whole or sha256) != model.sha256  # a data file is no part of the model's digest
    if is_edited:
        with naming(path, store.source):
            check_payloads(references.values(), store.source)
        _check_edited(model, path, changed, require_exact=options.require_exact, found=sha256)
    return _Written(model, sha256, is_edited, refers_to)


def _referring(
    model: LoadedModel,
    references: Mapping[int, PayloadReference],
    store: Store,
    targets: Targets,
    progress: Progress | None,
) -> tuple[str, LoadedModel]:
    """A model that refers to its weights (their digests are checked), and the digest of the model that holds them."""
    stored = model.externals if model.store.has_data_files else ()
    files = {file.location: store.located(file.content) for file in stored if file.content.name is not None}
    kept = tuple(file for file in model.externals if file.location not in files)
    threaded = model.size > limits.LIMITS.threads
    with Stage(progress, "check weights", model.size, "bytes") as stage:
        found = assemble(model.pieces(), references, store.source, lambda _: None, stage.advance, threaded=threaded)
        check_payloads(
            files.values() if found == model.sha256 else (*references.values(), *files.values()), store.source
        )
    return found, model._replace(skeleton=refer(model, references, files, targets), externals=kept)


def _check_edited(model: LoadedModel, path: Path, changed: tuple[str, ...], *, require_exact: bool, found: str) -> None:
    if require_exact and changed:
        raise NotExactError(
            f"{len(changed):,} tensor{'s were' if len(changed) > 1 else ' was'} edited, the first is {changed[0]}",
            file=path,
            remedy="without `require_exact=True` the edited model is written",
        )
    if require_exact:
        raise NotExactError(
            f"the model has SHA-256 {found}, but {(model.sha256 or 'no digest')[:64]} was encoded",
            file=path,
            remedy="the graph was edited since; without `require_exact=True` the edited model is written",
        )
    try:
        parse_model(model.skeleton)
    except ValueError as error:
        raise GraphMLError(
            f"the edited model could not be read back: {error}", file=path, remedy="undo the last edit"
        ) from None


def _write_metadata(model: LoadedModel, path: Path, staged: StagedFile) -> None:
    if model.metadata is None:
        raise GraphMLError(
            "holds no HTP metadata",
            file=path,
            remedy="encode with `metadata=...` to keep the metadata file in the graph",
        )
    try:
        staged.file.write(model.metadata)
    except OSError as error:
        raise writing_failed(error, staged.path) from error
