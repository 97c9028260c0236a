"""Each golden model gives its GraphML, and the GraphML gives the model.

``G2O_UPDATE_GOLDEN=1`` writes the GraphML anew; a reviewer reads what changed.
"""

from __future__ import annotations

import os
import shutil

import pytest

from graphml_onnx import decode, encode
from tests.golden.models import FOLDER, GOLDEN, write_models

UPDATE = os.environ.get("G2O_UPDATE_GOLDEN") == "1"


@pytest.fixture(scope="module", autouse=True)
def _updated():
    if UPDATE:
        write_models()


def _encode(golden, output):
    return encode(
        golden.model,
        output,
        metadata=golden.metadata_file,
        parameters=golden.parameters,
        layout=golden.layout,
        inline_limit=golden.inline_limit,
        show_parameters=golden.show_parameters,
    )


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.graphml.name)
def test_the_model_gives_the_graphml(golden, tmp_path):
    result = _encode(golden, tmp_path / golden.graphml.name)
    files = [result.graphml] + ([result.sidecar] if result.sidecar else [])
    if UPDATE:
        for file in files:
            shutil.copy(file, FOLDER)
    for file in files:
        assert file.read_bytes() == (FOLDER / file.name).read_bytes(), file.name


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.graphml.name)
def test_the_graphml_gives_the_model(golden, tmp_path):
    metadata = None if golden.metadata is None else tmp_path / "metadata.json"
    result = decode(golden.graphml, tmp_path / "model.onnx", metadata_output=metadata)
    assert result.exact
    assert result.onnx.read_bytes() == golden.model.read_bytes()
    if metadata is not None:
        assert metadata.read_bytes() == golden.metadata_file.read_bytes()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.graphml.name)
def test_the_model_is_the_one_that_its_script_builds(golden):
    assert golden.build().SerializeToString() == golden.model.read_bytes()


def test_no_golden_file_is_left_over():
    known = {path.name for golden in GOLDEN for path in (golden.model, golden.graphml, golden.metadata_file) if path}
    known |= {golden.graphml.with_suffix(".onnxdata").name for golden in GOLDEN if golden.parameters == "sidecar"}
    present = {path.name for path in FOLDER.iterdir() if path.suffix in (".onnx", ".graphml", ".json", ".onnxdata")}
    assert present <= known
