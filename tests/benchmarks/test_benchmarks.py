"""The benchmarks compare what can be compared, and say what they found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import networkx
import onnx
import pytest

from benchmarks import graphs, networkx_peers
from benchmarks.goals import goals
from benchmarks.groups import GROUPS
from benchmarks.record import Group, Row, Run
from graphml_onnx import encode, verify

ROOT = Path(__file__).parents[2]
SHAPES = {
    "tree": graphs.tree,
    "flat": graphs.flat,
    "deep": graphs.deep,
    "small modules": graphs.small_modules,
    "bodies": graphs.bodies,
}


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def operators(graph: onnx.GraphProto) -> int:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return len(graph.node) + sum(map(operators, inner))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_generated_graph_is_valid_and_has_its_size(tmp_path: Path, shape: str) -> None:
    model = SHAPES[shape](tmp_path / "model.onnx", 1_000)
    read = onnx.load(model)
    onnx.checker.check_model(read, full_check=True)
    assert operators(read.graph) == 1_000
    report = verify(model)
    assert all(check.passed for check in report.checks)
    assert report.residue_bytes == 0


def by_name(graph: networkx.MultiDiGraph[str]) -> networkx.MultiDiGraph[str]:
    """The graph with nodes that are called by what they are: the peer numbers its nodes."""
    names = {
        node: f"{data['kind']} {data['hierarchy_tag' if data['kind'] == 'module' else 'name']}"
        for node, data in graph.nodes(data=True)
    }
    assert len({*names.values()}) == len(names)
    renamed = networkx.relabel_nodes(graph, names)
    for _, data in renamed.nodes(data=True):
        data.update({key: names[data[key]] for key in ("node_id", "parent", "after") if key in data})
    return renamed


def test_networkx_writes_the_same_content(tmp_path: Path) -> None:
    model = graphs.tree(tmp_path / "model.onnx", 6_000)
    ours, theirs = tmp_path / "ours.graphml", tmp_path / "theirs.graphml"
    encode(model, ours, layout="flat")
    networkx_peers.write_everything(str(model), str(theirs))
    expected, found = (by_name(networkx.read_graphml(path, force_multigraph=True)) for path in (ours, theirs))
    assert dict(found.nodes.items()) == dict(expected.nodes.items())

    def edges(graph: networkx.MultiDiGraph[str]) -> list[str]:
        return sorted(f"{source} {target} {sorted(data.items())}" for source, target, data in graph.edges(data=True))

    assert edges(found) == edges(expected)


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    run = Run(quick=True, groups={"start": Group("title", [Row("case", [0.5, 1.5], [7, 8], True, 20)])})
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


def test_a_goal_is_the_median_of_ratios_within_turns() -> None:
    rows = [
        Row("cp", [1.0, 10.0, 2.0], []),
        Row("SHA-256", [1.0, 10.0, 2.0], []),
        *(Row(f"{work}, {strategy}", [2.0, 30.0, 4.4], [64_000, 1, 1]) for work in ("encode", "decode")
          for strategy in ("sidecar", "embedded", "reference")),
    ]  # fmt: skip
    found = {goal.work: goal for goal in goals(Run(quick=False, groups={"weights-438mb": Group("", rows)}))}
    sidecar = found["encode 438 MB, sidecar / (cp + SHA-256)"]
    assert sidecar.values == pytest.approx([1.0, 1.5, 1.1])
    assert sidecar.met
    assert not found["encode 438 MB, reference / SHA-256"].met
    assert found["peak memory, encode 438 MB, the worst strategy"].values[0] == pytest.approx(65.536)


def test_one_group_alone(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    out = bench("benchmarks.bench", "--quick", "--only", "start", "--folder", str(tmp_path), "--output", str(file))
    assert "g2o encode, 20 operators" in out
    assert "a whole g2o encode" in bench("benchmarks.table", str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.slow
def test_every_group_runs(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    bench("benchmarks.bench", "--quick", "--folder", str(tmp_path), "--output", str(file))
    assert Run.read(file).groups.keys() == GROUPS.keys()
    document = bench("benchmarks.table", str(file))
    assert "## Goals" in document
    assert "no self-check" in document
