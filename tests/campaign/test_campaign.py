"""A short slice of each campaign, the same each time; and the inputs that campaigns found, once more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.campaign.__main__ import main
from tests.campaign.bit_flips import BitFlips
from tests.campaign.done import Done
from tests.campaign.running import run
from tests.campaign.targets import INPUT_TARGETS, TARGETS

if TYPE_CHECKING:
    from tests.campaign.running import InputTarget

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fixtures" / "fuzz"
COUNT = int(os.environ.get("G2O_EXECUTIONS", "500"))
INPUTS = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InputTarget]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in INPUT_TARGETS.items()}


# Those of the wire are in tests/roundtrip/test_roundtrip_property.py, which counts their outcomes too.
@pytest.mark.parametrize("name", sorted(INPUT_TARGETS.keys() - {"wire"}))
def test_a_slice_of_each_campaign(targets: dict[str, InputTarget], name: str) -> None:
    """``G2O_EXECUTIONS`` makes it longer; ``python -m tests.campaign`` runs any number, from any seed."""
    outcome = run(targets[name], COUNT, 0)
    assert outcome.failures == []
    assert outcome.executions == COUNT
    assert len(outcome.words) > 1


def test_a_slice_of_the_bit_flips(tmp_path: Path) -> None:
    target = BitFlips(tmp_path)
    for seed in (0, 5_000, 70_000, 10**6):
        outcome = run(target, COUNT // 5, seed)
        assert outcome.failures == []
        assert all("detected" in word for word in outcome.words)


@pytest.mark.parametrize("name", INPUTS)
def test_what_campaigns_found(targets: dict[str, InputTarget], name: str) -> None:
    targets[name.partition("/")[0]].check((CORPUS / name).read_bytes())


def test_the_corpus_is_small() -> None:
    sizes = {name: (CORPUS / name).stat().st_size for name in INPUTS}
    assert 0 < len(sizes) <= 60
    assert max(sizes.values()) <= 4_000


def test_the_command_prints_executions_failures_and_seed(tmp_path: Path) -> None:
    def campaign(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.campaign", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert campaign("wire", "--count", "3", "--seed", "7").startswith("wire: 3 executions from seed 7, 0 failures, ")
    campaign("json", "--seed", "7", "--save", str(tmp_path / "input"))
    assert campaign("json", "--replay", str(tmp_path / "input")).startswith(f"{tmp_path / 'input'}: ")
    assert "bitflips" in TARGETS


def test_what_one_process_did_before_its_time_was_over_is_not_done_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["wire", "--count", "10", "--seconds", "0", "--resume", str(tmp_path / "done")]) == 0
    done = Done(tmp_path / "done", "wire")
    assert done.total.executions == 2
    assert [*done.pending(0, 10)] == [(2, 8)]
