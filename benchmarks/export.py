"""What the GraphML costs in an export, for all architectures of the tests: ``python -m benchmarks.export``.

Each export runs in a process of its own, as the command does, which exports the model a second time before it ends.
The time of the GraphML is given as a part of the time of the process without it, from its start to its end (the
second export left out); as a part of the other steps, which begin when torch is loaded; and again for the second
export, in which nothing is loaded any more. Each share is taken within a process: machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.export_cell import Export
from benchmarks.runner import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXPORTERS = ("dynamo", "torchscript")
_GOAL = 0.05
_KIB, _MB = 1024, 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """A process.

    Attributes:
        seconds: from its start to its end, without the second export.
        first: the export that it was started for.
        second: the same once more.
    """

    seconds: float
    first: Export
    second: Export

    @property
    def share(self) -> float:
        """The step of the GraphML, as a part of the time of the process without it."""
        return self.first.graphml / (self.seconds - self.first.graphml)


@dataclass(frozen=True, slots=True)
class Cell:
    """An architecture with an exporter: the turns, or why there is none."""

    name: str
    exporter: str
    turns: list[Turn]
    refusal: str | None = None

    def shares(self) -> dict[str, list[float]]:
        """The step of the GraphML as a part of each of three times, one for each turn."""
        return {
            "of the command": [turn.share for turn in self.turns],
            "of the steps": [turn.first.share_of_steps for turn in self.turns],
            "of the steps again": [turn.second.share_of_steps for turn in self.turns],
        }


def measure(name: str, exporter: str, turns: int) -> Cell:
    """Runs the processes of a cell.

    Raises:
        SystemExit: one failed; with what it said.
    """
    done: list[Turn] = []
    for _ in range(turns):
        with tempfile.TemporaryDirectory(prefix="g2o-export-") as folder:
            command = [sys.executable, "-m", "benchmarks.export_cell", name, exporter, folder]
            start = time.perf_counter()
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - start
        if ran.returncode:
            raise SystemExit(f"{' '.join(command)}\n{ran.stderr}")
        told = json.loads(ran.stdout)
        if "refusal" in told:
            return Cell(name, exporter, [], told["refusal"])
        first, second = (Export(**export) for export in told["exports"])
        done.append(Turn(seconds - second.steps - second.graphml, first, second))
    return Cell(name, exporter, done)


def rows(cells: list[Cell]) -> Iterator[list[str]]:
    """The table, with its heading; times and shares are medians, memory is the most of all turns."""
    yield [
        *("architecture", "exporter", "operators", "modules", "tagged, %", "exact, %", "export, s", "GraphML, s"),
        *("of the command, %", "of the steps, %", "of the steps again, %", "peak, MB", "GraphML, MB"),
    ]
    for cell in cells:
        if not cell.turns:
            yield [cell.name, cell.exporter, *["–"] * 11]
            continue
        first = cell.turns[0].first
        yield [
            cell.name,
            cell.exporter,
            *(f"{first.operators:,}", str(first.modules), f"{first.tagged:.1f}", f"{first.exact:.1f}"),
            f"{statistics.median(turn.seconds - turn.first.graphml for turn in cell.turns):.2f}",
            f"{statistics.median(turn.first.graphml for turn in cell.turns):.3f}",
            *(f"{100 * statistics.median(shares):.1f}" for shares in cell.shares().values()),
            f"{max(turn.second.peak_kib for turn in cell.turns) * _KIB / _MB:,.0f}",
            f"{max(turn.first.graphml_kib for turn in cell.turns) * _KIB / _MB:,.1f}",
        ]


def summary(cells: list[Cell]) -> Iterator[str]:
    """What was refused, and how many reach the goal by each measure."""
    for cell in cells:
        if cell.refusal:
            yield f"{cell.name}, {cell.exporter}: {cell.refusal}"
    for exporter in _EXPORTERS:
        done = [cell.shares() for cell in cells if cell.turns and cell.exporter == exporter]
        for work in done[0] if done else ():
            shares = [statistics.median(of[work]) for of in done]
            met = sum(share < _GOAL for share in shares)
            spread = f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"
            yield f"{exporter}: GraphML under {_GOAL:.0%} {work}: {met} of {len(shares)} ({spread})"


def main() -> None:
    from tests.export.architectures import ARCHITECTURES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ARCHITECTURES, metavar="NAME", help="some of the architectures")
    parser.add_argument("--turns", type=int, default=1, help="how often each is exported")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--output", type=Path, help="a JSON file for all that was measured")
    options = parser.parse_args()
    cells: list[Cell] = []
    for name in options.only or ARCHITECTURES:
        for exporter in _EXPORTERS:
            cells.append(measure(name, exporter, options.turns))
            if sys.stderr.isatty():
                print(f"\r{len(cells)}: {name}, {exporter}\033[K", end="", file=sys.stderr, flush=True)
            if options.output:
                options.output.write_text(json.dumps([asdict(cell) for cell in cells], indent=1), encoding="utf-8")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print((table.markdown if options.markdown else table.text)(list(rows(cells))))
    print("\n".join(["", *summary(cells)]))


if __name__ == "__main__":
    main()
