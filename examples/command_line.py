"""What the examples share: their arguments, and an end without a traceback where the output goes into ``head``."""

import signal
import sys


def arguments(usage: str, least: int, most: int) -> list[str]:
    """The arguments of the command line; ends with a line of usage if there are too few or too many."""
    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    given = sys.argv[1:]
    if not least <= len(given) <= most:
        print(next(line for line in usage.splitlines() if line.startswith("Usage:")), file=sys.stderr)
        sys.exit(2)
    return given
