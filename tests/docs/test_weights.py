"""Every command and statement in docs/weights.md gives the output that stands there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.docs import documents

if TYPE_CHECKING:
    from pathlib import Path


def test_weights(tmp_path: Path) -> None:
    shutil.copy(documents.ROOT / "fixtures/htp/winml-resnet-mini-dynamo/model.onnx", tmp_path / "resnet.onnx")
    documents.check(documents.ROOT / "docs/weights.md", tmp_path)
