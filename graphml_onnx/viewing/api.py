"""Writes the page that shows a model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, cast

from graphml_onnx.errors import UsageError
from graphml_onnx.files.publication import Publication
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.model_graph import ModelGraph
from graphml_onnx.viewing.changes import changes_of
from graphml_onnx.viewing.measures import Measured
from graphml_onnx.viewing.page import page
from graphml_onnx.viewing.pictures import format_of, picture
from graphml_onnx.viewing.tables import Tables

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.results import Progress
    from graphml_onnx.support.notices import Notice
    from graphml_onnx.support.strictjson import Json

_MOST_IN_FRAME = 20_000  # operators; a notebook keeps all frames that it has shown


@dataclass(frozen=True, slots=True)
class ViewResult:
    """Outcome of `view`.

    Attributes:
        page: the HTML file, or the picture.
        size: its size in bytes.
        operators: operators of all bodies.
        modules: modules of the hierarchy.
        differences: how many differences there are to the older model; None without one.
        findings: findings about the modules, and weights that cannot be read, one line each.
    """

    page: Path
    size: int
    operators: int
    modules: int
    differences: int | None
    findings: tuple[Notice, ...]


def view(
    model: str | os.PathLike[str] | ModelGraph,
    output: str | os.PathLike[str] | None = None,
    *,
    metadata: str | os.PathLike[str] | None = None,
    module: str | None = None,
    diff: str | os.PathLike[str] | None = None,
    depth: int = 0,
    stats: bool = False,
    unfold: bool = False,
    times: bool = False,
    numeric: bool = False,
    input_data: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    input_specs: JsonSource | None = None,
    sizes: Mapping[str, int] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ViewResult:
    """Writes one HTML file that shows a model as nested modules. It needs no network and no server.

    Args:
        model: an ONNX file, a GraphML file, or an open graph, which stays open.
        output: the HTML file; by default MODEL.html beside the model. With the ending ``.svg`` or ``.png``, the
            system's Chromium or Chrome draws a picture of the model, or of the module.
        metadata: HTP metadata, as for `open`.
        module: path of the module that is open at first.
        depth: how many levels of modules are open at first.
        diff: an older model, ONNX or GraphML; differences are shown in colours and in a list.
        stats: whether to read the weights, and to show statistics and a histogram of each.
        unfold: whether to show neighbours that look the same one by one, not as one box with a count.
        times: whether to run the model, and to colour its modules by their share of the time; see `times`.
        numeric: whether to run both models, and to colour operators and modules by the distance of their tensors from
            those of the older one; see `numeric_diff`.
        input_data: for these runs, arrays by input name, or an ``.npz`` file of them.
        input_specs: for these runs, descriptions of inputs to make, by name, as for `export`.
        sizes: sizes of dynamic dimensions by their names.
        overwrite: whether to replace the output if it exists.
        progress: called as the weights are read, and as models run.

    Raises:
        UsageError: there is no such module; the model has no file and no output is given; there is no browser for a
            picture, or it has another format; ``numeric`` without ``diff``; onnxruntime is not installed, or has other
            inputs.
        ModelError: onnxruntime cannot run a model.
        OutputError: the output exists, or cannot be written.
        GraphmlOnnxError: the model cannot be read, or its weights.
    """
    with ExitStack() as stack:
        if isinstance(model, ModelGraph):
            if metadata is not None or sizes:
                raise UsageError("an open graph already has its modules and sizes", remedy="give them to open")
            graph = model
        else:
            graph = stack.enter_context(open_graph(model, metadata=metadata, infer_shapes=True, sizes=sizes))
        older = None if diff is None else stack.enter_context(open_graph(diff, infer_shapes=True, sizes=sizes))
        target = _target(graph, output)
        measured = Measured(times, numeric, input_data, input_specs, sizes, metadata)
        document = document_of(
            graph, module, diff=older, stats=stats, unfold=unfold, measured=measured, progress=progress
        )
        kind = format_of(target)
        document |= {"depth": depth, "picture": kind}
        content = page_of(graph, document)
        if kind is not None:
            content = picture(content, kind)
        inputs = [path for path in (graph.path, None if older is None else older.path) if path is not None]
        with Publication(overwrite=overwrite, inputs=inputs) as publication:
            publication.stage(target).file.write(content)
            publication.publish()
        changes = document.get("changes")
        return ViewResult(
            target,
            len(content),
            sum(len(body.operators) for body in graph.bodies),
            len(graph.modules) + graph.inner_modules,
            len(changes) if isinstance(changes, list) else None,
            tuple(cast("dict[str, list[Notice]]", document["model"])["findings"]),
        )


def frame_of(graph: ModelGraph) -> str | None:
    """The page as a sandboxed frame for a notebook; None if it is too large for one."""
    if sum(len(body.operators) for body in graph.bodies) > _MOST_IN_FRAME:
        return None
    content = escape(page_of(graph, document_of(graph)).decode())
    style = "width: 100%; height: 640px; border: 1px solid #8886; border-radius: 6px"
    return f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" srcdoc="{content}"></iframe>'


def _target(graph: ModelGraph, output: str | os.PathLike[str] | None) -> Path:
    if output is not None:
        return Path(output)
    if graph.path is None:
        raise UsageError("a model in memory has no folder for the page", remedy="give output")
    return graph.path.with_name(f"{graph.path.name}.html")


def document_of(
    graph: ModelGraph,
    module: str | None = None,
    *,
    diff: ModelGraph | None = None,
    stats: bool = False,
    unfold: bool = False,
    measured: Measured | None = None,
    progress: Progress | None = None,
) -> dict[str, Json]:
    """The data of the page.

    Args:
        graph: the model.
        module: see `view`.
        diff: an older model.
        stats: see `view`.
        unfold: see `view`.
        measured: what to measure by running the model.
        progress: see `view`.

    Raises:
        UsageError: there is no such module, or a model to run has no file.
        GraphmlOnnxError: the weights cannot be read, or a model cannot be run.
    """
    start = None if module is None else graph.module(module)
    read = None if progress is None else lambda done, total: progress("reading the weights", done, total, "steps")
    tables = Tables(graph, stats=stats, unfold=unfold, progress=read)
    document = tables.document()
    document["start"] = 0 if start is None else tables.node_of[start]
    if diff is not None:
        document["changes"] = changes_of(diff, tables)
        document["other"] = diff.name if diff.path is None else diff.path.name
    if measured is not None and (measures := measured.measures(tables, diff, progress)):
        document["measures"] = measures
    return document


def page_of(graph: ModelGraph, document: Mapping[str, Json]) -> bytes:
    """The page that `view` writes, from the result of `document_of`."""
    name = graph.path.name if graph.path is not None else graph.name
    return page(document, f"{name} - graphml-onnx")
