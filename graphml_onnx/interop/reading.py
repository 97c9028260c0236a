"""Makes a networkx graph of a model: an ONNX file, a GraphML file, or a model in memory."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import onnx

from graphml_onnx.codec.keys import EMBEDDED_KEY, KEYS, NESTING
from graphml_onnx.decoding.legacy.reading import load_older
from graphml_onnx.decoding.records import GraphmlFile, check_head
from graphml_onnx.encoding.payloads import move_payloads
from graphml_onnx.encoding.prepare import DEFAULT_INLINE_LIMIT, Inputs, Options, open_inputs, prepare
from graphml_onnx.encoding.write import graph_encoder
from graphml_onnx.errors import GraphMLError, PayloadError, UsageError
from graphml_onnx.graphml.elements import Wanted, one_by_one
from graphml_onnx.graphml.reader import Read, read_graphml
from graphml_onnx.interop.assembling import proto_of
from graphml_onnx.interop.records import model_of
from graphml_onnx.interop.sink import NetworkxSink, fill
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters.embedded import Base64Decoder

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

FOLDER_ATTRIBUTE = "parameter_folder"
"""On the model's node, in networkx only: the folder of ``parameter_file``."""

_HEAD = 64  # bytes
_NODE_KEYS = frozenset(name for name, info in KEYS.items() if info.key.scope == "node")
_EDGE_KEYS = frozenset(KEYS) - _NODE_KEYS


def to_networkx(
    model_or_graphml: str | os.PathLike[str] | onnx.ModelProto,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    show_parameters: bool = False,
    inline_limit: int = DEFAULT_INLINE_LIMIT,
) -> nx.MultiDiGraph[str]:
    """Makes a networkx graph of a model; `from_networkx` turns it back into the model.

    For a graph to analyse, with attributes by name, see `ModelGraph.to_networkx`.

    A node's key is its ``node_id``. Its data are the keys of docs/format.md as Python values: strings, integers, and
    for JSON lists and dicts (``inputs``, ``attributes``, ``type``, …). ``parent`` names the compound that contains the
    node. Edges have ``tensor_name``, ``input_index`` and, if the model has them, ``tensor_type`` and ``tensor_shape``
    (a list; a dimension is an integer, a name, or None).

    The graph has no large weights. For an ONNX file, and for a GraphML with its sidecar, they stay in the file. The
    model's node names it (``parameter_file`` and ``parameter_folder``) with the SHA-256 of each weight, and
    `from_networkx` reads them there. For a model in memory, and for a GraphML with embedded weights, the model's node
    has them as bytes (``parameter_data``), which copies of the graph share.

    Args:
        model_or_graphml: an ONNX file, a GraphML file, or a model in memory. For GraphML of the earlier formats 1.1 to
            1.3, the graph is that of the decoded model.
        metadata: HTP metadata of the model, as for `encode`; a GraphML file already has its modules.
        show_parameters: whether initializers are nodes, in the module that owns them; a GraphML file has decided.
        inline_limit: up to how many bytes tensors are lists of numbers; a GraphML file has decided.

    Raises:
        ModelError: the model is no ONNX, damaged, or too large for protobuf; its external data are missing.
        GraphMLError: the GraphML is damaged, not of this format, or of an earlier one that lacks what a model needs.
        PayloadError: embedded weights are not base64.
        MetadataError: the metadata are not HTP metadata.
        UsageError: metadata are given for a GraphML file.
        InputError: a file is missing or may not be read.
    """
    with ExitStack() as stack:
        if isinstance(model_or_graphml, onnx.ModelProto):
            inputs = open_inputs(model_or_graphml, metadata, stack)
            return _of_model(inputs, Options("embedded", "nested", show_parameters, inline_limit))
        path = Path(model_or_graphml)
        source = stack.enter_context(FileSource.open(path))
        if _is_xml(source):
            if metadata is not None:
                raise UsageError("a GraphML file already has its modules", file=path, remedy="leave out metadata")
            try:
                return _of_graphml(source, path)
            except GraphMLError:
                older = load_older(source, path)
                if older is None:
                    raise
                inputs = open_inputs(proto_of(older, path.parent, stack), None, stack)
                return _of_model(inputs, Options("embedded", "nested", show_parameters, inline_limit))
        inputs = open_inputs(path, metadata, stack)
        return _of_model(inputs, Options("reference", "nested", show_parameters, inline_limit))


def _is_xml(source: FileSource) -> bool:
    head = source.read(0, min(_HEAD, source.size))
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _of_model(inputs: Inputs, options: Options) -> nx.MultiDiGraph[str]:
    options.check()
    work = prepare(inputs, options)
    sha256, references, externals = move_payloads(work, None, None)
    info = work.store_info("", None)
    # A link may lead to another folder, and to a file of another name.
    path = None if inputs.path is None or info.file is None else inputs.path.resolve()
    if path is not None:
        info = info._replace(file=path.name)
    encoder, _ = graph_encoder(work, info, sha256, references, externals, embed=True)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    encoder.emit(NetworkxSink(graph), lambda _: None)
    if path is not None:
        model_of(graph)[FOLDER_ATTRIBUTE] = str(path.parent)
    return graph


def _of_graphml(source: FileSource, path: Path) -> nx.MultiDiGraph[str]:
    wanted = Wanted(_NODE_KEYS - {EMBEDDED_KEY}, _EDGE_KEYS, NESTING)
    check_head(source, path)
    graph = read_graphml(GraphmlFile(source, lambda _: None), path, wanted, lambda read: _attempt(read, path))
    model = model_of(graph)
    if "parameter_file" in model:
        model[FOLDER_ATTRIBUTE] = str(path.resolve().parent)
    return graph


def _attempt(read: Read, path: Path) -> nx.MultiDiGraph[str]:
    embedded = io.BytesIO()
    decoder = Base64Decoder(embedded)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    try:
        fill(graph, one_by_one(read({EMBEDDED_KEY: decoder.feed})), path)
        decoder.close()
    except PayloadError as error:
        raise error.at(file=path, place=EMBEDDED_KEY) from None
    if decoder.size:
        model_of(graph)[EMBEDDED_KEY] = embedded.getvalue()
    return graph
