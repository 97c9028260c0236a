"""Findings of `validate` for continuous integration: annotations of GitHub, SARIF 2.1.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from .show import one_line
from .wording import as_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graphml_onnx.results import Finding
    from graphml_onnx.support.strictjson import Json
    from graphml_onnx.validation.codes import Code

    from .failure import Failure

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "model": "note", "info": "note"}  # as SARIF calls them
_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}  # as GitHub calls these


class Validated(NamedTuple):
    """The result of validating one file: findings, or why it could not be read."""

    graph: Path
    findings: Sequence[Finding]
    problem: Failure | None


def level(finding: Finding, *, strict: bool) -> str:
    """The severity in SARIF's terms; ``strict`` makes a fault of the model itself an error."""
    return "error" if strict and finding.severity == "model" else _LEVELS[finding.severity]


def text(finding: Finding) -> str:
    """The message with its remedy, on one line."""
    return one_line(f"{finding.message} ({as_options(finding.remedy)})")


def workflow_commands(files: Sequence[Validated], *, strict: bool) -> Iterator[str]:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    for file in files:
        name = _property(_path(file.graph))
        if file.problem is not None:
            yield f"::error file={name}::{_escaped(file.problem.line)}"
        for finding in file.findings:
            command = _COMMANDS[level(finding, strict=strict)]
            line = "" if finding.line is None else f",line={finding.line}"
            yield f"::{command} file={name}{line},title={_property(finding.code)}::{_escaped(text(finding))}"


def sarif(files: Sequence[Validated], *, strict: bool) -> Json:
    """The findings as a SARIF log of one run, with a rule for each code."""
    from graphml_onnx import __version__
    from graphml_onnx.validation.codes import CODES

    numbers = {name: number for number, name in enumerate(CODES)}
    results: list[Json] = [
        {
            "ruleId": finding.code,
            "ruleIndex": numbers[finding.code],
            "level": level(finding, strict=strict),
            "message": {"text": text(finding)},
            "locations": [_location(file.graph, finding.line)],
        }
        for file in files
        for finding in file.findings
    ]
    problems: list[Json] = [
        {
            "level": "error",
            "message": {"text": one_line(file.problem.line)},
            "locations": [_location(file.graph, None)],
        }
        for file in files
        if file.problem is not None
    ]
    rules: list[Json] = [_rule(code) for code in CODES.values()]
    run: dict[str, Json] = {
        "tool": {"driver": {"name": "g2o", "version": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": not problems, "toolExecutionNotifications": problems}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, Json]:
    return {
        "id": code.name,
        "shortDescription": {"text": code.meaning},
        "fullDescription": {"text": f"{code.why}. Example: {code.example}"},
        "help": {"text": as_options(code.remedy)},
        "defaultConfiguration": {"level": _LEVELS[code.severity]},
        "properties": {"tags": [code.layer]},
    }


def _location(graph: Path, line: int | None) -> Json:
    uri = graph.as_uri() if graph.is_absolute() else quote(_path(graph))
    place: dict[str, Json] = {"artifactLocation": {"uri": uri}}
    if line is not None:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def _path(graph: Path) -> str:
    return one_line(graph.as_posix())


def _escaped(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")
