"""Row 1, and rows 34 to 42, of the survival table: the system says no, or stops or kills the command.

Each test has the number of its row. The same for every single call of the file system is in
files/test_failing_commands.py; the protocol of publication alone is in files/test_crash_points.py.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from graphml_onnx import decode
from tests.campaign.kills import KilledDecode, KilledEncode
from tests.campaign.running import run
from tests.common import seeds
from tests.common.command import PATIENCE, as_process, contents, in_process, memory_limit, tells_memory
from tests.faults import graph_text
from tests.faults.making_faults import DECODE, ENCODE, RELU, external, graph, model, ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.campaign.running import Target

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

# --- rows 1, 16 and 30: inputs that may not be read -------------------------------------------------------------------

UNREADABLE = (
    ("encode model.onnx -o new.graphml", "model.onnx", ""),
    ("encode model.onnx -o new.graphml --meta m.json", "m.json", ""),
    ("encode bad.onnx -o new.graphml", "w.bin", "graph.initializer[0]: external data of tensor 'wanted': "),
    ("decode graph.graphml -o new.onnx", "graph.graphml", ""),
    ("decode graph.graphml -o new.onnx", "graph.onnxdata", ""),
    ("verify model.onnx", "model.onnx", ""),
    ("validate graph.graphml", "graph.graphml", ""),
)


@posix
@pytest.mark.parametrize(("line", "shut", "told"), UNREADABLE)
def test_1_a_file_that_may_not_be_read(folder: Path, line: str, shut: str, told: str) -> None:
    """For an ordinary user; root reads every file."""
    external("w.bin")(folder)
    before = contents(folder)
    folder.chmod(0o777)
    ordinary = ordinary_user(folder)
    mode = (folder / shut).stat().st_mode
    (folder / shut).chmod(0)
    ran = as_process(folder, *line.split(), prologue=ordinary)
    (folder / shut).chmod(mode)

    assert ran.code == 66
    assert re.fullmatch(rf"g2o: {re.escape(f'{shut}: {told}')}may not be read \(.*\)\n", ran.err)
    assert contents(folder) == before


# --- rows 34 and 35: no room ------------------------------------------------------------------------------------------

# The commands that write: a pair, the graph with its payloads in it, a model, a model and its metadata.
WRITERS = (
    "encode model.onnx -o {0}/graph.graphml --force",
    "encode model.onnx -o {0}/graph.graphml --force --params embedded",
    "decode graph.graphml -o {0}/model.onnx --force",
    "decode with.graphml -o {0}/model.onnx --force --meta-out {0}/m.json",
    "decode inside.graphml -o {0}/model.onnx --force",
)
# Runs each writer with less and less room, and tells for which codes, and which traces.
_LESS_AND_LESS = """
import contextlib, io, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.common.command import contents, {run}
results = {{}}
for line in {writers!r}[: int(sys.argv[2])]:
    outcomes = results[line] = []
    for room in {rooms}:
        target = Path("small")
        with limited(target, room):
            for name in ("graph.graphml", "graph.onnxdata", "model.onnx", "m.json"):
                (target / name).write_bytes(b"before")
            before = contents(target)
            with limit(room):
                ran = {run}(Path(), *line.format(target).split())
            same = contents(target) == before
        outcomes.append([ran.code, ran.err.count(chr(10)), same, ran.err])
print(json.dumps(results))
"""
_FILE_SIZE = """
import resource, contextlib, shutil
from pathlib import Path
@contextlib.contextmanager
def limited(target, room):
    target.mkdir()
    yield
    shutil.rmtree(target)
@contextlib.contextmanager
def limit(room):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
"""
_FULL_DISK = """
import contextlib, ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("small")
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
@contextlib.contextmanager
def limited(target, room):
    if libc.mount(b"tmpfs", b"small", b"tmpfs", 0, b"size=4m"):
        sys.exit(77)
    yield
    libc.umount2(b"small", 2)
@contextlib.contextmanager
def limit(room):
    space = os.statvfs("small")
    filler = open("small/filler", "wb")
    filler.write(bytes(max(0, space.f_bavail * space.f_frsize - room)))
    filler.close()
    yield
    os.unlink("small/filler")
"""
ROOMS_AND_RUNS = [
    pytest.param(range(0, 60_000, 4096), "in_process", id="many times"),
    pytest.param((0, 8192, 1_000_000), "as_process", id="as a process"),
]


def less_and_less(folder: Path, system: str, rooms: Iterable[int], run: str) -> dict[str, list[list[object]]]:
    """Per writer, for each room in bytes: exit code, lines of error, whether the folder is as before, the error."""
    prepared = (
        in_process(folder, "encode", "model.onnx", "-o", "with.graphml", "--meta", "m.json"),
        in_process(folder, "encode", "model.onnx", "-o", "inside.graphml", "--params", "embedded"),
    )
    assert [ran.code for ran in prepared] == [0, 0]
    number = "3" if run == "as_process" else "5"
    script = system + _LESS_AND_LESS.format(writers=WRITERS, rooms=rooms, run=run)
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), number],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("mounting is not allowed")
    assert done.returncode == 0, done.stderr
    results: dict[str, list[list[object]]] = json.loads(done.stdout)
    return results


def check_less_and_less(results: dict[str, list[list[object]]]) -> None:
    """Too little room is 74, one line, and nothing changed; with enough room the same command is done."""
    for line, outcomes in results.items():
        codes = [outcome[0] for outcome in outcomes]
        assert set(codes) == {74, 0}, (line, outcomes)
        assert codes == sorted(codes, reverse=True), line
        for code, lines, same, error in outcomes:
            if code:
                assert (lines, same) == (1, True), (line, error)


@linux
@pytest.mark.parametrize(("rooms", "run"), ROOMS_AND_RUNS)
def test_34_no_space_left_at_every_step_of_the_write(folder: Path, rooms: Iterable[int], run: str) -> None:
    """On a disk in memory, which root may mount."""
    check_less_and_less(less_and_less(folder, _FULL_DISK, rooms, run))


@posix
@pytest.mark.parametrize(("rooms", "run"), ROOMS_AND_RUNS)
def test_35_a_file_size_limit_at_every_step_of_the_write(folder: Path, rooms: Iterable[int], run: str) -> None:
    check_less_and_less(less_and_less(folder, _FILE_SIZE, [max(16, room) for room in rooms], run))


@posix
@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))",
            r".*g2o-verify-.*: writing failed: File too large",
            id="no room in it",
        ),
        pytest.param(
            "import tempfile; tempfile.tempdir = '/nowhere'", "TMPDIR: no temporary folder: .*", id="36: none"
        ),
    ],
)
def test_34_verify_names_the_temporary_folder(folder: Path, change: str, told: str) -> None:
    before = contents(folder)
    ran = as_process(folder, "verify", "model.onnx", "-q", prologue=change)
    assert (ran.code, ran.out) == (74, "")
    assert re.fullmatch(rf"g2o: {told} \(free some space there, or set TMPDIR to another folder\)\n", ran.err)
    assert contents(folder) == before


@posix
def test_34_verify_has_no_room_for_the_data_files_that_onnxruntime_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are copied where the temporary folder is on another file system."""

    honest = Path.hardlink_to

    def refuse(path: Path, target: Path) -> None:
        if path.name == "w.bin":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
        honest(path, target)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(shutil, "copyfile", full)
    external("w.bin")(folder)
    before = contents(folder)
    ran = in_process(folder, "verify", "bad.onnx", "-q", "--numeric", "--params", "reference")
    assert ran.code == 74
    assert re.search(r"g2o-verify-.*w\.bin: writing failed: .*\(free some space there, or set TMPDIR", ran.err)
    assert contents(folder) == before


@pytest.mark.parametrize("failures", [1, 99])
def test_34_a_temporary_folder_that_cannot_be_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """It is removed again where that helps, and named where it does not."""
    honest = shutil.rmtree
    calls = itertools.count()
    names = []

    def remove(name: str) -> None:
        names.append(name)
        if next(calls) < failures:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        honest(name)

    monkeypatch.setattr(shutil, "rmtree", remove)
    ran = in_process(folder, "verify", "model.onnx", "-q")
    if failures == 1:
        assert (ran.code, ran.err) == (0, "")
        assert not Path(names[0]).exists()
        return
    honest(names[0])
    assert ran.code == 74
    assert re.fullmatch(r"g2o: .*g2o-verify-.*: cannot be removed: .* \(remove it, or set TMPDIR.*\)\n", ran.err)


@linux
@pytest.mark.parametrize("line", ["encode model.onnx -o new.graphml", DECODE, "verify model.onnx", "--version"])
def test_35_a_full_device_as_standard_output(folder: Path, line: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "graphml_onnx.cli", *line.split()],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 74
    assert re.fullmatch(r"g2o: standard output: writing failed: .*\n", done.stderr)


# --- rows 36 to 38: the output may not be created (see test_faults.py for most of them) -------------------------------


@posix
@pytest.mark.parametrize("line", ["encode model.onnx -o shut/a.graphml", "decode graph.graphml -o shut/a.onnx"])
@pytest.mark.parametrize("exists", [False, True])
def test_36_a_folder_that_is_read_only(folder: Path, line: str, exists: bool) -> None:
    """For an ordinary user; and as soon as the permissions are right, the same command works."""
    shut = folder / "shut"
    shut.mkdir()
    if exists:
        (shut / "a.graphml").write_bytes(b"before")
        (shut / "a.onnx").write_bytes(b"before")
    for file in (folder, *folder.iterdir(), *shut.iterdir()):
        file.chmod(0o555)
    ordinary = ordinary_user(folder)
    before = contents(folder)
    ran = as_process(folder, *line.split(), "--force", prologue=ordinary)

    assert (ran.code, ran.out) == (73, "")
    assert re.fullmatch(r"g2o: shut/a\.\w+: may not be written \(.*\)\n", ran.err)
    assert contents(folder) == before

    shut.chmod(0o777)
    ran = as_process(folder, *line.split(), "--force", prologue=ordinary)
    assert (ran.code, ran.err) == (0, "")


def test_37_with_force_outputs_are_replaced(folder: Path) -> None:
    assert as_process(folder, "encode", "model.onnx", "-o", "graph.graphml", "--force").code == 0
    assert as_process(folder, "decode", "graph.graphml", "-o", "model.onnx", "--force", "--require-exact").code == 0


# --- row 39: signals --------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_39_a_signal_while_files_are_written(folder: Path, name: str, code: int, verb: str) -> None:
    """At some moments after the first temporary file has appeared; before that, nothing has been written."""
    (folder / "model.onnx").write_bytes(seeds.fixtures()["modelexport-bert-mini"])
    assert in_process(folder, "encode", "model.onnx", "-o", "whole.graphml").code == 0
    line = "encode model.onnx -o out/a.graphml" if verb == "encode" else "decode whole.graphml -o out/a.onnx"
    (folder / "out").mkdir()
    assert in_process(folder, *line.split()).code == 0
    rng = random.Random(name + verb)
    before = contents(folder)
    codes: list[int] = []
    while len(codes) < 3 or (code not in codes and len(codes) < 30):  # it may be done before the signal comes
        with subprocess.Popen(
            [sys.executable, "-m", "graphml_onnx.cli", *line.split(), "--force", "-q"],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while process.poll() is None and not list((folder / "out").glob(".*")):
                time.sleep(0.001)
            time.sleep(rng.choice((0, rng.uniform(0, 0.05))))
            process.send_signal(signal.Signals[name])
            _, err = process.communicate(timeout=PATIENCE)
        codes.append(process.returncode)
        word = {143: "terminated", 130: "interrupted"}[code]
        assert (process.returncode, err) in [(0, ""), (code, f"g2o: {word}\n")]
        assert contents(folder) == before
    assert code in codes


@posix
def test_39_a_signal_after_the_end_changes_nothing(folder: Path) -> None:
    script = (
        "import os, signal, sys\nfrom graphml_onnx.cli.main import run\ncode = run()\n"
        "for number in (signal.SIGTERM, signal.SIGINT):\n    os.kill(os.getpid(), number)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "verify", "model.onnx", "-q"], cwd=folder, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


# --- row 40: killed ---------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("target", [KilledEncode, KilledDecode])
@pytest.mark.parametrize("count", [40, pytest.param(2200, marks=pytest.mark.slow)])
def test_40_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path, target: type[Target], count: int) -> None:
    """Each run begins with what the last one left; some run to their end, and leave nothing else."""
    outcome = run(target(tmp_path), count, 20)  # type: ignore[call-arg]
    assert outcome.failures == []
    assert any("killed" in word for word in outcome.words), outcome
    assert outcome.words["finished"], outcome


# --- row 41: many writers ---------------------------------------------------------------------------------------------

_WRITE = """
import sys
from pathlib import Path
from graphml_onnx import encode
for number in range(int(sys.argv[2])):
    encode(f"{sys.argv[1]}.onnx", "out/graph.graphml", overwrite=True)
"""


@posix
@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_41_eight_writers_of_one_output_leave_one_consistent_pair(tmp_path: Path, rounds: int) -> None:
    """While they write, a reader finds one whole pair."""
    models = seeds.variants(8)
    for number, data in enumerate(models):
        (tmp_path / f"{number}.onnx").write_bytes(data)
    (tmp_path / "out").mkdir()
    assert in_process(tmp_path, "encode", "0.onnx", "-o", "out/graph.graphml").code == 0
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITE, str(number), str(rounds)], cwd=tmp_path) for number in range(8)
    ]
    reads = 0
    while any(writer.poll() is None for writer in writers) or not reads:
        result = decode(tmp_path / "out" / "graph.graphml", tmp_path / "back.onnx", overwrite=True)
        assert result.exact
        assert result.onnx.read_bytes() in models
        reads += 1
    assert [writer.wait() for writer in writers] == [0] * 8
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"graph.graphml", "graph.onnxdata"}


@posix
def test_41_eight_commands_at_once(folder: Path) -> None:
    command = [sys.executable, "-m", "graphml_onnx.cli", "encode", "model.onnx", "-o", "graph.graphml", "--force", "-q"]
    writers = [subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) for _ in range(8)]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 8
    assert sorted(contents(folder)) == ["graph.graphml", "graph.onnxdata", "m.json", "model.onnx"]
    assert as_process(folder, *DECODE.split(), "--require-exact").code == 0


@posix
def test_41_of_eight_commands_without_force_one_succeeds(folder: Path) -> None:
    command = [sys.executable, "-m", "graphml_onnx.cli", "encode", "model.onnx", "-o", "new.graphml", "-q"]
    writers = [subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) for _ in range(8)]
    assert sorted(writer.wait() for writer in writers) == [0, *[73] * 7]
    assert as_process(folder, "decode", "new.graphml", "-o", "back.onnx", "--require-exact").code == 0


# --- row 42: too little memory ----------------------------------------------------------------------------------------


@tells_memory
@pytest.mark.parametrize("megabytes", [16, 100, 400])
@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_42_a_memory_limit(folder: Path, verb: str, megabytes: int) -> None:
    """A quarter of a gigabyte of text, which takes more than twice as much."""
    if verb == "encode":
        model(onnx.ModelProto(doc_string="x" * 2**28, graph=RELU).SerializeToString())(folder)
    else:
        graph(graph_text.graph(doc_string="x" * 2**28))(folder)
    before = contents(folder)
    line = ENCODE if verb == "encode" else DECODE
    ran = as_process(folder, *line.split(), prologue=memory_limit(megabytes))

    assert (ran.code, ran.out) == (74, "")
    assert re.fullmatch(r"g2o: not enough memory \(.*\)\n", ran.err)
    assert contents(folder) == before


@posix
@pytest.mark.parametrize("parameters", ["sidecar", "embedded"])
def test_42_no_more_threads(folder: Path, parameters: str) -> None:
    """Their stacks need memory too; without them the work is done one thing after the other."""
    without = """
import threading
def start(_):
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
"""
    raw = random.Random(42).randbytes(5_000_000)
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[len(raw)], raw_data=raw)
    data = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    model(data)(folder)
    ran = as_process(folder, *ENCODE.split(), "--params", parameters, "-q", prologue=without)
    assert (ran.code, ran.err) == (0, "")
    ran = as_process(folder, *DECODE.split(), "--require-exact", "-q", prologue=without)
    assert (ran.code, ran.err) == (0, "")
    assert (folder / "model.onnx").read_bytes() == data
