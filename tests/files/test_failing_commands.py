"""Whole runs of encode and decode in which the n-th call of the file system fails, for every n and many errors."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphml_onnx.cli.signals import raise_when_stopped

from graphml_onnx import GraphmlOnnxError, decode, encode
from graphml_onnx.errors import Stopped
from tests.campaign.graphs import METADATA, SMALL
from tests.common import seeds
from tests.common.command import contents
from tests.files.failing_system import FailingSystem, ProcessEndedError, failing, failing_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the calls are those of POSIX")

ERRORS = ("EIO", "ENOSPC", "EACCES", "EMFILE", "ENOENT", "EINTR")


@dataclass(frozen=True)
class Run:
    """A call of the library in a folder that holds in/ and out/, and the files that it writes in out/."""

    call: Callable[[Path], object]
    outputs: frozenset[str]


def run(call: Callable[[Path], object], *outputs: str) -> Run:
    return Run(call, frozenset(f"out/{name}" for name in outputs))


RUNS = {
    "encode": run(
        lambda f: encode(f / "in/new.onnx", f / "out/g.graphml", metadata=f / "in/m.json", overwrite=True),
        "g.graphml", "g.onnxdata",
    ),
    "encode embedded": run(
        lambda f: encode(f / "in/new.onnx", f / "out/g.graphml", parameters="embedded", overwrite=True), "g.graphml"
    ),
    "encode external data": run(
        lambda f: encode(f / "in/external/model.onnx", f / "out/g.graphml", overwrite=True), "g.graphml", "g.onnxdata"
    ),
    "decode": run(
        lambda f: decode(f / "in/g.graphml", f / "out/m.onnx", metadata_output=f / "out/m.json", overwrite=True),
        "m.onnx", "m.json",
    ),
    "decode embedded": run(lambda f: decode(f / "in/e.graphml", f / "out/m.onnx", overwrite=True), "m.onnx"),
    "decode external data": run(
        lambda f: decode(f / "in/x.graphml", f / "out/m.onnx", overwrite=True),
        "m.onnx", "weights", "weights/first.bin", "weights/second.bin",
    ),
}  # fmt: skip
OLD_PAIR = ("encode", "encode embedded", "encode external data")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, and earlier outputs of each run but the last, which makes a folder."""
    import json

    folder = tmp_path_factory.mktemp("start")
    given, out = folder / "in", folder / "out"
    given.mkdir()
    out.mkdir()
    small = seeds.small_models()
    (given / "old.onnx").write_bytes(small["training"])
    (given / "new.onnx").write_bytes(small["large"])
    (given / "m.json").write_text(json.dumps(METADATA))
    shutil.copytree(SMALL / "external_data", given / "external")
    encode(given / "new.onnx", given / "g.graphml", metadata=given / "m.json")
    encode(given / "new.onnx", given / "e.graphml", parameters="embedded")
    encode(given / "external" / "model.onnx", given / "x.graphml")
    encode(given / "old.onnx", out / "g.graphml")
    (out / "m.onnx").write_bytes(b"before")
    (out / "m.json").write_bytes(b"before")
    return folder


@pytest.fixture(autouse=True)
def imagined_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of runs need not wait for the real disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def attempts(
    start: Path, place: Path, patch: pytest.MonkeyPatch, run: Run, make: Callable[[int], FailingSystem]
) -> Iterator[tuple[FailingSystem, BaseException | None, dict[str, bytes | str]]]:
    """Runs once for each call that the run makes, in the same folder, which is put back each time.

    Yields:
        What the system did, what was raised, and what is in out/ afterwards.
    """
    shutil.copytree(start, place)
    for number in itertools.count():
        system = make(number)
        caught: BaseException | None = None
        with failing(patch, system), failing_files(patch, system):
            try:
                run.call(place)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                caught = error
        if system.hit is None:
            assert number > 25, "the calls are no longer those that are counted"
            assert caught is None
            return
        yield system, caught, {name: data for name, data in contents(place).items() if name.startswith("out/")}
        assert {n: d for n, d in contents(place).items() if n.startswith("in/")} == {
            n: d for n, d in contents(start).items() if n.startswith("in/")
        }
        shutil.rmtree(place / "out")
        shutil.copytree(start / "out", place / "out")


def raising(name: str) -> Callable[[], None]:
    number: int = getattr(errno, name)

    def event() -> None:
        raise OSError(number, os.strerror(number))

    return event


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", RUNS)
def test_34_any_call_that_fails_leaves_the_earlier_outputs(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: str
) -> None:
    """The library's own error, and everything as before; or success, where the call did not matter."""
    run = RUNS[name]
    before = {n: d for n, d in contents(start).items() if n.startswith("out/")}
    outcomes: Counter[bool] = Counter()
    for system, caught, after in attempts(
        start, tmp_path / "place", monkeypatch, run, lambda number: FailingSystem(number, raising(error))
    ):
        outcomes[caught is None] += 1
        stuck = system.hit in ("unlink", "rmdir")  # what cannot be removed is left
        if caught is None:
            assert after.keys() == before.keys() | run.outputs or stuck, system.called
        else:
            assert isinstance(caught, GraphmlOnnxError), (system.hit, repr(caught), system.called)
            assert caught.file
            assert after == before or (stuck and after.items() >= before.items()), (system.hit, caught)
    assert outcomes[False] > 10


def sends(number: signal.Signals) -> Callable[[], None]:
    def event() -> None:
        os.kill(os.getpid(), number)
        for _ in range(1000):  # the handler runs before the next few steps of the interpreter
            pass

    return event


@pytest.mark.parametrize("done_first", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_39_a_signal_at_any_call_leaves_the_old_or_the_new(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, done_first: bool
) -> None:
    run = RUNS[name]
    before = {n: d for n, d in contents(start).items() if n.startswith("out/")}
    new = None
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def make(number: int) -> FailingSystem:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ignored after the first one
        raise_when_stopped()
        return FailingSystem(number, sends(signal.SIGTERM), done_first=done_first)

    try:
        for system, caught, after in attempts(start, tmp_path / "place", monkeypatch, run, make):
            assert isinstance(caught, Stopped), (system.hit, repr(caught))
            if after != before:
                new = new or after
                assert after == new, "a third state, which is neither"
                assert after.keys() == before.keys() | run.outputs
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def end_of_process() -> None:
    raise ProcessEndedError


@pytest.mark.parametrize("name", OLD_PAIR)
def test_40_the_end_of_the_process_at_any_call_leaves_a_pair(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The old pair or the new pair decodes; the next run removes what is left."""
    run = RUNS[name]
    old = (start / "in/old.onnx").read_bytes()
    given = "in/external/model.onnx" if "external" in name else "in/new.onnx"
    found = set()
    place = tmp_path / "place"
    for _ in attempts(
        start, place, monkeypatch, run, lambda number: FailingSystem(number, end_of_process, stays_dead=True)
    ):
        result = decode(place / "out/g.graphml", tmp_path / "back.onnx", overwrite=True)
        assert result.exact
        found.add(result.onnx.read_bytes())
        for path in result.external:
            path.unlink()
        run.call(place)
        left = {n for n in contents(place) if n.startswith("out/g.") or "g2o-tmp" in n}
        assert left <= {"out/g.graphml", "out/g.onnxdata"}
    assert found == {old, (start / given).read_bytes()}
