"""Runs a script of the folder ``js`` with Node.js, and gives what it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.common.command import PATIENCE

FOLDER = Path(__file__).parent / "js"


def run(script: str, *arguments: Path) -> dict[str, Any]:
    """Skips the test where Node.js or the packages are not there."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip("the packages are not installed: run `make tools`")
    done = subprocess.run(
        [node, FOLDER / script, *arguments], capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def texts(values: dict[str, object]) -> dict[str, str]:
    """Values of an element as they stand in the file."""
    return {key: str(value) for key, value in values.items()}
