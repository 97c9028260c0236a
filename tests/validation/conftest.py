"""A graph to break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.validation.broken_graphs import Broken

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    return Broken(tmp_path)
