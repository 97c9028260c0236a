"""SIGINT and SIGTERM as one exception, so that context managers remove unfinished outputs.

While a module is imported, the signal is postponed: an exception during the initialisation of a C++ extension would end
the process with SIGSEGV or SIGABRT.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

from graphml_onnx.errors import Stopped

if TYPE_CHECKING:
    from types import FrameType


_received: list[str] = []


def raise_when_stopped() -> None:
    """From now on SIGINT and SIGTERM raise `Stopped`, once; a signal that the parent had ignored stays ignored."""
    _received.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def check() -> None:
    """Raises `Stopped` again if a signal came and foreign code swallowed the exception."""
    if _received:
        raise Stopped(_received[0])


def ignore() -> None:
    """From now on both signals are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        try:
            again = threading.Timer(_WAIT, _send, [number])
            again.daemon = True
            again.start()
        except RuntimeError:  # no thread can be started any more: raise now
            pass
        else:
            return
    ignore()  # a second signal must not interrupt the cleanup
    _received.append(signal.Signals(number).name)
    raise Stopped(_received[0])


def _send(number: int) -> None:
    """Sends the signal to the main thread, which may be waiting: a signal to another thread would not wake it."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


_WAIT = 0.01  # seconds between checks whether the import has ended


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
