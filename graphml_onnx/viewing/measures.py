"""Measured times and numeric differences for the page: a colour and a text for each node that has one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.graph.elements import Module
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.results import Progress
    from graphml_onnx.running.comparison import NumericDiff, TensorNumbers
    from graphml_onnx.running.times import Times
    from graphml_onnx.support.strictjson import Json
    from graphml_onnx.viewing.tables import Tables

_NO_ERROR: Final = 60.0
"""SQNR in decibels from which on a difference has no colour: a thousandth of the values."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What to measure by running the model; see `graphml_onnx.viewing.api.view`."""

    times: bool = False
    numeric: bool = False
    input_data: Mapping[str, Array] | str | os.PathLike[str] | None = None
    input_specs: JsonSource | None = None
    sizes: Mapping[str, int] | None = None
    metadata: str | os.PathLike[str] | None = None

    def measures(self, tables: Tables, older: ModelGraph | None, progress: Progress | None) -> list[Json]:
        """Runs the models.

        Raises:
            UsageError: there is no older model to compare with, a model has no file, or onnxruntime is not installed.
            ModelError: onnxruntime cannot run one of them.
        """
        found: list[Json] = []
        if (self.input_data is not None or self.input_specs is not None) and not (self.times or self.numeric):
            raise UsageError("inputs are for runs of the model", remedy="add times or numeric")
        if self.numeric:
            from graphml_onnx.running.comparison import numeric_diff

            if older is None:
                raise UsageError("numeric compares with an older model", remedy="add diff")
            numbers = numeric_diff(
                _file(older),
                _file(tables.graph),
                input_data=self.input_data,
                input_specs=self.input_specs,
                sizes=self.sizes,
                progress=progress,
            )
            found.append(error_measure(numbers, tables))
        if self.times:
            from graphml_onnx.running.times import times

            spent = times(
                _file(tables.graph),
                input_data=self.input_data,
                input_specs=self.input_specs,
                sizes=self.sizes,
                metadata=self.metadata,
                progress=progress,
            )
            found.append(time_measure(spent, tables))
        return found


def _file(graph: ModelGraph) -> Path:
    if graph.path is None:
        raise UsageError("a model in memory cannot be run", remedy="write it to a file first")
    return graph.path


def time_measure(found: Times, tables: Tables) -> dict[str, Json]:
    """The time of each module, with the modules in it."""
    times = {time.name: time for time in found.modules}
    shares = {node: times[module.path].share for module, node in _modules(tables).items() if module.path in times}
    for node, modules in tables.repeats.items():
        shares[node] = sum(times[module.path].share for module in modules if module.path in times)
    colours = {
        node: (math.sqrt(share), f"{_milliseconds(share * found.seconds)}, {share:.1%} of a run")
        for node, share in shares.items()
    }
    return _measure("time", f"share of the time of a run, {_milliseconds(found.seconds)}", colours)


def error_measure(found: NumericDiff, tables: Tables) -> dict[str, Json]:
    """The distance of each operator's tensors from those of the older model; for a module, the largest in it."""
    colours: dict[int, tuple[float, str]] = {}
    lowest: dict[Module, tuple[float, int]] = {}
    for row in found.tensors:
        tensor = tables.graph.main.tensors.get(row.other)
        if tensor is None or tensor.producer is None:
            continue
        sqnr = row.figures.sqnr
        colours[tables.node_of[tensor.producer]] = (_severity(sqnr), f"{_decibels(sqnr)}{_own(row)}")
        module: Module | None = tensor.producer.module
        while module is not None:
            least, count = lowest.get(module, (math.inf, 0))
            lowest[module] = (min(least, sqnr), count + 1)
            module = module.parent
    boxes = {tables.node_of[module]: found_in for module, found_in in lowest.items()}
    for node, modules in tables.repeats.items():
        inside = [lowest[module] for module in modules if module in lowest]
        if inside:
            boxes[node] = (min(least for least, _ in inside), sum(count for _, count in inside))
    for node, (least, count) in boxes.items():
        colours[node] = (_severity(least), f"{_decibels(least)}, the lowest of {count:,} tensors")
    return _measure("difference", f"from no difference ({_NO_ERROR:.0f} dB of SQNR) to as large as the values", colours)


def _measure(name: str, legend: str, colours: dict[int, tuple[float, str]]) -> dict[str, Json]:
    """The JSON for the page; colours as thousandths."""
    return {
        "name": name,
        "legend": legend,
        "nodes": list(colours),
        "shares": [round(1000 * share) for share, _ in colours.values()],
        "texts": [text for _, text in colours.values()],
    }


def _modules(tables: Tables) -> dict[Module, int]:
    return {module: tables.node_of[module] for module in tables.graph.root.walk()}


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _severity(sqnr: float) -> float:
    return 1 - min(max(sqnr, 0.0), _NO_ERROR) / _NO_ERROR


def _decibels(sqnr: float) -> str:
    return "equal" if sqnr == math.inf else f"SQNR {sqnr:.1f} dB"


def _own(row: TensorNumbers) -> str:
    return f", {row.own:.1f} dB by its own error" if row.own - row.figures.sqnr > 1 else ""
