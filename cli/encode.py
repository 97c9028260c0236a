"""``g2o encode``: turns ONNX models into GraphML files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from graphml_onnx.errors import GraphmlOnnxError, UsageError
from graphml_onnx.results import EncodePreview, EncodeResult
from graphml_onnx.support.strictjson import Json

from . import exits, failure, options, progress, remote, show
from .profile import Profile, members

NO_HIERARCHY = (
    "no source of modules was found: no tags, no names, no repeated blocks. HTP metadata have them (--metadata), "
    "and so have exports by g2o export or torch.onnx.export"
)

EXAMPLES = """\b
Examples:
  g2o encode model.onnx
  g2o encode model.onnx --metadata model_htp_metadata.json
  g2o encode model.onnx -o graph.graphml --parameters embedded
  g2o encode model.onnx -o model.graphml --params-output model.safetensors
  g2o encode model.onnx --weights model.safetensors
  g2o encode models/*.onnx -o graphs --layout flat
  g2o encode model.onnx --dry-run
"""


def encode(
    models: Annotated[
        list[Path],
        typer.Argument(
            readable=False, metavar="MODEL...", help="The ONNX files.", show_default=False, callback=remote.all_fetched
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,
            metavar="FILE",
            help="The GraphML file, or for several MODELs an existing folder. "
            "[default: <name of MODEL>_hierarchical_graph.graphml beside MODEL]",
        ),
    ] = None,
    metadata: options.MetadataOption = None,
    parameters: options.ParametersOption = "sidecar",
    parameter_output: Annotated[
        Path | None,
        typer.Option(
            "--parameter-output",
            "--params-output",
            readable=False,
            metavar="FILE",
            help="The sidecar, beside the GraphML. [default: the GraphML with the ending .onnxdata]",
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights",
            readable=False,
            metavar="FILE",
            help="Refer to weights in this safetensors file (or index of shards) instead of storing them; "
            "may be repeated.",
        ),
    ] = None,
    layout: options.LayoutOption = "nested",
    show_parameters: Annotated[
        bool, typer.Option("--show-parameters", help="Show initializers as nodes in the module that owns them.")
    ] = False,
    inline_limit: Annotated[
        int,
        typer.Option("--inline-limit", metavar="BYTES", min=0, help="Write tensors up to this size as text."),
    ] = 1024,
    refine: Annotated[
        bool,
        typer.Option(
            "--refine/--no-refine",
            help="Use names to place operators deeper than metadata, tags or the exporter do.",
        ),
    ] = True,
    open_depth: Annotated[
        int | None,
        typer.Option(
            "--open-depth",
            metavar="N",
            min=0,
            help="Close the groups below this many levels, for yEd. [default: all are open]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")] = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    profile: options.ProfileOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Turn ONNX models into GraphML graphs that hold everything.

    The weights go into a safetensors file beside each graph (.onnxdata). Before g2o publishes
    anything, it decodes the result and compares it with MODEL, byte for byte. If one of
    several models fails, the others are still encoded, and the exit code is that of the
    first failure.
    """
    import graphml_onnx

    remote.check_output(models, output)
    encode_one, preview_one = graphml_onnx.encode, graphml_onnx.preview  # imports the library before a profile starts

    def one(model: Path, target: Path | None) -> dict[str, Json]:
        """Encodes one model, prints the result for people, and returns the one for programs."""
        measured = Profile(whole_process=len(models) == 1) if profile else None
        if dry_run:
            preview = preview_one(
                model,
                target,
                metadata=metadata,
                parameters=parameters,
                layout=layout,
                show_parameters=show_parameters,
                inline_limit=inline_limit,
                refine=refine,
                open_depth=open_depth,
                parameter_output=parameter_output,
                weights=weights or (),
            )
            shown, facts = _preview_text(preview), show.plain(preview)
            findings = preview.findings
        else:
            title = f"{show.one_line(model.name)}: " if len(models) > 1 else ""
            with progress.shown(quiet=quiet or json, title=title) as bars:
                if measured:
                    measured.inner = bars
                result = encode_one(
                    model,
                    target,
                    metadata=metadata,
                    parameters=parameters,
                    layout=layout,
                    overwrite=overwrite,
                    progress=measured or bars,
                    show_parameters=show_parameters,
                    inline_limit=inline_limit,
                    refine=refine,
                    open_depth=open_depth,
                    parameter_output=parameter_output,
                    weights=weights or (),
                )
            shown, facts = _result_text(result), _result_facts(result)
            findings = result.findings
        if not json and not quiet:
            show.out(shown)
            show.warn(model, findings)
        if not json and measured:
            show.note(measured.text())
        return facts | members(measured)

    if len(models) == 1:
        facts = one(models[0], output)
        if json:
            show.document(facts)
        return exits.DONE
    if parameter_output is not None:
        raise UsageError("--params-output belongs to one model", remedy="encode models with it one by one")
    return _encode_each(models, _targets(models, output, metadata), one, json=json, quiet=quiet)


def _targets(models: Sequence[Path], output: Path | None, metadata: Path | None) -> list[Path | None]:
    """The path of each graph, for several models; None for the default."""
    if metadata is not None:
        raise UsageError("--metadata belongs to one model", remedy="encode models with metadata one by one")
    if output is None:
        return [None] * len(models)
    if not output.is_dir():
        raise UsageError("the --output of several models must be an existing folder", file=output)
    targets = [output / f"{model.stem}_hierarchical_graph.graphml" for model in models]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise UsageError("two models would be written to this file", file=twice, remedy="encode them one by one")
    return list(targets)


def _encode_each(
    models: Sequence[Path],
    targets: Sequence[Path | None],
    one: Callable[[Path, Path | None], dict[str, Json]],
    *,
    json: bool,
    quiet: bool,
) -> int:
    """Encodes several models, each with its heading, result or error; returns the exit code of the first failure."""
    worst = exits.DONE
    documents: list[Json] = []
    for number, (model, target) in enumerate(zip(models, targets, strict=True)):
        if not json and not quiet:
            show.out(("\n" if number else "") + show.one_line(f"model      {model}"))
        facts: dict[str, Json] = {"model": str(model), "error": None}
        try:
            facts |= one(model, target)
        except GraphmlOnnxError as error:
            problem = failure.of(error)
            show.err(problem.line)
            facts["error"] = problem.document()
            worst = worst or problem.exit_code
        documents.append(facts)
    if json:
        show.document({"models": documents})
    return worst


def _result_facts(result: EncodeResult) -> dict[str, Json]:
    graphml_bytes, sidecar_bytes = _sizes(result)
    return show.plain(result) | {"graphml_bytes": graphml_bytes, "sidecar_bytes": sidecar_bytes}


def _sizes(result: EncodeResult) -> tuple[int, int]:
    return result.graphml.stat().st_size, result.sidecar.stat().st_size if result.sidecar else 0


def _result_text(result: EncodeResult) -> str:
    graphml_bytes, sidecar_bytes = _sizes(result)
    rows = [("graphml", f"{result.graphml} ({show.size(graphml_bytes)})")]
    if result.sidecar:
        rows.append(("sidecar", f"{result.sidecar} ({show.size(sidecar_bytes)})"))
    rows += [*_weight_rows(result), *_graph_rows(result), ("sha256", f"{result.sha256} of the model")]
    if result.residue_bytes:
        rows.append(("residue", f"{show.size(result.residue_bytes)}; the file is not canonical protobuf"))
    return show.table(rows)


def _preview_text(preview: EncodePreview) -> str:
    existing = set(preview.existing)
    files = [("graphml", preview.graphml, preview.graphml_bytes), ("sidecar", preview.sidecar, preview.sidecar_bytes)]
    rows = [
        (name, f"{path} ({show.size(size)}){', exists' if path in existing else ''}")
        for name, path, size in files
        if path is not None
    ]
    rows += [*_weight_rows(preview), *_graph_rows(preview)]
    rows.append(("payloads", f"{show.counted(preview.payloads, 'tensor')}, {show.size(preview.payload_bytes)}"))
    closing = "Nothing was written." + (" To replace what exists, use --overwrite." if existing else "")
    return f"{show.table(rows)}\n{closing}"


def _weight_rows(result: EncodeResult | EncodePreview) -> list[tuple[str, str]]:
    return [
        (
            "weights",
            f"{found.file} ({show.counted(found.tensors, 'tensor')} of the model, {show.size(found.bytes)})",
        )
        for found in result.weights
    ]


def _graph_rows(result: EncodeResult | EncodePreview) -> list[tuple[str, str]]:
    return [
        ("operators", f"{result.operators:,}"),
        ("modules", f"{result.modules:,}"),
        ("hierarchy", _hierarchy_text(result)),
    ]


def _hierarchy_text(result: EncodeResult | EncodePreview) -> str:
    if result.hierarchy_source == "none":
        return f"none: {NO_HIERARCHY}"
    text = f"from {result.hierarchy_source}; {result.coverage:.1f} % of the operators are in a module below the root"
    if len(result.coverages) > 1:
        text += f" ({', '.join(f'{kind} {share:.1f} %' for kind, share in result.coverages.items())})"
    return text
