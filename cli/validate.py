"""``g2o validate``: checks a GraphML file, and that it decodes."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from graphml_onnx.errors import Category, GraphmlOnnxError, UsageError

from . import exits, failure, junit, options, remote, show
from .findings_reports import Validated, sarif, text, workflow_commands
from .wording import as_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.results import Finding
    from graphml_onnx.support.strictjson import Json

EXAMPLES = """\b
Examples:
  g2o validate model.graphml
  g2o validate graphs/*.graphml --json
  g2o validate saved_by_yed.graphml --parameter-folder weights
  g2o validate graphs/*.graphml --ignore nesting-differs --format github
  g2o validate model.graphml --select store --format sarif > findings.sarif
"""

Format: TypeAlias = Literal["text", "json", "github", "sarif", "junit"]


def validate(
    graphs: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            metavar="GRAPHML...",
            help="The GraphML files.",
            show_default=False,
            callback=remote.all_fetched,
        ),
    ],
    parameter_folder: options.ParameterFolderOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Also check against the schema of what g2o writes (needs xmlschema).")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also fail for faults that the model had before it was encoded.")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="CODE", help="Only findings of this code or layer; may be repeated."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="CODE", help="No findings of this code or layer; may be repeated."),
    ] = None,
    style: Annotated[
        Format, typer.Option("--format", help="What is printed: text, JSON, annotations for GitHub, SARIF, JUnit.")
    ] = "text",
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Check GraphML files layer by layer, and that they decode.

    Each finding has a code; g2o explain CODE explains it. The exit code is 0 if there are
    no errors (warnings are allowed), 1 if there are, or the code of the first file that
    could not be read. Faults that the model had before it was encoded are no errors,
    unless you ask for --strict. Nothing is written.
    """
    if json and style not in ("text", "json"):
        raise UsageError(f"--json contradicts --format {style}", remedy="give one of the two")
    style = "json" if json else style
    is_partial = bool(select or ignore)
    files = []
    for graph in graphs:
        file = _validated(graph, parameter_folder, select, ignore or (), schema=schema)
        files.append(file)
        if file.problem is not None:
            show.err(file.problem.line)
        elif style == "text":
            _show_findings(file, quiet=quiet, is_partial=is_partial)
    match style:
        case "json":
            show.document({"files": [_document(file, strict=strict) for file in files]})
        case "github":
            for line in workflow_commands(files, strict=strict):
                show.out(line)
        case "sarif":
            show.document(sarif(files, strict=strict))
        case "junit":
            show.out(junit.of_findings(files, strict=strict).decode().rstrip())
        case _:
            pass
    return _exit_code(files, strict=strict)


def _validated(
    graph: Path, parameter_folder: Path | None, select: list[str] | None, ignore: "Sequence[str]", *, schema: bool
) -> Validated:
    import graphml_onnx
    from graphml_onnx.validation.codes import codes_of

    codes_of((*(select or ()), *ignore))  # a wrong name is no fault of a file
    try:
        findings = graphml_onnx.validate(
            graph, parameter_folder=parameter_folder, schema=schema, select=select, ignore=ignore
        )
    except GraphmlOnnxError as error:
        return Validated(graph, (), failure.of(error))
    return Validated(graph, findings, None)


def _show_findings(file: Validated, *, quiet: bool, is_partial: bool) -> None:
    graph = file.graph
    for finding in file.findings:
        if finding.severity == "error" or not quiet:
            place = f"{graph}:{finding.line}" if finding.line is not None else str(graph)
            show.out(show.one_line(f"{place}: {finding.severity} {finding.code}: {text(finding)}"))
    if not quiet:
        show.out(show.one_line(f"{graph}: {_summary(file.findings, is_partial=is_partial)}"))


def _summary(findings: "Sequence[Finding]", *, is_partial: bool) -> str:
    counts: Counter[str] = Counter(finding.severity for finding in findings)
    if not counts:
        return "no findings of these codes" if is_partial else "no findings; it comes back exactly as it was encoded"
    named = {"error": "error", "warning": "warning", "model": "fault of the model itself", "info": "note"}
    return ", ".join(show.counted(counts[severity], noun) for severity, noun in named.items() if counts[severity])


def _document(file: Validated, *, strict: bool) -> "Json":
    return {
        "graphml": str(file.graph),
        "valid": file.problem is None and not _has_errors(file.findings, strict=strict),
        "findings": [asdict(finding) | {"remedy": as_options(finding.remedy)} for finding in file.findings],
        "error": None if file.problem is None else file.problem.document(),
    }


def _has_errors(findings: "Sequence[Finding]", *, strict: bool) -> bool:
    return any(finding.severity == "error" or (strict and finding.severity == "model") for finding in findings)


def _exit_code(files: list[Validated], *, strict: bool) -> int:
    """The exit code: findings take precedence over unreadable files, of which the first counts."""
    if any(_has_errors(file.findings, strict=strict) for file in files):
        return exits.CODES[Category.DIFFERENCE]
    return next((file.problem.exit_code for file in files if file.problem is not None), exits.DONE)
