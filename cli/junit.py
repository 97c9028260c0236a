"""Results of `verify` and `validate` as JUnit XML for continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .findings_reports import level, text
from .show import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .findings_reports import Validated
    from .outcome import Outcome


def document(outcomes: Sequence[Outcome]) -> bytes:
    """The report of `verify`, as UTF-8."""
    cases = [case for outcome in outcomes for case in _cases(outcome)]
    return _document("g2o verify", cases, sum(outcome.seconds for outcome in outcomes))


def of_findings(files: Sequence[Validated], *, strict: bool) -> bytes:
    """The report of `validate`, as UTF-8: a case for each file, which fails if a finding is an error."""
    cases = []
    for file in files:
        case = ElementTree.Element("testcase", classname=one_line(str(file.graph)), name="validate")
        if file.problem is not None:
            ElementTree.SubElement(case, "error", message=one_line(file.problem.line))
        lines = [
            f"{f.code}, line {f.line or '-'}: {text(f)}" for f in file.findings if level(f, strict=strict) == "error"
        ]
        if lines:
            ElementTree.SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
        cases.append(case)
    return _document("g2o validate", cases)


def _document(name: str, cases: Sequence[ElementTree.Element], seconds: float | None = None) -> bytes:
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
    )
    if seconds is not None:
        suite.set("time", f"{seconds:.3f}")
    suite.extend(cases)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(outcome: Outcome) -> Iterator[ElementTree.Element]:
    model = one_line(str(outcome.model))  # XML has neither control characters nor lone surrogates
    if outcome.failure is not None:
        case = ElementTree.Element("testcase", classname=model, name="verify")
        ElementTree.SubElement(case, "error", message=one_line(outcome.failure.line))
        yield case
    for check in outcome.report.checks if outcome.report else ():
        case = ElementTree.Element("testcase", classname=model, name=check.name)
        if not check.passed:
            kind = "skipped" if check.skipped else "failure"
            ElementTree.SubElement(case, kind, message=one_line(check.detail))
        yield case
