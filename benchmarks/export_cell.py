"""Exports one architecture twice in this process, and prints what it took as JSON; see `benchmarks.export`."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.measure import memory

if TYPE_CHECKING:
    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.results import Unit

_GRAPHML = "graphml"


@dataclass(frozen=True, slots=True)
class Export:
    """One export.

    Attributes:
        operators: of the main graph.
        modules: of the tree.
        tagged: operators with the tag of a module of the tree, in percent.
        exact: operators in the very module that ran them, in percent.
        steps: seconds of all steps but that of the GraphML.
        graphml: seconds of that step.
        peak_kib: peak memory of the process.
        graphml_kib: what that step added to the peak.
    """

    operators: int
    modules: int
    tagged: float
    exact: float
    steps: float
    graphml: float
    peak_kib: int
    graphml_kib: int

    @property
    def share_of_steps(self) -> float:
        """The step of the GraphML, as a part of all others."""
        return self.graphml / self.steps


def export_once(name: str, exporter: ExporterName, folder: Path) -> Export:
    """Builds the model and exports it.

    Raises:
        ModelError: the exporter refuses it.
        SystemExit: there is no GraphML.
    """
    import graphml_onnx
    from tests.export.architectures import ARCHITECTURES

    before: list[int] = []

    def progress(stage: str, done: int, total: int, unit: Unit) -> None:
        if (stage, done) == (_GRAPHML, 0):
            before.append(memory("VmHWM"))

    module, inputs = ARCHITECTURES[name].build()
    result = graphml_onnx.export(
        module,
        folder / "model.onnx",
        inputs=inputs,
        exporter=exporter,
        with_graphml=True,
        overwrite=True,
        progress=progress,
    )
    if result.graphml is None:
        raise SystemExit(f"{name}: no GraphML: {result.graphml_error}")
    peak = memory("VmHWM")
    return Export(
        operators=result.nodes,
        modules=result.modules,
        tagged=result.graphml.coverage,
        exact=result.exact,
        steps=sum(seconds for step, seconds in result.seconds.items() if step != _GRAPHML),
        graphml=result.seconds[_GRAPHML],
        peak_kib=peak,
        graphml_kib=peak - before[0],
    )


def main() -> None:
    name, exporter, folder = sys.argv[1:]
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    import torch

    from graphml_onnx import ModelError

    torch.set_num_threads(1)
    try:
        done = [asdict(export_once(name, cast("ExporterName", exporter), Path(folder))) for _ in range(2)]
    except ModelError as error:
        print(json.dumps({"refusal": str(error)}))
    else:
        print(json.dumps({"exports": done}))


if __name__ == "__main__":
    main()
