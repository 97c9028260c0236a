"""``g2o encode``: an ONNX model becomes a GraphML file."""

from pathlib import Path
from typing import Annotated

import typer

from graphml_onnx.results import EncodePreview, EncodeResult, Layout

from . import options, progress, show
from .profile import Profile, members

EXAMPLES = """\b
Examples:
  g2o encode model.onnx
  g2o encode model.onnx --meta model_htp_metadata.json
  g2o encode model.onnx -o graph.graphml --params embedded --layout flat
  g2o encode model.onnx --dry-run
"""


def encode(
    model: Annotated[Path, typer.Argument(readable=False, metavar="MODEL", help="The ONNX file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,
            metavar="FILE",
            help="The GraphML file. [default: <name of MODEL>_hierarchical_graph.graphml]",
        ),
    ] = None,
    metadata: options.MetadataOption = None,
    parameters: options.ParametersOption = "sidecar",
    layout: Annotated[
        Layout,
        typer.Option(
            "--layout",
            help="Modules as nested groups drawn for yEd, one flat graph for tools without groups, or plain: nested, "
            "with nothing that the GraphML schema does not know.",
        ),
    ] = "nested",
    show_parameters: Annotated[
        bool, typer.Option("--show-parameters", help="Show initializers as nodes in the module that owns them.")
    ] = False,
    inline_limit: Annotated[
        int,
        typer.Option("--inline-limit", metavar="BYTES", min=0, help="Tensors up to this size stand in the text."),
    ] = 1024,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    force: options.ForceOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    profile: options.ProfileOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Turn an ONNX model into a GraphML graph that holds all of it.

    The weights go into a file beside the graph (.onnxdata). Before anything is published,
    the result is decoded again and compared with MODEL, byte for byte.
    """
    import graphml_onnx

    if dry_run:
        measured = Profile() if profile else None
        preview = graphml_onnx.preview(
            model,
            output,
            metadata=metadata,
            parameters=parameters,
            layout=layout,
            show_parameters=show_parameters,
            inline_limit=inline_limit,
        )
        _show_preview(model, preview, measured, json=json, quiet=quiet)
        return
    with progress.shown(quiet=quiet or json) as bars:
        measured = Profile(bars) if profile else None
        result = graphml_onnx.encode(
            model,
            output,
            metadata=metadata,
            parameters=parameters,
            layout=layout,
            overwrite=force,
            progress=measured or bars,
            show_parameters=show_parameters,
            inline_limit=inline_limit,
        )
    _show_result(model, result, measured, json=json, quiet=quiet)


def _show_result(model: Path, result: EncodeResult, profile: Profile | None, *, json: bool, quiet: bool) -> None:
    graphml_bytes = result.graphml.stat().st_size
    sidecar_bytes = result.sidecar.stat().st_size if result.sidecar else 0
    if json:
        document = show.plain(result) | {"graphml_bytes": graphml_bytes, "sidecar_bytes": sidecar_bytes}
        show.document(document | members(profile))
        return
    if not quiet:
        rows = [("graphml", f"{result.graphml} ({show.size(graphml_bytes)})")]
        if result.sidecar:
            rows.append(("sidecar", f"{result.sidecar} ({show.size(sidecar_bytes)})"))
        rows += [*_graph_rows(result), ("sha256", f"{result.sha256} of the model")]
        if result.residue_bytes:
            rows.append(("residue", f"{show.size(result.residue_bytes)}; the file is not canonical protobuf"))
        show.out(show.table(rows))
        show.warn(model, result.findings)
    if profile:
        show.note(profile.text())


def _show_preview(model: Path, preview: EncodePreview, profile: Profile | None, *, json: bool, quiet: bool) -> None:
    if json:
        show.document(show.plain(preview) | members(profile))
        return
    if not quiet:
        show.out(_preview_text(preview))
        show.warn(model, preview.findings)
    if profile:
        show.note(profile.text())


def _preview_text(preview: EncodePreview) -> str:
    existing = set(preview.existing)
    files = [("graphml", preview.graphml, preview.graphml_bytes), ("sidecar", preview.sidecar, preview.sidecar_bytes)]
    rows = [
        (name, f"{path} ({show.size(size)}){', exists' if path in existing else ''}")
        for name, path, size in files
        if path is not None
    ]
    rows += _graph_rows(preview)
    rows.append(("payloads", f"{show.counted(preview.payloads, 'tensor')}, {show.size(preview.payload_bytes)}"))
    closing = "Nothing was written." + (" To replace what exists, use --force." if existing else "")
    return f"{show.table(rows)}\n{closing}"


def _graph_rows(result: EncodeResult | EncodePreview) -> list[tuple[str, str]]:
    placed = f"from {result.hierarchy_source}, which places {result.coverage:.1f} % of the operators"
    return [
        ("nodes", f"{result.nodes:,}"),
        ("modules", f"{result.modules:,}"),
        ("hierarchy", "none" if result.hierarchy_source == "flat" else placed),
    ]
