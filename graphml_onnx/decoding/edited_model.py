"""Checks the model of an edited graph; each finding names the line of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.codec.model_check import check_model
from graphml_onnx.codec.node_names import named_by_texts
from graphml_onnx.decoding.records import read_records
from graphml_onnx.graphml.elements import Wanted
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Set
    from pathlib import Path

    from graphml_onnx.graphml.elements import Record
    from graphml_onnx.onnxfile.source import Source

_KEYS = frozenset({"kind", "op_type", "name"})


def findings_of_edited(model: Path, graphml: Source, path: Path, *, infer_shapes: bool) -> tuple[Notice, ...]:
    """Checks a decoded model; each finding is one line.

    Args:
        model: the ONNX file.
        graphml: the GraphML file that it was decoded from.
        path: its name, for messages.
        infer_shapes: see `check_model`.
    """
    complaints = check_model(model, infer_shapes=infer_shapes)
    wanted = {(complaint.op_type, complaint.name) for complaint in complaints if complaint.op_type is not None}
    lines = read_records(graphml, path, Wanted(_KEYS), lambda records: _lines(records, wanted)) if wanted else {}
    found = [(complaint, complaint.line(lines)) for complaint in complaints]
    return tuple(
        Notice("onnx-checker", complaint.text(None if line is None else f"line {line}")) for complaint, line in found
    )


def _lines(records: Iterable[Record], wanted: Set[tuple[str | None, str]]) -> dict[tuple[str | None, str], list[int]]:
    """Lines of operators by type and name."""
    lines: dict[tuple[str | None, str], list[int]] = {}
    for record in records:
        operator = named_by_texts(record.data)
        if operator in wanted and record.data.get("kind") == "op":
            lines.setdefault(operator, []).append(record.line)
    return lines
