"""The schema of HTP metadata, as users of the package find it."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `tiny_models:build` is a model that tests name, as users name theirs


@pytest.fixture
def schema() -> dict[str, Any]:
    text = resources.files("graphml_onnx.hierarchy").joinpath("htp_metadata.schema.json").read_text(encoding="utf-8")
    return json.loads(text)
