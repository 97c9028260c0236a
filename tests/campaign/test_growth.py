"""Memory is within what SECURITY.md says; time is measured by ``python -m tests.campaign.growth``, not by a test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.growth import Cost, exponent, multiple
from tests.campaign.shapes import MODEL_MEMORY, SHAPES, TEXT_MEMORY

ROOT = Path(__file__).parents[2]
FEW = ("empty nodes", "bodies", "foreign nodes", "modules of one tag", "lists that do not end")
"""Those that take most, of each kind."""
MEASURE = """
import sys
from tests.campaign.growth import SHAPES, measure, multiple
print(multiple([measure(SHAPES[sys.argv[1]], factor, repetitions=1) for factor in (1, 4)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in SHAPES]
)
def test_memory_is_a_multiple_of_the_input(name: str) -> None:
    # In a process of its own: after a thousand other tests, the heap has holes that are no cost of an input.
    done = subprocess.run([sys.executable, "-c", MEASURE, name], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) <= SHAPES[name].memory


def test_the_multiples_are_those_of_the_page() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert re.findall(r"(\d+) bytes for each byte of", text) == [str(TEXT_MEMORY), str(MODEL_MEMORY)]


def test_growth_would_be_found() -> None:
    costs = [Cost(100, 1.0, 5000), Cost(400, 16.0, 35_000)]
    assert exponent(costs) == 2
    assert multiple(costs) == 100
