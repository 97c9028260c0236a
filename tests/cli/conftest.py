"""A folder with a model in it, and the command that works there."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import run

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command

SAMPLES = Path(__file__).parents[2] / "fixtures" / "htp"


@pytest.fixture
def g2o(tmp_path: Path) -> Command:
    """Runs ``g2o`` in ``tmp_path``."""
    return functools.partial(run, tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small transformer, as ``model.onnx`` in ``tmp_path``, with its HTP metadata as ``m.json``."""
    sample = SAMPLES / "modelexport-bert-mini"
    shutil.copyfile(sample / "model_htp_metadata.json", tmp_path / "m.json")
    return Path(shutil.copyfile(sample / "model.onnx", tmp_path / "model.onnx"))
