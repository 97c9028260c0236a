"""Work under which the process dies, for some models; in a module of its own, for worker processes import it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from graphml_onnx.zoo import jobs

if TYPE_CHECKING:
    from graphml_onnx.zoo.rows import BatchRow


def run_job(job: jobs.Job) -> BatchRow:
    """Kills the process where the name of the model says so."""
    if "lethal" in job.source.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return jobs.run_job(job)
