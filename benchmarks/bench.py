"""Speed and memory beside other tools that read or write as much, in the same run: ``python -m benchmarks.bench``.

Each case runs in a process of its own, and the cases of a group take turns, so that what else the machine does hits
all of them alike. A ratio is taken within a turn. Seconds are those of the call, without starting Python, except in
the group ``start``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import models

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
STRATEGIES = ("sidecar", "reference", "embedded")


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure.

    Attributes:
        name: for the table.
        command: the process; one that prints JSON with ``seconds`` and ``peak_kib``, or is timed as a whole.
        outputs: what it writes, removed after each run.
        baseline: whether the ratios of its group refer to it; to the sum, where there are several.
    """

    name: str
    command: list[str]
    outputs: tuple[Path, ...] = ()
    baseline: bool = False


@dataclass(slots=True)
class Measured:
    """All runs of a case."""

    case: Case
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    def ratios(self, baseline: list[float]) -> list[float]:
        return [own / base for own, base in zip(self.seconds, baseline, strict=True)]


def call(name: str, function: str, arguments: dict[str, object], *outputs: Path, baseline: bool = False) -> Case:
    texts = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
    command = [sys.executable, "-m", "benchmarks.measure", function, json.dumps(texts)]
    return Case(name, command, outputs, baseline)


def encode(model: Path, graph: Path, strategy: str, *, check: bool = True) -> Case:
    arguments = {"model": model, "output": graph, "parameters": strategy, "self_check": check}
    name = f"encode {strategy}" + ("" if check else ", no self-check")
    return call(name, "graphml_onnx:encode", arguments, graph, graph.with_suffix(".onnxdata"))


def decode(graph: Path, strategy: str) -> Case:
    output = graph.with_name("decoded.onnx")
    return call(f"decode {strategy}", "graphml_onnx:decode", {"graphml": graph, "output": output}, output)


def peer(name: str, function: str, source: Path, target: Path | None = None, *, baseline: bool = False) -> Case:
    arguments: dict[str, object] = {"source": source}
    if target is not None:
        arguments["target"] = target
    outputs = () if target is None else (target,)
    return call(name, f"benchmarks.peers:{function}", arguments, *outputs, baseline=baseline)


def large_group(folder: Path, *, quick: bool) -> list[Case]:
    model = models.bert_base(folder / "bert.onnx", layers=1 if quick else 12)
    copy = folder / "copy"
    cases = [
        peer("cp", "copy", model, copy, baseline=True),
        peer("SHA-256", "sha256", model, baseline=True),
        peer("cp, and onto the disk", "copy_to_disk", model, copy),
    ]
    for strategy in STRATEGIES:
        cases += [encode(model, folder / "new.graphml", strategy, check=check) for check in (True, False)]
    for strategy in STRATEGIES:
        graph = folder / f"{strategy}.graphml"
        run(encode(model, graph, strategy))
        cases.append(decode(graph, strategy))
    return cases


def graph_group(folder: Path, *, quick: bool) -> list[Case]:
    model = models.many_small_nodes(folder / "many.onnx", 10_000 if quick else 100_000)
    written, text, graph = folder / "networkx.graphml", folder / "many.json", folder / "ours.graphml"
    for case in (
        peer("", "networkx_write", model, written),
        peer("", "protobuf_to_json", model, text),
        encode(model, graph, "sidecar"),
    ):
        run(case)
    new = folder / "new"
    return [
        peer("networkx: build, write_graphml_lxml", "networkx_write", model, new, baseline=True),
        peer("networkx: read_graphml", "networkx_read", written),
        peer("protobuf: to JSON", "protobuf_to_json", model, new),
        peer("protobuf: from JSON", "protobuf_from_json", text, new),
        peer("onnx: load, save", "onnx_load_save", model, new),
        encode(model, folder / "new.graphml", "sidecar"),
        encode(model, folder / "new.graphml", "sidecar", check=False),
        decode(graph, "sidecar"),
    ]


def start_group(folder: Path, *, quick: bool) -> list[Case]:
    del quick  # it is quick
    model = models.small(folder / "small.onnx")
    graph = folder / "small.graphml"
    g2o = [sys.executable, "-m", "graphml_onnx.cli"]
    return [
        Case("python -c 'import onnx'", [sys.executable, "-c", "import onnx"], baseline=True),
        Case("g2o --help", [*g2o, "--help"]),
        Case("g2o encode, 50 operators", [*g2o, "encode", str(model), "--output", str(graph)], (graph,)),
    ]


GROUPS = {"large": large_group, "graph": graph_group, "start": start_group}


def run(case: Case) -> tuple[float, int | None]:
    """Seconds and peak memory in KiB of one run."""
    if sys.platform != "win32":
        os.sync()  # what an earlier run wrote is not written at the cost of this one
    start = time.perf_counter()
    done = subprocess.run(case.command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(case.command)}\n{done.stderr}")
    if "benchmarks.measure" in case.command:
        measured = json.loads(done.stdout)
        return measured["seconds"], measured["peak_kib"]
    return seconds, None


def measure(cases: list[Case], repetitions: int) -> list[Measured]:
    found = [Measured(case) for case in cases]
    for turn in range(repetitions + 1):
        for measured in found:
            seconds, peak = run(measured.case)
            for output in measured.case.outputs:
                output.unlink(missing_ok=True)
            if turn:  # the first only warms the caches
                measured.seconds.append(seconds)
                measured.peaks += [] if peak is None else [peak]
    return found


def report(name: str, found: list[Measured]) -> list[dict[str, object]]:
    """Prints a table; returns what is in it, with every single run."""
    bases = [measured for measured in found if measured.case.baseline]
    baseline = [sum(turn) for turn in zip(*(measured.seconds for measured in bases), strict=True)]
    reference = " + ".join(measured.case.name for measured in bases)
    print(f"\n{name}: ratio to {reference}, {len(baseline)} turns")
    print(f"{'':36} {'seconds':>8} {'min':>7} {'max':>7} {'ratio':>6} {'min':>6} {'max':>6} {'peak MiB':>9}")
    rows: list[dict[str, object]] = []
    for measured in found:
        ratios = measured.ratios(baseline)
        seconds = measured.seconds
        peak = f"{max(measured.peaks) / 1024:9.0f}" if measured.peaks else ""
        print(
            f"{measured.case.name:36} {statistics.median(seconds):8.3f} {min(seconds):7.3f} {max(seconds):7.3f} "
            f"{statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f} {peak}"
        )
        rows.append({"name": measured.case.name, "seconds": seconds, "ratios": ratios, "peak_kib": measured.peaks})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller models, two turns")
    parser.add_argument("--only", choices=GROUPS, help="one group")
    parser.add_argument("--turns", type=int, help="how often each case is measured")
    parser.add_argument("--folder", type=Path, help="where the models are written; needs 4 GB")
    options = parser.parse_args()
    turns = options.turns or (2 if options.quick else 5)
    results: dict[str, object] = {}
    for name in [options.only] if options.only else GROUPS:
        folder = Path(tempfile.mkdtemp(prefix="g2o-bench-", dir=options.folder))
        try:
            results[name] = report(name, measure(GROUPS[name](folder, quick=options.quick), turns))
        finally:
            shutil.rmtree(folder)
    now = datetime.now(UTC)
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    content = {"time": now.isoformat(), "machine": machine, "quick": options.quick, "groups": results}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
