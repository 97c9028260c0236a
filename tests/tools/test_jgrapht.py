"""JGraphT, which Debian packages, validates against the GraphML schema and reads the layout ``flat``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools import java_program
from tests.tools.written import MODELS, write

if TYPE_CHECKING:
    import subprocess

_LIBRARIES = tuple(
    Path("/usr/share/java") / f"{name}.jar" for name in ("jgrapht-core", "jgrapht-io", "commons-text", "commons-lang3")
)
"""As Debian's package libjgrapht-java installs them."""

QUICK = "winml-resnet-mini-dynamo"


def read(graph: Path) -> subprocess.CompletedProcess[str]:
    return java_program.run("ReadGraph.java", graph, classes=_LIBRARIES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in MODELS]
)
def test_jgrapht_reads_all_nodes_edges_and_values(name: str, folder: Path) -> None:
    written = write(name, "flat", folder)
    done = read(written.graph)
    assert done.returncode == 0, done.stderr

    nodes: dict[str, dict[str, str]] = {}
    edges: list[tuple[str, str]] = []
    values: list[tuple[str, str]] = []
    for line in done.stdout.splitlines():
        kind, *fields = line.split("\t")
        if kind == "node":
            nodes[fields[0]] = {}
        elif kind == "node_value":
            nodes[fields[0]][fields[1]] = base64.b64decode(fields[2]).decode()
        elif kind == "edge":
            edges.append((fields[0], fields[1]))
        else:
            values.append((fields[0], base64.b64decode(fields[1]).decode()))
    assert {node_id: _without(facts, "id") for node_id, facts in nodes.items()} == written.nodes
    assert edges == [(source, target) for source, target, _ in written.edges]
    assert {pair for pair in values if pair[0] not in ("source", "target")} == {
        pair for _, _, facts in written.edges for pair in facts.items()
    }


def _without(values: dict[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name != key}


def test_jgrapht_refuses_groups(folder: Path) -> None:
    done = read(write(QUICK, "plain", folder).graph)
    assert done.returncode != 0
    assert "Nodes cannot be inside other nodes" in done.stderr or "does not support nested graphs" in done.stderr
