"""graphology reads the layout ``flat`` (of groups, it takes the values of what they hold too); it writes no GraphML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools import javascript
from tests.tools.written import MODELS, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", MODELS)
def test_graphology_reads_all_nodes_edges_and_values(name: str, folder: Path) -> None:
    written = write(name, "flat", folder)
    seen = javascript.run("graphology.mjs", written.graph)

    assert {node_id: javascript.texts(values) for node_id, values in seen["nodes"].items()} == written.nodes
    edges = [(source, target, javascript.texts(values)) for source, target, values in seen["edges"]]
    assert edges == written.edges
