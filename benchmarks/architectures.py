"""The table of architectures in docs/export-comparison.md: ``python -m benchmarks.architectures``.

Each model is exported by plain `torch.onnx.export` and by `graphml_onnx.export`, in this process and on one thread.
Times are of the processor, since machines are shared. The own work is the time of `graphml_onnx.export` less that of
the `torch.onnx.export` within it; ONNX files are compared with PyTorch by onnxruntime, GraphML to the byte.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import graphml_onnx
from benchmarks import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphml_onnx.exporting.record import ExporterName
    from tests.export.architectures import Architecture

_EXPORTERS: tuple[ExporterName, ...] = ("dynamo", "torchscript")
_HEADING = [
    *("model", "exporter", "operators", "modules", "exact, %", "other rules", "as PyTorch", "GraphML"),
    *("plain, s", "export, s", "ratio", "own work, s"),
]


@dataclass(slots=True)
class Clock:
    """Adds up the time of the processor within some calls."""

    seconds: float = 0.0

    def timed(self, function: Callable[..., object]) -> Callable[..., object]:
        """The function, whose time is added."""

        def call(*args: object, **kwargs: object) -> object:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - start

        return call


@contextmanager
def timing_torch() -> Iterator[Clock]:
    """Times what PyTorch's exporter takes, whoever calls it."""
    clock, original = Clock(), torch.onnx.export
    setattr(torch.onnx, "export", clock.timed(original))  # noqa: B010 - another type than PyTorch's own
    try:
        yield clock
    finally:
        torch.onnx.export = original


def row(name: str, architecture: Architecture, exporter: ExporterName, folder: Path) -> list[str]:
    """Exports one architecture twice.

    Raises:
        ModelError: the exporter refuses it.
    """
    from graphml_onnx.exporting.backends.state import evaluating
    from graphml_onnx.exporting.inputs import ExampleInputs, inputs_from_config
    from tests.export.test_architectures import random_inputs, tensors_of

    module, inputs = architecture.build()
    examples = inputs_from_config(module, 0, None, {}) if inputs is None else ExampleInputs(kwargs=inputs)
    with evaluating(module), torch.no_grad(), Quiet():
        start = time.process_time()
        try:
            _plain(module, examples.kwargs, exporter, folder / "plain.onnx")
            plain = time.process_time() - start
        except Exception:  # noqa: BLE001 - whatever PyTorch raises
            plain = None
    with timing_torch() as clock:
        start = time.process_time()
        result = graphml_onnx.export(
            module,
            folder / "model.onnx",
            inputs=dict(examples.kwargs),
            exporter=exporter,
            with_graphml=True,
            overwrite=True,
        )
        seconds = time.process_time() - start
    steps = seconds - clock.seconds
    same = _is_same(result.onnx, module, random_inputs, tensors_of)
    verified = graphml_onnx.verify(result.onnx, metadata=result.metadata).passed
    rules = {
        rule: count
        for rule, count in result.placements.items()
        if any(operator.rule.name == rule and operator.rule.match != "direct" for operator in result.record.operators)
    }
    return [
        *(name, exporter, f"{result.nodes:,}", str(result.modules), f"{result.exact:.1f}"),
        ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items())),
        *("yes" if same else "NO", "exact" if verified else "NO"),
        *("–" if plain is None else f"{plain:.2f}", f"{seconds:.2f}"),
        *("–" if plain is None else f"{seconds / plain:.2f}", f"{steps:.2f}"),
    ]


class Quiet(warnings.catch_warnings):
    """Drops warnings."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


def _plain(module: torch.nn.Module, inputs: Mapping[str, object], exporter: ExporterName, path: Path) -> None:
    from graphml_onnx.exporting.backends.state import listening

    with listening():
        if exporter == "dynamo":
            torch.onnx.export(module, (), path, kwargs=dict(inputs), dynamo=True, verbose=False, external_data=False)
        else:
            torch.onnx.export(module, (dict(inputs),), str(path), dynamo=False)


def _is_same(path: Path, module: torch.nn.Module, random_inputs: Callable, tensors_of: Callable) -> bool:  # type: ignore[type-arg]
    import numpy as np
    import onnx
    import onnxruntime

    feed = random_inputs(onnx.load(path).graph, 1)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got, expected = session.run(None, feed), tensors_of(module, feed)
    return len(got) == len(expected) and all(
        np.allclose(one, other, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(other).max(initial=0))))
        for one, other in zip(got, expected, strict=True)
    )


def main() -> None:
    from tests.export.architectures import ARCHITECTURES, declare_torchvision_operators

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ARCHITECTURES, metavar="NAME", help="some of the architectures")
    parser.add_argument(
        "--from", dest="first", choices=ARCHITECTURES, metavar="NAME", help="this one and those after it"
    )
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    declare_torchvision_operators()
    names = options.only or list(ARCHITECTURES)
    if options.first:
        names = names[names.index(options.first) :]
    print(*table.markdown([_HEADING, ["–"] * len(_HEADING)]).splitlines()[:2], sep="\n", flush=True)
    for name in names:
        for exporter in _EXPORTERS:
            with tempfile.TemporaryDirectory(prefix="g2o-table-") as folder:
                try:
                    told = row(name, ARCHITECTURES[name], exporter, Path(folder))
                except Exception as error:  # noqa: BLE001 - a table tells what failed, and goes on
                    told = [name, exporter, *["–"] * 3, " ".join(str(error).split())[:160], *["–"] * 6]
            print(f"| {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
