"""Runs ``g2o``, in this process if there are many runs, and lists the content of a folder."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from graphml_onnx.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 900
"""Seconds after which a process counts as hanging: many times what it takes on a busy machine."""

_RESHAPING = ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "TERMINAL_WIDTH", "TERM")


@dataclass(frozen=True)
class Ran:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


def in_process(folder: Path, *arguments: str) -> Ran:
    """Runs the entry point of the command in ``folder``."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", ["g2o", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
        _same_handlers(),
    ):
        warnings.simplefilter("default")  # a warning would be on standard error too
        code = run()
    return Ran(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _same_handlers() -> Iterator[None]:
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def as_process(folder: Path, *arguments: str, prologue: str = "") -> Ran:
    """Runs the command as its users do; ``prologue`` is Python that changes the process first."""
    entry = f"import sys\n{prologue}\nfrom graphml_onnx.cli.main import run\nsys.exit(run())"
    command = [sys.executable, "-c", entry] if prologue else [sys.executable, "-m", "graphml_onnx.cli"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in _RESHAPING},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


tells_memory = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory that can be written")


def memory_limit(megabytes: int) -> str:
    """A prologue for `as_process`: the process can get this much memory more than it has once all is imported.

    Memory that can be written is limited (RLIMIT_DATA), not the address space: of that, each thread's heap reserves
    64 MB in glibc, and other allocators much more, which they never use.
    """
    return f"""
import resource, graphml_onnx.encoding.api, graphml_onnx.decoding.api, graphml_onnx.cli.app
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmData"].split()[0]) * 1024 + {megabytes * 1_000_000}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
"""


def contents(folder: Path) -> dict[str, bytes | str]:
    """All that is in a folder: files with their content, links with their target, all else by its mode."""
    return {path.relative_to(folder).as_posix(): _content(path) for path in folder.rglob("*")}


def _content(path: Path) -> bytes | str:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_bytes() if path.is_file() else oct(path.stat().st_mode)
