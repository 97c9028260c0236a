"""Checks the result of decoding a document: the encoded file, an edited model, or nothing.

Source: docs/format.md, sections "Payloads" and "Residue".
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.model_check import check_skeleton
from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.onnxfile.skeleton import MarkerError
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.store import Store
from graphml_onnx.parameters.transfer import assemble
from graphml_onnx.support import limits
from graphml_onnx.validation.codes import OF_THE_MODEL
from graphml_onnx.validation.store import (
    check_data_files,
    check_payloads,
    check_ranges,
    join_weights,
    open_payloads,
    read_store_facts,
)

if TYPE_CHECKING:
    from contextlib import ExitStack

    from graphml_onnx.codec.lists import ListsOfDocument
    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.validation.content import Content
    from graphml_onnx.validation.findings import Findings
    from graphml_onnx.validation.store import StoreFacts


def check_outcome(
    source: Source,
    path: Path,
    folder: Path,
    content: Content,
    stack: ExitStack,
    findings: Findings,
    lists: ListsOfDocument | None = None,
) -> None:
    """Decodes the document without writing a model, and checks its payloads.

    Args:
        source: the document, as it is.
        path: its name.
        folder: where its payloads are.
        content: its nodes.
        stack: closes what is opened.
        findings: collects the findings.
        lists: long lists of the document, if it was read as it is.
    """
    model = _load(source, path, stack, findings, lists)
    line = None if content.model is None else content.model.line
    payloads = content.references if model is None else model.references
    facts = read_store_facts(content.texts, payloads.values(), line, findings)
    if facts is None:
        return
    store = _open(facts, model, folder, stack, findings)
    check_data_files(facts, folder, findings)
    if store is None:
        return
    if model is None:
        check_payloads(facts, store, findings)
    else:
        _compare(model, facts, store, content, findings)


def _load(
    source: Source, path: Path, stack: ExitStack, findings: Findings, lists: ListsOfDocument | None
) -> LoadedModel | None:
    """The model, with the nodes' inputs if edges disagree; None if there is no model."""
    spool_folder = Path(tempfile.gettempdir())
    try:
        return load_graphml(source, path, stack, _ignore, trust="nodes", spool_folder=spool_folder, lists=lists)
    except GraphmlOnnxError as error:
        findings.add("not-decodable", line_of(error), f"does not come back as ONNX: {error.message}", error.remedy)
        return None


def line_of(error: GraphmlOnnxError) -> int | None:
    """The line that an error names, if it names one."""
    number = (error.place or "").removeprefix("line ")
    return int(number) if number.isascii() and number.isdigit() else None


def _ignore(_: int) -> None:
    pass


def _drop(_: bytes) -> None:
    pass


def _open(
    facts: StoreFacts, model: LoadedModel | None, folder: Path, stack: ExitStack, findings: Findings
) -> Store | None:
    if model is not None and model.embedded is not None:
        store = Store(model.embedded)  # whose ranges were checked when it was loaded
        return join_weights(store, facts, folder, stack, findings)
    before = findings.count("payload-range")
    check_ranges(facts, facts.info.size, findings)
    if findings.count("payload-range") > before:
        return None
    return open_payloads(facts, folder, stack, findings)


def _compare(model: LoadedModel, facts: StoreFacts, store: Store, content: Content, findings: Findings) -> None:
    """Compares the file that decode would write with the encoded one."""
    try:
        threaded = model.size > limits.LIMITS.threads
        references = store.located_by_number(model.references)
        found = assemble(model.pieces(), references, store.source, _drop, _ignore, threaded=threaded)
    except (MarkerError, WireError, GraphmlOnnxError) as error:
        findings.add("not-decodable", facts.line, f"does not come back as ONNX: {error}")
        return
    damaged = findings.count("payload-digest")
    check_payloads(facts, store, findings)
    if found == model.sha256:
        findings.take_for_inherited(OF_THE_MODEL)
    elif findings.count("payload-digest") == damaged:
        encoded = f"that of the encoded file is {model.sha256 or 'not there'}"
        findings.add("edited", facts.line, f"comes back as an edited model: its SHA-256 is {found}, {encoded}")
        _ask_checker(model, facts, content, findings)


def _ask_checker(model: LoadedModel, facts: StoreFacts, content: Content, findings: Findings) -> None:
    try:
        complaints = check_skeleton(model.with_lists().skeleton, model.nonce)
    except ValueError as error:
        findings.add("not-decodable", facts.line, f"the edited model could not be read back: {error}")
        return
    lines: dict[tuple[str | None, str], list[int]] = {}
    for node in content.nodes if complaints else ():
        if node.kind == "op":
            lines.setdefault((node.op_type, node.name), []).append(node.line)
    for complaint in complaints:
        line = complaint.line(lines)
        findings.add("onnx-checker", facts.line if line is None else line, str(complaint))
