"""``g2o diff``: what differs between two models, and where their numbers diverge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphml_onnx.errors import Category, UsageError

from . import exits, numbers, options, progress, remote, reports, show

if TYPE_CHECKING:
    from graphml_onnx.graph.difference import Aspect, Change, ModelDiff

EXAMPLES = """\b
Examples:
  g2o diff old.onnx new.onnx
  g2o diff old.onnx new.graphml --module encoder.layer.0
  g2o diff base.onnx finetuned.onnx --stats
  g2o diff old.onnx new.onnx --html changes.html
  g2o diff exported.onnx optimised.onnx --ignore types --ignore names --json
  g2o diff float.onnx int8.onnx --numeric --input-data sample.npz
  g2o diff old.onnx new.onnx --numeric --dim sequence=128 --depth 4
"""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "moved": (">", "blue")}
_DEPTH = 2
_SHOWN = 160  # characters of a value


def diff(
    old: Annotated[
        Path,
        typer.Argument(
            readable=False, metavar="OLD", help="ONNX or GraphML.", show_default=False, callback=remote.fetched
        ),
    ],
    new: Annotated[
        Path,
        typer.Argument(
            readable=False, metavar="NEW", help="ONNX or GraphML.", show_default=False, callback=remote.fetched
        ),
    ],
    module: Annotated[
        str | None, typer.Option("--module", "-m", metavar="PATH", help="Only this module and what is in it.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="ASPECT",
            help="Leave out doc_string, metadata, types, names or producer; may be repeated.",
        ),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Read the weights that changed, and show how far their values moved.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", readable=False, metavar="FILE", help="Also write an HTML page; replaces FILE."),
    ] = None,
    numeric: Annotated[
        bool, typer.Option("--numeric", help="Run both models and compare their tensors (needs onnxruntime).")
    ] = False,
    input_data: options.InputDataOption = None,
    input_specs: options.InputSpecsOption = None,
    dims: options.DimOption = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="For the random inputs of --numeric.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="DB", help="SQNR below which tensors diverge. [default: 20]"),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option("--depth", "-d", min=0, metavar="N", help="Levels of modules that --numeric shows. [default: 2]"),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Show how two models differ: operators, attributes, weights.

    Operators are matched by module and name, then by structure. The order of operators
    and the encoding of the file do not matter. The exit code is 0 if the models are the
    same, 1 if they differ.

    For quantised, converted or optimised models, --numeric compares numbers instead: it
    runs both models on the same inputs, operator by operator, compares their tensors and
    names the module where they diverge. The exit code is then 1 if they diverge.
    """
    if numeric:
        if module or ignore or stats or html:
            raise UsageError("--module, --ignore, --stats and --html are for a diff without --numeric")
        return _numeric(old, new, input_data, input_specs, dims, seed, threshold, depth, json=json, quiet=quiet)
    if input_data or input_specs or dims or (seed, threshold, depth) != (None, None, None):
        raise UsageError("inputs, --threshold and --depth are for --numeric", remedy="give both")
    import graphml_onnx
    from graphml_onnx.graph.difference import ASPECTS

    aspects: list[Aspect] = []
    for text in ignore or ():
        aspect = next((known for known in ASPECTS if known == text), None)
        if aspect is None:
            raise UsageError(f"--ignore {text!r} is not one of {', '.join(ASPECTS)}")
        aspects.append(aspect)
    with reports.report(html, (old, new)) as write:
        found = graphml_onnx.diff(old, new, module=module, ignore=aspects, stats=stats)
        write(lambda: found.to_html(str(old), str(new)).encode())
    if json:
        show.document(found.to_dict() | {"old": str(old), "new": str(new), "error": None})
    elif not quiet:
        _show(found)
    return exits.DONE if found.is_empty else exits.CODES[Category.DIFFERENCE]


def _numeric(
    old: Path,
    new: Path,
    input_data: Path | None,
    input_specs: Path | None,
    dims: list[str] | None,
    seed: int | None,
    threshold: float | None,
    depth: int | None,
    *,
    json: bool,
    quiet: bool,
) -> int:
    import graphml_onnx
    from graphml_onnx.inputs.made import SEED
    from graphml_onnx.running.comparison import THRESHOLD

    with progress.shown(quiet=quiet or json) as bars:
        found = graphml_onnx.numeric_diff(
            old,
            new,
            input_data=input_data,
            input_specs=input_specs,
            sizes=options.sizes(dims),
            seed=SEED if seed is None else seed,
            threshold=THRESHOLD if threshold is None else threshold,
            progress=bars,
        )
    if json:
        show.document(found.to_dict() | {"old": str(old), "new": str(new), "error": None})
    elif not quiet:
        numbers.show_numbers(found, _DEPTH if depth is None else depth)
    return exits.DONE if found.first is None else exits.CODES[Category.DIFFERENCE]


def _show(found: "ModelDiff") -> None:
    if found.is_empty:
        show.out("the models are the same")
        return
    for path, changes in found.by_module().items():
        counts: dict[str, int] = {}
        for change in changes:
            counts[change.kind] = counts.get(change.kind, 0) + 1
        summary = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        show.out(f"{typer.style(show.one_line(path or '(model)'), bold=True)}: {summary}")
        for change in changes:
            show.out(_line(change))
    total = ", ".join(f"{count:,} {kind}" for kind, count in found.counts().items())
    show.out(f"{show.counted(len(found.changes), 'difference')}: {total}")


def _line(change: "Change") -> str:
    mark, colour = _MARKS.get(change.kind, ("=", "cyan"))
    what = change.op_type or change.subject
    place = f" in {change.body}" if change.body else ""
    parts = []
    for name, old, new in change.details:
        if old is None or new is None:
            value = _cut(new if old is None else old)
            parts.append(
                value if change.kind in ("added", "removed") else f"{'+' if old is None else '-'}{name} {value}"
            )
        else:
            parts.append(f"{name} {_cut(old)} => {_cut(new)}")
    if change.values is not None:
        parts.append(str(change.values))
    text = show.one_line(f"{mark} {what} {change.name!r}{place}: {'; '.join(parts)}")
    return "  " + typer.style(text, fg=colour)


def _cut(text: str | None) -> str:
    text = text or "''" if text is not None else "-"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
