"""Runs a program of the folder ``java`` from its source."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.common.command import PATIENCE

_FOLDER = Path(__file__).parent / "java"


def run(program: str, *arguments: Path, classes: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Skips the test where there is no Java development kit, or one of the libraries is missing."""
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("a Java development kit is not installed")
    for library in classes:
        if not library.exists():
            pytest.skip(f"{library} is not installed")
    path = ["-cp", os.pathsep.join(map(str, classes))] if classes else []
    command = [java, *path, *map(str, (_FOLDER / program, *arguments))]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)
