"""How time and memory grow with hostile input: ``python -m tests.campaign.growth`` prints a table, in Markdown.

Each shape of `tests.campaign.shapes` is read at n, 2n and 4n, each in a process of its own: processor time, the least
of several, and peak memory (VmHWM) above what was there before. The exponent is that of a power of the size in bytes,
between n and 4n; the multiple is bytes of memory for each further byte of input. Ends with 1 where an exponent is 1.2
or more, or a multiple more than SECURITY.md says. Linux only: it forks, and reads /proc.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.campaign import scratch
from tests.campaign.shapes import SHAPES

if TYPE_CHECKING:
    from tests.campaign.shapes import Shape

EXPONENT = 1.2
"""What none may reach."""
_FACTORS = (1, 2, 4)


class Cost(NamedTuple):
    """What one input costs.

    Attributes:
        size: of the input in bytes.
        seconds: of the processor, the least of all runs.
        memory: peak in bytes above what there was before.
    """

    size: int
    seconds: float
    memory: int


def measure(shape: Shape, factor: int, repetitions: int) -> Cost:
    """Reads an input in a process of its own, which has imported everything and read a small one before."""
    data = shape.make(shape.count * factor)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe, scratch.folder() as folder:
            json.dump(_run(shape, data, folder, repetitions), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seconds, memory = json.load(pipe)
    os.waitpid(child, 0)
    return Cost(len(data), seconds, memory)


def _run(shape: Shape, data: bytes, folder: Path, repetitions: int) -> tuple[float, int]:
    shape.run(shape.make(1), folder)
    before = _memory("VmRSS")
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        shape.run(data, folder)
        times.append(time.process_time() - start)
    return min(times), max(0, _memory("VmHWM") - before)


def _memory(name: str) -> int:
    """A figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def exponent(costs: list[Cost]) -> float:
    """The power of the size with which the time grows."""
    first, last = costs[0], costs[-1]
    return math.log(last.seconds / first.seconds) / math.log(last.size / first.size)


def multiple(costs: list[Cost]) -> float:
    """Bytes of memory for each further byte of input."""
    first, last = costs[0], costs[-1]
    return max(0.0, (last.memory - first.memory) / (last.size - first.size))


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.growth", description=__doc__)
    parser.add_argument("--only", help="shapes with this in their name")
    parser.add_argument("--repetitions", type=int, default=3, help="of each input")
    parser.add_argument("--factor", type=int, default=1, help="larger inputs, by this factor")
    options = parser.parse_args()
    bad = 0
    print("| shape | n, in bytes | n, ms | 2n, ms | 4n, ms | exponent | memory for each byte |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, shape in SHAPES.items():
        if options.only and options.only not in name:
            continue
        costs = [measure(shape, options.factor * factor, options.repetitions) for factor in _FACTORS]
        times = " | ".join(f"{cost.seconds * 1000:.1f}" for cost in costs)
        print(f"| {name} | {costs[0].size:,} | {times} | {exponent(costs):.2f} | {multiple(costs):.0f} |", flush=True)
        bad += exponent(costs) >= EXPONENT or multiple(costs) > shape.memory
    print(f"\n{bad} of them grow faster than the input, or take more memory than SECURITY.md says", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
