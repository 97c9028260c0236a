"""Opens a model as a graph: an ONNX file, a GraphML file of any format, or a model in memory."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import onnx

from graphml_onnx.codec.module_facts import hierarchy_of
from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.decoding.payloads import open_payloads
from graphml_onnx.encoding.prepare import Options, open_inputs, read_skeleton
from graphml_onnx.errors import GraphMLError, UsageError
from graphml_onnx.graph.model_graph import ModelGraph
from graphml_onnx.graph.module_records import HIERARCHY_KEYS, ModuleRecords
from graphml_onnx.graph.shapes import set_sizes
from graphml_onnx.graph.weights import Storage
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.store import PayloadReference, Store
from graphml_onnx.support.sniff import HTML, looks_like

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.hierarchy import Hierarchy
    from graphml_onnx.results import Trust
    from graphml_onnx.support.notices import Notice

_HEAD = 64  # bytes


class LoadedGraph(NamedTuple):
    """A model that was read, for `ModelGraph`.

    Attributes:
        model: the exact message, with markers in place of payloads.
        skeleton: the bytes that it was parsed from.
        storage: where its weights are.
        hierarchy: its modules, and the place of each operator.
        findings: findings, one line each.
        infers_shapes: whether types that the model does not say are to be inferred.
    """

    model: onnx.ModelProto
    skeleton: bytes
    storage: Storage
    hierarchy: Hierarchy
    findings: tuple[Notice, ...]
    infers_shapes: bool = False


def open(  # noqa: A001 as the gzip and tarfile modules name it: graphml_onnx.open
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    infer_shapes: bool = False,
    sizes: Mapping[str, int] | None = None,
    trust: Trust | None = None,
) -> ModelGraph:
    """Opens a model as a graph of modules, operators, tensors and parameters. Weights are not loaded.

    Args:
        model: an ONNX file, a GraphML file (of this format or an earlier one), or a model in memory.
        metadata: HTP metadata, as for `encode`; a GraphML file has its modules already.
        infer_shapes: whether to infer the types and shapes that the model does not say, by ONNX's shape inference; it
            runs when the first of them is asked for.
        sizes: sizes of dynamic dimensions by their names, such as ``{"batch": 1}``; shapes are inferred with them.
        trust: for an edited GraphML file, which side to believe if edges and inputs disagree; see `decode`.

    Raises:
        ModelError: the model is no ONNX, damaged, or too large for protobuf.
        GraphMLError: the GraphML is damaged, or contradicts itself.
        PayloadError: an embedded store is not base64.
        MetadataError: the metadata are not HTP metadata.
        UsageError: metadata are given for a GraphML file, or trust for another.
        InputError: a file is missing or may not be read.
    """
    with ExitStack() as stack:
        path = None if isinstance(model, onnx.ModelProto) else Path(model)
        if path is not None and is_xml(path):
            if metadata is not None:
                raise UsageError("a GraphML file already has its modules", file=path, remedy="leave out metadata")
            loaded = _of_graphml(path, trust, stack)
        elif trust is not None:
            raise UsageError("trust is for GraphML, which has edges", file=path, remedy="leave it out")
        else:
            loaded = _of_model(model, metadata, stack)
        if sizes:
            set_sizes(loaded.model, sizes)
        loaded = loaded._replace(infers_shapes=infer_shapes or bool(sizes))
        return ModelGraph(loaded, path, stack.pop_all())


def is_xml(path: Path) -> bool:
    """Whether a file may be GraphML.

    Raises:
        InputError: it is missing or may not be read.
    """
    with FileSource.open(path) as source:
        head = source.read(0, min(_HEAD, source.size))
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") and looks_like(head) != HTML


def _of_model(
    model: str | os.PathLike[str] | onnx.ModelProto,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None,
    stack: ExitStack,
) -> LoadedGraph:
    inputs = open_inputs(model, metadata, stack)
    read = read_skeleton(inputs, Options("reference"))
    references = {p.offset: PayloadReference(p.offset, p.length, "") for p in read.skeleton.payloads}
    storage = Storage(inputs.path, read.skeleton.nonce, references, lambda: Store(inputs.source), {}, stack)
    hierarchy = hierarchy_of(read.model, read.skeleton.data, inputs.metadata)
    return LoadedGraph(read.model, read.skeleton.data, storage, hierarchy, ())


def _of_graphml(path: Path, trust: Trust | None, stack: ExitStack) -> LoadedGraph:
    modules = ModuleRecords()
    source = stack.enter_context(FileSource.open(path, GraphMLError))
    loaded = load_graphml(
        source,
        path,
        stack,
        lambda _: None,
        trust=trust,
        spool_folder=Path(tempfile.gettempdir()),
        derived_keys=HIERARCHY_KEYS,
        derived=modules.without,
    ).with_lists()
    try:
        model = parse_model(loaded.skeleton)
    except ValueError as error:
        raise GraphMLError(str(error), file=path, remedy="undo the last edit") from None
    if loaded.older is None:
        main, *functions = loaded.parents
        hierarchy = modules.hierarchy(main, functions)
    else:
        hierarchy = hierarchy_of(model, loaded.skeleton, None)
    stored = {f.location: f.content for f in loaded.externals if loaded.store.has_data_files}
    store = partial(_open_store, loaded, path, stack)
    storage = Storage(path, loaded.nonce, loaded.references, store, stored, stack)
    return LoadedGraph(model, loaded.skeleton, storage, hierarchy, loaded.findings)


def _open_store(loaded: LoadedModel, path: Path, stack: ExitStack) -> Store:
    return open_payloads(loaded, path.parent, stack)
