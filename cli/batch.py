"""``g2o batch``: many models at once, with a manifest of the results."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from graphml_onnx.errors import Category, GraphmlOnnxError, UsageError

from . import exits, failure, options, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from graphml_onnx.support.strictjson import Json
    from graphml_onnx.zoo import BatchReport, BatchRow
    from graphml_onnx.zoo.rows import Task

EXAMPLES = """\b
Examples:
  g2o batch models --output zoo
  g2o batch models hub/*.onnx --output zoo --do encode,verify,tables --workers 8
  g2o batch s3://bucket/models --output s3://bucket/zoo --resume
  g2o batch models --output zoo --dask tcp://scheduler:8786
"""


def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Files, folders, patterns, or URLs of file systems.", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "--target", "-o", metavar="TARGET", help="Folder of outputs, a path or a URL."),
    ],
    do: Annotated[
        str, typer.Option("--do", metavar="TASKS", help="What to do: any of encode,verify,tables.")
    ] = "encode,verify",
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Number of processes. [default: one for each processor]"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Run on the workers of this Dask scheduler."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip models that an earlier run has done (compared by content).")
    ] = False,
    parameters: Annotated[
        Literal["sidecar", "embedded"],
        typer.Option("--parameters", "--params", help="Where weights go: a sidecar file, or the GraphML (embedded)."),
    ] = "sidecar",
    layout: options.LayoutOption = "nested",
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Encode, verify and tabulate many models.

    A bad model does not end the run: its failure is one line on standard error. In
    folders, models are *.onnx, and NAME_htp_metadata.json beside NAME.onnx is its HTP
    metadata. TARGET gets graphs/, tables/ and manifest.parquet, with a row for each
    model. The exit code is 0 if no model failed, 1 if one does not come back exactly,
    else the code of the first failure. See docs/batch.md.
    """
    import graphml_onnx

    tasks: list[Task] = [task.strip() for task in do.split(",") if task.strip()]  # type: ignore[misc]
    with _executor(dask, workers) as executor, progress.shown(quiet=quiet or json) as bars:
        report = graphml_onnx.batch(
            sources,
            output,
            do=tasks,
            executor=executor,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            parameters=parameters,
            layout=layout,
            on_row=_show_failure,
            progress=bars,
        )
    if json:
        show.document(_document(report))
    elif not quiet:
        show.out(_text(report))
    return _exit_code(report)


@contextlib.contextmanager
def _executor(address: str | None, workers: int | None) -> "Iterator[Executor | None]":
    """The executor of a Dask scheduler; None for processes of this machine."""
    if address is None:
        yield None
        return
    if workers is not None:
        raise UsageError("--dask has its own workers", remedy="give --workers or --dask")
    from graphml_onnx.zoo.cluster import dask_executor

    with dask_executor(address) as executor:
        yield executor


def _show_failure(row: "BatchRow") -> None:
    if row.result == "failed":
        told = GraphmlOnnxError(row.error or "", file=row.file or row.source, place=row.place, remedy=row.remedy)
        show.err(failure.line_about(row.source, failure.of(told)))


def _text(report: "BatchReport") -> str:
    rows = [
        ("models", f"{report.models:,}"),
        ("done", f"{report.done:,} ({show.counted(report.operators, 'operator')}, {report.seconds:,.1f} s)"),
        ("skipped", f"{report.skipped:,}"),
        ("failed", f"{len(report.failures):,}"),
        ("manifest", report.manifest),
    ]
    return show.table(rows)


def _document(report: "BatchReport") -> "Json":
    facts = show.plain(report) | {"models": report.models, "failed": len(report.failures)}
    facts["failures"] = [show.plain(row) for row in report.failures]
    return facts


def _exit_code(report: "BatchReport") -> int:
    codes = {category.name.lower(): code for category, code in exits.CODES.items()}
    found = [codes.get(row.category or "", exits.INTERNAL) for row in report.failures]
    difference = exits.CODES[Category.DIFFERENCE]
    return difference if difference in found else next(iter(found), exits.DONE)
