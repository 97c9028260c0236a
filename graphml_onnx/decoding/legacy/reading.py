"""Reads a file of an earlier format as a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graphml_onnx.codec.graph_location import GraphLocation
from graphml_onnx.codec.keys import NESTING
from graphml_onnx.codec.model_check import check_skeleton
from graphml_onnx.decoding.legacy.graph_values import read_graph_values
from graphml_onnx.decoding.legacy.recognition import MODULE_KEYS, OPERATOR_KEYS, TENSOR_KEYS, recognise
from graphml_onnx.decoding.legacy.translation import translate
from graphml_onnx.decoding.records import LoadedModel, load_records, read_records
from graphml_onnx.documents.document import check_document
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import Wanted
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.onnxfile.source import Source


def load_older(source: Source, path: Path, folder: Path | None = None) -> LoadedModel | None:
    """Reads a file of an earlier format; None if it is not one.

    Args:
        source: the file.
        path: its name, for messages.
        folder: where its weights are; by default beside it.

    Returns:
        The model; its findings list what the file lacks.

    Raises:
        GraphMLError: something that a model needs is missing (the message names it), or the model is not valid.
    """
    document = check_document(source, _pass_over)
    older = recognise(document) if document.is_readable else None
    if older is None:
        return None
    older = replace(older, values=read_graph_values(source, path))
    groups = document.groups | set(document.around)
    compounds = frozenset(place for place, number in enumerate(document.order) if number in groups)
    folder = path.parent if folder is None else folder
    wanted = Wanted(OPERATOR_KEYS | MODULE_KEYS, TENSOR_KEYS, NESTING)
    translation = read_records(source, path, wanted, lambda records: translate(older, records, compounds, path, folder))
    store = BytesSource(translation.store) if translation.store else None
    model = load_records(translation.records, GraphLocation(path), "nodes", lambda: store)
    if complaints := check_skeleton(model.skeleton, model.nonce):
        raise GraphMLError(
            f"is of {older.title}, and gives no valid model: {complaints[0]}",
            file=path,
            remedy="encode the model again, or correct the text there",
        )
    lacks = (Notice("older-lacks", f"{older.title} does not say {lack}") for lack in translation.lacks)
    return model._replace(findings=(*model.findings, *lacks), older=older.title)


def _pass_over(code: str, line: int | None, message: str) -> None:
    """Faults of the document count only where nothing can be read."""
