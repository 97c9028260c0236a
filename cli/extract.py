"""``g2o extract``: cuts a part out of a model."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, progress, show

EXAMPLES = """\b
Examples:
  g2o extract model.onnx --module encoder.layer.0 -o layer.onnx
  g2o extract model.onnx --inputs hidden --outputs logits -o head.onnx
  g2o extract model.graphml --ops /conv/Conv --ops /act/Relu -o part.onnx
"""


def extract(
    model: options.ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", readable=False, metavar="FILE", help="The ONNX file of the part.")
    ],
    module: Annotated[
        str | None, typer.Option("--module", "-m", metavar="PATH", help="The operators of a module.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--inputs", metavar="TENSOR", help="Where the part begins; may be repeated.")
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--outputs", metavar="TENSOR", help="Where it ends; may be repeated.")
    ] = None,
    operators: Annotated[
        list[str] | None, typer.Option("--ops", metavar="NAME", help="These operators; may be repeated.")
    ] = None,
    metadata: options.MetadataOption = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Cut a part out of a model, as a valid model of its own.

    Choose a module, or the tensors where the part begins and ends, or operators. The
    part has the weights and functions that it needs, byte for byte. Weights are never
    loaded: a model of many gigabytes needs little memory.
    """
    import graphml_onnx

    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.extract(
            model,
            output,
            module=module,
            inputs=inputs or None,
            outputs=outputs or None,
            operators=operators or None,
            metadata=metadata,
            overwrite=overwrite,
            progress=bars,
        )
    if json:
        show.document(show.plain(result) | {"onnx_bytes": result.onnx.stat().st_size})
    elif not quiet:
        rows = [("onnx", f"{result.onnx} ({show.size(result.onnx.stat().st_size)})")]
        if result.data is not None:
            rows.append(("data", f"{result.data} ({show.size(result.data.stat().st_size)})"))
        rows += [
            ("operators", f"{result.operators:,}"),
            ("parameters", f"{result.parameters:,}"),
            ("inputs", ", ".join(result.inputs)),
            ("outputs", ", ".join(result.outputs)),
        ]
        show.out(show.table(rows))
        show.warn(model, result.findings)
