"""``--profile``: time and memory of each stage."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import changed, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.g2o_process import Command

STAGED = changed("""
import graphml_onnx
honest = graphml_onnx.encode
def encode(*arguments, progress=None, **options):
    progress("small before", 0, 1, "steps")
    progress("small before", 1, 1, "steps")
    progress("large", 0, 1, "bytes")
    large = bytearray(300_000_000)
    large[::4096] = b"x" * len(large[::4096])
    del large
    progress("large", 1, 1, "bytes")
    progress("small after", 0, 0, "steps")
    return honest(*arguments, progress=progress, **options)
graphml_onnx.encode = encode
""")
"""The command with an `encode` that has three stages more, one of which takes 300 MB."""


@pytest.mark.parametrize("line", ["encode model.onnx", "encode model.onnx --quiet"])
def test_table_on_standard_error(g2o: Command, model: Path, line: str) -> None:
    ran = g2o(*line.split(), "--profile")
    head, *rows = ran.err.splitlines()

    assert ran.code == 0
    assert head.split() == ["stage", "time", "peak", "memory"]
    assert len(rows) > 1
    assert all(re.fullmatch(r"\S.*\S +\d+\.\d{3} s *([\d.]+ [kMG]?B)?", row) for row in rows)
    assert rows[-1].startswith("total ")


def test_profile_in_the_json_document(g2o: Command, model: Path) -> None:
    g2o("encode", model, "-o", "model.graphml")
    ran = g2o("decode", "model.graphml", "-o", "again.onnx", "--profile", "--json")
    stages = json.loads(ran.out)["profile"]

    assert ran.err == ""
    assert all(stage.keys() == {"stage", "seconds", "peak_bytes"} for stage in stages)
    assert [stage["stage"] for stage in stages][-2:] == ["other", "total"]
    seconds = [stage["seconds"] for stage in stages]
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=1e-3)  # nothing is left out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the peak back")
def test_each_stage_has_its_own_peak(model: Path) -> None:
    ran = run(model.parent, "encode", "model.onnx", "--profile", "--json", command=STAGED)
    peaks = {stage["stage"]: stage["peak_bytes"] for stage in json.loads(ran.out)["profile"]}

    assert peaks["small before"] < 300_000_000
    assert peaks["large"] > 300_000_000
    assert peaks["small after"] < 300_000_000
    assert peaks["total"] >= peaks["large"]
