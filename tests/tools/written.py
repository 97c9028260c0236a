"""Real graphs in each layout, what stands in them, and whether what a tool made of them is still the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from graphml_onnx import encode, validate
from graphml_onnx.graphml.layout import NAMESPACE
from tests.common.command import in_process

if TYPE_CHECKING:
    from graphml_onnx.results import Layout

_FIXTURES = Path(__file__).parents[2] / "fixtures"
_SPACE = {"g": NAMESPACE}

MODELS = {
    **{path.parent.name: path for path in sorted(_FIXTURES.glob("htp/*/model.onnx"))},
    **{path.stem: path for path in sorted(_FIXTURES.glob("small/*.onnx"))},
    "external_data": _FIXTURES / "small" / "external_data" / "model.onnx",
}
"""Models that exporters wrote, with their HTP metadata, and one small model for each rare thing of ONNX."""

DRAWN = "graphics"
"""The key of nodes that only yEd reads."""


@dataclass(frozen=True)
class Written:
    """A graph in a folder of its own.

    Attributes:
        graph: the file.
        model: the bytes of the model.
        nodes: by XML id, the values of the node by key, without drawings.
        edges: XML ids of source and target, and the values of the edge.
        around: by XML id, the node in whose graph the node stands.
    """

    graph: Path
    model: bytes
    nodes: dict[str, dict[str, str]]
    edges: list[tuple[str, str, dict[str, str]]]
    around: dict[str, str | None]


def write(name: str, layout: Layout, folder: Path) -> Written:
    """Encodes a model of `MODELS`."""
    model = MODELS[name]
    metadata = model.with_name("model_htp_metadata.json")
    graph = folder / "graph.graphml"
    encode(model, graph, metadata=metadata if metadata.exists() else None, layout=layout, show_parameters=True)
    root = etree.parse(graph).getroot()
    nodes = {node.get("id"): node for node in root.iter(f"{{{NAMESPACE}}}node")}
    return Written(
        graph,
        model.read_bytes(),
        {node_id: _values(node) for node_id, node in nodes.items()},
        [(edge.get("source"), edge.get("target"), _values(edge)) for edge in root.iter(f"{{{NAMESPACE}}}edge")],
        {node_id: node.getparent().getparent().get("id") for node_id, node in nodes.items()},
    )


def _values(element: etree._Element) -> dict[str, str]:
    return {data.get("key"): data.text for data in element.iterfind("g:data", _SPACE) if len(data) == 0}


def comes_back(written: Written, saved: Path) -> None:
    """``g2o decode`` gives the bytes of the model from what a tool saved beside the graph, and validate agrees."""
    ran = in_process(saved.parent, "decode", saved.name, "--output", "again/model.onnx")
    assert ran.code == 0, ran.err
    assert "byte-identical to the encoded original" in ran.out
    assert (saved.parent / "again" / "model.onnx").read_bytes() == written.model
    assert [finding for finding in validate(saved) if finding.severity != "info"] == []
