"""What `export` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.errors import GraphmlOnnxError
    from graphml_onnx.results import EncodeResult


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Outcome of `export`.

    Attributes:
        onnx: the ONNX file.
        external: data files beside it, of a model that is too large for one file.
        metadata: the HTP metadata.
        report: the report, if it was asked for.
        graphml: what the GraphML step made; None if it was not asked for, or failed.
        graphml_error: why the GraphML step failed, if it did; all other files are there nevertheless.
        sha256: SHA-256 of the ONNX file, in lower-case hexadecimal digits.
        nodes: operators of the main graph; each of them has a module.
        modules: modules of the tree.
        exact: percentage (0 to 100) of the operators that are in the very module that ran them, and not in one that
            a fallback chose; 0 for a model without operators.
        placements: operators by the rule that placed them.
        seconds: time of each step.
        findings: what a reader should know, one line each.
    """

    onnx: Path
    external: tuple[Path, ...]
    metadata: Path
    report: Path | None
    graphml: EncodeResult | None
    graphml_error: GraphmlOnnxError | None
    sha256: str
    nodes: int
    modules: int
    exact: float
    placements: Mapping[str, int]
    seconds: Mapping[str, float]
    findings: tuple[str, ...]
