"""``g2o verify``."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.cli.g2o_process import changed, run

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command

KEYS = {
    "model",
    "passed",
    "error",
    "parameters",
    "sha256",
    "checks",
    "difference",
    "residue_bytes",
    "operators",
    "modules",
    "coverage",
    "findings",
}

BROKEN = changed("""
import graphml_onnx
from graphml_onnx.results import Check, Difference
honest = graphml_onnx.verify
def verify(model, **options):
    import dataclasses
    report = honest(model, **options)
    if model.name != "broken.onnx":
        return report
    found = Check("bytes", False, "the first difference is at byte 812, in graph.node[3]")
    checks = (found, Check("structure", True, "all nodes are there"))
    return dataclasses.replace(report, checks=checks, difference=Difference(812, "graph.node[3]"))
graphml_onnx.verify = verify
""")
"""The command with a library that finds a difference in ``broken.onnx``."""


@pytest.fixture
def broken(model: Path) -> Path:
    return shutil.copyfile(model, model.with_name("broken.onnx"))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.onnx"
    path.write_text("not a model\n")
    return path


def test_one_line_for_a_model_and_a_closing_line(g2o: Command, model: Path) -> None:
    ran = g2o("verify", "model.onnx", "--meta", "m.json")

    assert (ran.code, ran.err) == (0, "")
    first, last = ran.out.splitlines()
    assert first.startswith("ok      model.onnx: bytes, ")
    assert last == "1 passed, 0 failed"


def test_nothing_is_left_behind(g2o: Command, model: Path) -> None:
    before = set(model.parent.iterdir())
    g2o("verify", model)

    assert set(model.parent.iterdir()) == before


def test_a_difference_is_told_with_its_place(model: Path, broken: Path) -> None:
    ran = run(model.parent, "verify", "broken.onnx", "model.onnx", command=BROKEN)
    failed, passed, last = ran.out.splitlines()

    assert (ran.code, ran.err) == (1, "")
    assert failed == "FAILED  broken.onnx: bytes: the first difference is at byte 812, in graph.node[3]"
    assert passed.startswith("ok      model.onnx: ")
    assert last == "1 passed, 1 failed"


def test_a_difference_is_told_on_standard_error_where_it_is_quiet(model: Path, broken: Path) -> None:
    ran = run(model.parent, "verify", "broken.onnx", "model.onnx", "--quiet", command=BROKEN)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "g2o: FAILED  broken.onnx: bytes: the first difference is at byte 812, in graph.node[3]\n"


def test_an_error_does_not_stop_the_others(g2o: Command, model: Path, notes: Path) -> None:
    ran = g2o("verify", "missing.onnx", "notes.onnx", "model.onnx")

    assert ran.code == 66, "the code of the first error"
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "FAILED  missing.onnx",
        "FAILED  notes.onnx",
        "ok      model.onnx",
        "1 passed, 2 failed",
    ]
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == ["missing.onnx", "notes.onnx"]


def test_a_difference_weighs_more_than_an_error(model: Path, broken: Path, notes: Path) -> None:
    assert run(model.parent, "verify", "notes.onnx", "broken.onnx", command=BROKEN).code == 1


def test_json_document(g2o: Command, model: Path, notes: Path) -> None:
    ran = g2o("verify", "model.onnx", "notes.onnx", "--json")
    document = json.loads(ran.out)
    good, bad = document["models"]

    assert ran.code == 65
    assert ran.err.count("\n") == 1
    assert (document["passed"], document["failed"]) == (1, 1)
    assert good.keys() == bad.keys() == KEYS
    assert good["passed"]
    assert good["error"] is None
    assert good["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert all(check.keys() == {"name", "passed", "detail", "skipped"} for check in good["checks"])
    assert not bad["passed"]
    assert bad["error"]["category"] == "bad_data"
    assert bad["error"]["exit_code"] == 65


def test_json_document_with_a_difference(model: Path, broken: Path) -> None:
    ran = run(model.parent, "verify", "broken.onnx", "--json", command=BROKEN)
    (outcome,) = json.loads(ran.out)["models"]

    assert (ran.code, ran.err) == (1, "")
    assert not outcome["passed"]
    assert outcome["difference"] == {"offset": 812, "path": "graph.node[3]"}


def test_quiet_is_quiet(g2o: Command, model: Path) -> None:
    ran = g2o("verify", model, "--quiet")

    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_numeric_check(g2o: Command) -> None:
    pytest.importorskip("onnxruntime")
    sample = Path(__file__).parents[2] / "fixtures" / "htp" / "winml-resnet-mini-torchscript" / "model.onnx"
    document = json.loads(g2o("verify", sample, "--numeric", "--json").out)

    assert {check["name"]: check["passed"] for check in document["models"][0]["checks"]}["numeric"]


def test_a_model_that_onnxruntime_cannot_run_is_skipped(g2o: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    sample = Path(__file__).parents[2] / "fixtures" / "real" / "silero_vad.onnx"
    report = tmp_path / "report.xml"
    ran = g2o("verify", sample, "--numeric", "--junit", report)
    (suite,) = ElementTree.parse(report).getroot()

    assert ran.code == 0
    assert "; skipped numeric: onnxruntime cannot run the model itself" in ran.out
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


def test_input_specs(g2o: Command, model: Path, tmp_path: Path) -> None:
    specs = tmp_path / "specs.json"
    specs.write_text('{"x": {"shape": [1], "dtype": "complex"}}')
    without = g2o("verify", model, "--input-specs", specs)
    wrong = g2o("verify", model, "--numeric", "--input-specs", specs)
    several = g2o("verify", model, model, "--numeric", "--input-specs", specs)

    assert (without.code, wrong.code, several.code) == (2, 2, 2)
    assert "--numeric" in without.err
    assert "x.dtype" in wrong.err
    assert "one model" in several.err


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
def test_strategies(g2o: Command, model: Path, strategy: str) -> None:
    document = json.loads(g2o("verify", model, "--params", strategy, "--json").out)

    assert document["models"][0]["parameters"] == strategy
    assert document["passed"] == 1


def test_junit_report(model: Path, broken: Path, notes: Path) -> None:
    ran = run(
        model.parent, "verify", "model.onnx", "broken.onnx", "notes.onnx", "--junit", "report.xml", command=BROKEN
    )
    suite = ElementTree.parse(model.parent / "report.xml").getroot().find("testsuite")

    assert ran.code == 1
    assert suite is not None
    cases = {(case.get("classname"), case.get("name")): case for case in suite.iter("testcase")}
    assert suite.get("tests") == str(len(cases))
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    assert list(cases["model.onnx", "bytes"]) == []
    assert list(cases["broken.onnx", "structure"]) == []
    failure = cases["broken.onnx", "bytes"].find("failure")
    assert failure is not None
    assert failure.get("message") == "the first difference is at byte 812, in graph.node[3]"
    error = cases["notes.onnx", "verify"].find("error")
    assert error is not None
    assert error.get("message", "").startswith("notes.onnx: ")


def test_junit_report_is_replaced(g2o: Command, model: Path) -> None:
    report = model.parent / "report.xml"
    report.write_text("old")
    before = set(model.parent.iterdir())
    ran = g2o("verify", model, "--junit", "report.xml")

    assert ran.code == 0
    assert ElementTree.parse(report).getroot().tag == "testsuites"
    assert set(model.parent.iterdir()) == before


def test_junit_report_of_names_that_xml_cannot_hold(g2o: Command, tmp_path: Path) -> None:
    g2o("verify", "a\x01\ufffe<&>.onnx", "--junit", "report.xml")
    case = ElementTree.parse(tmp_path / "report.xml").getroot().find("testsuite/testcase")

    assert case is not None
    assert case.get("classname") == "a\\x01\\ufffe<&>.onnx"


def test_junit_report_that_cannot_be_written_is_refused_before_the_checks(g2o: Command, model: Path) -> None:
    ran = g2o("verify", model, "--junit", "missing/report.xml")

    assert (ran.code, ran.out) == (73, "")


def test_junit_report_does_not_replace_a_model(g2o: Command, model: Path) -> None:
    before = model.read_bytes()

    assert g2o("verify", model, "--junit", model).code == 2
    assert model.read_bytes() == before
