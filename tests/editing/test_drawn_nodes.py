"""Notes and groups that somebody drew in a graph tool are passed over, and reported; what means something is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import GraphMLError, decode, encode, validate
from tests.editing import edits

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx import Trust

DRAWN = {
    "note": lambda node: node + '<node id="note"/>\n',
    "empty group": lambda node: node + '<node id="g" yfiles.foldertype="group"><graph id="g:"/></node>\n',
    "group around an operator": lambda node: (
        f'<node id="g" yfiles.foldertype="group"><graph id="g:">{node}</graph></node>\n'
    ),
}


@pytest.mark.parametrize("trust", [None, "nodes", "edges"])
@pytest.mark.parametrize("name", DRAWN)
def test_what_is_only_drawn_changes_nothing(tmp_path: Path, name: str, trust: Trust | None) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(edits.model().SerializeToString())
    graph = encode(path, tmp_path / "graph.graphml", parameters="embedded").graphml
    text = graph.read_text("utf-8")
    node = re.search(r'<node id="([\w.]+)">\n  <data key="kind">op</data>.*?</node>\n', text, re.DOTALL)
    assert node is not None
    edited = text.replace(node[0], DRAWN[name](node[0]))
    end = edited.rindex("</graph>\n</graphml>")
    drawn = "g" if "group" in name else "note"
    edited = f'{edited[:end]}<edge source="{drawn}" target="{node[1]}"/>\n{edited[end:]}'
    graph.write_text(edited, "utf-8")
    result = decode(graph, tmp_path / "back.onnx", trust=trust)
    assert result.exact
    assert result.onnx.read_bytes() == path.read_bytes()
    assert any("passed over" in finding for finding in result.findings)
    assert {finding.code for finding in validate(graph)} <= {"passed-over", "nesting-differs", "edgedefault-missing"}


def test_a_node_that_lost_its_kind_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(edits.model().SerializeToString())
    graph = encode(path, tmp_path / "graph.graphml", parameters="embedded").graphml
    graph.write_text(graph.read_text("utf-8").replace('  <data key="kind">op</data>\n', "", 1), "utf-8")
    with pytest.raises(GraphMLError, match="the node has no kind"):
        decode(graph, tmp_path / "back.onnx")


def test_foreign_graphml_is_judged_first(tmp_path: Path) -> None:
    ports = "".join(f'<node id="n{i}"><port name="p"/></node>' for i in range(50))
    graph = tmp_path / "foreign.graphml"
    for keys in ("", '<key id="d" for="node" attr.name="weight"/>'):
        root = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        graph.write_text(f'{root}{keys}<graph edgedefault="directed">{ports}</graph></graphml>', "utf-8")
        (finding,) = validate(graph)
        assert finding.code == "foreign"


def test_decode_tells_foreign_graphml_with_kinds_of_its_own(tmp_path: Path) -> None:
    key = '<key id="d" for="node" attr.name="kind" attr.type="string"/>'
    people = '<graph edgedefault="directed"><node id="a"><data key="d">person</data></node></graph>'
    graph = tmp_path / "foreign.graphml"
    graph.write_text(f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{key}{people}</graphml>', "utf-8")
    with pytest.raises(GraphMLError, match=r"kind 'person' is not one of .* \(g2o did not write this GraphML"):
        decode(graph, tmp_path / "back.onnx")
