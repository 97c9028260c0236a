"""``g2o functions``: turns the modules of a model into functions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, progress, show

if TYPE_CHECKING:
    from graphml_onnx import FunctionsResult

EXAMPLES = """\b
Examples:
  g2o functions model.onnx -o modules.onnx
  g2o functions model.onnx -o blocks.onnx --depth 3
  g2o functions model.onnx --metadata model_htp_metadata.json -o modules.onnx
"""


def functions(
    model: options.ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", readable=False, metavar="FILE", help="The ONNX file.")],
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", min=1, metavar="N", help="Levels of modules. [default: all]")
    ] = None,
    metadata: options.MetadataOption = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Turn each module into a function of the model.

    Other tools, such as Netron, then open the model module by module. Modules that look
    the same share one function, with their weights as inputs. The outputs of the model
    stay the same. g2o inline is the opposite.
    """
    import graphml_onnx

    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.functions(
            model, output, depth=depth, metadata=metadata, overwrite=overwrite, progress=bars
        )
    show_result(result, json=json, quiet=quiet)


def show_result(result: "FunctionsResult", *, json: bool, quiet: bool) -> None:
    """Shows the result."""
    if json:
        show.document({**show.plain(result), "onnx_bytes": result.onnx.stat().st_size, "error": None})
    elif not quiet:
        rows = [("onnx", f"{result.onnx} ({show.size(result.onnx.stat().st_size)})")]
        if result.data is not None:
            rows.append(("data", f"{result.data} ({show.size(result.data.stat().st_size)})"))
        rows += [("functions", f"{result.functions:,}"), ("operators", f"{result.operators:,}")]
        if result.split:
            count = f"{show.counted(len(result.split), 'module')}, between whose operators others run"
            rows.append(("split", f"{count}: {', '.join(result.split[:3])}"))
        show.out(show.table(rows))
