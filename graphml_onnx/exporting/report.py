"""Writes the report of an export, in Markdown."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graphml_onnx.exporting.markdown import code_block, inline, table
from graphml_onnx.exporting.tree_text import module_tree_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.exporting.record import ExportRecord, TensorRecord


def report_markdown(record: ExportRecord, started: datetime) -> str:
    """Writes the report; the same record and time give the same text.

    Args:
        record: the export.
        started: when it started, with its time zone.
    """
    sections = (
        f"# Export of {inline(record.model.class_name)}",
        _model(record, started),
        "## Inputs",
        _tensors(record.inputs),
        "## Outputs",
        _tensors(record.outputs),
        "## Module tree",
        code_block(module_tree_lines(record.modules, record.operators)),
        "## Coverage by rule",
        *_coverage(record),
        "## Operators by type",
        _operators(record),
        "## Time",
        _steps(record),
        "## Files",
        _files(record),
        *_findings(record.findings),
    )
    return "\n\n".join(sections) + "\n"


def _model(record: ExportRecord, started: datetime) -> str:
    model, exporter = record.model, record.exporter
    facts = {
        "Model": model.source,
        "Class": model.class_name,
        "Framework": model.framework,
        "Architecture": model.model_type,
        "Task": model.task,
        "Parameters": f"{model.parameters:,}",
        "Modules": f"{model.torch_modules:,}, of which {len(record.modules):,} in the tree",
        "Operators": f"{len(record.operators):,}",
        "Exporter": exporter.name,
        "Opset": str(exporter.opset_version),
        "Tags in the ONNX": "yes" if exporter.embeds_tags else "no",
        "Example inputs": record.input_method,
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(exporter.versions.items())),
        "Started": started.astimezone(UTC).isoformat(sep=" ", timespec="seconds"),
    }
    return table(("Fact", "Value"), [(name, inline(value)) for name, value in facts.items() if value])


def _tensors(tensors: Sequence[TensorRecord]) -> str:
    rows = [
        (inline(tensor.name), inline(tensor.dtype), inline(f"({', '.join(map(str, tensor.shape))})"))
        for tensor in tensors
    ]
    return table(("Name", "Type", "Shape"), rows)


def _coverage(record: ExportRecord) -> tuple[str, str]:
    total = len(record.operators)
    exact = sum(operator.rule.match == "direct" for operator in record.operators)
    rows = [
        (inline(rule.name), inline(rule.meaning), rule.match, f"{count:,}", _percent(count, total))
        for rule, count in Counter(operator.rule for operator in record.operators).most_common()
    ]
    told = (
        f"All {total:,} operators have the tag of a module; {exact:,} ({_percent(exact, total)}) that of the very"
        " module that ran them."
    )
    return told, table(("Rule", "Goes by", "Match", "Operators", "Share"), rows, numbers=("Operators", "Share"))


def _operators(record: ExportRecord) -> str:
    types = Counter(operator.op_type for operator in record.operators)
    rows = [
        (inline(op_type), f"{count:,}", _percent(count, len(record.operators)))
        for op_type, count in sorted(types.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    return table(("Type", "Operators", "Share"), rows, numbers=("Operators", "Share"))


def _steps(record: ExportRecord) -> str:
    total = sum(step.seconds for step in record.steps)
    rows = [
        (inline(step.name.replace("_", " ")), f"{step.seconds:,.3f}", _percent(step.seconds, total))
        for step in record.steps
    ]
    return table(("Step", "Seconds", "Share"), [*rows, ("all", f"{total:,.3f}", "")], numbers=("Seconds", "Share"))


def _files(record: ExportRecord) -> str:
    rows = [
        (
            inline(file.role.replace("_", " ")),
            inline(file.path),
            "" if file.size is None else f"{file.size:,}",
            file.sha256 or "",
        )
        for file in record.files
    ]
    return table(("File", "Path", "Bytes", "SHA-256"), rows, numbers=("Bytes",))


def _findings(findings: Sequence[str]) -> tuple[str, ...]:
    return ("## Findings", "\n".join(f"- {inline(finding)}" for finding in findings)) if findings else ()


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
