"""Tables of a run, for a terminal and for a document: ``python -m benchmarks.table FILE`` prints Markdown.

With ``--into docs/performance.md``, they take the place of all that stands below the mark there.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.goals import goals
from benchmarks.record import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.goals import Goal
    from benchmarks.record import Group, Row

_KIB, _MB = 1024, 1e6
_MICRO = 1e6
MARK = "<!-- Below: python -m benchmarks.table FILE --into docs/performance.md -->"


def cells(group: Group) -> list[list[str]]:
    """The table of a group, with its heading; a spread is that of the turns."""
    baseline = group.baseline()
    sized = any(row.operators for row in group.rows)
    heading = ["case", "seconds", "min to max"]
    heading += ["ratio", "min to max"] if baseline else []
    heading += ["µs per operator"] if sized else []
    rows = [[*heading, "peak, MB"]]
    for row in group.rows:
        line = [row.name, *_spread(row.seconds)]
        if baseline:
            line += _spread([own / base for own, base in zip(row.seconds, baseline, strict=True)])
        if sized:
            line.append(_number(statistics.median(row.per_operator()) * _MICRO))
        rows.append([*line, _peak(row)])
    return rows


def cells_of_goals(found: list[Goal]) -> list[list[str]]:
    """The table of goals, with its heading."""
    rows = [["work", "goal", "measured", "min to max", "met"]]
    for goal in found:
        unit = f" {goal.unit}" if goal.unit else ""
        median, spread = _spread(goal.values)
        rows.append([goal.work, f"≤ {goal.limit:g}{unit}", f"{median}{unit}", spread, "yes" if goal.met else "no"])
    return rows


def text(rows: list[list[str]]) -> str:
    """A table for a terminal: texts on the left, numbers on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def markdown(rows: list[list[str]]) -> str:
    """A table for a document."""
    heading, *others = rows
    ruler = ["---", *["---:" for _ in heading[1:]]]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ruler, *others))


def title(group: Group) -> str:
    """What a group works on, what its ratios refer to, and how often it was measured."""
    reference = " + ".join(row.name for row in group.rows if row.baseline)
    count = len(group.rows[0].seconds)
    turns = f"{count} turn{'s' if count > 1 else ''}"
    return f"{group.title} ({f'ratios to {reference}; ' if reference else ''}{turns})"


def document(run: Run) -> Iterator[str]:
    """Everything that was measured, as paragraphs of Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    yield f"Measured {run.time}: {facts}."
    if run.quick:
        yield "A quick run, of smaller models: its numbers say nothing of the goals."
    found = goals(run)
    if found:
        yield "### Goals"
        yield markdown(cells_of_goals(found))
    for group in run.groups.values():
        yield f"### {title(group)}"
        yield markdown(cells(group))


def _spread(values: list[float]) -> tuple[str, str]:
    return _number(statistics.median(values)), f"{_number(min(values))} to {_number(max(values))}"


def _number(value: float) -> str:
    """With about three digits."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if value >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"


def _peak(row: Row) -> str:
    return f"{max(row.peaks) * _KIB / _MB:,.1f}" if any(row.peaks) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="+", help="what `python -m benchmarks.bench` has written")
    parser.add_argument("--into", type=Path, help="a document that holds the mark")
    options = parser.parse_args()
    first, *others = [Run.read(path) for path in options.file]
    for other in others:  # groups that were measured alone
        first.groups |= other.groups
    measured = "\n\n".join(document(first)) + "\n"
    if options.into is None:
        print(measured, end="")
        return
    above, mark, _ = options.into.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        parser.error(f"{options.into} has no line {MARK}")
    options.into.write_text(f"{above}{mark}\n\n{measured}", encoding="utf-8")


if __name__ == "__main__":
    main()
