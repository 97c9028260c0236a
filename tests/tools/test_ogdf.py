"""OGDF reads the structure of ``flat`` as a graph, and that of ``plain`` as a graph with clusters."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.common.command import PATIENCE
from tests.tools.written import write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
if importlib.util.find_spec("ogdf_python") is None:
    pytest.skip("OGDF is not installed: pip install ogdf-wheel ogdf-python", allow_module_level=True)

# In a process of its own: it brings a C++ compiler along.
SCRIPT = """
import json, sys
from ogdf_python import ogdf, cppinclude
from cppyy.gbl.std import ifstream
cppinclude("ogdf/fileformats/GraphIO.h")
cppinclude("ogdf/cluster/ClusterGraph.h")
graph, clustered = ogdf.Graph(), ogdf.Graph()
assert ogdf.GraphIO.readGraphML(graph, ifstream(sys.argv[1]))
clusters = ogdf.ClusterGraph(clustered)
assert ogdf.GraphIO.readGraphML(clusters, clustered, ifstream(sys.argv[2]))
print(json.dumps([graph.numberOfNodes(), graph.numberOfEdges(),
                  clustered.numberOfNodes(), clustered.numberOfEdges(), clusters.numberOfClusters() - 1]))
"""


@pytest.mark.parametrize("name", ["winml-bert-mini-dynamo", "constants_in_if", "functions"])
def test_ogdf_reads_all_nodes_edges_and_groups(name: str, tmp_path: Path) -> None:
    for layout in ("flat", "plain"):
        (tmp_path / layout).mkdir()
    flat, plain = (write(name, layout, tmp_path / layout) for layout in ("flat", "plain"))
    command = [sys.executable, "-c", SCRIPT, str(flat.graph), str(plain.graph)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr

    groups = len(set(plain.around.values()) - {None})
    assert json.loads(done.stdout.splitlines()[-1]) == [
        len(flat.nodes),
        len(flat.edges),
        len(plain.nodes) - groups,
        len(plain.edges),
        groups,
    ]
