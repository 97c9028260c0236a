"""The round trip of a model as a check: bytes, structure, hierarchy and, optionally, numbers."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.calls import MOST_TO_RUN, problem_of_calls
from graphml_onnx.codec.lists import ListsOfDocument
from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.scopes import has_weight_inputs
from graphml_onnx.codec.weight_inputs import weight_inputs_of
from graphml_onnx.decoding.api import decode_loaded
from graphml_onnx.decoding.records import read_records
from graphml_onnx.encoding.api import encode_prepared
from graphml_onnx.encoding.prepare import Options, PreparedModel, open_inputs, prepare
from graphml_onnx.errors import GraphMLError, OutputError, RoundTripError, StorageError, UsageError, writing_failed
from graphml_onnx.graphml.elements import NodeRecord, Wanted
from graphml_onnx.inputs.specs import read_input_specs
from graphml_onnx.onnxfile.locate import locate
from graphml_onnx.onnxfile.skeleton import Stored
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.store import PayloadReference, sha256_of
from graphml_onnx.parameters.transfer import first_difference
from graphml_onnx.results import Check, Difference, VerifyReport
from graphml_onnx.support.progress import Stage
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    import onnx

    from graphml_onnx.graphml.elements import Record
    from graphml_onnx.hierarchy import HtpMetadata
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.specs import InputSpec
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.results import EncodeResult, Layout, ParameterStrategy, Progress


_REMOVALS = 3
"""How often removing a temporary folder is tried."""


def verify(
    model: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    numeric: bool = False,
    input_specs: JsonSource | None = None,
    sizes: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Encodes a model, decodes the graph, and compares; all files go to a temporary folder.

    Args:
        model: an ONNX file.
        metadata: HTP metadata, as for `encode`.
        parameters: where payloads go, as for `encode`.
        layout: of the GraphML, as for `encode`.
        numeric: whether to also run both models on the same random inputs; needs onnxruntime. If it cannot run the
            model, this check is skipped, with the reason.
        input_specs: descriptions of inputs for ``numeric``, by name, as for `export`; a JSON file or its content.
            Other inputs follow what WinML's exporter recorded in the model, or the shapes that the model declares.
        sizes: sizes of dynamic dimensions by their names, for inputs without a description.
        progress: called as the work goes on.

    Returns:
        The report with all checks; a difference is reported, not raised.

    Raises:
        ModelError: the model is no ONNX model, or its data files are missing.
        MetadataError: the metadata are not HTP metadata.
        UsageError: ``numeric``, and onnxruntime is not installed; or ``input_specs`` are not of their form, or name an
            input that does not exist; or they or ``sizes`` are given without ``numeric``.
        InputError: a file is missing or may not be read.
        StorageError: the temporary folder is full, or there is none.
    """
    path = Path(model)
    options = Options(parameters, layout)
    options.check()
    specs = None if input_specs is None else read_input_specs(input_specs)
    if specs is not None and not numeric:
        raise UsageError("input_specs are for `numeric=True`", remedy="give both")
    if sizes and not numeric:
        raise UsageError("sizes of dimensions are for `numeric=True`", remedy="give both")
    with ExitStack() as stack:
        inputs = open_inputs(path, metadata, stack)
        with Stage(progress, "read model", 1, "steps"):
            prepared = prepare(inputs, options, cut_lists=True)
        folder = stack.enter_context(_temporary_folder())
        graph = folder / "model.graphml"
        back = folder / "decoded" / "model.onnx"
        back.parent.mkdir()
        try:
            encoded, checked = encode_prepared(
                prepared, graph, stack, overwrite=False, progress=progress, self_check=True, durable=False
            )
        except RoundTripError as error:
            return _refused(path, prepared, error)
        store_folder = path.parent if parameters == "reference" else folder
        # The self-check decoded the same bytes, so only the model remains to be written.
        decode_loaded(checked, graph, back, store_folder, progress=progress)
        checks, difference = _compare_bytes(prepared, back, progress)
        content = _read_content(graph)
        checks.append(_check_structure(prepared.model, content))
        if encoded.hierarchy_source != "none":
            checks.append(_check_hierarchy(inputs.metadata, content, encoded))
        if numeric:
            checks.append(_check_numbers(path, back, prepared, specs, sizes))
    return VerifyReport(
        model=path,
        parameters=parameters,
        sha256=encoded.sha256,
        checks=tuple(checks),
        difference=difference,
        residue_bytes=encoded.residue_bytes,
        operators=encoded.operators,
        modules=encoded.modules,
        coverage=encoded.coverage,
        findings=encoded.findings,
    )


def _check_numbers(
    path: Path,
    back: Path,
    prepared: PreparedModel,
    specs: Mapping[str, InputSpec] | None,
    sizes: Mapping[str, int] | None,
) -> Check:
    from graphml_onnx.verification.numeric import cannot_run, compare_outputs

    if (problem := problem_of_calls(prepared.model, MOST_TO_RUN)) is not None:
        return cannot_run(problem)
    copy = back if not prepared.externals else _beside_data(back, path, prepared)
    return compare_outputs(path, copy, specs, sizes)


def _refused(path: Path, prepared: PreparedModel, error: RoundTripError) -> VerifyReport:
    """The report if encode itself found that the model would not come back."""
    place = f" at {error.place}" if error.place else ""
    return VerifyReport(
        model=path,
        parameters=prepared.options.parameters,
        sha256=sha256_of(prepared.inputs.source),
        checks=(Check("bytes", passed=False, detail=f"{error.message}{place}"),),
        difference=error.difference,
        residue_bytes=0,
        operators=len(prepared.model.graph.node),
        modules=0,
        coverage=prepared.hierarchy.coverage,
        findings=prepared.hierarchy.findings,
    )


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is removed afterwards; errors of writing there have a remedy of their own."""
    remedy = "free some space there, or set TMPDIR to another folder"
    try:
        name = tempfile.mkdtemp(prefix="g2o-verify-")
    except OSError as error:
        raise StorageError(f"no temporary folder: {error.strerror or error}", file="TMPDIR", remedy=remedy) from error
    with _removed(name):
        try:
            yield Path(name)
        except (StorageError, OutputError) as error:
            if error.file is not None and error.file.startswith(name):
                error.remedy = remedy
            raise
        except OSError as error:  # of copying, which names both files
            for file in (error.filename2, error.filename):
                if isinstance(file, str) and file.startswith(name):
                    failed = writing_failed(error, file)
                    failed.remedy = remedy
                    raise failed from error
            raise


@contextmanager
def _removed(folder: str) -> Iterator[None]:
    """Removes a folder in the end."""
    try:
        yield
    finally:
        failed = _remove(folder)
    if failed is not None:
        message = f"cannot be removed: {failed.strerror or failed}"
        raise StorageError(message, file=folder, remedy="remove it, or set TMPDIR to another folder")


def _remove(folder: str) -> OSError | None:
    """Removes a folder with its content. `rmtree` stops at any error, and the next call gets further."""
    failed: OSError | None = None
    for _ in range(_REMOVALS):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            failed = error
        else:
            return None
    return failed


def _compare_bytes(
    prepared: PreparedModel, back: Path, progress: Progress | None
) -> tuple[list[Check], Difference | None]:
    """Raises StorageError if the model has changed since it was encoded: then a difference means nothing."""
    inputs = prepared.inputs
    files = prepared.externals if prepared.options.parameters != "reference" else ()
    checks = []
    first: Difference | None = None
    total = inputs.source.size + sum(file.size for file in files)
    with Stage(progress, "compare", total, "bytes") as stage:
        for file in (None, *files):
            label, copy = ("", back) if file is None else (f" {file.location}", back.parent / file.location)
            with ExitStack() as stack:
                left = inputs.source if file is None else stack.enter_context(file.open())
                offset = _first_difference(left, stack.enter_context(FileSource.open(copy)), stage)
                left.check_unchanged()
                if offset is None:
                    checks.append(Check("bytes" + label, passed=True, detail=f"{left.size:,} bytes are identical"))
                    continue
                where = locate(left, offset) if not label else ""
                first = first or Difference(offset, where)
                detail = f"the first difference is at byte {offset}{f', in {where}' if where else ''}"
                checks.append(Check("bytes" + label, passed=False, detail=detail))
    return checks, first


def _first_difference(left: Source, right: Source, stage: Stage) -> int | None:
    whole = PayloadReference(0, right.size, "")
    return first_difference([Stored(0)], {0: whole}, right, left, stage.advance)


@dataclass(slots=True)
class _Content:
    """The content of the GraphML, read independently of the decoder."""

    kinds: Counter[str] = field(default_factory=Counter)
    tags: dict[str, str] = field(default_factory=dict)  # of modules, by node_id
    operators: list[tuple[str, str, str, str]] = field(default_factory=list)  # name, type, parent, rule


def _read_content(graph: Path) -> _Content:
    wanted = Wanted(frozenset({"kind", "node_id", "parent", "name", "op_type", "traced_tag", "placed_by"}))
    with FileSource.open(graph, GraphMLError) as source:
        return read_records(source, graph, wanted, _content, ListsOfDocument(source))


def _content(records: Iterable[Record]) -> _Content:
    content = _Content()
    for record in records:
        if not isinstance(record, NodeRecord):
            continue
        data = record.data
        content.kinds[data["kind"]] += 1
        if data["kind"] == "module":
            content.tags[data["node_id"]] = unescape(data["traced_tag"])
        elif data["kind"] == "op":
            name, op_type = (unescape(data.get(key, "")) for key in ("name", "op_type"))
            content.operators.append((name, op_type, data["parent"], data.get("placed_by", "")))
    return content


def _check_structure(model: onnx.ModelProto, content: _Content) -> Check:
    expected: Counter[str] = Counter({"model": 1, "function": len(model.functions)})
    weights = has_weight_inputs(model)
    _count(model.graph, expected, weights=weights)
    for function in model.functions:
        _count_operators(function.node, expected, weights=weights)
    found = {kind: content.kinds[kind] for kind in expected}
    wrong = [
        f"{found[kind]} {kind} nodes instead of {count}" for kind, count in expected.items() if found[kind] != count
    ]
    total = ", ".join(f"{count:,} {kind}" for kind, count in expected.items() if count and kind != "model")
    return Check("structure", passed=not wrong, detail="; ".join(wrong) or f"all nodes are there: {total}")


def _count(graph: onnx.GraphProto, counts: Counter[str], *, weights: bool) -> None:
    """Counts the nodes of each kind; with ``weights``, inputs with an initializer do not count as inputs."""
    counts["input"] += len(graph.input) - (len(weight_inputs_of(graph)) if weights else 0)
    counts["output"] += len(graph.output)
    _count_operators(graph.node, counts, weights=weights)


def _count_operators(nodes: Iterable[onnx.NodeProto], counts: Counter[str], *, weights: bool) -> None:
    for node in nodes:
        counts["op"] += 1
        for graph in graphs_of(node):
            counts["subgraph"] += 1
            _count(graph, counts, weights=weights)


def _check_hierarchy(metadata: HtpMetadata | None, content: _Content, encoded: EncodeResult) -> Check:
    source = f"modules from {encoded.hierarchy_source}: {encoded.modules:,}, coverage {encoded.coverage:.1f} %"
    wrong = list(_misplaced(metadata, content)) if metadata is not None else []
    if not wrong:
        return Check("hierarchy", passed=True, detail=source)
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Check("hierarchy", passed=False, detail=f"{wrong[0]}{more}; {source}")


def _misplaced(metadata: HtpMetadata, content: _Content) -> Iterator[str]:
    """Operators that are neither in the module that the metadata names, nor below it, where there is such a module.

    A convolution that was fused with the normalization beside it may be in the module of its own weight, if that is
    what placed it.
    """
    known = set(content.tags.values())
    for name, op_type, parent, rule in content.operators:
        tag = metadata.nodes.get(name) if name else None
        found = content.tags.get(parent, "")
        is_fused = rule == "parameter" and op_type.startswith("Conv")
        is_beside = is_fused and tag and found.rpartition("/")[0] == tag.rpartition("/")[0]
        if tag in known and not is_beside and not f"{found}/".startswith(f"{tag}/"):
            yield f"operator {name!r} is not in the module {tag!r}"


def _beside_data(back: Path, path: Path, prepared: PreparedModel) -> Path:
    """Puts data files where the decoded model needs them; by reference they stay with the original."""
    if prepared.options.parameters != "reference":
        return back
    for file in prepared.externals:
        link = back.parent / file.location
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.hardlink_to(file.path)
        except OSError:  # another file system
            shutil.copyfile(file.path, link)
    return back
