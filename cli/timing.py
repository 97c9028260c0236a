"""Where the time of a model goes, as ``g2o inspect --times`` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import exits, options, progress, show
from .tree import module_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphml_onnx.running.times import Time, Times


def show_times(
    model: Path,
    depth: int,
    by: Literal["module", "op"],
    providers: list[str] | None,
    runs: int | None,
    input_data: Path | None,
    input_specs: Path | None,
    dims: list[str] | None,
    metadata: Path | None,
    *,
    json: bool,
) -> int:
    """Measures, and shows modules down to a depth, or types of operators."""
    import graphml_onnx
    from graphml_onnx.running.times import RUNS

    with progress.shown(quiet=json) as bars:
        found = graphml_onnx.times(
            model,
            providers=providers or ["cpu"],
            input_data=input_data,
            input_specs=input_specs,
            sizes=options.sizes(dims),
            runs=runs or RUNS,
            metadata=metadata,
            progress=bars,
        )
    if json:
        show.document(found.to_dict() | {"path": str(model), "error": None})
        return exits.DONE
    inputs = ", ".join(f"{name}{list(shape)}" for name, shape in found.inputs.items())
    share = 100 * found.seconds / found.run_seconds if found.run_seconds else 0.0
    show.out(show.one_line(f"{show.counted(found.runs, 'run')} on {', '.join(found.providers)}, with {inputs}"))
    show.out(f"a run takes {_time(found.run_seconds)}, {share:.1f} % of it in operators: {_time(found.seconds)}\n")
    if by == "op":
        show.out(_table("operator", found.types, [time.name for time in found.types]))
    else:
        modules = [time for time in found.modules if time.depth <= depth]
        show.out(_table("module", modules, module_names((time.name, time.class_name, time.depth) for time in modules)))
        if deeper := len(found.modules) - len(modules):
            show.out(f"{show.counted(deeper, 'module')} below this depth; --depth shows more")
    _show_unassigned(found)
    return exits.DONE


def _show_unassigned(found: Times) -> None:
    rest = found.unassigned
    if rest.operators:
        counted = show.counted(rest.operators, "operator")
        show.out(f"{100 * rest.share:.1f} % of no module: {counted} that onnxruntime put in, {_time(rest.seconds)}")


def _table(kind: str, times: Sequence[Time], names: Sequence[str]) -> str:
    rows = [
        [name, f"{time.operators:,}", _time(time.seconds), f"{100 * time.share:.1f} %"]
        for name, time in zip(names, times, strict=True)
    ]
    return show.columns([kind, "operators", "time", "share"], rows)


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"
