"""``g2o encode``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import changed, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.g2o_process import Command

RESULT = {
    "graphml",
    "graphml_bytes",
    "sidecar",
    "sidecar_bytes",
    "sha256",
    "residue_bytes",
    "operators",
    "modules",
    "coverage",
    "coverages",
    "hierarchy_source",
    "placements",
    "findings",
    "weights",
}
PREVIEW = {
    "graphml",
    "graphml_bytes",
    "sidecar",
    "sidecar_bytes",
    "operators",
    "modules",
    "coverage",
    "coverages",
    "hierarchy_source",
    "placements",
    "findings",
    "weights",
    "payloads",
    "payload_bytes",
    "existing",
}
TYPES = {
    "graphml": str,
    "graphml_bytes": int,
    "sidecar": str,
    "sidecar_bytes": int,
    "sha256": str,
    "residue_bytes": int,
    "operators": int,
    "modules": int,
    "coverage": float,
    "coverages": dict,
    "hierarchy_source": str,
    "placements": dict,
    "findings": list,
    "weights": list,
    "payloads": int,
    "payload_bytes": int,
    "existing": list,
}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def graph(model: Path) -> Path:
    """Where the GraphML of the model goes by default."""
    return model.with_name("model_hierarchical_graph.graphml")


def test_summary_names_files_graph_and_digest(g2o: Command, model: Path) -> None:
    ran = g2o("encode", "model.onnx", "--meta", "m.json")
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in ran.out.splitlines())

    assert ran.code == 0
    assert re.fullmatch(r"model_hierarchical_graph\.graphml \([\d.]+ kB\)", facts["graphml"])
    assert re.fullmatch(r"model_hierarchical_graph\.onnxdata \([\d.]+ kB\)", facts["sidecar"])
    assert int(facts["operators"]) > 0
    assert int(facts["modules"]) > 0
    assert re.fullmatch(r"from metadata; \d+\.\d % of the operators are in a module below the root", facts["hierarchy"])
    assert facts["sha256"].startswith(hashlib.sha256(model.read_bytes()).hexdigest())
    assert "residue" not in facts


def test_json_document(g2o: Command, model: Path) -> None:
    ran = g2o("encode", "model.onnx", "--meta", "m.json", "--json")
    document = json.loads(ran.out)

    assert (ran.code, ran.err) == (0, "")
    assert document.keys() == RESULT
    assert {name: type(value) for name, value in document.items()} == {name: TYPES[name] for name in RESULT}
    assert document["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert document["graphml_bytes"] == (model.parent / document["graphml"]).stat().st_size
    assert document["sidecar_bytes"] == (model.parent / document["sidecar"]).stat().st_size


def test_quiet_is_quiet(g2o: Command, model: Path, graph: Path) -> None:
    ran = g2o("encode", model, "--quiet")

    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert graph.exists()


def test_dry_run_writes_nothing_and_tells_what_would_come(g2o: Command, model: Path) -> None:
    before = files(model.parent)
    dry = json.loads(g2o("encode", "model.onnx", "--meta", "m.json", "--dry-run", "--json").out)
    assert files(model.parent) == before

    real = json.loads(g2o("encode", "model.onnx", "--meta", "m.json", "--json").out)
    assert dry.keys() == PREVIEW
    assert {name: type(value) for name, value in dry.items()} == {name: TYPES[name] for name in PREVIEW}
    assert {name: dry[name] for name in RESULT & PREVIEW} == {name: real[name] for name in RESULT & PREVIEW}
    assert dry["existing"] == []


def test_dry_run_names_what_exists(g2o: Command, model: Path, graph: Path) -> None:
    graph.write_text("mine")
    ran = g2o("encode", "model.onnx", "--dry-run")
    lines = ran.out.splitlines()

    assert ran.code == 0
    assert re.fullmatch(r"graphml +model_hierarchical_graph\.graphml \([\d.]+ kB\), exists", lines[0])
    assert re.fullmatch(r"sidecar +model_hierarchical_graph\.onnxdata \([\d.]+ kB\)", lines[1])
    assert lines[-1] == "Nothing was written. To replace what exists, use --overwrite."
    assert graph.read_text() == "mine"


def test_force_replaces(g2o: Command, model: Path, graph: Path) -> None:
    graph.write_text("mine")

    assert g2o("encode", model).code == 73
    assert g2o("encode", model, "--force").code == 0
    assert graph.read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "sidecar"),
    [("--params sidecar", True), ("--params embedded", False), ("--params reference", False)],
)
def test_where_the_weights_go(g2o: Command, model: Path, graph: Path, options: str, *, sidecar: bool) -> None:
    document = json.loads(g2o("encode", model, "--json", *options.split()).out)

    assert (document["sidecar"] is not None) == sidecar
    assert graph.with_suffix(".onnxdata").exists() == sidecar


@pytest.mark.parametrize("options", ["--layout flat", "--show-parameters", "--inline-limit 0"])
def test_options_reach_the_graph(g2o: Command, model: Path, options: str) -> None:
    g2o("encode", model, "-o", "plain.graphml")
    g2o("encode", model, "-o", "other.graphml", *options.split())
    plain, other = ((model.parent / name).read_bytes() for name in ("plain.graphml", "other.graphml"))

    assert plain != other.replace(b"other.", b"plain.")


FINDINGS = """
import graphml_onnx
def with_findings(function):
    import dataclasses
    def wrapped(*arguments, **options):
        return dataclasses.replace(function(*arguments, **options), findings=("unknown tag /a\\n/b", "second"))
    return wrapped
graphml_onnx.encode = with_findings(graphml_onnx.encode)
"""


def test_findings_are_warnings(model: Path) -> None:
    ran = run(model.parent, "encode", "model.onnx", command=changed(FINDINGS))

    assert ran.code == 0
    assert ran.err == "g2o: warning: model.onnx: unknown tag /a\\n/b\ng2o: warning: model.onnx: second\n"


def test_quiet_hides_warnings(model: Path) -> None:
    ran = run(model.parent, "encode", "model.onnx", "--quiet", command=changed(FINDINGS))

    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a FIFO")
def test_an_output_that_is_no_file_is_refused_as_what_it_is(folder: Path) -> None:
    """Without its ending, ``pipe.graphml`` was written beside it."""
    os.mkfifo(folder / "pipe")
    before = set(folder.iterdir())
    ran = run(folder, "encode", "model.onnx", "-o", "pipe")
    assert ran.code == 73
    assert "not a regular file" in ran.err
    assert set(folder.iterdir()) == before
