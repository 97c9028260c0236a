"""Chooses how a GraphML file is read: as this format, or as one of the earlier formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.codec.graph_location import GraphLocation
from graphml_onnx.codec.keys import EMBEDDED_KEY, NESTING, OPERATOR_ROWS, TRUTH_KEYS, WIRING_KEYS
from graphml_onnx.codec.lists import ListsOfDocument
from graphml_onnx.decoding.records import GraphmlFile, LoadedModel, Spool, check_head, load_records
from graphml_onnx.errors import GraphMLError, PayloadError
from graphml_onnx.graphml.elements import Wanted
from graphml_onnx.graphml.reader import Read, read_graphml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.graphml.elements import Batch
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.parameters.transfer import Report
    from graphml_onnx.results import Trust

_DECLARATIONS = 1 << 16  # bytes in which keys are declared; where they are not, more is read
_KIND = re.compile(rb"""\sattr\.name\s*=\s*["']kind["']""")


def load_graphml(
    source: Source,
    path: Path,
    stack: ExitStack,
    report: Report,
    *,
    trust: Trust | None,
    spool_folder: Path,
    parameter_folder: Path | None = None,
    derived_keys: Set[str] = frozenset(),
    derived: Callable[[Iterable[Batch]], Iterable[Batch]] = iter,
    lists: ListsOfDocument | None = None,
) -> LoadedModel:
    """Reads a GraphML file of this format, or of an earlier one.

    Args:
        source: the file.
        path: its name, for messages.
        stack: closes the temporary file of an embedded store.
        report: progress in bytes.
        trust: which side to believe if edges and nodes disagree; see `decode_graph`.
        spool_folder: where an embedded store is unpacked.
        parameter_folder: where the weights of a file of an earlier format are; by default beside it.
        derived_keys: derived keys of nodes to read too.
        derived: takes them out of the stream of nodes; called again if the file is read again.
        lists: long lists of the file, if it was read before.

    Raises:
        GraphMLError: the file is not well-formed, not of this format, incomplete, or contradicts itself.
        PayloadError: an embedded store is not base64, or references lie outside their store.
    """
    edge_keys = WIRING_KEYS if trust == "edges" else frozenset[str]()
    wanted = Wanted(TRUTH_KEYS - {EMBEDDED_KEY} | derived_keys, edge_keys, NESTING, OPERATOR_ROWS)

    lists = ListsOfDocument(source) if lists is None else lists

    def attempt(read: Read) -> LoadedModel:
        spool = Spool(spool_folder, path, stack)
        records = derived(read({EMBEDDED_KEY: spool.feed}, lists))
        return load_records(records, GraphLocation(path), trust, spool.close, lists)

    try:
        check_head(source, path)
        return read_graphml(GraphmlFile(source, report), path, wanted, attempt)
    except (GraphMLError, PayloadError) as error:
        remedy = "correct the text there, or encode the model again"
        if _declares_kind(source):  # so it is not an older format
            raise error.at(file=path, remedy=remedy) from None

        from graphml_onnx.decoding.legacy.reading import load_older  # rarely needed, so imported lazily

        try:
            older = load_older(source, path, parameter_folder)
        except (GraphMLError, PayloadError) as problem:
            raise problem.at(file=path, remedy=remedy) from None
        if older is not None:
            return older
        raise error.at(file=path, remedy=remedy) from None


def _declares_kind(source: Source) -> bool:
    return _KIND.search(source.read(0, min(_DECLARATIONS, source.size))) is not None
