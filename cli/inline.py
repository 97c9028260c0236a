"""``g2o inline``: replaces the functions of a model by their operators."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, progress
from .functions import show_result

EXAMPLES = """\b
Examples:
  g2o inline modules.onnx -o flat.onnx
  g2o inline exported.onnx -o flat.onnx --overwrite
"""


def inline(
    model: options.ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", readable=False, metavar="FILE", help="The ONNX file.")],
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Replace each function call by the operators of the function.

    This works for functions from g2o functions, PyTorch's exporter and other tools. The
    outputs stay the same. If a function is called twice, names in it get a number.
    """
    import graphml_onnx

    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.inline(model, output, overwrite=overwrite, progress=bars)
    show_result(result, json=json, quiet=quiet)
