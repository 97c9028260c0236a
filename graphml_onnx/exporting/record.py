"""The record of a finished export: pure data for the metadata, the report and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.errors import GraphmlOnnxError
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.results import EncodeResult
    from graphml_onnx.support.notices import Notice
    from graphml_onnx.support.strictjson import Json

ExporterName: TypeAlias = Literal["dynamo", "torchscript"]

Match: TypeAlias = Literal["direct", "parent", "operation", "root"]
"""How exact a rule is, in the terms of HTP metadata.

``direct``: the module that ran the operator; ``parent``: a module around it; ``operation``: the module of a
neighbouring operator; ``root``: no other rule applies, the root module.
"""


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """A rule by which operators are placed in modules.

    Attributes:
        name: a word or two for a table; unique among the rules of an export.
        meaning: a description of the rule in one line.
        match: how exact it is.
    """

    name: str
    meaning: str
    match: Match


@dataclass(frozen=True, slots=True)
class ExporterRecord:
    """The exporter, and how it was called.

    Attributes:
        name: the name of PyTorch's exporter.
        versions: versions of the packages involved, by their name: ``{"torch": "2.13.0"}``.
        opset_version: of the default domain, in the ONNX file.
        folds_constants: whether the exporter computed constant parts of the graph.
        embeds_tags: whether the operators in the ONNX file have their tags.
        execution_steps: calls of hooks while the model ran; 0 if the tree was not traced.
    """

    name: ExporterName
    versions: Mapping[str, str]
    opset_version: int
    folds_constants: bool
    embeds_tags: bool
    execution_steps: int


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The PyTorch model.

    Attributes:
        source: the user's argument: a folder, a hub name, ``package.module:callable``, a file.
        class_name: class of the root module, without the package.
        framework: library of that class: ``transformers``, ``torch``, or the package that it comes from.
        torch_modules: number of all its torch modules, including the root and those that never ran.
        parameters: number of its parameters, in elements; shared ones count once.
        model_type: as its config names the architecture, if it has one.
        task: the task of the export, if known.
    """

    source: str
    class_name: str
    framework: str
    torch_modules: int
    parameters: int
    model_type: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """An input or output of the model.

    Attributes:
        name: its name in the ONNX graph.
        dtype: name of the type in torch, without the package: ``int64``.
        shape: its dimensions, a name for one that is dynamic; the shape of the example for an input.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """An operator, which has the tag of its module.

    Attributes:
        name: its name; in the main graph not empty, and unique (`onnx_output.name_operators` makes it so).
        op_type: its type, with the domain in front if that is not the default one.
        module: index of its module in `ExportRecord.modules`.
        rule: the rule that placed it there.
        in_body: whether it is in a body of control flow, and not in the main graph.
    """

    name: str
    op_type: str
    module: int
    rule: PlacementRule
    in_body: bool = False


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that the export wrote.

    Attributes:
        role: what it is: ``onnx_model``, ``onnx_data``, ``metadata``, ``report``, ``graphml``, ``parameters``;
            unique in an export.
        path: relative to the folder of the ONNX file, with ``/``.
        size: in bytes; None before it is written, as for the file that contains the record.
        sha256: digest of its content in hexadecimal digits, or None as for the size.
    """

    role: str
    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the export.

    Attributes:
        name: the steps of HTP metadata are ``model_preparation``, ``input_generation``, ``hierarchy_building``,
            ``onnx_export``, ``node_tagging`` and ``tag_injection``; there may be others.
        seconds: how long it took.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One finished export.

    Attributes:
        exporter: the exporter.
        model: the PyTorch model.
        input_method: where the example inputs come from: ``from_config``, ``specs``, ``provided``.
        inputs: inputs of the ONNX graph.
        outputs: outputs of the ONNX graph.
        modules: the module tree: parents before their children, siblings in the order of their first run; module 0
            is the root, whose scope is empty. Scopes and tags are unique.
        operators: all operators in the order of the graph, those of a body after the one that holds it.
        files: files that were written, the ONNX file first.
        steps: steps in the order in which they ran, one after the other.
        findings: findings, one line each, with a code.
        idle: paths and classes of the modules that never ran, and are not in the tree.
        options: the options, as keyword arguments of `graphml_onnx.export`, without defaults.
    """

    exporter: ExporterRecord
    model: ModelRecord
    input_method: str
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    modules: tuple[Module, ...]
    operators: tuple[OperatorRecord, ...]
    files: tuple[FileRecord, ...]
    steps: tuple[StepRecord, ...]
    findings: tuple[Notice, ...] = ()
    idle: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, Json] = field(default_factory=dict)

    @property
    def exact(self) -> float:
        """Percentage (0 to 100) of the operators in exactly the module that ran them; 0 without operators."""
        direct = sum(operator.rule.match == "direct" for operator in self.operators)
        return 100.0 * direct / len(self.operators) if self.operators else 0.0


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Outcome of `export`.

    Attributes:
        onnx: the ONNX file.
        external: data files beside it, of a model that is too large for one file.
        metadata: the HTP metadata.
        report: the report, if it was asked for.
        graphml: the result of the GraphML step; None if it was not requested, or failed.
        graphml_error: why the GraphML step failed, if it did; all other files exist anyway.
        sha256: SHA-256 of the ONNX file, in lower-case hexadecimal digits.
        nodes: operators, including those in bodies of control flow; each has a module.
        modules: modules of the tree.
        exact: percentage (0 to 100) of the operators in exactly the module that ran them, not in one that a fallback
            chose; 0 for a model without operators.
        placements: operators by the rule that placed them.
        seconds: time of each step.
        findings: findings, one line each, with a code.
        printed: what the model and the exporter printed meanwhile.
        record: the whole export, as in the report.
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
    findings: tuple[Notice, ...]
    printed: str = field(repr=False)
    record: ExportRecord = field(repr=False)
