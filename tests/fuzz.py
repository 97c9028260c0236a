"""Hostile mutants of real models, round-tripped byte for byte: python -m tests.fuzz --count 10000 --seed 1.

Prints executions, how many were models, and each failure with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx import ExternalDataError, ModelError
from tests import seeds
from tests.roundtrip import through_memory
from tests.strategies import wire

_STRATEGIES = ("sidecar", "embedded", "reference")


@cache
def seed_models() -> list[wire.Fields]:
    """Small models often, larger ones now and then: what makes bytes unusual is not size."""
    small = list(seeds.small_models().values())
    package = [data for data in seeds.onnx_files().values() if len(data) < 4000][::6]
    fixtures = [data for data in seeds.fixtures().values() if len(data) < 40_000]
    large = [data for data in seeds.fixtures().values() if len(data) >= 40_000]
    weighted = small * 20 + package * 5 + fixtures * 4 + large
    return [wire.parse(data) for data in weighted]


def is_model(data: bytes) -> bool:
    """Whether ONNX itself can read the bytes, and finds a graph."""
    try:
        return onnx.ModelProto.FromString(data).HasField("graph")
    except DecodeError:
        return False


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        executions: mutants that were made.
        models: those that ONNX reads and that have a graph.
        external: those that were refused because a tensor has become external; its data file does not exist.
        failures: what went wrong, with the seed that makes it again.
    """

    executions: int = 0
    models: int = 0
    external: int = 0
    failures: list[str] = field(default_factory=list)


def make_mutant(seed: int) -> bytes:
    """The mutant of a seed; always the same one."""
    rng = random.Random(seed)
    return wire.mutant(rng.choice(seed_models()), rng)


def check(seed: int, outcome: Outcome) -> None:
    """Round-trips one mutant: a model comes back byte for byte; anything else is refused, or comes back too."""
    data = make_mutant(seed)
    outcome.executions += 1
    known = is_model(data)
    outcome.models += known
    rng = random.Random(seed)
    try:
        trip = through_memory(
            data,
            rng.choice(_STRATEGIES),
            rng.choice(("nested", "flat")),
            show_parameters=rng.random() < 0.3,
            inline_limit=rng.choice((0, 64, 1024)),
        )
    except ExternalDataError:
        outcome.external += 1
    except ModelError as error:
        if known:
            outcome.failures.append(f"seed {seed}: refused: {error}")
    except Exception:  # noqa: BLE001 whatever it is, it is a failure to report
        outcome.failures.append(f"seed {seed}: {traceback.format_exc(limit=-3)}")
    else:
        if trip.decoded != data or not trip.exact:
            outcome.failures.append(f"seed {seed}: not byte-identical")


def run(count: int, seed: int) -> Outcome:
    """Checks ``count`` mutants, those of ``seed`` and the numbers after it."""
    outcome = Outcome()
    for number in range(seed, seed + count):
        check(number, outcome)
    return outcome


def main() -> int:
    """Runs from the command line; 1 where there were failures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="write the mutant of --seed to this file, and stop")
    arguments = parser.parse_args()
    if arguments.save:
        arguments.save.write_bytes(make_mutant(arguments.seed))
        return 0
    started = time.monotonic()
    outcome = run(arguments.count, arguments.seed)
    for failure in outcome.failures:
        print(failure)
    print(
        f"{outcome.executions:,} executions, {outcome.models:,} of them models"
        f" ({outcome.external:,} refused for external data), {len(outcome.failures)} failures,"
        f" seeds {arguments.seed} to {arguments.seed + arguments.count - 1}, {time.monotonic() - started:.0f} s"
    )
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
