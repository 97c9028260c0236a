"""``g2o inspect`` beside other tools that say what is in a model: ``python -m benchmarks.inspection``.

``--peers PYTHON`` names a Python that has onnx-tool, onnxslim and onnx-card; without it g2o runs alone. Each case is a
whole process, with its imports, and cases take turns. It prints tables: seconds by the clock, processor time of all
threads, and peak memory, each the median of the turns.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import graphs, models

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 120  # seconds
# A process begins with the memory of the one that starts it: this one is small.
_LAUNCHER = """
import json, os, signal, sys, time
null = os.open(os.devnull, os.O_RDWR)
start = time.perf_counter()
silent = [(os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2)]
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=silent)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(int(sys.argv[1]))
_, status, used = os.wait4(child, 0)
took = time.perf_counter() - start
print(json.dumps([took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, os.waitstatus_to_exitcode(status)]))
"""
_ONNX_TOOL = "import sys, numpy, onnx_tool; onnx_tool.model_profile(sys.argv[1], {inputs})"
_INPUTS = {  # onnx-tool runs shapes through a model, and has to be told those of its inputs
    "bert": "{'input_ids': numpy.zeros((1, 128), 'int64')}",
    "operators": "{'x': numpy.zeros((1, 64), 'float32')}",
}


class Run(NamedTuple):
    """What one process took; memory in MB."""

    seconds: float
    processor: float
    memory: float
    code: int


def measured(command: Sequence[str]) -> Run | None:
    """Runs a command, and drops what it prints; None where it takes longer than anybody would wait."""
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(_PATIENCE), *command], capture_output=True, check=True
    )
    run = Run(*json.loads(launched.stdout))
    return None if run.code == -signal.SIGKILL else run


def commands(model: Path, peers: str | None) -> dict[str, Sequence[str]]:
    """What is run with a model, by the name of the case."""
    g2o = [sys.executable, "-m", "graphml_onnx.cli"]
    found: dict[str, Sequence[str]] = {
        "g2o --help": [*g2o, "--help"],
        "g2o inspect": [*g2o, "inspect", str(model)],
        "g2o inspect --stats": [*g2o, "inspect", str(model), "--stats"],
    }
    if peers is not None:
        scripts = Path(peers).parent
        found |= {
            "onnx-tool": [peers, "-c", _ONNX_TOOL.format(inputs=_INPUTS[model.stem]), str(model)],
            "onnxslim --inspect": [str(scripts / "onnxslim"), "--inspect", str(model)],
            "onnx-card": [str(scripts / "onnx-card"), str(model)],
        }
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--peers", metavar="PYTHON", help="a Python that has onnx-tool, onnxslim and onnx-card")
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--operators", type=int, default=100_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in (
            models.bert_base(Path(folder) / "bert.onnx"),
            graphs.tree(Path(folder) / "operators.onnx", given.operators),
        ):
            cases = commands(model, given.peers)
            runs: dict[str, list[Run]] = {name: [] for name in cases}
            for _ in range(given.turns):
                for name in [*cases]:
                    if (run := measured(cases[name])) is not None:
                        runs[name].append(run)
                    else:
                        del cases[name]
            print(f"\n{model.name}, {model.stat().st_size / 1e6:,.0f} MB; {given.turns} turns, medians\n")
            print("| case | s | processor, s | peak, MB | |\n| --- | ---: | ---: | ---: | --- |")
            for name, found in runs.items():
                if name not in cases:
                    print(f"| {name} | > {_PATIENCE} | | | stopped |", flush=True)
                    continue
                cells = [f"{statistics.median(run[place] for run in found):,.2f}" for place in range(2)]
                memory = statistics.median(run.memory for run in found)
                said = "" if all(run.code == 0 for run in found) else f"ends with {found[-1].code}"
                print(f"| {name} | {' | '.join(cells)} | {memory:,.0f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
