"""The command: runs one target, and prints executions, outcomes, failures, and the seed."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.campaign import scratch
from tests.campaign.done import Done
from tests.campaign.targets import INPUT_TARGETS, TARGETS
from tests.campaign.workers import run_beside
from tests.common.limited import limited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.campaign.running import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs from the command line; 1 where there were failures."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--count", type=int, default=1000, help="how many executions")
    parser.add_argument("--seed", type=int, default=0, help="number of the first execution")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="pass over what FILE says is done, and add to it")
    parser.add_argument("--chunk", type=int, help="bytes at a time; without it sizes of all kinds, chosen by the input")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the input of --seed to FILE, and stop")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="try these inputs, and stop")
    options = parser.parse_args(arguments)
    with limited(options.chunk) if options.chunk else contextlib.nullcontext():
        if options.save or options.replay:
            return _one_input(options)
        return _campaign(options)


def _one_input(options: argparse.Namespace) -> int:
    with scratch.folder() as folder:
        target = INPUT_TARGETS[options.target](folder)
        if options.save:
            options.save.write_bytes(target.make(options.seed))
        for file in options.replay or ():
            print(f"{file}: {target.check(file.read_bytes())}")
    return 0


def _campaign(options: argparse.Namespace) -> int:
    """Everything that is pending, range by range."""
    done = Done(options.resume, options.target, options.chunk)
    end = time.monotonic() + options.seconds
    failed = False
    for first, count in done.pending(options.seed, options.count):
        outcome = run_beside(
            TARGETS[options.target],
            count,
            first,
            options.jobs,
            seconds=end - time.monotonic(),
            report=_Report(options.target, first),
        )
        failed = failed or bool(outcome.failures)
        if outcome.executions == count or options.jobs == 1:
            done.add(first, outcome)
        else:  # by --seconds; which of them were done nobody knows
            done.total.add(outcome)
        if outcome.executions < count:
            break
    print(done.total.line(options.target, options.seed), flush=True)
    return 1 if failed else 0


class _Report:
    """Prints how far a range is, and each failure once."""

    def __init__(self, target: str, first: int) -> None:
        self._target = target
        self._first = first
        self._shown = 0

    def __call__(self, outcome: Outcome) -> None:
        for failure in outcome.failures[self._shown :]:
            print(failure)
        self._shown = len(outcome.failures)
        print(outcome.line(self._target, self._first), flush=True)


if __name__ == "__main__":
    sys.exit(main())
