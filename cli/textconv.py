"""``g2o textconv``: prints a model as stable text, for git."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, remote, show
from .wording import as_options

if TYPE_CHECKING:
    from graphml_onnx.errors import GraphmlOnnxError

EXAMPLES = """\b
Examples:
  g2o textconv model.onnx
  git config diff.onnx.textconv 'g2o textconv --no-data-files'
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
    no_data_files: Annotated[
        bool,
        typer.Option("--no-data-files", help="Read no external data: git has only the model file of old versions."),
    ] = False,
    trust: options.TrustOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Print a model as stable text, for git diff.

    The text has the modules, the operators with their inputs and attributes, and the
    type, shape and SHA-256 of each weight. It has no ids and no positions, so a change of
    the model changes only the lines that it concerns. A weight that cannot be read is shown
    as such, with a warning, so that git shows the rest. See docs/git.md.
    """
    import graphml_onnx
    from graphml_onnx.graph.textual import text_lines

    unread: list[GraphmlOnnxError] = []
    with graphml_onnx.open(model, trust=trust) as graph:
        block: list[str] = []
        for line in text_lines(graph, data_files=not no_data_files, failed=unread.append):
            block.append(line)
            if len(block) == 1000:
                show.out("\n".join(block))
                block = []
        if block:
            show.out("\n".join(block))
    if unread:
        more = f"; nor can {len(unread) - 1:,} more be read" if len(unread) > 1 else ""
        show.err(as_options(f"warning: {unread[0]}{more}"))
