"""Entry point of ``g2o``: runs a command; every failure ends in an exit code and at most one line of error.

Only small modules are imported before the signals are handled, so that even an early Ctrl-C shows no traceback.
"""

from __future__ import annotations

import atexit
import gc
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import Stopped, StorageError

from . import signals

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEW_OBJECTS: Final = 100_000
"""Threshold of the garbage collector. Models live until the end: searching them took a sixth of `inspect`."""


def run() -> int:
    """Runs the command that ``sys.argv`` asks for.

    Returns:
        The exit code; see `exits`.
    """
    try:
        return _run()
    except Stopped as error:  # while a failure was being shown
        return _fail(error, sys.argv[1:])
    finally:
        signals.ignore()  # cleanup has finished


def _run() -> int:
    try:
        signals.raise_when_stopped()
        gc.set_threshold(_NEW_OBJECTS, 20, 20)
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)  # a large model is not searched and freed while Python ends: a tenth of `encode`
        _accept_any_name()
        return _command()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer's exit code if the reader of its help text is gone
            from . import show

            show.abandon_output()
            return 0
        raise
    except BaseException as error:  # noqa: BLE001 - the last one to see it; --debug shows the traceback
        return _fail(error, sys.argv[1:])


def _accept_any_name() -> None:
    """Makes standard output escape what it cannot encode, such as a file name that is not valid UTF-8."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _command() -> int:
    from .app import invoke

    code = invoke()
    signals.check()
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            from . import show

            show.abandon_output()
    return code


def _fail(error: BaseException, arguments: Sequence[str]) -> int:
    """Shows the failure; ``arguments`` are used unparsed, since parsing itself may have failed."""
    from . import failure, show

    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    problem = failure.of(error)
    if "--debug" in options:
        show.traceback(error)
    if not problem.silent:
        show.err(problem.line)
    try:
        if "--json" in options and not problem.silent:
            show.document({"error": problem.document()})
        elif sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, StorageError):
        show.abandon_output()
    return problem.exit_code
