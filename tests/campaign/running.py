"""Runs a target many times and counts the outcomes."""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

LIMIT_SECONDS = 20
"""Processor time of one execution, before it counts as one that hangs."""

_REPORT_SECONDS = 10.0


class Target(Protocol):
    """What is tried."""

    def attempt(self, number: int) -> str:
        """One execution, always the same for a number; names the outcome in a word.

        Raises:
            Exception: what came of it should not have.
        """


class InputTarget(Target, Protocol):
    """A target whose executions differ in one input file."""

    def make(self, number: int) -> bytes:
        """The input of a number."""

    def check(self, data: bytes) -> str:
        """One execution with any input."""


class Hangs(BaseException):
    """An execution took too long; not an `Exception`, so that no handler in the library takes it for one."""


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        executions: how many there were.
        words: how many of them ended with which word.
        failures: what went wrong, with the number that makes it again.
        seconds: how long all of it took.
    """

    executions: int = 0
    words: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Outcome) -> None:
        """Adds the outcomes of other executions."""
        self.executions += other.executions
        self.words += other.words
        self.failures += other.failures
        self.seconds += other.seconds

    def line(self, name: str, seed: int) -> str:
        """All of it in one line."""
        words = ", ".join(f"{count:,} {word}" for word, count in self.words.most_common())
        rate = self.executions / self.seconds if self.seconds else 0.0
        return (
            f"{name}: {self.executions:,} executions from seed {seed}, {len(self.failures)} failures,"
            f" {self.seconds:.0f} s, {rate:.0f} executions per second ({words})"
        )


def run(
    target: Target,
    count: int,
    seed: int,
    *,
    step: int = 1,
    begins: Callable[[int], object] = lambda _: None,
    seconds: float = float("inf"),
    report: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Attempts ``count`` numbers from ``seed`` on, in this process.

    Args:
        target: what is tried.
        count: how often.
        seed: the first number.
        step: from one number to the next.
        begins: called with each number before its execution.
        seconds: after which it stops earlier.
        report: called every few seconds, and after each failure.
    """
    outcome = Outcome()
    started = told = time.monotonic()
    with _limited() as limit:
        for number in range(seed, seed + count * step, step):
            begins(number)
            limit()
            try:
                word = target.attempt(number)
            except (Exception, Hangs):  # noqa: BLE001 whatever it is, it is a failure to report
                outcome.failures.append(f"seed {number}: {traceback.format_exc(limit=-4)}")
                word = "FAILED"
                if report is not None:
                    report(outcome)
            outcome.executions += 1
            outcome.words[word] += 1
            now = time.monotonic()
            outcome.seconds = now - started
            if outcome.seconds > seconds:
                break
            if report is not None and now - told > _REPORT_SECONDS:
                told = now
                report(outcome)
    return outcome


@contextlib.contextmanager
def _limited() -> Iterator[Callable[[], object]]:
    """Gives the call that starts the time of an execution anew; nothing where the system has no such timer."""
    if not hasattr(signal, "setitimer"):
        yield lambda: None
        return

    def hang(_number: int, _frame: FrameType | None) -> None:
        raise Hangs(f"more than {LIMIT_SECONDS} seconds")

    earlier = signal.signal(signal.SIGPROF, hang)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
