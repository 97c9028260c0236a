"""Speed and memory beside other tools that read or write as much, in the same run: ``python -m benchmarks.bench``.

Each case runs in a process of its own, and the cases of a group take turns, so that what else the machine does hits
all of them alike. A ratio is taken within a turn. Seconds are those of the call, without starting Python and without
imports, except in the group ``start``. Peak memory is VmHWM above what the imports have taken.

Why no pyperf and no pytest-benchmark: pyperf runs all repetitions of one benchmark before the next, so that a ratio
compares different minutes, and knows the memory of a process only as a whole, sampled; pytest-benchmark runs everything
in one process, whose peak is that of all cases before. Both would still need our runner, which is `runner.py`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import table
from benchmarks.goals import goals
from benchmarks.groups import GROUPS, Setup
from benchmarks.record import Group, Run
from benchmarks.runner import measure

RESULTS = Path(__file__).parent / "results"
_QUICK_TURNS = 1


def measure_group(setup: Setup, place: Path | None, turns: int | None, *, quick: bool) -> Group:
    """Measures a group in a folder of its own, which is removed again."""
    folder = Path(tempfile.mkdtemp(prefix="g2o-bench-", dir=place))
    try:
        turns = turns or (_QUICK_TURNS if quick else setup.turns)
        rows = measure(setup.make(folder, quick), turns, warm_up=setup.warm_up and not quick)
    finally:
        shutil.rmtree(folder)
    return Group(setup.title, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models and one turn, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="some of the groups")
    parser.add_argument("--turns", type=int, help="how often each case is measured")
    parser.add_argument("--folder", type=Path, help="where the models are written; needs 16 GB")
    parser.add_argument("--output", type=Path, help="the JSON file; by default one in benchmarks/results")
    options = parser.parse_args()
    path = options.output or RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    run = Run(options.quick)
    for name in options.only or GROUPS:
        group = measure_group(GROUPS[name], options.folder, options.turns, quick=options.quick)
        run.groups[name] = group
        print(f"\n{name}: {table.title(group)}\n{table.text(table.cells(group))}", flush=True)
        run.write(path)  # a long run that is interrupted has measured something
    found = goals(run)
    if found:
        remark = " (of smaller models than they are meant for)" if run.quick else ""
        print(f"\nGoals{remark}\n{table.text(table.cells_of_goals(found))}")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
