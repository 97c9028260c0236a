"""What a run of the benchmarks has measured, as the JSON file of the run holds it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGES = ("graphml-onnx", "onnx", "protobuf", "networkx", "lxml", "numpy")


@dataclass(frozen=True, slots=True)
class Row:
    """All runs of a case.

    Attributes:
        name: of the case.
        seconds: one for each turn.
        peaks: peak memory above that of the imports, in KiB, one for each turn; empty where it was not measured.
        baseline: whether ratios refer to it; to the sum, where a group has several.
        operators: how many the case goes through; 0 where that does not matter.
    """

    name: str
    seconds: list[float]
    peaks: list[int]
    baseline: bool = False
    operators: int = 0

    def per_operator(self) -> list[float]:
        """Seconds for each operator, one for each turn."""
        return [seconds / self.operators for seconds in self.seconds]


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that took turns.

    Attributes:
        title: what they work on.
        rows: the cases.
    """

    title: str
    rows: list[Row]

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def baseline(self) -> list[float]:
        """Seconds of what ratios refer to, one for each turn; empty where there is nothing."""
        return self.total([row.name for row in self.rows if row.baseline])

    def total(self, names: list[str]) -> list[float]:
        """Seconds of several cases together, one for each turn."""
        return [sum(turn) for turn in zip(*(self.row(name).seconds for name in names), strict=True)]

    def ratios(self, over: list[str], under: list[str]) -> list[float]:
        """Seconds of some cases in those of others, one for each turn."""
        return [top / bottom for top, bottom in zip(self.total(over), self.total(under), strict=True)]


def _machine() -> dict[str, str]:
    found = {"system": platform.platform(), "cores": str(os.cpu_count()), "python": platform.python_version()}
    return found | {package: version(package) for package in _PACKAGES}


@dataclass(slots=True)
class Run:
    """One run: when, where, and the groups by name."""

    quick: bool
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: dict[str, str] = field(default_factory=_machine)
    groups: dict[str, Group] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Run:
        content = json.loads(path.read_text(encoding="utf-8"))
        groups = {
            name: Group(group["title"], [Row(**row) for row in group["rows"]])
            for name, group in content.pop("groups").items()
        }
        return cls(**content, groups=groups)
