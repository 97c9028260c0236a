"""``g2o decode``: turns a GraphML file back into the ONNX model."""

from pathlib import Path
from typing import Annotated

import typer

from graphml_onnx.results import DecodeResult

from . import options, progress, show
from .profile import Profile, members

_LISTED = 20  # tensors that were changed

EXAMPLES = """\b
Examples:
  g2o decode model.graphml -o restored.onnx
  g2o decode model.graphml -o restored.onnx --require-exact
  g2o decode model.graphml -o restored.onnx --metadata-output m.json
  g2o decode edited.graphml -o edited.onnx --trust edges --infer-shapes
  g2o decode model.graphml -o pruned.onnx --weights pruned.safetensors
  g2o decode model.graphml -o thin.onnx --external
"""


def decode(
    graphml: Annotated[
        Path, typer.Argument(readable=False, metavar="GRAPHML", help="The GraphML file.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,
            metavar="FILE",
            help="The ONNX file. [default: GRAPHML with the ending .onnx]",
        ),
    ] = None,
    metadata_output: Annotated[
        Path | None,
        typer.Option(
            "--metadata-output",
            "--meta-out",
            readable=False,
            metavar="FILE",
            help="Also write the HTP metadata file that the graph holds.",
        ),
    ] = None,
    require_exact: Annotated[
        bool, typer.Option("--require-exact", help="Write nothing unless the result is the original, byte for byte.")
    ] = False,
    trust: options.TrustOption = None,
    infer_shapes: Annotated[
        bool, typer.Option("--infer-shapes", help="Also check the types and shapes of an edited model.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            readable=False,
            metavar="FILE",
            help="Take the weights from this safetensors file (or index of shards), by name.",
        ),
    ] = None,
    edited_weights: Annotated[
        bool, typer.Option("--edited-weights", help="Accept a sidecar whose weights were edited.")
    ] = False,
    external: Annotated[
        bool,
        typer.Option(
            "--external", help="Write a model that refers to the sidecar and weight files instead of holding weights."
        ),
    ] = False,
    parameter_folder: options.ParameterFolderOption = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    profile: options.ProfileOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Turn a GraphML graph back into the ONNX model.

    An unedited graph gives back the original file, byte for byte. An edited graph gives
    the edited model: your changes, and nothing else.
    """
    import graphml_onnx

    with progress.shown(quiet=quiet or json) as bars:
        run = graphml_onnx.decode  # imports the library, which counts as the start
        measured = Profile(bars) if profile else None
        result = run(
            graphml,
            output,
            metadata_output=metadata_output,
            overwrite=overwrite,
            progress=measured or bars,
            require_exact=require_exact,
            trust=trust,
            parameter_folder=parameter_folder,
            infer_shapes=infer_shapes,
            parameters=weights,
            edited_weights=edited_weights,
            external=external,
        )
    _show_result(graphml, result, measured, json=json, quiet=quiet)


def _show_result(graphml: Path, result: DecodeResult, profile: Profile | None, *, json: bool, quiet: bool) -> None:
    onnx_bytes = result.onnx.stat().st_size
    if json:
        show.document(show.plain(result) | {"onnx_bytes": onnx_bytes} | members(profile))
        return
    if not quiet:
        rows = [("onnx", f"{result.onnx} ({show.size(onnx_bytes)})")]
        rows += [("data", f"{path} ({show.size(path.stat().st_size)})") for path in result.external]
        if result.metadata:
            rows.append(("metadata", str(result.metadata)))
        rows += [("weights", str(path)) for path in result.refers_to]
        rows += [("changed", line) for line in result.changed[:_LISTED]]
        if len(result.changed) > _LISTED:
            rows.append(("changed", f"{len(result.changed) - _LISTED:,} more tensors"))
        rows += [("sha256", result.sha256), ("result", _verdict(result))]
        show.out(show.table(rows))
        show.warn(graphml, result.findings)
    if profile:
        show.note(profile.text())


def _verdict(result: DecodeResult) -> str:
    if result.exact:
        return "byte-identical to the encoded original"
    if result.refers_to:
        return "the model refers to its weights; keep it beside them"
    if result.changed:
        return f"the model with {show.counted(len(result.changed), 'edited tensor')}"
    if result.older:
        return f"the model was read from {result.older}, which stores less than the original had"
    return "the graph was edited since it was encoded; this is the edited model"
