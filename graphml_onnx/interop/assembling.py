"""Builds a model with its payloads in memory, from a graph or a file of an earlier format."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx.decoding.payloads import naming, open_payloads
from graphml_onnx.errors import GraphMLError, ModelError, PayloadError
from graphml_onnx.onnxfile.skeleton import MAX_SKELETON
from graphml_onnx.parameters.transfer import assemble, check_payloads

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.decoding.records import LoadedModel


def proto_of(model: LoadedModel, folder: Path, stack: ExitStack) -> onnx.ModelProto:
    """The model with its payloads, in memory.

    Args:
        model: the model, read from a graph.
        folder: where the file of its payloads is.
        stack: closes that file.

    Raises:
        PayloadError: the file of payloads is missing, or was changed.
        ModelError: the model has 2 GiB or more.
        GraphMLError: it could not be read back.
    """
    try:
        return onnx.ModelProto.FromString(_assemble(model, folder, stack))
    except DecodeError as error:
        raise GraphMLError(f"the model could not be read back: {error}", remedy="undo the last edit") from None


def _assemble(model: LoadedModel, folder: Path, stack: ExitStack) -> bytes:
    if model.size > MAX_SKELETON:
        raise ModelError(
            f"the model has {model.size:,} bytes; a ModelProto holds less than 2 GiB",
            remedy="write the graph as GraphML, and decode it to a file",
        )
    try:
        store = open_payloads(model, folder, stack)
    except PayloadError as error:
        remedy = "give the folder of the file that the graph was made from: parameter_folder"
        raise PayloadError(error.message, file=error.file, place=error.place, remedy=remedy) from None
    content = io.BytesIO()
    references = store.located_by_number(model.references)
    with naming(None, store.source):
        found = assemble(model.pieces(), references, store.source, content.write, lambda _: None, threaded=False)
        if found != model.sha256:
            check_payloads(references.values(), store.source)
    return content.getvalue()
