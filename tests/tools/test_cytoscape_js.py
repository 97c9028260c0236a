"""cytoscape.js, with the extension cytoscape-graphml, reads nesting, which is its ``parent``; it saves no keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools import javascript
from tests.tools.written import DRAWN, MODELS, comes_back, write

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.results import Layout


QUICK = ("winml-resnet-mini-dynamo", "constants_in_if", "external_data")
CASES = [
    pytest.param(name, layout, marks=() if name in QUICK and layout == "nested" else pytest.mark.slow)
    for name in MODELS
    for layout in ("nested", "plain")
]


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_cytoscape_reads_all_and_what_it_saves_is_the_model(name: str, layout: Layout, folder: Path) -> None:
    written = write(name, layout, folder)
    saved = folder / "saved.graphml"
    seen = javascript.run("cytoscape.mjs", written.graph, saved)

    own = ("id", DRAWN)
    nodes = {node_id: javascript.texts(values) for node_id, values in seen["nodes"].items()}
    for node_id, values in nodes.items():
        assert {key: value for key, value in values.items() if key not in own} == written.nodes[node_id]
    assert set(nodes) == set(written.nodes)
    assert seen["parents"] == {node_id: values.get("parent") for node_id, values in written.nodes.items()}
    assert len(seen["edges"]) == len(written.edges)
    for (source, target, values), expected in zip(seen["edges"], written.edges, strict=True):
        assert (source, target) == expected[:2]
        assert expected[2].items() <= javascript.texts(values).items()

    comes_back(written, saved)
