"""The picture of places in the documentation shows what encode writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from graphml_onnx import encode

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
MODEL = ROOT / "fixtures" / "htp" / "winml-resnet-mini-dynamo"


def test_the_places_are_those_of_the_model(tmp_path: Path) -> None:
    graph = tmp_path / "graph.graphml"
    encode(MODEL / "model.onnx", graph, metadata=MODEL / "model_htp_metadata.json")
    subprocess.run([sys.executable, IMAGES / "draw_places.py", graph, tmp_path / "places.svg"], check=True)
    assert (tmp_path / "places.svg").read_text("utf-8") == (IMAGES / "places.svg").read_text("utf-8")
