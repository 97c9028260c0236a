"""igraph reads the layout ``flat``; it keeps values in columns, where nothing is an empty text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.written import MODELS, comes_back, write

igraph = pytest.importorskip("igraph")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", MODELS)
def test_igraph_reads_all_and_what_it_saves_is_the_model(name: str, folder: Path) -> None:
    written = write(name, "flat", folder)
    graph = igraph.Graph.Read_GraphML(str(written.graph))

    assert graph.is_directed()
    assert {node["id"]: _filled(node.attributes()) for node in graph.vs} == written.nodes
    seen = [(graph.vs[edge.source]["id"], graph.vs[edge.target]["id"], _filled(edge.attributes())) for edge in graph.es]
    assert seen == written.edges

    graph.write_graphml(str(folder / "saved.graphml"))
    comes_back(written, folder / "saved.graphml")


def _filled(values: dict[str, object]) -> dict[str, str]:
    """Values as texts, without those that are absent; numbers are floats in igraph, and NaN where they are absent."""
    present = {key: value for key, value in values.items() if value not in ("", None) and value == value}
    return {
        key: f"{value:.0f}" if isinstance(value, float) else str(value) for key, value in present.items() if key != "id"
    }
