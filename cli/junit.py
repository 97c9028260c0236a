"""The outcome of `verify` as JUnit XML, the report that continuous integration services read."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .show import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .outcome import Outcome


def document(outcomes: Sequence[Outcome]) -> bytes:
    """The report, as UTF-8."""
    cases = [case for outcome in outcomes for case in _cases(outcome)]
    suite = ElementTree.Element(
        "testsuite",
        name="g2o verify",
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    suite.extend(cases)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(outcome: Outcome) -> Iterator[ElementTree.Element]:
    model = one_line(str(outcome.model))  # XML knows neither control characters nor lone surrogates
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
