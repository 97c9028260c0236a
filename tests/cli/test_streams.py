"""Standard output and standard error: full, closed, not a terminal, or a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.g2o_process import COMMAND, Command, environment
from tests.common.command import PATIENCE

FULL = Path("/dev/full")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals and signals of POSIX")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("line", ["", "--version", "encode --help", "encode model.onnx", "encode model.onnx --json"])
def test_full_standard_output_is_an_input_output_error(model: Path, line: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [*COMMAND, *line.split()],
            cwd=model.parent,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )

    assert done.returncode == 74
    assert done.stderr.startswith("g2o: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


@needs_posix
@pytest.mark.parametrize(
    "line", ["encode --help", "encode model.onnx", "encode model.onnx --json", "encode none --json"]
)
def test_reader_that_has_seen_enough_causes_no_noise(model: Path, line: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *line.split()],
            cwd=model.parent,
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    finally:
        os.close(writing)

    assert done.returncode == (66 if "none" in line else 0)
    assert [text for text in done.stderr.splitlines() if "none" not in text] == []


@needs_posix
def test_closed_standard_output_is_no_error(model: Path) -> None:
    command = f'"{sys.executable}" -m graphml_onnx.cli encode model.onnx >&-'
    done = subprocess.run(["sh", "-c", command], cwd=model.parent, env=environment(), capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """What the command writes to standard error, where that is a terminal."""
    import pty

    controlling, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment() | {"TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        written = b""
        while chunk := _read(controlling):
            written += chunk
        os.close(controlling)
        assert process.wait(timeout=PATIENCE) == 0
    return written.decode()


def _read(controlling: int) -> bytes:
    try:
        return os.read(controlling, 65536)
    except OSError:  # what Linux says at the end of a terminal
        return b""


@needs_posix
@pytest.mark.parametrize("verb", ["encode", "verify"])
def test_progress_shows_on_a_terminal(model: Path, verb: str) -> None:
    assert "━" in on_a_terminal(model.parent, verb, "model.onnx")


@needs_posix
@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_no_progress_where_it_is_not_wanted(model: Path, option: str) -> None:
    assert on_a_terminal(model.parent, "encode", "model.onnx", option) == ""


def test_no_progress_where_there_is_no_terminal(g2o: Command, model: Path) -> None:
    assert g2o("encode", model).err == ""


def test_python_ends_without_a_search_for_garbage(tmp_path: Path) -> None:
    """It took a tenth of the time of `encode`, and a third of that of a small model."""
    script = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 10_000))\n"  # runs after what is registered later
        "from graphml_onnx.cli.main import run\n"
        "sys.argv = ['g2o', '--version']\n"
        "run(), run()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[2:] == ["True"]
    assert ran.stderr == ""
