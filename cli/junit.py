"""The outcome of `verify` as JUnit XML, the report that continuous integration services read."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from graphml_onnx.errors import writing_failed

from .show import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .outcome import Outcome


@contextlib.contextmanager
def reporting(target: Path | None, models: Sequence[Path]) -> Iterator[Callable[[Sequence[Outcome]], None]]:
    """A function that writes the report, one test case for each model and check.

    The target is checked at once, so that a long run does not end with a report that cannot be written. A report
    that exists is replaced whole, in one step.

    Args:
        target: the report; None where none is wanted, and then the function does nothing.
        models: the models, which the report must not replace.

    Raises:
        OutputError: the report cannot be created.
        UsageError: the report is one of the models.
        StorageError: no space is left.
    """
    if target is None:
        yield lambda _: None
        return
    from graphml_onnx.files import Publication

    with Publication(overwrite=True, inputs=models) as publication:
        staged = publication.stage(target)

        def write(outcomes: Sequence[Outcome]) -> None:
            try:
                with io.BufferedWriter(staged.file) as stream:
                    stream.write(document(outcomes))
            except OSError as error:
                raise writing_failed(error, staged.path) from error
            publication.publish()

        yield write


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
