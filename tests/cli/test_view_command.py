"""``g2o view`` writes one page, and says where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.common.command import in_process
from tests.viewing import models

if TYPE_CHECKING:
    from pathlib import Path


def test_view_writes_a_page_beside_the_model(tmp_path: Path) -> None:
    models.layers(tmp_path / "m.onnx")
    ran = in_process(tmp_path, "view", "m.onnx")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("page       m.onnx.html (")
    assert (tmp_path / "m.onnx.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert in_process(tmp_path, "view", "m.onnx").code == 73  # it exists


def test_view_says_what_it_did_as_json(tmp_path: Path) -> None:
    models.layers(tmp_path / "m.onnx")
    models.layers(tmp_path / "old.onnx", 2)
    ran = in_process(tmp_path, "view", "m.onnx", "--diff", "old.onnx", "-o", "p.html", "--module", "encoder", "--json")
    document = json.loads(ran.out)
    assert (document["page"], document["operators"], document["error"]) == ("p.html", 11, None)
    assert document["size"] == (tmp_path / "p.html").stat().st_size
    assert document["differences"] > 0


def test_view_names_the_nearest_module(tmp_path: Path) -> None:
    models.layers(tmp_path / "m.onnx")
    ran = in_process(tmp_path, "view", "m.onnx", "--module", "encoder.layer.7")
    assert ran.code == 2
    assert "'encoder.layer.0'" in ran.err
