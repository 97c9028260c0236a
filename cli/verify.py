"""``g2o verify``: checks that models come back from GraphML, byte for byte."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from graphml_onnx.errors import Category, GraphmlOnnxError, UsageError
from graphml_onnx.results import Layout, ParameterStrategy

from . import exits, failure, junit, options, progress, remote, reports, show
from .outcome import Outcome

EXAMPLES = """\b
Examples:
  g2o verify model.onnx
  g2o verify model.onnx --metadata model_htp_metadata.json --numeric
  g2o verify model.onnx --numeric --input-specs specs.json
  g2o verify model.onnx --numeric --shape sequence=128
  g2o verify models/*.onnx --junit report.xml
"""


def verify(
    models: Annotated[
        list[Path],
        typer.Argument(
            readable=False, metavar="MODEL...", help="The ONNX files.", show_default=False, callback=remote.all_fetched
        ),
    ],
    metadata: options.MetadataOption = None,
    parameters: options.ParametersOption = "sidecar",
    layout: options.LayoutOption = "nested",
    numeric: Annotated[
        bool, typer.Option("--numeric", help="Also run both models on the same inputs (needs onnxruntime).")
    ] = False,
    input_specs: Annotated[
        Path | None,
        typer.Option(
            "--input-specs",
            readable=False,
            metavar="FILE",
            help="Inputs for --numeric (JSON): shape, dtype, range, by name. [default: what the model declares]",
        ),
    ] = None,
    dims: options.DimOption = None,
    junit_file: Annotated[
        Path | None,
        typer.Option("--junit", readable=False, metavar="FILE", help="Write the result as JUnit XML; replaces FILE."),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Check that models come back from GraphML, byte for byte.

    Each MODEL is encoded and decoded in a temporary folder, which is removed. A model that
    cannot be read counts as failed; the others are still checked. The exit code is 0 if
    all passed, 1 if a check failed, else the code of the first error.
    """
    if metadata is not None and len(models) > 1:
        raise UsageError("--metadata belongs to one model", remedy="verify models with metadata one by one")
    if input_specs is not None and not numeric:
        raise UsageError("--input-specs is for --numeric", remedy="give both")
    if input_specs is not None and len(models) > 1:
        raise UsageError("--input-specs belongs to one model", remedy="verify models with such inputs one by one")
    if dims and not numeric:
        raise UsageError("--dim is for --numeric", remedy="give both")
    settings = Settings(metadata, parameters, layout, numeric, input_specs, options.sizes(dims))
    outcomes = []
    with reports.report(junit_file, models) as write:
        for model in models:
            outcome = _outcome(model, settings, quiet=quiet or json)
            outcomes.append(outcome)
            _show_outcome(outcome, json=json, quiet=quiet)
        write(lambda: junit.document(outcomes))
    passed = sum(outcome.passed for outcome in outcomes)
    if json:
        counts = {"passed": passed, "failed": len(outcomes) - passed}
        show.document(counts | {"models": [outcome.document() for outcome in outcomes]})
    elif not quiet:
        show.out(f"{passed:,} passed, {len(outcomes) - passed:,} failed")
    return _exit_code(outcomes)


class Settings(NamedTuple):
    """How each model is verified: the arguments of `graphml_onnx.verify` by their names."""

    metadata: Path | None
    parameters: ParameterStrategy
    layout: Layout
    numeric: bool
    input_specs: Path | None
    sizes: Mapping[str, int]


def _outcome(model: Path, settings: Settings, *, quiet: bool) -> Outcome:
    import graphml_onnx

    start = time.perf_counter()
    report, problem = None, None
    try:
        with progress.shown(quiet=quiet, title=f"{show.one_line(model.name)}: ") as bars:
            report = graphml_onnx.verify(model, **settings._asdict(), progress=bars)
    except GraphmlOnnxError as error:
        problem = failure.of(error)
    return Outcome(model, report, problem, time.perf_counter() - start)


def _show_outcome(outcome: Outcome, *, json: bool, quiet: bool) -> None:
    if outcome.failure is not None:
        show.err(outcome.failure.line)
    if json:
        return
    if not quiet:
        show.out(show.one_line(outcome.line()))
        show.warn(outcome.model, outcome.report.findings if outcome.report else ())
    elif outcome.report is not None and not outcome.passed:
        show.err(outcome.line())


def _exit_code(outcomes: list[Outcome]) -> int:
    if any(outcome.report is not None and not outcome.report.passed for outcome in outcomes):
        return exits.CODES[Category.DIFFERENCE]
    return next((outcome.failure.exit_code for outcome in outcomes if outcome.failure), exits.DONE)
