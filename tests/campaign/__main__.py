"""The command: runs one target, and prints executions, what came of them, failures, and the seed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.campaign import scratch
from tests.campaign.targets import INPUT_TARGETS, TARGETS
from tests.campaign.workers import run_beside

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
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the input of --seed to FILE, and stop")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="try these inputs, and stop")
    options = parser.parse_args(arguments)
    if options.save or options.replay:
        with scratch.folder() as folder:
            target = INPUT_TARGETS[options.target](folder)
            if options.save:
                options.save.write_bytes(target.make(options.seed))
            for file in options.replay or ():
                print(f"{file}: {target.check(file.read_bytes())}")
        return 0

    shown = 0

    def report(outcome: Outcome) -> None:
        nonlocal shown
        for failure in outcome.failures[shown:]:
            print(failure)
        shown = len(outcome.failures)
        print(outcome.line(options.target, options.seed), flush=True)

    outcome = run_beside(
        TARGETS[options.target], options.count, options.seed, options.jobs, seconds=options.seconds, report=report
    )
    report(outcome)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
