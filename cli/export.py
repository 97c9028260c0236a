"""``g2o export``: exports a PyTorch model to ONNX with its module hierarchy, and to GraphML."""

import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from graphml_onnx.errors import UsageError
from graphml_onnx.results import ParameterStrategy
from graphml_onnx.support.strictjson import Json

from . import exits, failure, options, progress, show, signals
from .failure import Failure
from .profile import Profile, members

if TYPE_CHECKING:
    from graphml_onnx.exporting.record import ExportResult
    from graphml_onnx.results import Progress

EXAMPLES = """\b
Examples:
  g2o export prajjwal1/bert-tiny --output out/model.onnx --with-graphml
  g2o export ./my-model -o model.onnx --task fill-mask --with-report
  g2o export package.module:build -o model.onnx --input-specs specs.json
  g2o export program.pt2 -o model.onnx --with-graphml --graphml-parameters embedded

\b
JSON files:
  --input-specs     {"input_ids": {"shape": ["batch", 16], "dtype": "int64", "range": [0, 99]}}
  --dynamic-shapes  {"input_ids": {"0": "batch", "1": "sequence"}}
  --export-config   {"output_names": ["logits"], "opset_version": 18}
"""

_CALLABLE = re.compile(r"[\w.]+:[\w.]+")


_TREE_DEPTH = 3


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", readable=False, metavar="FILE", help="The ONNX file.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Folder or hub name of a Hugging Face model, package.module:callable, or a .pt2 file.",
            show_default=False,
        ),
    ] = None,
    model_option: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="MODEL, as an option.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="For a Hugging Face model: chooses its class.")
    ] = None,
    part: Annotated[
        Literal["encoder", "decoder", "decoder-with-past"] | None,
        typer.Option("--part", help="Of a Hugging Face model that generates: what to export, with keys and values."),
    ] = None,
    input_specs: Annotated[
        Path | None,
        typer.Option(
            "--input-specs", readable=False, metavar="FILE", help="Example inputs (JSON): shape, dtype, range."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", min=1, help="First dimension of generated inputs.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="NAME=2,16",
            help="Shape of a generated input, or size of a dimension that the specs name; may be repeated.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="For random example inputs.")
    ] = 0,
    exporter: Annotated[
        Literal["dynamo", "torchscript"] | None,
        typer.Option("--exporter", help="PyTorch's exporter to use. [default: dynamo]"),
    ] = None,
    opset: Annotated[
        int | None, typer.Option("--opset", metavar="N", min=1, help="ONNX operator set. [default: the exporter's]")
    ] = None,
    dynamic_shapes: Annotated[
        Path | None,
        typer.Option(
            "--dynamic-shapes", readable=False, metavar="FILE", help="Names of dynamic dimensions of the inputs (JSON)."
        ),
    ] = None,
    export_config: Annotated[
        Path | None,
        typer.Option(
            "--export-config", readable=False, metavar="FILE", help="Keyword arguments for the exporter (JSON)."
        ),
    ] = None,
    torch_modules: Annotated[
        str,
        typer.Option(
            "--torch-modules",
            "--torch-module",
            metavar="NAMES",
            help="torch.nn classes that become modules: all, none, or A,B.",
        ),
    ] = "all",
    clean_onnx: Annotated[bool, typer.Option("--clean-onnx", help="Leave the tags out of the ONNX file.")] = False,
    with_report: Annotated[bool, typer.Option("--with-report", help="Also write a report (Markdown).")] = False,
    with_graphml: Annotated[bool, typer.Option("--with-graphml", help="Also write the hierarchical GraphML.")] = False,
    graphml_parameters: Annotated[
        ParameterStrategy | None,
        typer.Option(
            "--graphml-parameters", "--graphml-params", help="Where the weights of the GraphML go. [default: sidecar]"
        ),
    ] = None,
    graphml_output: Annotated[
        Path | None,
        typer.Option(
            "--graphml-output",
            readable=False,
            metavar="BASE",
            help="Path of the GraphML, without .graphml; implies --with-graphml.",
        ),
    ] = None,
    tree: Annotated[
        bool | None,
        typer.Option("--tree/--no-tree", help="Show the modules. [default: only on a terminal]"),
    ] = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    profile: options.ProfileOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Export a PyTorch model to ONNX and GraphML, with its modules.

    The HTP metadata go beside FILE, and so do the report and the GraphML, if you ask for
    them. If only the GraphML fails, the other files stay, and the exit code is that of
    the failure.
    """
    import logging  # which no other command needs

    import graphml_onnx

    if graphml_parameters is not None and not with_graphml and graphml_output is None:
        raise UsageError("--graphml-parameters without a GraphML", remedy="add --with-graphml")
    source = _one_model(model, model_option)
    if not debug:
        logging.disable(logging.ERROR)  # torch and transformers log a lot, but raise important errors
        warnings.simplefilter("ignore")  # those that concern the model are findings
    if _CALLABLE.fullmatch(source):
        sys.path.append(str(Path.cwd()))  # package.module:callable may be in this folder; installed packages come first
    with progress.shown(quiet=quiet or json) as bars:
        run = graphml_onnx.export  # imports the library, which counts as the start
        measured = Profile(bars) if profile else None
        result = run(
            source,
            output,
            input_specs=input_specs,
            batch_size=batch_size,
            shapes=dict(_shape(text) for text in shape or ()),
            task=task,
            part=part,
            seed=seed,
            exporter=exporter,
            opset=opset,
            dynamic_shapes=dynamic_shapes,
            export_config=export_config,
            torch_modules=_torch_modules(torch_modules),
            clean_onnx=clean_onnx,
            with_report=with_report,
            with_graphml=with_graphml,
            graphml_parameters=graphml_parameters or "sidecar",
            graphml_output=graphml_output,
            overwrite=overwrite,
            progress=_stopping(measured or bars),
        )
    if result.printed:
        show.note(result.printed.rstrip("\n"))
    problem = failure.of(result.graphml_error) if result.graphml_error else None
    _show(result, problem, measured, json=json, quiet=quiet)
    if not json and not quiet and (tree or (tree is None and show.is_terminal())):
        _show_tree(result)
    return problem.exit_code if problem else exits.DONE


def _one_model(argument: str | None, option: str | None) -> str:
    given = [model for model in (argument, option) if model is not None]
    if len(given) != 1:
        message = "two models are given" if given else "no model is given"
        raise UsageError(message, remedy="give one MODEL; see g2o export --help")
    return given[0]


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Reads ``input_ids=2,16``."""
    name, _, sizes = text.partition("=")
    parts = sizes.split(",")
    if not name or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(
            "is not of the form NAME=2,16", file="--shape", place=text, remedy="name an input and its sizes"
        )
    return name, tuple(int(part) for part in parts)


def _stopping(shown: "Progress | None") -> "Progress":
    """A callback that ends the export at the next step after a signal that the model's or PyTorch's code swallowed."""

    def report(stage: str, done: int, total: int, unit: Literal["bytes", "operators", "steps"]) -> None:
        signals.check()
        if shown is not None:
            shown(stage, done, total, unit)

    return report


def _torch_modules(choice: str) -> str | list[str]:
    return choice if choice in ("all", "none") else [name.strip() for name in choice.split(",")]


def _show(result: "ExportResult", problem: Failure | None, profile: Profile | None, *, json: bool, quiet: bool) -> None:
    if problem is not None:
        show.err(f"warning: no GraphML: {problem.category}: {problem.line}; {result.onnx} is complete")
    if json:
        show.document(_document(result, problem) | members(profile))
        return
    if not quiet:
        show.out(show.table(_rows(result)))
        show.warn(result.onnx, result.findings)
    if profile:
        show.note(profile.text())


def _show_tree(result: "ExportResult") -> None:
    import graphml_onnx

    from .inspect import module_table

    with graphml_onnx.open(result.onnx, metadata=result.metadata, infer_shapes=True) as graph:
        show.out("\n" + module_table([graph.root], _TREE_DEPTH))


def _document(result: "ExportResult", problem: Failure | None) -> dict[str, Json]:
    from graphml_onnx.exporting.report import report_document

    facts = show.plain(replace(result, graphml_error=None))
    del facts["record"]
    facts["graphml_error"] = problem.document() if problem else None
    return facts | ({"tables": report_document(result.record)} if result.report else {})


def _rows(result: "ExportResult") -> list[tuple[str, str]]:
    files = [("onnx", result.onnx), *(("data", file) for file in result.external), ("metadata", result.metadata)]
    files += [("report", result.report)] if result.report else []
    if result.graphml is not None:
        files += [("graphml", result.graphml.graphml)]
        files += [("sidecar", result.graphml.sidecar)] if result.graphml.sidecar else []
    rules = ", ".join(f"{rule} {count:,}" for rule, count in result.placements.items())
    return [
        *((name, f"{file} ({show.size(file.stat().st_size)})") for name, file in files),
        (
            "operators",
            f"{result.nodes:,}, all in a module, {result.exact:.1f} % in exactly the one that ran them ({rules})",
        ),
        ("modules", f"{result.modules:,}"),
        ("time", ", ".join(f"{name.replace('_', ' ')} {seconds:.1f} s" for name, seconds in result.seconds.items())),
        ("sha256", f"{result.sha256} of the model"),
    ]
