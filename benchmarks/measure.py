"""Runs one call in this process, and prints its seconds and its peak memory above the imports as JSON.

``python -m benchmarks.measure MODULE:FUNCTION ARGUMENTS`` with the keyword arguments as a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path


def memory(field: str) -> int:
    """``VmHWM`` (the peak) or ``VmRSS`` of this process in KiB; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


def main() -> None:
    home, name = sys.argv[1].split(":")
    arguments = json.loads(sys.argv[2])
    function = getattr(import_module(home), name)
    # The library imports its parts when they are first used.
    import_module("graphml_onnx.encoding.api")
    import_module("graphml_onnx.decoding.api")
    baseline = memory("VmRSS")
    start = time.perf_counter()
    function(**arguments)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_kib": memory("VmHWM") - baseline}))


if __name__ == "__main__":
    main()
