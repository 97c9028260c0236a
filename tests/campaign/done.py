"""The progress of a campaign: a file of ranges of numbers, so that a stopped campaign can continue.

Each line is a JSON object: the target, the chunk, the first number, how many, how long it took, and the outcome.
A range is written when all of it is done. Several files can be concatenated.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.campaign.running import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 5000
"""Executions in one range at most, which are lost when a campaign is stopped."""


class Done:
    """The ranges of one target in a file.

    Args:
        file: need not exist; None keeps nothing.
        target: name of the target.
        chunk: the value of ``--chunk``; with another value it is another campaign.
    """

    def __init__(self, file: Path | None, target: str, chunk: int | None = None) -> None:
        self._file = file
        self._about = {"target": target, "chunk": chunk}
        self._ranges: list[tuple[int, int]] = []
        self.total = Outcome()
        """The outcome of all ranges."""
        lines = file.read_text("utf-8").splitlines() if file is not None and file.exists() else []
        for line in lines:
            record = json.loads(line)
            if {name: record[name] for name in self._about} == self._about:
                self._ranges.append((record["first"], record["count"]))
                self.total.add(
                    Outcome(record["count"], Counter(record["words"]), record["failures"], record["seconds"])
                )

    def pending(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are not done, each as its first number and how many."""
        end = first + count
        for start, size in [*sorted(self._ranges), (end, 0)]:
            stop = min(start, end)
            while first < stop:
                block = min(stop - first, BLOCK)
                yield first, block
                first += block
            first = max(first, start + size)

    def add(self, first: int, outcome: Outcome) -> None:
        """Notes a range that is done."""
        self._ranges.append((first, outcome.executions))
        self.total.add(outcome)
        if self._file is not None:
            record = {**self._about, "first": first, "count": outcome.executions, "seconds": round(outcome.seconds, 1)}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record | {"words": outcome.words, "failures": outcome.failures}) + "\n")
