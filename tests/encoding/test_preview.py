"""What `preview` says is what `encode` then does."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphml_onnx
from graphml_onnx.parameters.store import STRATEGIES

SAMPLES = sorted((Path(__file__).parents[2] / "fixtures" / "htp").glob("*/model.onnx"))


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("parameters", STRATEGIES)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_preview_and_encode_agree(sample: Path, parameters: str, layout: str, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(sample.read_bytes())
    arguments = {
        "metadata": sample.with_name("model_htp_metadata.json"),
        "parameters": parameters,
        "layout": layout,
        "show_parameters": True,
    }
    preview = graphml_onnx.preview(model, **arguments)
    assert list(tmp_path.iterdir()) == [model]  # nothing was written
    result = graphml_onnx.encode(model, **arguments)
    assert (preview.graphml, preview.sidecar) == (result.graphml, result.sidecar)
    assert preview.graphml_bytes == result.graphml.stat().st_size
    assert preview.sidecar_bytes == (result.sidecar.stat().st_size if result.sidecar else 0)
    assert (preview.operators, preview.modules, preview.coverage) == (result.operators, result.modules, result.coverage)
    assert preview.placements == result.placements
