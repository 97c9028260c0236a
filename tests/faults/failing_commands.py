"""What `test_fault_shim` runs under the shim: one command, once for each of its calls, each in a process of its own.

``python -m tests.faults.failing_commands FOLDER ERRNO FIRST STEP ARGUMENT...`` prints a JSON list: of each run the call
that failed (empty in the last one, which had fewer calls), the exit code, the lines of error, and what was left.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path

from graphml_onnx.cli.main import run

from tests.common.command import contents, in_process

_SHIM = ctypes.CDLL(None)
_SHIM.fault_arm.argtypes = (ctypes.c_long, ctypes.c_int)
_SHIM.fault_hit.restype = ctypes.c_char_p


def main(folder: Path, error: int, first: int, step: int, arguments: list[str]) -> None:
    start, place, told = folder / "start", folder / "place", folder / "told"
    os.environ["TMPDIR"] = str(place / "temporary")
    shutil.copytree(start, place)
    in_process(place, *_in(place, arguments))  # imports what is imported when it is needed
    shutil.rmtree(place)
    results = []
    number = -1  # without a fault
    while True:
        shutil.copytree(start, place)
        child = os.fork()
        if child == 0:
            _child(place, told, number, error, arguments)
        _, status = os.waitpid(child, 0)
        hit, _, err = told.read_text().partition("\n")
        results.append((hit, os.waitstatus_to_exitcode(status), err.splitlines(), sorted(_changes(start, place))))
        shutil.rmtree(place)
        if number >= 0 and not hit:
            break
        number = number + step if number >= 0 else first
    print(json.dumps(results))


def _in(place: Path, arguments: list[str]) -> list[str]:
    return [argument.replace("PLACE", str(place)) for argument in arguments]


def _child(place: Path, told: Path, number: int, error: int, arguments: list[str]) -> None:
    err = os.open(told.with_suffix(".err"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(err, 2)
    os.dup2(null, 1)
    sys.argv = ["g2o", *_in(place, arguments)]
    _SHIM.fault_arm(number, error)
    try:
        code = run()
    except BaseException as uncaught:  # noqa: BLE001 is told as what it is
        print(f"uncaught: {uncaught!r}", file=sys.stderr)
        code = 99
    hit = _SHIM.fault_hit()
    sys.stderr.flush()
    told.write_text(hit.decode() + "\n" + told.with_suffix(".err").read_text())
    os._exit(code)


def _changes(start: Path, place: Path) -> set[str]:
    before, after = contents(start), contents(place)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
