"""Differences that a person has read and found right: what optimisers, a quantiser and another exporter do to a model.

``G2O_UPDATE_GOLDEN=1`` writes them anew; a reviewer reads what changed. fixtures/README.md says how they were made.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.common.command import in_process
from tests.docs.documents import UPDATE

FOLDER = Path(__file__).parent / "differences"
FIXTURES = Path(__file__).parents[2] / "fixtures"

CASES = {
    "optimised": ("htp/winml-resnet-mini-torchscript/model.onnx", "differences/resnet_optimised.onnx"),
    "quantised": ("htp/winml-resnet-mini-torchscript/model.onnx", "differences/resnet_quantised.onnx"),
    "slimmed": ("htp/winml-resnet-mini-dynamo/model.onnx", "differences/resnet_slimmed.onnx"),
    "other_exporter": ("htp/winml-resnet-mini-torchscript/model.onnx", "htp/winml-resnet-mini-dynamo/model.onnx"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_done_to_a_model(tmp_path: Path, name: str) -> None:
    for file, model in zip(("before.onnx", "after.onnx"), CASES[name], strict=True):
        shutil.copy(FIXTURES / model, tmp_path / file)
    found = in_process(tmp_path, "diff", "before.onnx", "after.onnx", "--ignore", "metadata").out
    expected = FOLDER / f"{name}.txt"
    if UPDATE:
        expected.write_text(found, "utf-8")
    assert found == expected.read_text("utf-8")
