"""NetworKit reads the structure of the layout ``flat``; it has no values of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.written import MODELS, write

networkit = pytest.importorskip("networkit")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", MODELS)
def test_networkit_reads_all_nodes_and_edges(name: str, folder: Path) -> None:
    written = write(name, "flat", folder)
    graph = networkit.graphio.GraphMLReader().read(str(written.graph))

    assert graph.isDirected()
    assert graph.numberOfNodes() == len(written.nodes)
    place = {node_id: number for number, node_id in enumerate(written.nodes)}
    expected = sorted((place[source], place[target]) for source, target, _ in written.edges)
    assert sorted(graph.iterEdges()) == expected
