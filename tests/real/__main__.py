"""Fetches the packages, checks each model, prints a table, and exits with 1 unless every model comes back."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.real.check import HEADER, Row, check_model
from tests.real.packages import NotFetchedError, Package, fetch, read_table, record

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "real"
PRODUCERS = ROOT / "fixtures" / "producers"

_MIB = 1 << 20
LEAST = {"models": 60, "producers": 15, "over 1 MiB": 20, "over 20 MiB": 5}
"""The gate must not become smaller by itself."""


def main() -> int:
    """Checks what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="only packages and models with NAME in them")
    parser.add_argument("--all", action="store_true", help="also the packages that packages.toml calls heavy")
    parser.add_argument("--kept-aside", metavar="FOLDER", type=Path, help="the .onnx files of this folder instead")
    parser.add_argument("--record", metavar="NAME==VERSION", help="print what packages.toml would say of a package")
    parser.add_argument("--cache", metavar="FOLDER", type=Path, default=ROOT / ".real", help="default: %(default)s")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="models at a time (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.record:
        print(record(arguments.record))
        return 0
    wanted: list[str] = arguments.only or [""]
    if arguments.kept_aside:
        models, failures = _in_folder(arguments.kept_aside, arguments.kept_aside.name), []
    else:
        packages = _wanted(wanted, heavy=arguments.all or bool(arguments.only))
        models, failures = _published(packages, arguments.cache, arguments.jobs)
        models += [*_in_folder(FIXTURES, "fixtures"), *_in_folder(PRODUCERS, "producers")]
    models = [model for model in models if any(name in f"{model[0]}/{model[1]}" for name in wanted)]
    rows = _check_all(models, arguments.jobs)
    print("", HEADER, *sorted(rows, key=lambda row: (row.producer, row.version, row.origin)), sep="\n")
    counts = _counts(rows)
    if not arguments.only and not arguments.kept_aside:
        failures += [
            f"{name}: {counts[name]} where {least} are the least"
            for name, least in LEAST.items()
            if counts[name] < least
        ]
    failed = sum(bool(row.problems) for row in rows)
    print("", ", ".join(f"{name}: {count}" for name, count in counts.items()), *failures, sep="\n")
    print(f"{len(rows) - failed} passed, {failed + len(failures)} failed")
    return 1 if failed or failures or not rows else 0


_Model = tuple[str, str, Path]  # where it is from, its name there, the file


def _wanted(names: list[str], *, heavy: bool) -> list[Package]:
    packages = []
    for package in read_table():
        if any(name in f"{package}/{model}" for name in names for model in package.models):
            if heavy or not package.heavy:
                packages.append(package)
            else:
                print(f"{package} is left out: it takes too long for every run; --all takes it too")
    return packages


def _published(packages: list[Package], cache: Path, jobs: int) -> tuple[list[_Model], list[str]]:
    """The models of the packages, and a line for each package that could not be had."""
    start = time.perf_counter()
    models: list[_Model] = []
    failures: list[str] = []

    def one(package: Package) -> tuple[Package, list[Path], str]:
        try:
            return package, fetch(package, cache), ""
        except NotFetchedError as error:
            return package, [], f"{package} was not fetched: {error}"

    with ThreadPoolExecutor(jobs) as pool:
        for package, paths, failure in pool.map(one, packages):
            models += [(str(package), path.relative_to(package.folder(cache)).as_posix(), path) for path in paths]
            failures += [failure] if failure else []
    size = sum(path.stat().st_size for _, _, path in models)
    print(
        f"{len(packages) - len(failures)} of {len(packages)} packages, {size / _MIB:,.0f} MiB of models, ready after "
        f"{time.perf_counter() - start:.0f} s",
        *failures,
        sep="\n",
        flush=True,
    )
    return models, failures


def _in_folder(folder: Path, origin: str) -> list[_Model]:
    return [(origin, path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*.onnx"))]


def _check_all(models: list[_Model], jobs: int) -> list[Row]:
    """The rows, in any order; the largest models go first, so that no process ends long after the others."""
    rows = []
    start = time.perf_counter()
    with ProcessPoolExecutor(jobs) as pool:
        by_size = sorted(models, key=lambda model: model[2].stat().st_size, reverse=True)
        for done in as_completed([pool.submit(check_model, *model) for model in by_size]):
            row = done.result()
            rows.append(row)
            told = "; ".join(row.problems) or "exact"
            print(
                f"{time.perf_counter() - start:4.0f} s  {len(rows)}/{len(models)}  {row.origin}/{row.model}  {told}",
                flush=True,
            )
    return rows


def _counts(rows: list[Row]) -> dict[str, int]:
    return {
        "models": len(rows),
        "producers": len({row.producer for row in rows} - {"(unnamed)"}),
        "over 1 MiB": sum(row.size > _MIB for row in rows),
        "over 20 MiB": sum(row.size > 20 * _MIB for row in rows),
    }


if __name__ == "__main__":
    sys.exit(main())
