"""What the public functions return, and how they report progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ParameterStrategy: TypeAlias = Literal["sidecar", "embedded", "reference"]
Layout: TypeAlias = Literal["nested", "flat", "plain"]
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
"""The forms of a GraphML file. `graphml_onnx.graphml.writer` writes them."""
Severity: TypeAlias = Literal["error", "warning", "model", "info"]
Trust: TypeAlias = Literal["nodes", "edges"]
Unit: TypeAlias = Literal["bytes", "operators", "steps"]


class Progress(Protocol):
    """Called as work goes on; each stage is announced once with ``done`` 0 and closed with ``done`` = ``total``."""

    def __call__(self, stage: str, done: int, total: int, unit: Unit) -> None:
        """Reports that ``done`` of ``total`` units of ``stage`` are done."""


@dataclass(frozen=True, slots=True)
class WeightsFound:
    """What a weight file has of a model.

    Attributes:
        file: the safetensors file.
        tensors: how many of the model's tensors it has.
        bytes: their size in the model.
    """

    file: Path
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """Outcome of `encode`.

    Attributes:
        graphml: the GraphML file.
        sidecar: the file of payloads beside it, or None (embedded, reference, or a model without payloads).
        sha256: SHA-256 of the source file, in lower-case hexadecimal digits.
        residue_bytes: size of the patch that a non-canonical file needs; 0 for every ordinary model.
        operators: operators of the main graph and of all its subgraphs and functions.
        modules: modules of the hierarchy.
        coverage: percentage (0 to 100) of all operators that stand in a module below the root, those of bodies and
            functions included.
        coverages: the same by kind of graph: ``main``, ``bodies``, ``functions``.
        hierarchy_source: where the hierarchy comes from first: metadata, tags, exporter, names, parameters or
            repetition; none for a model without modules.
        placements: operators by the rule that placed them.
        findings: what a reader should know (an unknown tag, metadata of another model), one line each.
        weights: what the weight files have of the model, where some were given.
    """

    graphml: Path
    sidecar: Path | None
    sha256: str
    residue_bytes: int
    operators: int
    modules: int
    coverage: float
    coverages: Mapping[str, float]
    hierarchy_source: str
    placements: Mapping[str, int]
    findings: tuple[str, ...]
    weights: tuple[WeightsFound, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodePreview:
    """What `encode` would do with the same arguments.

    Attributes:
        operators: see `EncodeResult`.
        modules: see `EncodeResult`.
        coverage: see `EncodeResult`.
        coverages: see `EncodeResult`.
        hierarchy_source: see `EncodeResult`.
        placements: see `EncodeResult`.
        findings: see `EncodeResult`.
        payloads: how many payloads and data files there are.
        payload_bytes: their size in bytes.
        graphml: where the GraphML would go.
        graphml_bytes: its size in bytes.
        sidecar: where the sidecar would go, or None.
        sidecar_bytes: its size in bytes.
        existing: which of these files exist already.
        weights: see `EncodeResult`.
    """

    operators: int
    modules: int
    coverage: float
    coverages: Mapping[str, float]
    hierarchy_source: str
    placements: Mapping[str, int]
    findings: tuple[str, ...]
    payloads: int
    payload_bytes: int
    graphml: Path
    graphml_bytes: int
    sidecar: Path | None
    sidecar_bytes: int
    existing: tuple[Path, ...]
    weights: tuple[WeightsFound, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """Outcome of `decode`.

    Attributes:
        onnx: the model file.
        sha256: SHA-256 of that file.
        exact: whether it is byte-identical to the file that was encoded; False after an edit of the graph.
        metadata: the HTP metadata file, if it was asked for.
        external: data files of the model that were written beside it.
        findings: what a reader should know, one line each.
        older: the earlier format that it was read from, such as ``format 1.3``; None for a file of this format.
        changed: tensors whose weights are not those that were encoded, one line each, if edited weights were asked for.
        refers_to: the sidecar and weight files that are the model's external data now, if that was asked for.
    """

    onnx: Path
    sha256: str
    exact: bool
    metadata: Path | None
    external: tuple[Path, ...]
    findings: tuple[str, ...]
    older: str | None = None
    changed: tuple[str, ...] = ()
    refers_to: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a round trip: ``bytes``, ``structure``, ``hierarchy`` or ``numeric``.

    Attributes:
        name: which one.
        passed: whether it was made, and found nothing.
        detail: what was found, or why it was skipped.
        skipped: whether it could not be made: it neither passed nor failed.
    """

    name: str
    passed: bool
    detail: str
    skipped: bool = False

    @property
    def failed(self) -> bool:
        """Whether it was made, and found something."""
        return not (self.passed or self.skipped)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference between a model and its round trip."""

    offset: int
    path: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Outcome of `verify`.

    Attributes:
        model: the model file.
        parameters: the strategy that was used.
        sha256: SHA-256 of the model file.
        checks: each check with its result, in the order in which they ran.
        difference: where the round trip differs first, if it does.
        residue_bytes: see `EncodeResult`.
        operators: see `EncodeResult`.
        modules: see `EncodeResult`.
        coverage: see `EncodeResult`.
        findings: see `EncodeResult`.
    """

    model: Path
    parameters: ParameterStrategy
    sha256: str
    checks: tuple[Check, ...]
    difference: Difference | None
    residue_bytes: int
    operators: int
    modules: int
    coverage: float
    findings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.failed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that `validate` found in a GraphML file.

    Attributes:
        code: which kind of finding; docs/validation.md lists them all.
        severity: ``error`` where the document is not valid, or does not come back as a valid model; ``warning`` where
            it decodes, but probably not to what was intended; ``model`` for what the encoded model brought along, in
            a graph that comes back exactly; ``info`` for what is only good to know.
        line: where it is in the GraphML, counted from 1; None where it is no place in it.
        message: what was found, in one line.
        remedy: what to do about it.
    """

    code: str
    severity: Severity
    line: int | None
    message: str
    remedy: str
