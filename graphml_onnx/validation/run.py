"""Validates a GraphML file, layer by layer, and continues after a fault if that makes sense."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.keys import EMBEDDED_KEY, NESTING, TRUTH_KEYS
from graphml_onnx.codec.lists import ListsOfDocument
from graphml_onnx.decoding.legacy.reading import load_older
from graphml_onnx.decoding.legacy.recognition import recognise
from graphml_onnx.decoding.records import read_records
from graphml_onnx.documents.document import check_document
from graphml_onnx.errors import GraphMLError
from graphml_onnx.graphml.elements import Wanted
from graphml_onnx.graphml.lists import NotAsWrittenError
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.support.sniff import HEAD, UTF_16, looks_like, unlike_graphml
from graphml_onnx.validation.codes import CODES, codes_of
from graphml_onnx.validation.findings import Findings
from graphml_onnx.validation.flow import EDGE_KEYS, check_flow, dataflow_of
from graphml_onnx.validation.lists import check_lists
from graphml_onnx.validation.names import check_names
from graphml_onnx.validation.nodes import DERIVED, read_nodes
from graphml_onnx.validation.outcome import check_outcome, line_of
from graphml_onnx.validation.repair import Repaired
from graphml_onnx.validation.schema import check_schema
from graphml_onnx.validation.structure import check_structure
from graphml_onnx.validation.tree import check_nesting, check_tree

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from graphml_onnx.documents.document import Document
    from graphml_onnx.graphml.elements import Record
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.results import Finding
    from graphml_onnx.validation.content import Content


def validate(
    graphml: str | os.PathLike[str],
    *,
    parameter_folder: str | os.PathLike[str] | None = None,
    schema: bool = False,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> list[Finding]:
    """Checks a GraphML file: as XML, as GraphML, as a graph of this format, its payloads, and the decoded model.

    Nothing is written. Weights are read in pieces, so their size does not affect memory.

    Args:
        graphml: the GraphML file, as g2o or any other tool wrote it.
        parameter_folder: where the payloads are (the sidecar, or the original model); by default beside the GraphML.
        schema: whether to compare the document with the schema of what g2o writes; needs the package xmlschema, and
            memory for the whole document. Files from other tools rarely follow it, and need not.
        select: codes or layers (``store``) of wanted findings; None for all.
        ignore: codes or layers of findings to leave out of the selected ones.

    Returns:
        The findings, by layer and within each layer by line. Faults of the file are findings, never errors.

    Raises:
        UsageError: ``select`` or ``ignore`` names no code or layer; or with ``schema``, xmlschema is not installed or
            the document has more than 64 MiB.
        InputError: the GraphML file is missing, a directory, or may not be read.
        StorageError: reading failed, or there is no space to unpack embedded payloads in the temporary folder.
    """
    path = Path(graphml)
    folder = path.parent if parameter_folder is None else Path(parameter_folder)
    left_out = codes_of(ignore)
    wanted = (CODES.keys() if select is None else codes_of(select)) - left_out
    findings = Findings()
    with ExitStack() as stack:
        try:
            source = stack.enter_context(FileSource.open(path, GraphMLError))
        except GraphMLError as error:  # a device, or a FIFO
            findings.add("not-graphml", None, error.message)
            return findings.result(wanted)
        if _has_graphml_head(source, findings):
            document = check_document(source, findings.add)
            if document.is_readable and schema:
                check_schema(source, path, findings)
            if document.is_readable:
                _check_content(source, path, folder, document, stack, findings)
    return findings.result(wanted)


def _has_graphml_head(source: Source, findings: Findings) -> bool:
    head = source.read(0, min(HEAD, source.size))
    unlike = unlike_graphml(head)
    if unlike is None:
        return True
    if looks_like(head) == UTF_16:
        findings.add("encoding", 1, "is in another encoding than UTF-8")
    else:
        findings.add("not-graphml", None, *unlike)
    return False


def _check_content(
    source: Source, path: Path, folder: Path, document: Document, stack: ExitStack, findings: Findings
) -> None:
    if not document.keys.has("kind", "node"):
        _check_older(source, path, folder, document, findings)
        return
    repaired = Repaired(source, document.faulty)
    wanted = Wanted(TRUTH_KEYS - {EMBEDDED_KEY} | DERIVED, EDGE_KEYS, NESTING)
    try:
        lists = ListsOfDocument(repaired)
        content, found = read_records(repaired, path, wanted, partial(_nodes, lists), lists)
    except GraphMLError as error:
        findings.add("not-decodable", line_of(error), error.message, error.remedy)
        return
    is_marked = not document.keys.is_bare and document.keys.has("node_id", "node")
    if content.model is None and not content.nodes and not is_marked:
        findings.replace("foreign", "no node is of a kind that this format knows: g2o did not write it")
        return
    findings.extend(found)
    if content.model is not None or content.nodes:
        structure = check_structure(content, findings)
        check_lists(content, structure, findings)
        tensors = dataflow_of(content, structure)
        scopes = tensors.scopes(range(len(structure.compound_of)), structure.outer)
        check_names(content, structure, scopes, findings)
        check_flow(content, structure, tensors, findings)
        check_tree(content, findings)
        check_nesting(content, document, findings)
    check_outcome(source, path, folder, content, stack, findings, None if document.faulty else lists)


def _check_older(source: Source, path: Path, folder: Path, document: Document, findings: Findings) -> None:
    """Checks a document that is not of this format."""
    older = recognise(document)
    if older is None:
        findings.replace("foreign", "it has no key 'kind': g2o did not write it")
        return
    findings.add("older-format", None, f"is of {older.title}")
    try:
        model = load_older(source, path, folder)
    except GraphMLError as error:
        findings.add("not-decodable", line_of(error), f"does not come back as ONNX: {error.message}", error.remedy)
        return
    if model is not None:
        for lack in model.findings:
            findings.add("older-lacks", None, lack)


def _nodes(lists: ListsOfDocument, records: Iterable[Record]) -> tuple[Content, Findings]:
    findings = Findings()
    content = read_nodes(records, findings, lists)
    if not lists.are_all_used:
        raise NotAsWrittenError
    return content, findings
