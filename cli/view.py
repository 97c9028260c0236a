"""``g2o view``: shows a model as nested modules, in one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, progress, remote, show

EXAMPLES = """\b
Examples:
  g2o view model.onnx
  g2o view model.graphml -o model.html --no-open
  g2o view model.onnx --module encoder.layer.0 --stats
  g2o view model.onnx --module encoder.layer.0 --depth 2 -o layer.svg
  g2o view new.onnx --diff old.onnx -o changes.html
  g2o view model.onnx --times --dim sequence=128
  g2o view int8.onnx --diff float.onnx --numeric
"""


def view(
    model: options.ModelArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", readable=False, metavar="FILE", help="HTML, SVG or PNG file. [default: MODEL.html]"
        ),
    ] = None,
    module: Annotated[
        str | None, typer.Option("--module", "-m", metavar="PATH", help="Open this module at first.")
    ] = None,
    depth: Annotated[
        int, typer.Option("--depth", "-d", min=0, metavar="N", help="Open this many levels of modules at first.")
    ] = 0,
    diff: Annotated[
        Path | None,
        typer.Option("--diff", readable=False, metavar="OLD", help="Colour what differs from an older model."),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Read the weights: statistics and a histogram of each.")
    ] = False,
    open_page: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page in the browser. [default: only on a terminal]"),
    ] = None,
    unfold: Annotated[
        bool, typer.Option("--unfold", help="Show neighbours that look the same one by one, not as one box.")
    ] = False,
    times: Annotated[
        bool, typer.Option("--times", help="Run the model: colour modules by their time (needs onnxruntime).")
    ] = False,
    numeric: Annotated[
        bool,
        typer.Option("--numeric", help="With --diff: run both models, and colour where their tensors diverge."),
    ] = False,
    input_data: options.InputDataOption = None,
    input_specs: options.InputSpecsOption = None,
    dims: options.DimOption = None,
    metadata: options.MetadataOption = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Show a model as nested modules, in one HTML page.

    The page needs no server and no network. Modules are boxes, closed at first; a double
    click opens one. The page has search (/), details, links to modules, and keys for
    everything (?). Names in the model are never run as code: the page is safe for models
    that nobody has checked. For SVG or PNG, the system's Chromium or Chrome draws the page.
    """
    import graphml_onnx

    remote.check_output([model], output)
    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.view(
            model,
            output,
            metadata=metadata,
            module=module,
            depth=depth,
            diff=diff,
            stats=stats,
            unfold=unfold,
            times=times,
            numeric=numeric,
            input_data=input_data,
            input_specs=input_specs,
            sizes=options.sizes(dims),
            overwrite=overwrite,
            progress=bars,
        )
    if json:
        show.document({**show.plain(result), "error": None})
    elif not quiet:
        rows = [
            ("page", f"{result.page} ({show.size(result.size)})"),
            ("operators", f"{result.operators:,}"),
            ("modules", f"{result.modules:,}"),
        ]
        if result.differences is not None:
            rows.append(("differences", f"{result.differences:,}"))
        show.out(show.table(rows))
        show.warn(model, result.findings)
    if open_page or (open_page is None and not json and not quiet and show.is_terminal()):
        typer.launch(result.page.resolve().as_uri())
