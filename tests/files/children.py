"""Runs a function in a child process, for what a test may not do to its own process."""

from __future__ import annotations

import multiprocessing
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

needs_fork = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs fork without threads")


def start(function: Callable[[], None]) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    return process


def result_of(function: Callable[[], str]) -> str:
    """What the function returns in a child process, or the name and text of its exception."""
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(function())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            sender.send(f"{type(error).__name__}: {error}")

    process = start(run)
    sender.close()
    result: str = receiver.recv()
    process.join()
    return result
