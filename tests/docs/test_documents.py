"""Every command, edit and statement in docs/editing.md and docs/analyses.md gives the output that stands there.

``G2O_UPDATE_GOLDEN=1`` writes the output anew; a reviewer reads what changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from tests.docs import documents

RESNET = documents.ROOT / "fixtures/htp/winml-resnet-mini-torchscript"
_RELEASE = tuple(int(part) for part in onnx.__version__.split(".")[:2])

pytestmark = pytest.mark.skipif(_RELEASE < (1, 23), reason="earlier releases of ONNX's checker use other words")


def test_editing(tmp_path: Path) -> None:
    shutil.copy(RESNET / "model.onnx", tmp_path / "resnet.onnx")
    shutil.copy(RESNET / "model_htp_metadata.json", tmp_path / "resnet.json")
    documents.check(documents.ROOT / "docs/editing.md", tmp_path)


def test_analyses() -> None:
    documents.check(documents.ROOT / "docs/analyses.md", documents.ROOT)
