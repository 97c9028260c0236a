"""``g2o textconv``: prints a model as stable text, for git."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from graphml_onnx.errors import Category, GraphmlOnnxError, printable
from graphml_onnx.results import Trust

from . import options, show
from .wording import as_options

EXAMPLES = """\b
Examples:
  g2o textconv model.onnx
  git config diff.onnx.textconv 'g2o textconv --no-data-files'
"""


def textconv(
    model: options.ModelArgument,
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
    as such, with a warning, so that git shows the rest; so is a file that is no model.
    See docs/git.md.
    """
    unread: list[GraphmlOnnxError] = []
    block: list[str] = []
    try:
        for line in _lines(model, trust, not no_data_files, unread):
            block.append(line)
            if len(block) == 1000:
                show.out("\n".join(block))
                block = []
    except GraphmlOnnxError as error:
        if error.category is not Category.BAD_DATA or debug:
            raise
        block += _unreadable(model, error)
        unread.insert(0, error)
    if block:
        show.out("\n".join(block))
    if unread:
        more = f"; nor can {len(unread) - 1:,} more be read" if len(unread) > 1 else ""
        show.err(as_options(f"warning: {unread[0]}{more}"))


def _lines(model: Path, trust: Trust | None, data_files: bool, unread: list[GraphmlOnnxError]) -> Iterator[str]:
    import graphml_onnx
    from graphml_onnx.graph.textual import text_lines

    with graphml_onnx.open(model, trust=trust) as graph:
        yield from text_lines(graph, data_files=data_files, failed=unread.append)


def _unreadable(model: Path, error: GraphmlOnnxError) -> Iterator[str]:
    """What a file is that is no model: git ends `git log -p` of all files if the text of one fails."""
    import hashlib

    place = f"{error.place}: " if error.place else ""
    yield printable(f"cannot be read: {place}{error.message}")
    with model.open("rb") as file:
        yield f"  {model.stat().st_size:,} bytes sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
