"""Encodes, verifies and tabulates many models, on any executor, from and to any file system."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphml_onnx.errors import OutputError, UsageError, writing_failed
from graphml_onnx.files.locks import try_lock
from graphml_onnx.places import Place
from graphml_onnx.places.place import check_is_no_file
from graphml_onnx.results import LAYOUTS
from graphml_onnx.support.extras import require
from graphml_onnx.support.progress import Stage
from graphml_onnx.tabular.folder import compact, is_empty, join_new
from graphml_onnx.zoo import manifest, running
from graphml_onnx.zoo.jobs import Job, Settings, does_the_same, remove_leftovers, shown
from graphml_onnx.zoo.rows import TASKS, BatchRow, Task
from graphml_onnx.zoo.sources import find_models

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    import pyarrow as pa

    from graphml_onnx.results import Layout, ParameterStrategy, Progress
    from graphml_onnx.zoo.sources import Source

_LOCK = ".g2o-batch-lock"
_JOINED = 2_000
"""Number of models after which those that workers have left are moved into the tables."""


class OnRow(Protocol):
    """Called with the row of each model, as soon as it is known."""

    def __call__(self, row: BatchRow) -> None:
        """Receives a row."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """Outcome of `batch`.

    Attributes:
        target: where outputs are.
        manifest: the manifest, with a row for each model.
        done: number of models that were processed.
        skipped: number of models that an earlier run had processed.
        failures: rows of models that failed.
        operators: operators of the processed models.
        seconds: how long it took.
    """

    target: str
    manifest: str
    done: int
    skipped: int
    failures: tuple[BatchRow, ...]
    operators: int
    seconds: float

    @property
    def models(self) -> int:
        """How many models there were."""
        return self.done + self.skipped + len(self.failures)


def batch(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    do: Sequence[Task] = ("encode", "verify"),
    executor: Executor | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    parameters: ParameterStrategy = "sidecar",
    layout: Layout = "nested",
    on_row: OnRow | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Processes many models. A model that fails is a row in the manifest and does not end the run.

    Outputs are ``graphs/…`` for the GraphML and its weights, ``tables/…``, and ``manifest.parquet``, which has a row
    for each model (`BatchRow`). HTP metadata are read from ``NAME_htp_metadata.json`` beside ``NAME.onnx``.
    docs/batch.md describes the details. A script that calls this needs ``if __name__ == "__main__":`` around the call,
    like every script that starts processes.

    Args:
        sources: files, folders, patterns, or URLs of file systems of fsspec; in folders, models are ``*.onnx``.
        target: a folder, or the URL of one; it is created if it does not exist.
        do: what to do with each model: ``encode``, ``verify``, ``tables``.
        executor: runs the work: any executor of `concurrent.futures`, or ``distributed.Client.get_executor``. By
            default, processes on this machine.
        workers: how many processes, by default one for each processor; with 1, everything runs in this process.
        resume: whether to skip models that an earlier run has processed, by their content.
        overwrite: whether the outputs of an earlier run may be replaced. Without this and ``resume``, a target with
            such outputs is refused.
        parameters: where weights go, as for `encode`; ``reference`` is not possible.
        layout: of the GraphML, as for `encode`.
        on_row: called with the row of each model.
        progress: called as the work goes on.

    Raises:
        UsageError: the options contradict each other; a package is not installed; another batch writes to the target.
        InputError: a source does not exist or holds no model; the manifest of an earlier run is damaged.
        OutputError: the target has outputs of an earlier run, or cannot be created.
        StorageError: the target cannot be written, or a file system does not answer.
    """
    start = time.time()
    settings = _settings(target, do, parameters, layout, workers, executor, resume=resume, overwrite=overwrite)
    place = Place(target)
    check_is_no_file(place)
    names = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    models = find_models(names, place)
    remove_leftovers()
    with _locked(place):
        earlier = _earlier(place, settings, overwrite=overwrite)
        if "tables" in settings.do:
            join_new(place.below("tables"))  # of a batch that was killed: what this one writes is newer
        rows: list[BatchRow] = []
        try:
            found = _rows(models, settings, earlier, executor, workers)
            with contextlib.closing(found), Stage(progress, "models", len(models), "steps") as stage:
                for row in found:
                    rows.append(row)
                    stage.advance(1)
                    if on_row is not None:
                        on_row(row)
                    if "tables" in settings.do and len(rows) % _JOINED == 0:
                        join_new(place.below("tables"))
        finally:
            remove_leftovers(settings.run)
            manifest.join(place, earlier, rows)
            if "tables" in settings.do:
                compact(place.below("tables"))
    failures = tuple(row for row in rows if row.result == "failed")
    done = [row for row in rows if row.result == "done"]
    return BatchReport(
        place.url,
        place.name(manifest.FILE),
        len(done),
        len(rows) - len(done) - len(failures),
        failures,
        sum(row.operators or 0 for row in done),
        time.time() - start,
    )


def _settings(
    target: str | os.PathLike[str],
    do: Sequence[Task],
    parameters: ParameterStrategy,
    layout: Layout,
    workers: int | None,
    executor: Executor | None,
    *,
    resume: bool,
    overwrite: bool,
) -> Settings:
    from graphml_onnx import __version__

    require("pyarrow", "a batch")
    unknown = [task for task in do if task not in TASKS]
    if unknown or not do:
        raise UsageError(f"do is {', '.join(unknown) or 'empty'}", remedy=f"give some of {', '.join(TASKS)}")
    if parameters not in ("sidecar", "embedded"):
        raise UsageError(f"parameters is {parameters!r}", remedy="give sidecar or embedded")
    if layout not in LAYOUTS:
        raise UsageError(f"layout is {layout!r}", remedy=f"give one of {', '.join(LAYOUTS)}")
    if resume and overwrite:
        raise UsageError("resume keeps what overwrite replaces", remedy="leave out one of them")
    if workers is not None and (workers < 1 or executor is not None):
        raise UsageError("workers is the number of processes", remedy="give at least 1, and no executor")
    tasks = tuple(task for task in TASKS if task in do)
    text = os.fspath(target)
    if Place(target).local is not None:
        text = os.path.abspath(Place(target).local or text)  # noqa: PTH100 for workers that are elsewhere
    return Settings(text, tasks, parameters, layout, resume, os.urandom(6).hex(), __version__)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Keeps other batches of this machine away from the target; creates the target."""
    if place.local is None:
        yield
        return
    path = place.local / _LOCK
    try:
        place.local.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise writing_failed(error, place.local) from error
    try:
        with contextlib.suppress(OSError):  # the file system has no locks
            if not try_lock(descriptor):
                raise UsageError("another batch writes to this target", file=place.local, remedy="wait for its end")
        yield
    finally:
        os.close(descriptor)


def _earlier(place: Place, settings: Settings, *, overwrite: bool) -> pa.Table | None:
    """The manifest of earlier runs, in one file."""
    if overwrite:
        return None if not manifest.exists(place) else _readable(place)
    if settings.resume:
        found = manifest.read(place)
        if found is not None:
            if "tables" in settings.do and is_empty(place.below("tables")):
                found = manifest.without_task(found, "tables")
            manifest.join(place, found, [])
        return found
    if manifest.exists(place) or ("encode" in settings.do and place.all_files("graphs")):
        raise OutputError(
            "holds the outputs of an earlier run",
            file=place.url,
            remedy="to continue, `resume=True`; to start again, `overwrite=True`; or name another target",
        )
    return None


def _readable(place: Place) -> pa.Table | None:
    """The manifest; rows of other sources are kept. None if it is damaged."""
    from graphml_onnx.errors import InputError

    try:
        return manifest.read(place)
    except InputError:
        return None


def _rows(
    models: Sequence[Source],
    settings: Settings,
    earlier: pa.Table | None,
    executor: Executor | None,
    workers: int | None,
) -> Generator[BatchRow]:
    done = _marked(earlier, settings)
    jobs = {shown(model.name): Job(model, settings) for model in models}
    claimed = {job.graph for job in jobs.values()}

    def is_claimed(row: BatchRow) -> bool:
        """Whether outputs of an earlier run have the path of another model's outputs, which must not be shared."""
        own = jobs[row.source].graph
        return any(output != own and output in claimed for output in row.outputs)

    left = dict(jobs)
    for source, job in jobs.items():
        row = done.get((source, job.source.mark)) if job.source.mark and job.source.metadata is None else None
        if row is not None and row.metadata is None and not is_claimed(row):
            del left[source]
            yield manifest.skipped(row, settings.run)
    again: list[Job] = []
    for row in _run(list(left.values()), executor, workers):
        if row.result == "skipped" and is_claimed(row):
            again.append(jobs[row.source]._replace(anew=True))
        else:
            yield row
    yield from _run(again, executor, workers)


def _run(jobs: Sequence[Job], executor: Executor | None, workers: int | None) -> Iterator[BatchRow]:
    if executor is not None:
        return running.on_executor(jobs, executor)
    count = min(workers or os.cpu_count() or 1, len(jobs))
    return running.in_this_process(jobs) if count <= 1 else running.in_processes(jobs, count)


def _marked(earlier: pa.Table | None, settings: Settings) -> Mapping[tuple[str, str], BatchRow]:
    """Rows of earlier runs whose file systems report unchanged content, so that nothing must be read."""
    if earlier is None or not settings.resume:
        return {}
    place = Place(settings.target)
    there = place.all_files("graphs")
    return {
        (row.source, row.mark): row
        for row in manifest.rows_with_mark(earlier)
        if does_the_same(row, settings, row.metadata_sha256) and there.issuperset(row.outputs)
    }
