"""Xerces, the validator of Java's library, which also checks ends of edges and identities, accepts our documents."""

from __future__ import annotations

from pathlib import Path

from tests.tools import java_program
from tests.tools.written import MODELS, write

SCHEMA = Path(__file__).parents[2] / "fixtures" / "schema"


def test_documents_are_valid(tmp_path: Path) -> None:
    graphs = []
    for name in MODELS:
        for layout in ("plain", "flat"):
            folder = tmp_path / name / layout
            folder.mkdir(parents=True)
            graphs.append(write(name, layout, folder).graph)
    done = java_program.run("Validate.java", SCHEMA, *graphs)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_edge_to_nowhere_is_seen(tmp_path: Path) -> None:
    graph = write("functions", "plain", tmp_path).graph
    graph.write_bytes(graph.read_bytes().replace(b'<edge source="', b'<edge source="nowhere'))
    assert "edge_source_ref" in java_program.run("Validate.java", SCHEMA, graph).stdout
