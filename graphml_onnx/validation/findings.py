"""Collects findings: a limited number of each code, so that a file full of faults fits in memory and on a screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from graphml_onnx.results import Finding
from graphml_onnx.validation.codes import CODES, Layer

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_LISTED = 100
"""How many findings of one code are listed one by one."""

_MAX_MESSAGE = 500  # characters
_INHERITED = "nothing for the GraphML: the model was so before it was encoded"


class Findings:
    """The findings of one document."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def add(self, code: str, line: int | None, message: str, remedy: str | None = None) -> None:
        """Adds a finding.

        Args:
            code: a name in `CODES`, which gives severity and remedy.
            line: where it is in the GraphML; None if it has no place there.
            message: what is wrong, in one line.
            remedy: what to do about it, if it is more specific than the table.
        """
        self._counts[code] += 1
        if self._counts[code] <= MAX_LISTED:
            row = CODES[code]
            text = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"
            self._listed.append(Finding(code, row.severity, line, text, remedy or row.remedy))

    def extend(self, others: Findings) -> None:
        """Adds all findings of a part of the document."""
        for code, count in others._counts.items():
            room = max(MAX_LISTED - self._counts[code], 0)
            self._listed += [finding for finding in others._listed if finding.code == code][:room]
            self._counts[code] += count

    def replace(self, code: str, message: str) -> None:
        """Drops the findings so far, which mean nothing after this one."""
        self._listed.clear()
        self._counts.clear()
        self.add(code, None, message)

    def take_for_inherited(self, codes: Collection[str]) -> None:
        """Marks findings of these codes as faults of the encoded model, not of an edit."""
        self._listed = [
            replace(finding, severity="model", remedy=_INHERITED) if finding.code in codes else finding
            for finding in self._listed
        ]

    def count(self, code: str) -> int:
        """How often a code was added."""
        return self._counts[code]

    def result(self, wanted: Collection[str] = CODES.keys()) -> list[Finding]:
        """The findings of the wanted codes, by layer, and within each layer by line."""
        rest = CODES["not-listed"]
        more = [
            Finding(rest.name, rest.severity, None, f"{count - MAX_LISTED:,} more findings of {code}", rest.remedy)
            for code, count in self._counts.items()
            if count > MAX_LISTED and code in wanted and rest.name in wanted
        ]
        listed = [finding for finding in self._listed if finding.code in wanted]
        return sorted([*listed, *more], key=_position)


_LAYERS = get_args(Layer)


def _position(finding: Finding) -> tuple[int, int]:
    return _LAYERS.index(CODES[finding.code].layer), finding.line or 0
