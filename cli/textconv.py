"""``g2o textconv``: a model as stable text, for git."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, remote, show

EXAMPLES = """\b
Examples:
  g2o textconv model.onnx
  git config diff.onnx.textconv 'g2o textconv'
"""


def textconv(
    model: Annotated[
        Path,
        typer.Argument(
            readable=False,
            metavar="MODEL",
            help="An ONNX or GraphML file.",
            show_default=False,
            callback=remote.fetched,
        ),
    ],
    trust: options.TrustOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Print a model as stable text, for git diff.

    The text has the modules, the operators with their inputs and attributes, and the
    type, shape and SHA-256 of each weight. It has no ids and no positions, so a change of
    the model changes only the lines that it concerns. See docs/git.md.
    """
    import graphml_onnx
    from graphml_onnx.graph.textual import text_lines

    with graphml_onnx.open(model, trust=trust) as graph:
        block: list[str] = []
        for line in text_lines(graph):
            block.append(line)
            if len(block) == 1000:
                show.out("\n".join(block))
                block = []
        if block:
            show.out("\n".join(block))
