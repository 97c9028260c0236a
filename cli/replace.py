"""``g2o replace``: puts an edited part back into a model."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, progress, remote, show

EXAMPLES = """\b
Examples:
  g2o replace model.onnx layer.onnx --module encoder.layer.0 -o new.onnx
"""


def replace(
    model: options.ModelArgument,
    part: Annotated[
        Path,
        typer.Argument(
            readable=False,
            metavar="PART",
            help="The edited output of g2o extract.",
            show_default=False,
            callback=remote.fetched,
        ),
    ],
    module: Annotated[str, typer.Option("--module", "-m", metavar="PATH", help="The module that PART replaces.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", readable=False, metavar="FILE", help="The ONNX file of the new model.")
    ],
    metadata: options.MetadataOption = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Put a part that g2o extract cut out back into the model.

    The inputs, outputs and types of the part must be those of the module. With an
    unchanged part the result is MODEL, byte for byte.
    """
    import graphml_onnx

    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.replace(
            model, part, output, module=module, metadata=metadata, overwrite=overwrite, progress=bars
        )
    if json:
        show.document(show.plain(result) | {"onnx_bytes": result.onnx.stat().st_size})
    elif not quiet:
        rows = [("onnx", f"{result.onnx} ({show.size(result.onnx.stat().st_size)})")]
        rows += [
            ("removed", show.counted(result.removed, "operator")),
            ("added", show.counted(result.added, "operator")),
        ]
        show.out(show.table(rows))
