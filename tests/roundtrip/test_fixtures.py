"""Every fixture comes back byte for byte, and is the file that fixtures/README.md describes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphml_onnx import ParameterStrategy, verify
from tests.common.limited import limited, shortened

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = sorted(path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*.onnx"))


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("model", MODELS)
def test_it_comes_back(model: str, strategy: ParameterStrategy, tmp_path: Path) -> None:
    path = FIXTURES / model
    if (short := shortened(path.read_bytes())) != path.read_bytes():
        path = tmp_path / path.name
        path.write_bytes(short)
    report = verify(path, parameters=strategy)
    assert report.passed, report
    assert report.residue_bytes == 0


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("model", [model for model in MODELS if (FIXTURES / model).stat().st_size < 1 << 15])
def test_it_comes_back_in_few_bytes_at_a_time(model: str, strategy: ParameterStrategy) -> None:
    for chunk in (7, 64):
        with limited(chunk):
            assert verify(FIXTURES / model, parameters=strategy).passed


@pytest.mark.parametrize("model", [model for model in MODELS if (FIXTURES / model).stat().st_size < 1 << 12])
def test_it_comes_back_byte_by_byte(model: str) -> None:
    with limited(1):
        assert verify(FIXTURES / model).passed


def test_the_readme_tells_the_digest_of_every_file() -> None:
    told = dict(re.findall(r"\| `([^`]+)` \|.*?`([0-9a-f]{64})` \|", (FIXTURES / "README.md").read_text("utf-8")))
    files = [path for path in (FIXTURES / "small").rglob("*") if path.is_file()]
    files += (FIXTURES / "real").rglob("*.onnx")
    assert told == {
        path.relative_to(FIXTURES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_the_script_writes_the_same_files_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FIXTURES / "build.py", tmp_path], check=True)
    found = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    small = FIXTURES / "small"
    assert found == {path.relative_to(small): path.read_bytes() for path in small.rglob("*") if path.is_file()}
