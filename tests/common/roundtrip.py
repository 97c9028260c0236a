"""The round trip of one model: in memory, which is fast, or through files and the public functions."""

from __future__ import annotations

import io
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx import decode, encode
from graphml_onnx.decoding.formats import load_graphml
from graphml_onnx.encoding.payloads import move_payloads, write_header
from graphml_onnx.encoding.prepare import Inputs, Options, prepare
from graphml_onnx.encoding.write import write_graph
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.parameters.chunks import Output
from graphml_onnx.parameters.store import Store, check_store
from graphml_onnx.parameters.transfer import assemble

if TYPE_CHECKING:
    from graphml_onnx.results import Layout, ParameterStrategy, Trust

_MODEL = Path("model.onnx")
_SPOOL = Path(tempfile.gettempdir())
_RESIDUE = re.compile(b'<data key="residue">([^<]*)')


@dataclass(frozen=True, slots=True)
class Trip:
    """The result: the graph, the model that was decoded from it, and what encode and decode said."""

    graphml: bytes
    decoded: bytes
    exact: bool
    residue_bytes: int


def through_memory(
    data: bytes,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    *,
    show_parameters: bool = False,
    inline_limit: int = 1024,
    trust: Trust | None = None,
) -> Trip:
    """Encodes and decodes without files and without the self-check; raises what the library raises."""
    with ExitStack() as stack:
        inputs = Inputs(BytesSource(data), _MODEL, None, (_MODEL,))
        work = prepare(inputs, Options(parameters, layout, show_parameters, inline_limit))
        sidecar = io.BytesIO()
        store = Output(sidecar, _MODEL) if work.has_sidecar else None
        sha256, references, externals = move_payloads(work, store, None)
        checksum = "" if store is None else write_header(work, store, sha256, references, externals)
        info = work.store_info(checksum, Path("model.onnxdata") if work.has_sidecar else None)
        graphml = io.BytesIO()
        write_graph(work, graphml, info, sha256, references, externals, None, embed=True)
        residue = _RESIDUE.search(graphml.getvalue())

        loaded = load_graphml(
            BytesSource(graphml.getvalue()),
            Path("model.graphml"),
            stack,
            _ignore,
            trust=trust,
            spool_folder=_SPOOL,
        )
        kept = {"embedded": loaded.embedded, "reference": inputs.source}.get(parameters)
        opened = Store(BytesSource(b"") if kept is None else kept)
        if sidecar.getvalue():
            opened = check_store(BytesSource(sidecar.getvalue()), loaded.store, loaded.stored)
        decoded = io.BytesIO()
        located = opened.located_by_number(loaded.references)
        sha256 = assemble(loaded.pieces(), located, opened.source, decoded.write, _ignore, threaded=False)
        residue_bytes = 0 if residue is None else len(residue[1])
        return Trip(graphml.getvalue(), decoded.getvalue(), sha256 == loaded.sha256, residue_bytes)


def _ignore(_: int) -> None:
    pass


def through_files(
    data: bytes,
    folder: Path,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    *,
    show_parameters: bool = False,
) -> Trip:
    """Encodes and decodes with the public functions, without the self-check, so that the caller finds differences."""
    model, graph, copy = folder / "model.onnx", folder / "model.graphml", folder / "copy.onnx"
    model.write_bytes(data)
    encoded = encode(
        model,
        graph,
        parameters=parameters,
        layout=layout,
        show_parameters=show_parameters,
        overwrite=True,
        self_check=False,
    )
    decoded = decode(graph, copy, overwrite=True)
    return Trip(graph.read_bytes(), copy.read_bytes(), decoded.exact, encoded.residue_bytes)
