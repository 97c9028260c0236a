"""rustworkx reads the layout ``flat``, and refuses groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.written import MODELS, comes_back, write

rustworkx = pytest.importorskip("rustworkx")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", MODELS)
def test_rustworkx_reads_all_and_what_it_saves_is_the_model(name: str, folder: Path) -> None:
    written = write(name, "flat", folder)
    (graph,) = rustworkx.read_graphml(str(written.graph))

    assert isinstance(graph, rustworkx.PyDiGraph)
    ids = [values["id"] for values in graph.nodes()]
    assert {node_id: _filled(values) for node_id, values in zip(ids, graph.nodes(), strict=True)} == written.nodes
    assert [(ids[source], ids[target], _filled(values)) for source, target, values in graph.weighted_edge_list()] == (
        written.edges
    )

    rustworkx.write_graphml(graph, str(folder / "saved.graphml"))
    comes_back(written, folder / "saved.graphml")


def _filled(values: dict[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None and key != "id"}
