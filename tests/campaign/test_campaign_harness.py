"""The campaigns can fail: a target that does what none should do is a failure, with the number that makes it again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import GraphMLError, StorageError
from tests.campaign import running
from tests.campaign.complete import check_complete
from tests.campaign.graphs import Decoding
from tests.campaign.json_files import JsonFiles
from tests.campaign.running import Outcome, run
from tests.campaign.workers import run_beside

if TYPE_CHECKING:
    from collections.abc import Callable


class Trap:
    """A target of which the execution number 7 does something; all others end well."""

    def __init__(self, seventh: Callable[[], object]) -> None:
        self._seventh = seventh

    def attempt(self, number: int) -> str:
        if number == 7:
            self._seventh()
        return "odd" if number % 2 else "even"


def raises(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def hangs() -> None:
    while True:
        pass


def exhausts() -> None:
    bytes(1 << 34)


BAD = {
    "an exception of another library": (raises(KeyError("x")), "KeyError"),
    "the library's own error": (raises(GraphMLError("x")), "GraphMLError"),
    "no end of recursion": (lambda: exhausting_stack(), "RecursionError"),
    "an endless loop": (hangs, "more than"),
}


def exhausting_stack() -> None:
    exhausting_stack()


@pytest.mark.parametrize("name", BAD)
def test_what_should_not_happen_is_a_failure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT_SECONDS", 0.2)
    seventh, told = BAD[name]
    outcome = run(Trap(seventh), 10, 0)
    assert (outcome.executions, len(outcome.failures)) == (10, 1)
    assert outcome.failures[0].startswith("seed 7: ")
    assert told in outcome.failures[0]
    assert outcome.words == {"even": 5, "odd": 4, "FAILED": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork, which a target made here needs")
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    ("seventh", "told"),
    [
        pytest.param(lambda: os._exit(3), "ended with 3", id="the end of the process"),
        pytest.param(lambda: os.kill(os.getpid(), 9), "ended with -9", id="SIGKILL, as by the OOM killer"),
        pytest.param(exhausts, "MemoryError", id="16 GiB", marks=pytest.mark.skipif(
            not Path("/proc/self/statm").exists(), reason="the system does not tell the memory in use")),
    ],
)  # fmt: skip
def test_what_ends_a_process_is_a_failure(seventh: Callable[[], object], told: str, jobs: int) -> None:
    reports: list[Outcome] = []
    outcome = run_beside(lambda _: Trap(seventh), 20, 0, jobs, report=reports.append)
    assert len(outcome.failures) == 1
    assert outcome.failures[0].startswith("seed 7: ")
    assert told in outcome.failures[0]
    assert reports, "a failure is reported at once"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork, which a target made here needs")
@pytest.mark.parametrize(("count", "jobs"), [(1, 4), (10, 3), (12, 4)])
def test_jobs_share_the_numbers(tmp_path: Path, count: int, jobs: int) -> None:
    class Notes:
        def __init__(self, _: Path) -> None:
            pass

        def attempt(self, number: int) -> str:
            (tmp_path / str(number)).touch(exist_ok=False)
            return "noted"

    outcome = run_beside(Notes, count, 100, jobs)
    assert (outcome.executions, outcome.failures) == (count, [])
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(100, 100 + count))


def test_it_ends_after_the_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert run(Trap(hangs), 7, 0, seconds=2.5).executions == 3


@pytest.mark.parametrize(
    "error",
    [
        GraphMLError("bad", place="line 1", remedy="mend it"),
        GraphMLError("bad", file="f", remedy="mend it"),
        GraphMLError("bad", file="f", place="line 1"),
        StorageError("bad", file="f", place="byte 1", remedy="mend it"),
    ],
    ids=["no file", "no place", "no remedy", "a wrong kind"],
)
def test_an_error_that_tells_too_little_is_a_failure(error: GraphMLError) -> None:
    with pytest.raises(AssertionError):
        check_complete(error)
    assert check_complete(GraphMLError("bad", file="f", place="line 1", remedy="mend it")) == "GraphMLError"


def test_a_file_that_is_left_behind_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoding = Decoding(tmp_path)
    data = decoding.texts[0].encode()
    decoding.check(data)
    decoding.check(data[:-20])

    from tests.campaign import graphs

    honest = graphs.decode

    def careless(*arguments: object, **options: object) -> object:
        (tmp_path / "left").touch()
        return honest(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graphs, "decode", careless)
    for given in (data, data[:-20]):
        with pytest.raises(AssertionError, match="left"):
            decoding.check(given)


def test_metadata_that_come_back_changed_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = JsonFiles(tmp_path)
    whole = next(b'metadata\n{"modules": {}, "nodes": {}}' + b" " * count for count in range(1000)
                 if target.check(b'metadata\n{"modules": {}, "nodes": {}}' + b" " * count) == "metadata read"
                 and takes_whole_way(b'{"modules": {}, "nodes": {}}' + b" " * count))  # fmt: skip
    from tests.campaign import json_files

    honest = json_files.decode

    def careless(*arguments: object, **options: object) -> object:
        result = honest(*arguments, **options)  # type: ignore[arg-type]
        options["metadata_output"].write_bytes(b"{}")  # type: ignore[attr-defined]
        return result

    monkeypatch.setattr(json_files, "decode", careless)
    with pytest.raises(AssertionError):
        target.check(whole)


def takes_whole_way(content: bytes) -> bool:
    import zlib

    return zlib.crc32(content) % 16 == 0
