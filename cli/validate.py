"""``g2o validate``: what is wrong with a GraphML file, and whether it decodes."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphml_onnx.errors import Category, GraphmlOnnxError

from . import exits, failure, options, show
from .wording import as_options

if TYPE_CHECKING:
    from graphml_onnx.results import Finding
    from graphml_onnx.support.strictjson import Json

    from .failure import Failure

EXAMPLES = """\b
Examples:
  g2o validate model.graphml
  g2o validate graphs/*.graphml --json
  g2o validate saved_by_yed.graphml --parameter-folder weights
"""


def validate(
    graphs: Annotated[
        list[Path], typer.Argument(readable=False, metavar="GRAPHML...", help="The GraphML files.", show_default=False)
    ],
    parameter_folder: options.ParameterFolderOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Also check against the schema of what g2o writes (needs xmlschema).")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also fail for faults that the model had before it was encoded.")
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Check GraphML files layer by layer, and whether they decode.

    Each finding has a code, which docs/validation.md explains. Ends with 0 if there are
    no errors (warnings are allowed), with 1 if there are, or with the code of the first
    file that could not be read. What the model brought along, in a graph that comes back
    exactly, is no error unless asked for. Nothing is written.
    """
    documents: list[Json] = []
    worst = exits.DONE
    for graph in graphs:
        findings, problem = _validated(graph, parameter_folder, schema=schema)
        if problem is not None:
            show.err(problem.line)
        elif not json:
            _show_findings(graph, findings, quiet=quiet)
        documents.append(_document(graph, findings, problem, strict=strict))
        worst = _worse(worst, findings, problem, strict=strict)
    if json:
        show.document({"files": documents})
    return worst


def _validated(graph: Path, parameter_folder: Path | None, *, schema: bool) -> "tuple[list[Finding], Failure | None]":
    import graphml_onnx

    try:
        return graphml_onnx.validate(graph, parameter_folder=parameter_folder, schema=schema), None
    except GraphmlOnnxError as error:
        return [], failure.of(error)


def _show_findings(graph: Path, findings: "list[Finding]", *, quiet: bool) -> None:
    for finding in findings:
        if finding.severity == "error" or not quiet:
            place = f"{graph}:{finding.line}" if finding.line is not None else str(graph)
            show.out(
                show.one_line(
                    f"{place}: {finding.severity} {finding.code}: {finding.message} ({as_options(finding.remedy)})"
                )
            )
    if not quiet:
        show.out(show.one_line(f"{graph}: {_summary(findings)}"))


def _summary(findings: "list[Finding]") -> str:
    counts: Counter[str] = Counter(finding.severity for finding in findings)
    if not counts:
        return "no findings; it comes back exactly as it was encoded"
    named = {"error": "error", "warning": "warning", "model": "fault of the model itself", "info": "note"}
    return ", ".join(show.counted(counts[severity], noun) for severity, noun in named.items() if counts[severity])


def _document(graph: Path, findings: "list[Finding]", problem: "Failure | None", *, strict: bool) -> "Json":
    return {
        "graphml": str(graph),
        "valid": problem is None and not _has_errors(findings, strict=strict),
        "findings": [asdict(finding) | {"remedy": as_options(finding.remedy)} for finding in findings],
        "error": None if problem is None else problem.document(),
    }


def _has_errors(findings: "list[Finding]", *, strict: bool) -> bool:
    return any(finding.severity == "error" or (strict and finding.severity == "model") for finding in findings)


def _worse(worst: int, findings: "list[Finding]", problem: "Failure | None", *, strict: bool) -> int:
    """A finding weighs more than a file that could not be read, and of these the first counts."""
    if _has_errors(findings, strict=strict):
        return exits.CODES[Category.DIFFERENCE]
    return problem.exit_code if worst == exits.DONE and problem is not None else worst
