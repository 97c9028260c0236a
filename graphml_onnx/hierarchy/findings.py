"""Findings: counts cases of one kind and reports them in one line with a few examples."""

from __future__ import annotations

from typing import Final

from graphml_onnx.support.notices import Notice, quoted

_EXAMPLES: Final = 3


class Tally:
    """Counts cases of one kind and keeps the first few different ones as examples."""

    __slots__ = ("_code", "_examples", "_subject", "count")

    def __init__(self, code: str, subject: str) -> None:
        self._code = code
        self._subject = subject
        self.count = 0
        self._examples: list[str] = []

    def add(self, example: str) -> None:
        """Counts one case."""
        self.count += 1
        if len(self._examples) < _EXAMPLES and example not in self._examples:
            self._examples.append(example)

    @property
    def lines(self) -> tuple[Notice, ...]:
        """The finding, if there is a case at all."""
        if not self.count:
            return ()
        examples = ", ".join(map(quoted, self._examples))
        return (Notice(self._code, f"{self._subject}: {self.count}, for example {examples}"),)
