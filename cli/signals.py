"""SIGINT and SIGTERM as one exception, so that context managers remove what is half done."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Stopped(BaseException):
    """The process was told to stop; not an `Exception`, so that no handler of errors takes it for one.

    Args:
        name: name of the signal.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def raise_when_stopped() -> None:
    """From now on SIGINT and SIGTERM raise `Stopped`, once; a signal that the parent had ignored stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """From now on neither of them does anything."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _frame: FrameType | None) -> None:
    ignore()  # a second signal must not cut the cleaning up short
    raise Stopped(signal.Signals(number).name)
