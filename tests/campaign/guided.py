"""Inputs that atheris finds by watching which branches they reach: ``python -m tests.campaign.guided wire FOLDER``.

Needs ``pip install atheris`` (Linux, CPython), which nothing else here does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

from tests.campaign import scratch

# Before anything imports the library: what is imported here is watched.
with atheris.instrument_imports(include=["graphml_onnx"]):
    from tests.campaign.targets import INPUT_TARGETS

_CORPUS = Path(__file__).parents[2] / "fixtures" / "fuzz"
_SEEDS = 200


def main() -> None:
    """Runs from the command line; libFuzzer ends the process, with an error where an input failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.guided", description=__doc__)
    parser.add_argument("target", choices=INPUT_TARGETS)
    parser.add_argument("folder", type=Path, help="where inputs are kept, and taken up again")
    parser.add_argument("--count", type=int, default=10_000, help="how many executions")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's random numbers")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with scratch.folder() as place:
        target = INPUT_TARGETS[options.target](place)
        if not any(options.folder.iterdir()):
            for number in range(_SEEDS):
                (options.folder / f"seed-{number}").write_bytes(target.make(number))

        def one_input(data: bytes) -> None:
            target.check(data)

        flags = [f"-atheris_runs={options.count}", f"-seed={options.seed}", "-timeout=20", "-max_len=16384"]
        atheris.Setup([sys.argv[0], *flags, str(options.folder), str(_CORPUS / options.target)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
