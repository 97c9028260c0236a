"""What encoding and decoding cost, in counts that do not depend on the machine: calls, memory, bytes read and written.

The cost of an operator is the difference of two graphs of different sizes, so that what every run pays does not count.
Limits stand about 15 % above what Python 3.11 needs; later ones need no more. Whoever makes something cheaper lowers
them: ``G2O_SHOW_COST=1 python -m pytest tests/benchmarks/test_cost.py -s`` prints what was measured.
"""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from benchmarks import graphs, models
from graphml_onnx import Layout, ParameterStrategy, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

Work = Literal["encode", "decode"]

# Calls for each operator, resumed generators included; encode with its self-check.
PYTHON_CALLS = {
    ("encode", "nested"): 142,  # of the 124 needed, 26 find modules by names, parameters and neighbours, 15 find places
    ("encode", "flat"): 125,
    ("decode", "nested"): 21,
    ("decode", "flat"): 20,
}
BUILTIN_CALLS = {
    ("encode", "nested"): 201,  # of the 175 needed, 44 and 24
    ("encode", "flat"): 166,
    ("decode", "nested"): 50,
    ("decode", "flat"): 50,
}
# Bytes by which the peak of what Python allocates grows with each operator.
MEMORY = {"encode": 1_150, "decode": 1_000}
# How often each byte of the weights is read and written; encode with its self-check.
READ = {
    ("encode", "sidecar"): 3,
    ("encode", "reference"): 1,
    ("decode", "sidecar"): 1,
    ("decode", "reference"): 1,
}
WRITTEN = {
    ("encode", "sidecar"): 1,
    ("encode", "reference"): 0,
    ("decode", "sidecar"): 1,
    ("decode", "reference"): 1,
}

SIZES = (2_000, 4_000)
LINEAR_SIZES = (448, 896, 1_344)  # whole towers of bodies
LINEAR_WITHIN = 0.02
SHAPES = {"tree": graphs.tree, "deep": graphs.deep, "small modules": graphs.small_modules, "bodies": graphs.bodies}
IO = Path("/proc/self/io")


def show(*facts: object) -> None:
    if os.environ.get("G2O_SHOW_COST"):
        print("\n", *facts)


def task(
    work: Work, model: Path, layout: Layout = "nested", parameters: ParameterStrategy = "sidecar"
) -> Callable[[], object]:
    """Encodes or decodes a model; a first run has filled the caches."""
    graph, back = model.with_suffix(".graphml"), model.with_suffix(".back")

    def run_encode() -> object:
        return encode(model, graph, layout=layout, parameters=parameters, overwrite=True)

    def run_decode() -> object:
        return decode(graph, back, overwrite=True)

    run_encode()
    if work == "encode":
        return run_encode
    run_decode()
    return run_decode


def calls(run: Callable[[], object]) -> Counter[str]:
    """How often functions are called: ``call`` are those of Python, ``c_call`` the others."""
    found: Counter[str] = Counter()

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        found[event] += 1

    gc.collect()
    gc.disable()  # Hypothesis listens to it, with a function
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return found


def peak(run: Callable[[], object]) -> int:
    """Most bytes that Python had allocated at one time."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def transferred(run: Callable[[], object]) -> Counter[str]:
    """How many bytes this process has read and written, by the system's own counters."""

    def counters() -> Counter[str]:
        return Counter({name: int(value) for name, value in map(str.split, IO.read_text().splitlines())})

    before = counters()
    run()
    return counters() - before


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("work", ["encode", "decode"])
def test_calls_for_each_operator(tmp_path: Path, work: Work, layout: Layout) -> None:
    few, many = [calls(task(work, graphs.tree(tmp_path / f"{size}.onnx", size), layout)) for size in SIZES]
    python, builtin = [(many[event] - few[event]) / (SIZES[1] - SIZES[0]) for event in ("call", "c_call")]
    show(work, layout, python, builtin)
    assert python <= PYTHON_CALLS[work, layout]
    assert builtin <= BUILTIN_CALLS[work, layout]


@pytest.mark.parametrize("work", ["encode", "decode"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_operator_costs_as_much_in_a_large_graph(tmp_path: Path, shape: str, work: Work) -> None:
    counts = []
    for size in LINEAR_SIZES:
        found = calls(task(work, SHAPES[shape](tmp_path / f"{size}.onnx", size)))
        counts.append(found["call"] + found["c_call"])
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    show(shape, work, second / first)
    assert second == pytest.approx(first, rel=LINEAR_WITHIN)


@pytest.mark.parametrize("work", ["encode", "decode"])
def test_memory_for_each_operator(tmp_path: Path, work: Work) -> None:
    few, many = [peak(task(work, graphs.tree(tmp_path / f"{size}.onnx", size))) for size in SIZES]
    growth = (many - few) / (SIZES[1] - SIZES[0])
    show(work, growth)
    assert growth <= MEMORY[work]


@pytest.mark.skipif(not IO.exists(), reason="the system does not count what a process reads and writes")
@pytest.mark.parametrize("parameters", ["sidecar", "reference"])
@pytest.mark.parametrize("work", ["encode", "decode"])
def test_how_often_weights_are_read_and_written(tmp_path: Path, work: Work, parameters: ParameterStrategy) -> None:
    model = models.bert_base(tmp_path / "model.onnx", 0, 6_000)
    found = transferred(task(work, model, parameters=parameters))
    read, written = found["rchar:"] / model.stat().st_size, found["wchar:"] / model.stat().st_size
    show(work, parameters, read, written)
    assert round(read, 1) <= READ[work, parameters]
    assert round(written, 1) <= WRITTEN[work, parameters]
