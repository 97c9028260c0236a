"""Progress bars on standard error, from the library's reports."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from graphml_onnx.results import Progress, Unit


@contextlib.contextmanager
def shown(*, quiet: bool, title: str = "") -> Iterator[Progress | None]:
    """A callback that draws one bar for each stage; None if nobody would see it.

    The bars are removed at the end, so that only the summary stays.

    Args:
        quiet: draws nothing.
        title: shown before the name of each stage.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"))
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)  # this stream, even while the library captures the output of others
    with Bars(*columns, *times, console=console, transient=True) as bars:
        yield _Drawing(bars, title)


class _Drawing:
    """The callback: a bar for each stage, in the order in which the stages begin."""

    def __init__(self, bars: Bars, title: str) -> None:
        self._bars = bars
        self._title = title
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, unit: Unit) -> None:
        count = _count(done, total, unit)
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(self._title + stage, total=total, count=count)
        self._bars.update(self._tasks[stage], completed=done, total=total, count=count)


def _count(done: int, total: int, unit: Unit) -> str:
    if unit == "bytes":
        from rich.filesize import decimal

        return f"{decimal(done)} of {decimal(total)}"
    return f"{done:,}/{total:,} {unit}"
