"""``g2o tables``: what people see of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import run
from tests.common import seeds

pytest.importorskip("pyarrow")

if TYPE_CHECKING:
    from pathlib import Path

BERT = seeds.FIXTURES / "winml-bert-mini-dynamo/model.onnx"


def test_a_model(tmp_path: Path) -> None:
    ran = run(tmp_path, "tables", BERT, "-o", "zoo", "--graph-database", "zoo.lbug")
    assert (ran.code, ran.err) == (0, "")
    assert "operators   92 rows\n" in ran.out
    assert "FLOWS" in ran.out
    assert len(list((tmp_path / "zoo/operators").iterdir())) == 1


def test_json_and_a_model_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_text("text")
    ran = run(tmp_path, "tables", BERT, "bad.onnx", "-o", "zoo", "--json")
    assert ran.code == 65
    told = json.loads(ran.out)
    assert told["rows"]["operators"] == 92
    assert told["errors"]["bad.onnx"]["category"] == "bad_data"
    assert ran.err.startswith("g2o: bad.onnx: is not an ONNX model")


def test_each_failure_begins_with_the_name_of_its_model(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(BERT.read_bytes())
    (tmp_path / "one_htp_metadata.json").write_text("{bad")
    (tmp_path / "two.onnx").symlink_to("nowhere")
    ran = run(tmp_path, "tables", ".", "-o", "zoo")
    one, two = ran.err.splitlines()
    assert one.startswith("g2o: one.onnx: line 1, column 2: not valid JSON")
    assert one.endswith("[one_htp_metadata.json]")
    assert two == "g2o: two.onnx: a link to a file that is not there (mend the link, or remove it)"


def test_a_graph_database_of_tables_elsewhere(tmp_path: Path) -> None:
    ran = run(tmp_path, "tables", BERT, "-o", "memory://zoo", "--graph-database", "zoo.lbug")
    assert ran.code == 2
    assert "--graph-database needs the tables on this machine" in ran.err
