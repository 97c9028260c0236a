"""Options that several commands share, each described once."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from graphml_onnx.errors import UsageError
from graphml_onnx.results import Layout, ParameterStrategy, Trust

from . import remote

ModelArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        readable=False,
        metavar="MODEL",
        help="An ONNX or GraphML file.",
        show_default=False,
        callback=remote.fetched,
    ),
]
MetadataOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--metadata", "--meta", readable=False, metavar="FILE", help="HTP metadata (JSON): the module of each operator."
    ),
]
ParametersOption: TypeAlias = Annotated[
    ParameterStrategy,
    typer.Option(
        "--parameters",
        "--params",
        help="Where weights go: a sidecar file, the GraphML (embedded), or nowhere (reference to MODEL).",
    ),
]
DimOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--dim", "--shape", metavar="NAME=N", help="Size of a dynamic dimension; may be repeated."),
]
InputDataOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--input-data", readable=False, metavar="FILE", help="Inputs of the run: arrays by name (.npz)."),
]
InputSpecsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--input-specs", readable=False, metavar="FILE", help="Inputs to make for the run (JSON)."),
]
LayoutOption: TypeAlias = Annotated[
    Layout,
    typer.Option(
        "--layout",
        help="Groups for the modules, drawn for yEd (nested); no groups, for tools without them (flat); groups in "
        "standard GraphML only (plain).",
    ),
]
ParameterFolderOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--parameter-folder", "--params-dir", readable=False, metavar="DIR", help="Folder of the sidecar, if it moved."
    ),
]
TrustOption: TypeAlias = Annotated[
    Trust | None,
    typer.Option(
        "--trust",
        help="If edges contradict the operators' inputs: keep the inputs (nodes) or rebuild them (edges).",
    ),
]
OverwriteOption: TypeAlias = Annotated[bool, typer.Option("--overwrite", "--force", help="Replace files that exist.")]
JsonOption: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document, even for an error."),
]
QuietOption: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
ProfileOption: TypeAlias = Annotated[
    bool,
    typer.Option("--profile", help="Show time and peak memory of each stage."),
]
DebugOption: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def sizes(dims: list[str] | None) -> dict[str, int]:
    """The sizes from ``--dim``.

    Raises:
        UsageError: one of them is not NAME=N.
    """
    found = {}
    for text in dims or ():
        name, _, size = text.rpartition("=")
        if not name or not (size.isascii() and size.isdigit()) or len(size) > 18:
            raise UsageError(f"--dim {text!r} is not NAME=N", remedy="for example --dim batch=1")
        found[name] = int(size)
    return found
