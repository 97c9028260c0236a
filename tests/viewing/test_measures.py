"""What the page is told of times and of differences between numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import graphml_onnx
from graphml_onnx.errors import UsageError
from tests.common.command import in_process
from tests.running.models import LAYERS, chain
from tests.viewing.test_page import data_of, summed

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime")

DISTURBED = 2


def measured(page: Path) -> dict[str, dict[str, tuple[int, str]]]:
    """By the name of the measure and of the node: its colour in thousandths, and its text."""
    data = data_of(page)
    names = [data["strings"][number] for number in summed(data["name"])]
    found = {}
    for measure in data["measures"]:
        rows = zip(measure["nodes"], measure["shares"], measure["texts"], strict=True)
        found[measure["name"]] = {names[node]: (share, text) for node, share, text in rows}
    return found


def test_modules_have_their_share_of_the_time(tmp_path: Path) -> None:
    found = measured(graphml_onnx.view(chain(tmp_path), times=True).page)["time"]
    assert {f"layer.{number}" for number in range(LAYERS)} <= found.keys()
    assert found["chain"][0] == 1000
    assert found[f"layer.0 … layer.{LAYERS - 1}"] == found["encoder"]
    assert found["chain"][1].endswith("ms, 100.0% of a run")
    assert all(0 < share <= 1000 for share, _ in found.values())


def test_operators_and_modules_are_coloured_where_numbers_part(tmp_path: Path) -> None:
    old, new = chain(tmp_path, "old.onnx"), chain(tmp_path, "new.onnx", DISTURBED)
    feed = {"x": np.ones((2, 8), np.float32)}
    page = graphml_onnx.view(new, diff=old, numeric=True, input_data=feed).page
    found = measured(page)["difference"]
    for number in range(DISTURBED):
        assert found[f"layer.{number}"] == (0, "equal, the lowest of 3 tensors")
    assert found[f"/encoder/layer.{DISTURBED}/MatMul"][0] > 500
    assert found[f"/encoder/layer.{DISTURBED}/MatMul"][1].startswith("SQNR ")
    assert found[f"layer.0 … layer.{LAYERS - 1}"] == found["encoder"]
    assert found["encoder"][0] == max(share for share, _ in found.values())
    assert found["encoder"][1].endswith(f"the lowest of {3 * LAYERS} tensors")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"numeric": True}, "numeric compares with an older model"),
        ({"input_data": {}}, "inputs are for runs of the model"),
        ({"input_specs": {}}, "inputs are for runs of the model"),
    ],
)
def test_what_has_no_meaning_alone_is_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        graphml_onnx.view(chain(tmp_path), **options)
    assert not (tmp_path / "model.onnx.html").exists()


def test_the_command(tmp_path: Path) -> None:
    old, new = chain(tmp_path, "old.onnx"), chain(tmp_path, "new.onnx", DISTURBED)
    page = tmp_path / "p.html"
    options = ["--numeric", "--times", "--shape", "batch=2", "--no-open", "-o", str(page)]
    done = in_process(tmp_path, "view", str(new), "--diff", str(old), *options)
    assert done.code == 0, done.err
    assert measured(page).keys() == {"difference", "time"}
