"""The result of verifying one model: a report, or the error that prevented one."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.results import VerifyReport

from . import show
from .wording import as_options

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.support.strictjson import Json

    from .failure import Failure


class Outcome(NamedTuple):
    """One model of ``g2o verify``, with either a ``report`` or a ``failure``.

    Attributes:
        model: the file, as given by the user.
        report: the checks, if they could run.
        failure: why they could not.
        seconds: how long it took.
    """

    model: Path
    report: VerifyReport | None
    failure: Failure | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check ran and passed."""
        return self.report is not None and self.report.passed

    def line(self) -> str:
        """The outcome, for people."""
        if self.report is None:
            return f"FAILED  {self.model}: could not be checked"
        details = {check: f"{check.name}: {as_options(check.detail)}" for check in self.report.checks}
        if not self.passed:
            faults = (detail for check, detail in details.items() if check.failed)
            return f"FAILED  {self.model}: {'; '.join(faults)}"
        checks = ", ".join(check.name for check in self.report.checks if check.passed)
        skipped = "".join(f"; skipped {detail}" for check, detail in details.items() if check.skipped)
        return f"ok      {self.model}: {checks} ({show.counted(self.report.operators, 'operator')}){skipped}"

    def document(self) -> dict[str, Json]:
        """The outcome as ``--json`` shows it: the same keys, whether there is a report or not."""
        absent: dict[str, Json] = dict.fromkeys(field.name for field in fields(VerifyReport))
        facts = show.plain(self.report) if self.report else absent
        error = self.failure.document() if self.failure else None
        return facts | {"model": str(self.model), "passed": self.passed, "error": error}
