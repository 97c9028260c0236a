"""networkx reads groups as nodes beside those that they hold; ``parent`` says what they hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import networkx
import pytest

from tests.tools.written import MODELS, comes_back, write

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.results import Layout


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("name", MODELS)
def test_networkx_reads_all_and_what_it_saves_is_the_model(name: str, layout: Layout, folder: Path) -> None:
    written = write(name, layout, folder)
    graph = networkx.read_graphml(written.graph, force_multigraph=True)

    assert graph.is_directed()
    assert set(graph.nodes) == set(written.nodes)
    for node_id, values in written.nodes.items():
        seen = graph.nodes[node_id]
        assert {key: str(seen[key]) for key in values} == values
    edges = [(source, target, _texts(values)) for source, target, values in graph.edges(data=True)]
    assert _counted(edges) == _counted(written.edges)

    networkx.write_graphml(graph, folder / "saved.graphml")
    comes_back(written, folder / "saved.graphml")


def _texts(values: dict[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _counted(edges: list[tuple[str, str, dict[str, str]]]) -> Counter[tuple[str, str, frozenset[tuple[str, str]]]]:
    return Counter((source, target, frozenset(values.items())) for source, target, values in edges)
