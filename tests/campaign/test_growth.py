"""Memory is within what SECURITY.md says; time is measured by ``python -m tests.campaign.growth``, not by a test."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.campaign.growth import Cost, exponent, measure, multiple
from tests.campaign.shapes import MODEL_MEMORY, SHAPES, TEXT_MEMORY

ROOT = Path(__file__).parents[2]
FEW = ("empty nodes", "bodies", "foreign nodes", "modules of one tag", "lists that do not end")
"""Those that take most, of each kind."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in SHAPES]
)
def test_memory_is_a_multiple_of_the_input(name: str) -> None:
    costs = [measure(SHAPES[name], factor, repetitions=1) for factor in (1, 4)]
    assert multiple(costs) <= SHAPES[name].memory, costs


def test_the_multiples_are_those_of_the_page() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert re.findall(r"(\d+) bytes for each byte of", text) == [str(TEXT_MEMORY), str(MODEL_MEMORY)]


def test_growth_would_be_found() -> None:
    costs = [Cost(100, 1.0, 5000), Cost(400, 16.0, 35_000)]
    assert exponent(costs) == 2
    assert multiple(costs) == 100
