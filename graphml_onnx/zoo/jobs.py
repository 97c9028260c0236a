"""The work on one model, in any process: download it, process it, publish the outputs, and write its row."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.decoding.api import decode_loaded
from graphml_onnx.encoding.api import encode
from graphml_onnx.errors import (
    Category,
    GraphmlOnnxError,
    NotExactError,
    StorageError,
    printable,
    reading_failed,
    writing_failed,
)
from graphml_onnx.files.locks import try_lock
from graphml_onnx.places import Place, is_url
from graphml_onnx.tabular.api import rows_of
from graphml_onnx.tabular.folder import write_models
from graphml_onnx.tabular.identity import Identity, external_locations, identity_of, names_data
from graphml_onnx.verification.api import verify
from graphml_onnx.zoo import manifest
from graphml_onnx.zoo.fetching import download
from graphml_onnx.zoo.rows import BatchRow, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from graphml_onnx.results import Layout, ParameterStrategy
    from graphml_onnx.tabular.rows import ModelRows
    from graphml_onnx.zoo.sources import Source

_IN_USE = ".in-use"
TEMPORARY = "g2o-batch-"
"""Prefix of temporary folders; the name of the run follows."""
_COPIES = 16  # rows of other copies of a model that --resume looks at
_YOUNG = 60  # seconds until a new folder has its lock


class Settings(NamedTuple):
    """The settings of a batch.

    Attributes:
        target: where outputs go.
        do: what to do.
        parameters: where weights go, as for `encode`.
        layout: of the GraphML, as for `encode`.
        resume: whether to skip what an earlier run has done.
        run: the name of the batch, which temporary folders contain.
        version: of this package.
    """

    target: str
    do: tuple[Task, ...]
    parameters: ParameterStrategy
    layout: Layout
    resume: bool
    run: str
    version: str


class Job(NamedTuple):
    """A model, and what to do with it.

    Attributes:
        source: the model.
        settings: the settings of the batch.
        anew: whether to process it even if an earlier run has.
    """

    source: Source
    settings: Settings
    anew: bool = False

    @property
    def graph(self) -> str:
        """Where its GraphML goes, relative to the target."""
        return f"graphs/{self.source.relative}.graphml"


def run_jobs(jobs: Sequence[Job]) -> list[BatchRow]:
    """Does the work on some models, one after the other, and then writes their tables and their rows to the target.

    Returns:
        The rows. A row that this run has already written is only read: its result was lost in transit. A failure of
        one model is its row.
    """
    rows: list[BatchRow] = []
    works: list[_Work | None] = []
    for job in jobs:
        target = _place(job.settings.target)
        work = None
        try:
            row = manifest.read_row(target, shown(job.source.name), job.settings.run)
            if row is None or (job.anew and row.result == "skipped"):
                work = _Work(job, target)
                row = work.row()
        except Exception as error:  # noqa: BLE001 - a failure of one model must not stop the others
            row = failed_row(blank_row(job), error, job.source)
        rows.append(row)
        works.append(work)
    problem = _write_tables([work for work in works if work is not None])
    for number, (job, work) in enumerate(zip(jobs, works, strict=True)):
        if work is None:
            continue
        if problem is not None and work.tables is not None:
            rows[number] = failed_row(rows[number], problem, job.source)
        try:
            manifest.write_row(_place(job.settings.target), rows[number])
        except Exception as error:  # noqa: BLE001 - as above
            rows[number] = failed_row(rows[number], error, job.source)
    return rows


def _write_tables(works: Sequence[_Work]) -> Exception | None:
    """Writes the tables of models that were not written yet; returns what went wrong."""
    found = [work.tables for work in works if work.tables is not None]
    if not found:
        return None
    try:
        write_models(works[0].target.below("tables"), found)
    except Exception as error:  # noqa: BLE001 - which is the row of each of them
        return error
    return None


def blank_row(job: Job) -> BatchRow:
    """The row of a model before anything is known."""
    source, settings, _ = job
    return BatchRow(
        shown(source.name),
        "failed",
        size=source.size,
        mark=source.mark,
        metadata=None if source.metadata is None else shown(source.metadata),
        do=settings.do,
        parameters=settings.parameters,
        layout=settings.layout,
        started=time.time(),
        run=settings.run,
        version=settings.version,
    )


def failed_row(row: BatchRow, error: BaseException, source: Source) -> BatchRow:
    """The row of a model that failed."""
    match error:
        case GraphmlOnnxError():
            failure = error
            category = error.category.name.lower()
        case OSError():
            failure = StorageError(f"input/output error: {error.strerror or error}", file=error.filename)
            category = Category.INPUT_OUTPUT.name.lower()
        case MemoryError():
            failure = StorageError("not enough memory", remedy="use fewer workers, or a machine with more memory")
            category = Category.INPUT_OUTPUT.name.lower()
        case _:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            failure = StorageError(told, remedy="report it, with the model if it may be shared")
            category = "internal"
    file = failure.file if failure.file is not None and not _is_copy(failure.file, source) else None
    return dataclasses.replace(
        row,
        result="failed",
        category=category,
        error=printable(failure.message),
        file=file and shown(file),
        place=failure.place and printable(failure.place),
        remedy=failure.remedy and printable(failure.remedy),
        seconds=time.time() - row.started,
    )


def _is_copy(file: str, source: Source) -> bool:
    """Whether a file is the source, or the copy of it that a worker had."""
    return file == source.name or (TEMPORARY in file and os.path.basename(file) == os.path.basename(source.name))  # noqa: PTH119 of URLs too


def shown(name: str) -> str:
    """A name for the manifest: bytes that are not UTF-8 are escaped, since Parquet's text cannot hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@lru_cache(maxsize=8)
def _place(url: str) -> Place:
    return Place(url)


class _Work:
    """The work on one model."""

    def __init__(self, job: Job, target: Place) -> None:
        self.tables: ModelRows | None = None
        self.target = target
        self._job = job
        self._source, self._settings = job.source, job.settings
        self._row = blank_row(job)
        self._times = {"transfer": 0.0, "encode": 0.0, "verify": 0.0, "tables": 0.0}

    def row(self) -> BatchRow:
        try:
            with _scratch():
                self._do()
        except Exception as error:  # noqa: BLE001 - a failure of one model must not stop the others
            self._row = failed_row(self._row, error, self._source)
        return dataclasses.replace(
            self._row,
            seconds=time.time() - self._row.started,
            transfer_seconds=self._times["transfer"],
            encode_seconds=self._times["encode"],
            verify_seconds=self._times["verify"],
            tables_seconds=self._times["tables"],
        )

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._times[name] += time.perf_counter() - start

    def _scratch(self, name: str) -> Path:
        return _SCRATCH.part(self._settings.run, name)

    def _know(self, **facts: object) -> None:
        self._row = dataclasses.replace(self._row, **facts)  # type: ignore[arg-type]

    def _do(self) -> None:
        if self._source.problem is not None:
            raise self._source.problem
        with self._timed("transfer"):
            model, metadata = self._here()
        settings = self._settings
        identity = None
        if metadata is not None:
            self._know(metadata_sha256=_sha256(metadata))
        if settings.resume and not self._job.anew:
            identity = identity_of(model)
            self._know_identity(identity)
            if (earlier := self._earlier(identity)) is not None:
                self._row = dataclasses.replace(
                    earlier,
                    source=self._row.source,
                    mark=self._row.mark,
                    metadata=self._row.metadata,
                    result="skipped",
                    started=self._row.started,
                    run=settings.run,
                )
                return
        if "encode" in settings.do:
            self._encode(model, metadata)
        elif "verify" in settings.do:
            with self._timed("verify"):
                self._verify(model, metadata)
        if "tables" in settings.do:
            with self._timed("tables"):
                self._tables(model, metadata, identity)
        if self._row.model is None:
            if names_data(model) or self._row.sha256 is None:
                self._know_identity(identity or identity_of(model))
            else:
                self._know(model=self._row.sha256, size=model.stat().st_size)
        self._know(result="done")

    def _know_identity(self, identity: Identity) -> None:
        self._know(model=identity.key, sha256=identity.sha256, size=identity.size)

    def _earlier(self, identity: Identity) -> BatchRow | None:
        """The row of an earlier run that did all of this with the same content, if its outputs still exist."""
        settings = self._settings
        for row in _earlier_rows(settings.target, settings.run).find(identity.key, self._row.source):
            if does_the_same(row, settings, self._row.metadata_sha256) and all(map(self.target.has, row.outputs)):
                return row
        return None

    def _here(self) -> tuple[Path, Path | None]:
        """The model and its metadata as local files, with the data files beside the model."""
        source = self._source
        if not is_url(source.name):
            return Path(source.name), None if source.metadata is None else Path(source.metadata)
        place = self._scratch("source")
        model = place / os.path.basename(source.name)  # noqa: PTH119 of a URL
        download(source.name, model)
        base = source.name.rpartition("/")[0]
        for location in external_locations(model):
            download(f"{base}/{location}", place / location)
        if source.metadata is None:
            return model, None
        metadata = self._scratch("metadata") / "metadata.json"
        download(source.metadata, metadata)
        return model, metadata

    def _encode(self, model: Path, metadata: Path | None) -> None:
        settings, target = self._settings, self.target
        relative = self._job.graph
        if target.local is not None:
            output = target.local / relative
            _make_folder(output.parent)
        else:
            output = self._scratch("out") / os.path.basename(relative)  # noqa: PTH119
        with self._timed("encode"):
            result = encode(
                model,
                output,
                metadata=metadata,
                parameters=settings.parameters,
                layout=settings.layout,
                overwrite=True,  # of an attempt that was cut off: `batch` has made sure that nothing else is there
            )
        self._know(
            sha256=result.sha256,
            operators=result.operators,
            modules=result.modules,
            coverage=result.coverage,
            hierarchy_source=result.hierarchy_source,
        )
        if "verify" in settings.do:
            with self._timed("verify"):
                decode_loaded(None, output, self._scratch("back") / "model.onnx", output.parent, require_exact=True)
            self._know(exact=True)
        base = os.path.dirname(relative)  # noqa: PTH120
        files = [file for file in (result.sidecar, result.graphml) if file is not None]
        outputs = [f"{base}/{file.name}" for file in files]
        if target.local is None:
            with self._timed("transfer"):
                for file, name in zip(files, outputs, strict=True):  # the GraphML last
                    target.upload(file, name)
        self._know(outputs=tuple(reversed(outputs)))

    def _verify(self, model: Path, metadata: Path | None) -> None:
        settings = self._settings
        report = verify(model, metadata=metadata, parameters=settings.parameters, layout=settings.layout)
        self._know(
            sha256=report.sha256,
            operators=report.operators,
            modules=report.modules,
            coverage=report.coverage,
            exact=report.passed,
        )
        if not report.passed:
            faults = "; ".join(f"{check.name}: {check.detail}" for check in report.checks if check.failed)
            raise NotExactError(faults, file=model, remedy="report it, with the model if it may be shared")

    def _tables(self, model: Path, metadata: Path | None, identity: Identity | None) -> None:
        rows = rows_of(model, metadata=metadata, source=self._row.source, identity=identity)
        self.tables = rows
        self._know(model=rows.facts.key, sha256=rows.facts.sha256, size=rows.facts.size)
        if self._row.operators is None:
            self._know(
                operators=rows.count("operators"),
                modules=rows.count("modules") - 1,
                hierarchy_source=rows.value("models", "hierarchy_source"),
            )


def does_the_same(row: BatchRow, settings: Settings, metadata_sha256: str | None) -> bool:
    """Whether an earlier row covers the same work or more, with the same metadata."""
    return (
        set(settings.do) <= set(row.do)
        and row.metadata_sha256 == metadata_sha256
        and ("encode" not in settings.do or (row.parameters, row.layout) == (settings.parameters, settings.layout))
    )


class _Earlier:
    """The manifest of an earlier run, to be searched by model and source: a table, and 48 bytes for each row."""

    def __init__(self, table: pa.Table | None) -> None:
        import numpy as np

        self._table = None if table is None else manifest.done_rows(table)
        columns = () if self._table is None else (self._table[name].to_pylist() for name in ("model", "source"))
        keys = [_row_key(key or "", source) for key, source in zip(*columns, strict=True)]
        found: npt.NDArray[np.bytes_] = np.array(keys, "S40")
        self._order = np.argsort(found, kind="stable")
        self._keys = found[self._order]

    def find(self, key: str, source: str) -> Iterator[BatchRow]:
        """Rows of a model: those of the source first, then a few of others, for there may be any number of copies."""
        import numpy as np

        if self._table is None:
            return
        own, model = _row_key(key, source), bytes.fromhex(key)
        first, first_own, end = np.searchsorted(self._keys, np.array([model, own, model + b"\xff" * 9], "S41"))
        end_own = np.searchsorted(self._keys, np.array(own, "S40"), "right")
        others = [place for place in range(first, min(end, first + _COPIES)) if not first_own <= place < end_own]
        for place in (*range(first_own, end_own), *others):
            yield manifest.first_row(self._table, int(self._order[place]))


def _row_key(key: str, source: str) -> bytes:
    """32 bytes of the model, then 8 of the source: sorted, the rows of a model are beside each other."""
    return bytes.fromhex(key) + hashlib.blake2b(source.encode(), digest_size=8).digest()


@lru_cache(maxsize=2)
def _earlier_rows(target: str, run: str) -> _Earlier:
    """The work before this run; each process reads it once."""
    return _Earlier(manifest.read_joined(_place(target)))


class _Scratch(threading.local):
    """A temporary folder for the jobs of one thread, one after the other.

    Creating and removing one for each job would take as long as encoding a small model. A lock marks the folder as in
    use and ends with the process, so a later run recognises what a killed one has left.
    """

    def __init__(self) -> None:
        self._run = ""
        self._lock = -1
        self.folder: Path | None = None

    def part(self, run: str, name: str) -> Path:
        """An empty folder in it; `clear` empties it again."""
        try:
            folder = self.folder
            if folder is None or self._run != run or not folder.is_dir():
                self.remove()
                folder = self._make(run)
            part = folder / name
            part.mkdir(exist_ok=True)
        except OSError as error:
            remedy = "free some space there, or set TMPDIR to another folder"
            raise StorageError(
                f"no temporary folder: {error.strerror or error}", file="TMPDIR", remedy=remedy
            ) from error
        return part

    def _make(self, run: str) -> Path:
        self._run, self.folder = run, Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{run}-"))
        self._lock = os.open(self.folder / _IN_USE, os.O_RDWR | os.O_CREAT)
        with contextlib.suppress(OSError):  # without locks, nobody else removes the folder either
            try_lock(self._lock)
        return self.folder

    def clear(self) -> None:
        """Removes the files of the last job."""
        with contextlib.suppress(FileNotFoundError):
            for part in () if self.folder is None else self.folder.iterdir():
                if part.name == _IN_USE:
                    continue
                try:
                    for file in part.iterdir():
                        file.unlink()
                except OSError:  # there are folders in it
                    shutil.rmtree(part, ignore_errors=True)

    def remove(self) -> None:
        """Removes the folder."""
        if self.folder is not None:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


_SCRATCH = _Scratch()
atexit.register(_SCRATCH.remove)


@contextlib.contextmanager
def _scratch() -> Iterator[None]:
    """Clears the temporary folder afterwards; errors of writing there have a remedy of their own."""
    try:
        yield
    except GraphmlOnnxError as error:
        is_there = _SCRATCH.folder is not None and (error.file or "").startswith(os.fspath(_SCRATCH.folder))
        if is_there and isinstance(error, StorageError):
            error.remedy = "free some space in the temporary folder, or set TMPDIR to another one"
        raise
    finally:
        _SCRATCH.clear()


def remove_leftovers(run: str = "") -> None:
    """Removes what killed workers have left on this machine, in this run (which has ended) and in earlier ones."""
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
            if (run and path.name.startswith(f"{TEMPORARY}{run}-")) or _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that created a temporary folder has ended; without a lock file, it may just have begun."""
    try:
        descriptor = os.open(folder / _IN_USE, os.O_RDWR)
    except OSError:
        return False
    try:
        return time.time() - os.fstat(descriptor).st_mtime > _YOUNG and try_lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(error, folder) from error


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise reading_failed(error, path) from error
