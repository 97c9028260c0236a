"""Runs ``g2o`` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.common.command import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "graphml_onnx.cli")
_RESHAPING = ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "NO_COLOR", "TERMINAL_WIDTH", "TERM")


@dataclass(frozen=True)
class Ran:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


class Command(Protocol):
    """Runs ``g2o`` with the given arguments."""

    def __call__(self, *arguments: str | Path) -> Ran: ...


def environment() -> dict[str, str]:
    """The environment of the tests, less what would colour or reshape the output."""
    return {name: value for name, value in os.environ.items() if name not in _RESHAPING} | {"COLUMNS": "80"}


def changed(prologue: str) -> tuple[str, ...]:
    """The command in an interpreter that runs ``prologue`` first, to make the library misbehave."""
    entry = "import sys\nfrom graphml_onnx.cli.main import run\nsys.exit(run())\n"
    return (sys.executable, "-c", f"{prologue}\n{entry}")


def run(folder: Path, *arguments: str | Path, command: tuple[str, ...] = COMMAND) -> Ran:
    """Runs the command to its end in ``folder``."""
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
