"""Where the numbers of two models part, as ``g2o diff --numeric`` shows it."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import typer

from . import show
from .tree import module_names

if TYPE_CHECKING:
    from graphml_onnx.running.comparison import ModuleNumbers, NumericDiff, TensorNumbers

_HEAD = ("tensors", "SQNR", "lowest", "cosine", "largest abs", "largest rel")


def show_numbers(found: NumericDiff, depth: int) -> None:
    """Shows the modules down to a depth, the outputs, and where the models diverge."""
    inputs = ", ".join(f"{name}{list(shape)}" for name, shape in found.inputs.items())
    show.out(show.one_line(f"{show.counted(len(found.tensors), 'tensor')} compared, with {inputs}"))
    if found.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in Counter(found.left_out.values()).items())
        show.out(f"{show.counted(len(found.left_out), 'tensor')} left out: {reasons}")
    modules = [module for module in found.modules if module.depth <= depth]
    names = module_names([(module.path, module.class_name, module.depth) for module in modules])
    rows = [
        [name, f"{module.tensors:,}", _decibels(module.sqnr), _decibels(module.lowest), *_cells(module)]
        for name, module in zip(names, modules, strict=True)
    ]
    show.out("\n" + show.columns(["module", *_HEAD], rows))
    if deeper := len(found.modules) - len(modules):
        show.out(f"{show.counted(deeper, 'module')} below this depth; --depth shows more")
    for output in found.outputs:
        figures = output.figures
        show.out(show.one_line(f"output {output.tensor}: SQNR {_decibels(figures.sqnr)}, cosine {figures.cosine:.6f}"))
    first = found.first
    if first is None:
        text = f"the models do not diverge: no SQNR is below {found.threshold:g} dB"
        show.out(typer.style(text, fg="green"))
    else:
        show.out(typer.style(show.one_line(_parting(first, found.threshold)), fg="red"))


def _parting(first: TensorNumbers, threshold: float) -> str:
    place = f"{first.module or '(model)'}: {first.op_type} {first.operator!r}"
    if first.own >= threshold:
        own = ", where errors of earlier operators add up"
    else:
        own = f" ({_decibels(first.own)} by its own error)" if first.own != first.figures.sqnr else ""
    return f"the models diverge in {place}, SQNR {_decibels(first.figures.sqnr)}{own}"


def _decibels(number: float) -> str:
    return ("equal" if number > 0 else "-inf") if math.isinf(number) else f"{number:.1f} dB"


def _cells(figures: ModuleNumbers) -> list[str]:
    return [f"{figures.cosine:.6f}", f"{figures.largest_absolute:.3g}", f"{figures.largest_relative:.3g}"]
