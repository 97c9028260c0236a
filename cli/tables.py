"""``g2o tables``: models as Parquet, to query many at once."""

from pathlib import Path
from typing import Annotated

import typer

from graphml_onnx.errors import UsageError

from . import exits, failure, options, progress, remote, show

EXAMPLES = """\b
Examples:
  g2o tables model.onnx -o zoo
  g2o tables models -o zoo --infer-shapes
  g2o tables models/*.onnx -o zoo --graph-database zoo.lbug
"""


def tables(
    models: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            metavar="MODEL...",
            help="ONNX or GraphML files, or folders.",
            show_default=False,
            callback=remote.all_fetched,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of the tables, a path or a URL; models are added to it."
        ),
    ],
    metadata: options.MetadataOption = None,
    infer_shapes: Annotated[
        bool, typer.Option("--infer-shapes", help="Infer the types and shapes that a model leaves out.")
    ] = False,
    digests: Annotated[
        bool, typer.Option("--digests/--no-digests", help="Hash the parameters, which reads all weights.")
    ] = True,
    graph_database: Annotated[
        Path | None,
        typer.Option(
            "--graph-database",
            readable=False,
            metavar="FILE",
            help="Also put all models of FOLDER into this Ladybug database, for Cypher.",
        ),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Write models as tables for DuckDB, Polars, pandas and Spark.

    FOLDER gets models, modules, operators, attributes, tensors, edges and parameters as
    Parquet. If FOLDER already holds a model (by content), the model is replaced. If one
    of several models cannot be read, the others are still written. Where a folder is
    given, its models are *.onnx. HTP metadata are read
    from NAME_htp_metadata.json beside NAME.onnx, if it exists. See docs/tables.md.
    """
    import graphml_onnx
    from graphml_onnx.places import is_url

    if graph_database is not None and is_url(output):
        raise UsageError(
            "--graph-database needs the tables on this machine", file=output, remedy="write them to a folder here"
        )
    with progress.shown(quiet=quiet or json) as bars:
        result = graphml_onnx.tables(
            models, output, metadata=metadata, infer_shapes=infer_shapes, digests=digests, progress=bars
        )
    problems = {model: failure.of(error) for model, error in result.errors.items()}
    for model, problem in problems.items():
        show.err(failure.line_about(model, problem))
    nodes = {} if graph_database is None else graphml_onnx.property_graph(output, graph_database)
    if json:
        show.document(
            {
                "folder": result.folder,
                "models": dict(result.models),
                "rows": dict(result.rows),
                "graph": dict(nodes),
                "errors": {model: problem.document() for model, problem in problems.items()},
            }
        )
    elif not quiet:
        rows = [("folder", result.folder), *((name, show.counted(count, "row")) for name, count in result.rows.items())]
        show.out(show.table(rows))
        if nodes:
            show.out(show.table([("graph", str(graph_database)), *((k, f"{n:,}") for k, n in nodes.items())]))
    return next((problem.exit_code for problem in problems.values()), exits.DONE)
