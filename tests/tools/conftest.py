"""A folder in which a decoded model has a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "again").mkdir()  # models with external data bring files along
    return tmp_path
