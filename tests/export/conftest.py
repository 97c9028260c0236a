"""The schema of HTP metadata, as users of the package find it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest


@pytest.fixture
def schema() -> dict[str, Any]:
    text = resources.files("graphml_onnx.hierarchy").joinpath("htp_metadata.schema.json").read_text(encoding="utf-8")
    return json.loads(text)
