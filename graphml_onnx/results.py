"""What the public functions return, and how they report progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.support.notices import Notice

ParameterStrategy: TypeAlias = Literal["sidecar", "embedded", "reference"]
Layout: TypeAlias = Literal["nested", "flat", "plain"]
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
"""The forms of a GraphML file. `graphml_onnx.graphml.writer` writes them."""
Severity: TypeAlias = Literal["error", "warning", "model", "info"]
Trust: TypeAlias = Literal["nodes", "edges"]
Unit: TypeAlias = Literal["bytes", "operators", "steps"]


class Progress(Protocol):
    """Called during the work; each stage is announced once with ``done`` 0 and closed with ``done`` = ``total``."""

    def __call__(self, stage: str, done: int, total: int, unit: Unit) -> None:
        """Reports that ``done`` of ``total`` units of ``stage`` are done."""


@dataclass(frozen=True, slots=True)
class WeightsFound:
    """The part of a model that a weight file has.

    Attributes:
        file: the safetensors file.
        tensors: the number of the model's tensors in it.
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
        coverage: percentage (0 to 100) of all operators that are in a module below the root, including those of bodies
            and functions.
        coverages: the same by kind of graph: ``main``, ``bodies``, ``functions``.
        hierarchy_source: the first source of the hierarchy: metadata, tags, exporter, names, parameters or repetition;
            none for a model without modules.
        placements: operators by the rule that placed them.
        findings: findings (an unknown tag, metadata of another model), one line each.
        weights: the parts of the model in weight files, if some were given.
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
    findings: tuple[Notice, ...]
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
    findings: tuple[Notice, ...]
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
        metadata: the HTP metadata file, if it was requested.
        external: data files of the model that were written beside it.
        findings: findings, one line each.
        older: the earlier format that it was read from, such as ``format 1.3``; None for a file of this format.
        changed: tensors whose weights differ from the encoded ones, one line each, if edited weights were requested.
        refers_to: the sidecar and weight files that are now the model's external data, if that was requested.
    """

    onnx: Path
    sha256: str
    exact: bool
    metadata: Path | None
    external: tuple[Path, ...]
    findings: tuple[Notice, ...]
    older: str | None = None
    changed: tuple[str, ...] = ()
    refers_to: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a round trip: ``bytes``, ``structure``, ``hierarchy`` or ``numeric``.

    Attributes:
        name: which one.
        passed: whether it ran and found nothing.
        detail: what was found, or why it was skipped.
        skipped: whether it could not run: it neither passed nor failed.
    """

    name: str
    passed: bool
    detail: str
    skipped: bool = False

    @property
    def failed(self) -> bool:
        """Whether it ran and found something."""
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
    findings: tuple[Notice, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.failed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of `validate` in a GraphML file.

    Attributes:
        code: the kind of finding; docs/validation.md lists them all.
        severity: ``error`` if the document is not valid, or does not decode to a valid model; ``warning`` if it
            decodes, but probably not to what you intended; ``model`` for a fault that the model had before it was
            encoded, in a graph that comes back exactly; ``info`` for information.
        line: where it is in the GraphML, counted from 1; None if it has no place there.
        message: what was found, in one line.
        remedy: what to do about it.
    """

    code: str
    severity: Severity
    line: int | None
    message: str
    remedy: str
