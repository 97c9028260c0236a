"""Work under which the process dies, for some models; in a module of its own, for worker processes import it."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

from graphml_onnx.zoo import jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.zoo.rows import BatchRow


def run_jobs(handed_out: Sequence[jobs.Job]) -> list[BatchRow]:
    """Kills the process where the name of a model says so; the models before it are done."""
    before = list(itertools.takewhile(lambda job: "lethal" not in job.source.name, handed_out))
    rows = jobs.run_jobs(before)
    if len(before) < len(handed_out):
        os.kill(os.getpid(), signal.SIGKILL)
    return rows
