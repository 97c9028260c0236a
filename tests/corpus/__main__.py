"""Encodes and decodes each model with each strategy, prints a table, and exits with 1 if one does not come back."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from graphml_onnx import GraphmlOnnxError, ParameterStrategy, preview, verify
from tests.corpus.packages import INSTALLED, PUBLISHED, NotFetchedError, Package, fetch, installed

FOLDER = Path(__file__).parents[2] / ".corpus"
STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")


@dataclass(frozen=True, slots=True)
class Row:
    """One model, and what became of it."""

    package: Package
    model: str
    size: int
    facts: str
    seconds: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        result = "; ".join(self.problems) or "exact"
        return (
            f"{self.package!s:27} {self.model[-43:]:43} {self.size:11,} {self.facts:36} {self.seconds:7.2f}  {result}"
        )


def check(package: Package, name: str, path: Path) -> Row:
    """Runs a model through all strategies."""
    facts = ""
    problems = []
    start = time.perf_counter()
    try:
        found = preview(path, path.with_suffix(".preview.graphml"))
        facts = f"{found.operators:6,} {found.payloads:8,} {found.hierarchy_source:8} "
        facts += f"{found.modules:5,} {found.coverage:5.1f}"
        for strategy in STRATEGIES:
            report = verify(path, parameters=strategy)
            problems += [f"{strategy}: {failed.detail}" for failed in report.checks if not failed.passed]
            if report.residue_bytes:
                problems.append(f"{strategy}: residue of {report.residue_bytes:,} bytes")
    except GraphmlOnnxError as error:
        problems.append(f"{type(error).__name__}: {error}")
    return Row(package, name, path.stat().st_size, facts, time.perf_counter() - start, tuple(problems))


def main() -> int:
    """Checks everything there is; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where packages are kept (%(default)s)")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{'package':27} {'model':43} {'bytes':>11} {'nodes':>6} {'payloads':8} {'modules':8} {'count':>5} {'%':>5} "
        f"{'seconds':>9}  result"
    )
    rows: list[Row] = []
    skipped = []

    def add(package: Package, models: list[Path], base: Path | None) -> None:
        for path in models:
            name = path.relative_to(base).as_posix() if base else "/".join(path.parts[-2:])
            rows.append(check(package, name, path))
            print(rows[-1], flush=True)

    for package in PUBLISHED:
        try:
            target = fetch(package, folder)
        except NotFetchedError as error:
            skipped.append(f"skipped {package}: {error}")
            continue
        add(package, sorted(target.rglob("*.onnx")), target)
    for name in INSTALLED:
        for package, models in installed(name):
            add(package, models, None)
    failed = [row for row in rows if row.problems]
    print(*skipped, sep="\n", end="\n" if skipped else "")
    print(f"{len(rows) - len(failed)} of {len(rows)} models exact with {', '.join(STRATEGIES)}; residue 0")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
