"""Something to measure: a process, and what it writes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphml_onnx import Layout, ParameterStrategy


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure.

    Attributes:
        name: for the table.
        command: the process.
        outputs: files and folders that it writes, removed after each run.
        tells: whether it prints JSON with ``seconds`` and ``peak_kib``; otherwise the process is timed as a whole.
        baseline: whether the ratios of its group refer to it; to the sum, where there are several.
        operators: how many it goes through, where that matters.
    """

    name: str
    command: list[str]
    outputs: tuple[Path, ...] = ()
    tells: bool = False
    baseline: bool = False
    operators: int = 0

    def as_baseline(self) -> Case:
        return replace(self, baseline=True)

    def of(self, operators: int) -> Case:
        return replace(self, operators=operators, name=f"{self.name}, {operators:,}")


def call(name: str, function: str, *outputs: Path, **arguments: Path | str | bool) -> Case:
    """A call of ``module:function`` with keyword arguments."""
    texts = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
    command = [sys.executable, "-m", "benchmarks.measure", function, json.dumps(texts)]
    return Case(name, command, outputs, tells=True)


def encode(
    name: str,
    model: Path,
    graph: Path,
    *,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    check: bool = True,
) -> Case:
    outputs = (graph, graph.with_suffix(".onnxdata"))
    name = f"encode, {name}" + ("" if check else ", no self-check")
    function = "graphml_onnx:encode"
    return call(
        name, function, *outputs, model=model, output=graph, parameters=parameters, layout=layout, self_check=check
    )


def decode(name: str, graph: Path) -> Case:
    output = graph.with_name("decoded.onnx")
    return call(f"decode, {name}", "graphml_onnx:decode", output, graphml=graph, output=output)


def transform(name: str, function: str, source: Path, target: Path) -> Case:
    """A peer that reads one file, or folder, and writes another."""
    return call(name, f"benchmarks.{function}", target, source=source, target=target)


def consume(name: str, function: str, source: Path) -> Case:
    """A peer that only reads."""
    return call(name, f"benchmarks.{function}", source=source)
