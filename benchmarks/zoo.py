"""Batches and tables beside the library's own work on the same models: ``python -m benchmarks.zoo FOLDER``.

FOLDER holds ONNX models; without it, ONNX's own suites are written to a temporary one. Cases take turns, so that what
else the machine does hits all of them alike; ratios are taken within a turn, and medians over the turns.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

import graphml_onnx
from benchmarks import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def alone(sources: Sequence[Path], target: Path) -> None:
    """The library's own work, one model after the other: encode, and decode what was written."""
    for number, source in enumerate(sources):
        try:
            graph = graphml_onnx.encode(source, target / f"{number}.graphml").graphml
            graphml_onnx.decode(graph, target / "back.onnx", require_exact=True, overwrite=True)
        except graphml_onnx.GraphmlOnnxError as error:
            print(f"  {source.name}: {error}")


def in_batch(folder: Path, target: Path, workers: int) -> None:
    graphml_onnx.batch(folder, target, workers=workers)


def batches(folder: Path, turns: int, scratch: Path) -> None:
    """Encode and verify: alone, in a batch in one process, and in a batch on two."""
    sources = sorted(folder.rglob("*.onnx"))
    cases: dict[str, Callable[[Path], None]] = {
        "alone": lambda target: alone(sources, target),
        "batch, 1 worker": lambda target: in_batch(folder, target, 1),
        "batch, 2 workers": lambda target: in_batch(folder, target, 2),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(turns):
        for name, case in cases.items():
            target = scratch / "target"
            target.mkdir()
            start = time.perf_counter()
            case(target)
            taken[name].append(time.perf_counter() - start)
            shutil.rmtree(target)
    size = sum(path.stat().st_size for path in sources)
    print(f"encode and verify, {len(sources):,} models, {size / 1e6:,.1f} MB, {turns} turns")
    for name, seconds in taken.items():
        print(f"  {name:<18}{statistics.median(seconds):8.2f} s  {', '.join(f'{s:.2f}' for s in seconds)}")
    pairs = list(zip(*taken.values(), strict=True))
    print(f"  2 workers beside 1: {statistics.median(one / two for _, one, two in pairs):.2f} ×")
    print(f"  2 workers beside alone: {statistics.median(own / two for own, _, two in pairs):.2f} ×")
    overhead = statistics.median((one - own) / len(sources) for own, one, _ in pairs)
    print(f"  overhead of a batch: {overhead * 1e3:.2f} ms a model")


def many_models(folder: Path, count: int, target: Path) -> Path:
    """The models of a folder, repeated with changes until there are so many: no two are equal."""
    sources = sorted(folder.rglob("*.onnx"))
    target.mkdir()
    for number in range(count):
        model = onnx.load(sources[number % len(sources)], load_external_data=False)
        entry = model.metadata_props.add()
        entry.key, entry.value = "copy", str(number // len(sources))
        (target / f"{number}.onnx").write_bytes(model.SerializeToString())
    return target


def tables(folder: Path, count: int, scratch: Path) -> None:
    """Tables of so many models, alone and in batches, and the ten questions of docs/tables.md."""
    many = sorted(many_models(folder, count, scratch / "many").glob("*.onnx"))
    zoo = scratch / "zoo"
    start, processor = time.perf_counter(), time.process_time()
    result = graphml_onnx.tables(many, zoo)
    seconds, own = time.perf_counter() - start, time.process_time() - processor
    operators = result.rows["operators"]
    print(f"tables of {len(result.models):,} models with {operators:,} operators")
    print(f"  {seconds:.1f} s, {operators / seconds:,.0f} operators/s, {len(many) / seconds:,.0f} models/s")
    print(f"  {own:.1f} s of processor time, {operators / own:,.0f} operators/s")
    print(f"  {sum(path.stat().st_size for path in zoo.rglob('*.parquet')) / 1e6:.1f} MB of Parquet")
    for workers in (1, 2):
        start = time.perf_counter()
        graphml_onnx.batch(scratch / "many", scratch / f"batch{workers}", do=("tables",), workers=workers)
        seconds = time.perf_counter() - start
        print(f"  batch, workers: {workers}: {seconds:.1f} s, {operators / seconds:,.0f} operators/s")
    questions(zoo, scratch)


def questions(zoo: Path, scratch: Path) -> None:
    import contextlib
    import re

    import duckdb

    text = (Path(__file__).parents[1] / "docs/tables.md").read_text("utf-8")
    connection = duckdb.connect()
    with contextlib.chdir(scratch):
        if zoo.name != "zoo":
            raise ValueError("the queries name zoo/")
        number = 0
        for query in re.findall(r"^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            start = time.perf_counter()
            connection.execute(query).fetchall()
            if not query.startswith("CREATE VIEW"):
                number += 1
                print(f"  question {number:>2}: {time.perf_counter() - start:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="ONNX models; by default ONNX's own suites")
    parser.add_argument("--turns", type=int, default=3, help="how often each case is measured; 0 leaves batches out")
    parser.add_argument("--tables", type=int, default=0, metavar="COUNT", help="tables of so many models too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="g2o-zoo-") as name:
        scratch = Path(name)
        folder = options.folder or models.onnx_test_suite(scratch / "suite", everything=True)
        if options.turns:
            batches(folder, options.turns, scratch)
        if options.tables:
            tables(folder, options.tables, scratch)


if __name__ == "__main__":
    main()
