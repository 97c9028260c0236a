"""``g2o validate``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import jsonschema
import onnx
import pytest

from graphml_onnx.validation.codes import CODES

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command


FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def graph(g2o: Command, model: Path) -> Path:
    """``model.graphml``, beside the model that it comes from."""
    assert g2o("encode", model, "-o", "model.graphml", "--meta", "m.json").code == 0
    return model.with_suffix(".graphml")


@pytest.fixture
def edited(graph: Path) -> Path:
    """A graph without one of its edges."""
    lines = graph.read_text("utf-8").splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("<edge "))
    del lines[first]
    path = graph.with_name("edited.graphml")
    path.write_text("".join(lines), "utf-8")
    return path


def test_a_sound_graph(g2o: Command, graph: Path) -> None:
    ran = g2o("validate", graph.name)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "model.graphml: no findings; it comes back exactly as it was encoded\n"


def test_an_error(g2o: Command, edited: Path) -> None:
    ran = g2o("validate", edited.name)
    finding, summary = ran.out.splitlines()

    assert (ran.code, ran.err) == (1, "")
    place, _, rest = finding.partition(": ")
    assert place.startswith("edited.graphml:")
    assert "<node " in edited.read_text("utf-8").splitlines()[int(place.partition(":")[2]) - 1]
    assert rest.startswith("error edge-mismatch: no edge comes from ")
    assert rest.endswith("(correct one of the two, or decode with --trust)")
    assert summary == "edited.graphml: 1 error"


def test_warnings_and_notes_are_allowed(g2o: Command, graph: Path) -> None:
    text = graph.read_text("utf-8").replace('id="label"', 'id="d0"').replace('key="label"', 'key="d0"')
    graph.write_text(text.replace('"traced_tag">', '"traced_tag">/x', 1), "utf-8")
    ran = g2o("validate", graph.name)

    assert ran.code == 0
    assert "warning stale-scope: " in ran.out
    assert "info keys-renumbered: " in ran.out
    assert ran.out.splitlines()[-1] == "model.graphml: 1 warning, 1 note"
    assert g2o("validate", graph.name, "--quiet").out == ""


def test_what_the_model_brought_along_is_no_error(g2o: Command, model: Path) -> None:
    given = onnx.load(model)
    given.graph.node[0].input[0] = "nowhere"
    onnx.save(given, model)
    assert g2o("encode", model, "-o", "model.graphml").code == 0
    ran = g2o("validate", "model.graphml")
    assert ran.code == 0
    assert "model dangling-input: " in ran.out
    assert "(nothing for the GraphML: the model was so before it was encoded)" in ran.out
    assert ran.out.splitlines()[-1] == "model.graphml: 1 fault of the model itself"
    (told,) = json.loads(g2o("validate", "model.graphml", "--json").out)["files"]
    assert told["valid"]
    assert [finding["severity"] for finding in told["findings"]] == ["model"]
    strict = g2o("validate", "model.graphml", "--strict", "--json")
    assert strict.code == 1
    assert not json.loads(strict.out)["files"][0]["valid"]


def test_after_an_edit_it_counts(g2o: Command, model: Path) -> None:
    given = onnx.load(model)
    given.graph.node[0].input[0] = "nowhere"
    onnx.save(given, model)
    assert g2o("encode", model, "-o", "model.graphml").code == 0
    graph = model.with_suffix(".graphml")
    text = graph.read_text("utf-8")
    assert '"op_type">Softmax<' in text
    graph.write_text(text.replace('"op_type">Softmax<', '"op_type">LogSoftmax<', 1), "utf-8")
    ran = g2o("validate", "model.graphml")
    assert ran.code == 1
    assert "error dangling-input: " in ran.out


def test_quiet_shows_errors(g2o: Command, edited: Path) -> None:
    ran = g2o("validate", edited.name, "--quiet")
    assert ran.code == 1
    assert ran.out.count("\n") == 1
    assert "error edge-mismatch" in ran.out


def test_json_document(g2o: Command, graph: Path, edited: Path) -> None:
    ran = g2o("validate", graph.name, edited.name, "missing.graphml", "--json")
    good, bad, missing = json.loads(ran.out)["files"]

    assert ran.code == 1
    assert good == {"graphml": "model.graphml", "valid": True, "findings": [], "error": None}
    assert not bad["valid"]
    (finding,) = bad["findings"]
    assert finding.keys() == {"code", "severity", "line", "message", "remedy"}
    assert (finding["code"], finding["severity"]) == ("edge-mismatch", "error")
    assert not missing["valid"]
    assert missing["error"]["exit_code"] == 66


def test_a_file_that_is_missing(g2o: Command, graph: Path) -> None:
    ran = g2o("validate", "missing.graphml", graph.name)
    assert ran.code == 66
    assert ran.err == "g2o: missing.graphml: no such file (check the path)\n"
    assert "model.graphml: no findings" in ran.out


def test_what_is_no_graphml(g2o: Command, model: Path) -> None:
    ran = g2o("validate", model.name)
    assert ran.code == 1
    assert ran.out.startswith("model.onnx: error not-graphml: is an ONNX model, not GraphML (")


def test_a_name_keeps_to_its_line(g2o: Command, graph: Path) -> None:
    text = graph.read_text("utf-8").replace(">Softmax<", ">Soft\nmax<", 1)
    graph.write_text(text, "utf-8")
    for line in g2o("validate", graph.name).out.splitlines():
        assert line.startswith("model.graphml")


def test_sidecar_in_another_folder(g2o: Command, model: Path, graph: Path) -> None:
    (model.parent / "weights").mkdir()
    graph.with_suffix(".onnxdata").rename(model.parent / "weights" / "model.onnxdata")
    assert "error store-missing" in g2o("validate", graph.name).out
    assert g2o("validate", graph.name, "--params-dir", "weights").code == 0


def test_schema(g2o: Command, graph: Path) -> None:
    pytest.importorskip("xmlschema")
    assert g2o("validate", graph.name, "--schema").code == 0
    graph.write_text(graph.read_text("utf-8").replace("<edge ", '<edge id="e" ', 1), "utf-8")
    assert g2o("validate", graph.name).code == 0
    assert "error schema: " in g2o("validate", graph.name, "--schema").out


def test_codes_that_are_selected_or_ignored(g2o: Command, edited: Path) -> None:
    assert g2o("validate", edited.name, "--ignore", "edge-mismatch").code == 0
    only = g2o("validate", edited.name, "--select", "store")
    assert (only.code, only.out) == (0, "edited.graphml: no findings of these codes\n")
    both = g2o("validate", edited.name, "--select", "graph", "--ignore", "stale-edge", "--json")
    (told,) = json.loads(both.out)["files"]
    assert both.code == 1
    assert {finding["code"] for finding in told["findings"]} == {"edge-mismatch"}
    wrong = g2o("validate", edited.name, "--ignore", "edge-mismatched")
    assert wrong.code == 2
    assert "close to it: edge-mismatch" in wrong.err


def test_annotations_for_github(g2o: Command, edited: Path) -> None:
    ran = g2o("validate", edited.name, "gone.graphml", "--format", "github")
    first, last = ran.out.splitlines()
    assert ran.code == 1
    assert re.match(r"::error file=edited\.graphml,line=\d+,title=edge-mismatch::no edge comes from ", first)
    assert last.startswith("::error file=gone.graphml::gone.graphml: ")


def test_annotations_cannot_be_forged(g2o: Command, graph: Path) -> None:
    graph.write_text(graph.read_text("utf-8").replace("</graph>", '<a,b="%0A::error::" x=":"/></graph>'), "utf-8")
    for line in g2o("validate", graph.name, "--format", "github").out.splitlines():
        assert line.count("::error") <= 1
        assert "%0A" not in line


def test_sarif_follows_its_schema(g2o: Command, edited: Path) -> None:
    schema = json.loads((FIXTURES / "schema" / "sarif-2.1.0.json").read_text("utf-8"))
    ran = g2o("validate", edited.name, "gone.graphml", "--format", "sarif")
    log = json.loads(ran.out)
    jsonschema.Draft4Validator(schema).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    (result,) = [result for result in run["results"] if result["level"] == "error"]
    place = result["locations"][0]["physicalLocation"]
    assert ran.code == 1
    assert result["ruleId"] == rules[result["ruleIndex"]]["id"] == "edge-mismatch"
    assert place["artifactLocation"]["uri"] == "edited.graphml"
    assert place["region"]["startLine"] > 1
    assert not run["invocations"][0]["executionSuccessful"]


def test_junit(g2o: Command, edited: Path, graph: Path) -> None:
    ran = g2o("validate", edited.name, graph.name, "gone.graphml", "--format", "junit")
    suite = ElementTree.fromstring(ran.out)[0]
    assert suite.attrib == {"name": "g2o validate", "tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("edge-mismatch, line ")


def test_two_formats_contradict_each_other(g2o: Command, graph: Path) -> None:
    assert g2o("validate", graph.name, "--json", "--format", "sarif").code == 2


def test_explain(g2o: Command) -> None:
    listed = g2o("explain").out.splitlines()
    assert [line.split()[0] for line in listed[1:]] == [*CODES]
    told = g2o("explain", "edge-mismatch").out
    for fact in (CODES["edge-mismatch"].why, CODES["edge-mismatch"].example, "decode with --trust"):
        assert fact in told
    (document,) = json.loads(g2o("explain", "store-missing", "--json").out)["codes"]
    assert document["remedy"] == "put it beside the GraphML"
    wrong = g2o("explain", "store-mising")
    assert (wrong.code, wrong.out) == (2, "")
    assert "close to it: store-missing" in wrong.err
