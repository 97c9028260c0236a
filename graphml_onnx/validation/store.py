"""Checks the store of payloads and the data files: that they exist, and match the GraphML.

Source: docs/format.md, sections "Payloads" and "External data".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.codec.externals import ExternalFile, read_externals
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.stores import read_store_info
from graphml_onnx.errors import GraphmlOnnxError, PayloadError
from graphml_onnx.files import candidates
from graphml_onnx.onnxfile.external import open_external
from graphml_onnx.onnxfile.source import BytesSource, FileSource
from graphml_onnx.parameters.store import Store, form_problems, open_store, range_problems, sha256_of
from graphml_onnx.parameters.transfer import check_digest
from graphml_onnx.parameters.weight_files import open_weights, with_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import ExitStack

    from graphml_onnx.parameters.store import PayloadReference, StoreInfo
    from graphml_onnx.validation.findings import Findings


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The payloads and data files that a GraphML describes.

    Attributes:
        info: where the payloads are.
        payloads: the payloads.
        externals: the data files.
        line: of the model's node, which describes them.
    """

    info: StoreInfo
    payloads: Sequence[PayloadReference]
    externals: Sequence[ExternalFile]
    line: int | None

    @property
    def stored(self) -> Sequence[PayloadReference]:
        """Everything in the store."""
        kept = (file.content for file in self.externals if self.info.has_data_files)
        return (*(part for part in self.payloads if part.file is None), *kept)


def read_store_facts(
    texts: Mapping[str, str], payloads: Iterable[PayloadReference], line: int | None, findings: Findings
) -> StoreFacts | None:
    """Reads the store from the model's node; None if it cannot be read."""
    info, problems = read_store_info(texts)
    externals: tuple[ExternalFile, ...] = ()
    try:
        externals = read_externals(texts["external_files"]) if "external_files" in texts else ()
    except NumberError as error:
        problems.append(f"external_files: {error}")
    for problem in problems:
        findings.add("store-value", line, problem)
    if problems:
        return None
    return StoreFacts(info, tuple(payloads), externals, line)


def check_ranges(facts: StoreFacts, size: int, findings: Findings) -> None:
    """Checks that payloads have names in a sidecar, and elsewhere are side by side within their store."""
    for problem in (*form_problems(facts.info.strategy, facts.stored), *range_problems(facts.stored, size)):
        findings.add("payload-range", facts.line, problem)


def open_payloads(facts: StoreFacts, folder: Path, stack: ExitStack, findings: Findings) -> Store | None:
    """Opens the files of payloads, if the graph needs some; None if one cannot be used."""
    store = _open_own(facts, folder, stack, findings)
    return None if store is None else join_weights(store, facts, folder, stack, findings)


def join_weights(store: Store, facts: StoreFacts, folder: Path, stack: ExitStack, findings: Findings) -> Store | None:
    """Adds the weight files to a store; None if one cannot be used."""
    try:
        return with_weights(store, open_weights(folder, facts.payloads, stack))
    except GraphmlOnnxError as error:
        path = Path(error.file or folder)
        if not os.path.lexists(path):
            code = "store-missing"
        elif isinstance(error, PayloadError) and path.is_file() and not path.is_symlink():
            code = "store-header"
        else:
            code = "store-unreadable"
        findings.add(code, facts.line, f"{os.path.relpath(path, folder)!r}: {error.message}", error.remedy)
        return None


def _open_own(facts: StoreFacts, folder: Path, stack: ExitStack, findings: Findings) -> Store | None:
    """Opens the store without weight files."""
    info = facts.info
    if not any(reference.length for reference in facts.stored):
        return Store(BytesSource(b""))
    if info.file is None:
        findings.add("store-value", facts.line, "there are payloads, but parameter_file does not say where")
        return None
    path = folder / info.file
    names = candidates(path, info.checksum) if info.strategy == "sidecar" else (path,)
    if not any(os.path.lexists(name) for name in names):
        findings.add("store-missing", facts.line, f"the file of payloads, {info.file!r}, is missing")
        return None
    try:
        store = open_store(folder, info, facts.stored)
    except GraphmlOnnxError as error:
        findings.add(_code_of(error, path, info), facts.line, f"{info.file!r} {error.message}", error.remedy)
        return None
    stack.callback(store.close)
    name = store.source.path.name if isinstance(store.source, FileSource) else info.file
    if name != info.file:
        findings.add("store-alias", facts.line, f"{info.file!r} has the name {name!r}")
    return store


def _code_of(error: GraphmlOnnxError, path: Path, info: StoreInfo) -> str:
    """The code for an error of the store."""
    try:
        is_plain, size = path.is_file() and not path.is_symlink(), path.stat().st_size
    except OSError:
        return "store-unreadable"
    if not isinstance(error, PayloadError) or not is_plain:
        return "store-unreadable"
    return "store-header" if size == info.size else "store-size"


def check_payloads(facts: StoreFacts, store: Store, findings: Findings) -> None:
    """Compares the digest of every payload and data file in the store."""
    of_files = [part for part in facts.payloads if part.file is not None]
    for reference in map(store.located, (*facts.stored, *of_files)):
        place = f"in {reference.file!r}" if reference.file else f"at byte {reference.offset:,} of the store"
        try:
            check_digest(reference, sha256_of(store.source, reference.offset, reference.end))
        except GraphmlOnnxError as error:
            findings.add("payload-digest", facts.line, f"{place}: {error.message}")


def check_data_files(facts: StoreFacts, folder: Path, findings: Findings) -> None:
    """Compares the data files that stay where they are with their digests."""
    for file in () if facts.info.has_data_files else facts.externals:
        try:
            with open_external(folder, file.location) as source:
                found = sha256_of(source)
        except GraphmlOnnxError as error:
            findings.add("data-file", facts.line, f"{file.location!r}: {error.message}", error.remedy)
            continue
        if found != file.content.sha256:
            message = f"{file.location!r} has SHA-256 {found}, but the GraphML says {file.content.sha256}"
            findings.add("data-file", facts.line, message)
