"""Several writers at once, and writers that are killed."""

import itertools
import random
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.files.children import needs_fork, result_of, start
from tests.files.toy_pair import GRAPHML, SIDECAR, MixtureError, contents_of, read_pair, write_pair

pytestmark = needs_fork


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_eight_writers_of_one_output_end_with_one_consistent_pair(tmp_path: Path, rounds: int) -> None:
    def write(writer: int) -> None:
        for number in range(rounds):
            write_pair(tmp_path, f"{writer}-{number}")

    writers = [start(lambda writer=writer: write(writer)) for writer in range(8)]
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 8
    version = read_pair(tmp_path)
    assert version is not None
    assert version.endswith(f"-{rounds - 1}")
    assert sorted(contents_of(tmp_path)) == [GRAPHML, SIDECAR]


def test_of_eight_writers_that_may_not_overwrite_one_succeeds(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        write_pair(tmp_path, str(writer), overwrite=False)

    writers = [start(lambda writer=writer: write(writer)) for writer in range(8)]
    for process in writers:
        process.join()
    succeeded = [str(number) for number, process in enumerate(writers) if process.exitcode == 0]
    assert succeeded == [read_pair(tmp_path)]
    assert sorted(contents_of(tmp_path)) == [GRAPHML, SIDECAR]


@pytest.mark.parametrize("kills", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_killed_writers_leave_a_pair_and_the_next_run_cleans_up(tmp_path: Path, kills: int) -> None:
    chance = random.Random(0)

    def write_for_ever(kill: int, ready: Connection) -> None:
        for number in itertools.count():
            write_pair(tmp_path, f"{kill}-{number}")
            ready.send(number)

    for kill in range(kills):
        receiver, sender = Pipe(duplex=False)
        process = start(lambda kill=kill, sender=sender: write_for_ever(kill, sender))
        published = receiver.recv()
        time.sleep(chance.uniform(0.0, 0.01))
        process.kill()
        process.join()
        while receiver.poll():
            published = receiver.recv()
        assert read_pair(tmp_path) in (f"{kill}-{published}", f"{kill}-{published + 1}")
    write_pair(tmp_path, "last")
    assert contents_of(tmp_path).keys() == {GRAPHML, SIDECAR}
    assert read_pair(tmp_path) == "last"


def test_reader_of_these_tests_recognises_a_mixture(tmp_path: Path) -> None:
    write_pair(tmp_path, "one")
    graphml = (tmp_path / GRAPHML).read_bytes()
    write_pair(tmp_path, "two")
    (tmp_path / GRAPHML).write_bytes(graphml)
    with pytest.raises(MixtureError):
        read_pair(tmp_path)
    assert result_of(lambda: str(read_pair(tmp_path))).startswith("MixtureError")
