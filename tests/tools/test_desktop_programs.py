"""What yEd and Cytoscape make of a graph when they save it is still the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from lxml import etree
from onnx import TensorProto, helper

from graphml_onnx import decode, encode, from_networkx, to_networkx
from tests.tools import desktop
from tests.tools.written import MODELS, comes_back, write

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.results import Layout


@pytest.mark.parametrize("name", MODELS)
def test_what_yed_saves_is_the_model(name: str, folder: Path) -> None:
    written = write(name, "nested", folder)
    desktop.yed(written.graph, folder / "saved.graphml")
    root = etree.parse(folder / "saved.graphml").getroot()
    assert root.find(".//{*}node/{*}graph/{*}node") is not None or name == "value_types"
    comes_back(written, folder / "saved.graphml")


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("name", MODELS)
def test_what_cytoscape_saves_is_the_model(name: str, layout: Layout, folder: Path) -> None:
    written = write(name, layout, folder)
    desktop.cytoscape(written.graph, folder / "saved.graphml")
    root = etree.parse(folder / "saved.graphml").getroot()
    assert root.find(".//{*}node//{*}node") is None
    assert len(root.findall(".//{*}node")) == len(written.nodes)
    comes_back(written, folder / "saved.graphml")


def test_what_came_through_both_is_the_model(folder: Path) -> None:
    written = write("loops", "nested", folder)
    desktop.cytoscape(written.graph, folder / "once.graphml")
    desktop.cytoscape(folder / "once.graphml", folder / "twice.graphml")
    comes_back(written, folder / "twice.graphml")


def test_what_cytoscape_saves_is_the_model_as_a_networkx_graph(folder: Path) -> None:
    written = write("loops", "nested", folder)
    desktop.cytoscape(written.graph, folder / "saved.graphml")
    graph = to_networkx(folder / "saved.graphml")
    assert from_networkx(graph).SerializeToString() == written.model


def test_names_that_are_node_ids_come_back(folder: Path) -> None:
    """Cytoscape gives such a name to nodes that have none."""
    operators = [helper.make_node("Relu", ["x"], [f"y{number}"]) for number in range(3)]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    outputs = [helper.make_empty_tensor_value_info("y0")]
    model = helper.make_model(helper.make_graph(operators, "model", [value], outputs))
    ids = [node for node, kind in to_networkx(model).nodes(data="kind") if kind == "op"]
    model.graph.node[1].name = ids[0]  # that of another node, whose name is empty
    graph = encode(model, folder / "graph.graphml").graphml
    desktop.cytoscape(graph, folder / "saved.graphml")
    for file in (graph, folder / "saved.graphml"):
        decoded = decode(file, folder / "model.onnx", overwrite=True)
        assert decoded.exact
        assert onnx.load(decoded.onnx) == model
