"""The manifest of a target: a file for each row as soon as its model is done, joined into one Parquet file at the end.

A row file is written after the outputs of its model, so that the outputs of a row always exist. Joining writes the
Parquet file first and then removes the row files; a process that is killed in between leaves both, with the same
content.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from typing import TYPE_CHECKING

from graphml_onnx.errors import InputError
from graphml_onnx.zoo.rows import BatchRow, arrow_rows, manifest_schema, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from graphml_onnx.places import Place

FILE = "manifest.parquet"
_ROWS = "manifest.rows"


def row_file(source: str) -> str:
    """Where the row of a source is written, relative to the target."""
    return f"{_ROWS}/{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def write_row(target: Place, row: BatchRow) -> None:
    """Writes the row of a model that is done.

    Raises:
        GraphmlOnnxError: it cannot be written.
    """
    target.write(row_file(row.source), row.to_json())


def read_row(target: Place, source: str, run: str) -> BatchRow | None:
    """The row of a source that this run has already written; None if there is none.

    Raises:
        GraphmlOnnxError: it cannot be read.
    """
    data = target.read(row_file(source))
    row = None if data is None else BatchRow.from_json(data)
    return row if row is not None and (row.source, row.run) == (source, run) else None


def read(target: Place) -> pa.Table | None:
    """The manifest, with the rows that a killed run has left beside it; None if there is neither.

    Raises:
        InputError: it is not a manifest.
        GraphmlOnnxError: it cannot be read.
    """
    left = _left_rows(target, _row_files(target))
    joined = read_joined(target)
    return joined if not left else _merged(joined, left)


def _left_rows(target: Place, files: list[str]) -> list[BatchRow]:
    """The rows in separate files; an unreadable file is ignored, and its model counts as not done."""
    return [row for data in target.read_all(files) if data and (row := BatchRow.from_json(data)) is not None]


def read_joined(target: Place) -> pa.Table | None:
    """The manifest without the rows beside it; None if there is none.

    Raises:
        InputError: it is not a manifest.
        GraphmlOnnxError: it cannot be read.
    """
    data = target.read(FILE)
    return None if data is None else _parsed(data, target)


def exists(target: Place) -> bool:
    """Whether an earlier run has left a manifest, or rows of one.

    Raises:
        GraphmlOnnxError: the target cannot be read.
    """
    return FILE in target.files() or bool(_row_files(target))


def join(target: Place, old: pa.Table | None, rows: list[BatchRow]) -> None:
    """Writes the manifest: old rows, new ones, and those in separate files, which are removed.

    Args:
        target: where it is.
        old: the manifest of earlier runs.
        rows: the known rows of this run.

    Raises:
        GraphmlOnnxError: it cannot be written.
    """
    import pyarrow.parquet as pq

    files = _row_files(target)
    known = {row_file(row.source) for row in rows}
    others = _left_rows(
        target, [file for file in files if file not in known]
    )  # of models that a stopped run was working on
    sink = io.BytesIO()
    pq.write_table(_merged(old, [*others, *rows]), sink, compression="zstd")
    target.write(FILE, sink.getvalue())
    target.remove(files)
    target.remove_folder(_ROWS)


def done_rows(table: pa.Table) -> pa.Table:
    """The rows of models that were done, or skipped because they were."""
    import pyarrow.compute as pc

    return table.filter(pc.not_equal(table["result"], "failed"))


def _row_files(target: Place) -> list[str]:
    return [f"{_ROWS}/{name}" for name in target.files(_ROWS) if name.endswith(".json")]


def _parsed(data: bytes, target: Place) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = manifest_schema()
    try:
        table = pq.read_table(pa.BufferReader(data))
        if b"g2o_manifest" not in (table.schema.metadata or {}):
            raise pa.ArrowInvalid("it is a table of something else")
        columns = [
            table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
            for field in schema
        ]
    except pa.ArrowException as error:
        raise InputError(
            f"is not a manifest of g2o: {' '.join(str(error).split())}",
            file=target.name(FILE),
            remedy="name another target, or start again with `overwrite=True`, which replaces it",
        ) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _merged(old: pa.Table | None, rows: Iterable[BatchRow]) -> pa.Table:
    """Old and new rows, one for each source, sorted by source.

    An old row whose outputs were replaced by those of another model is dropped.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    latest = {row.source: row for row in rows}
    new = arrow_rows(list(latest.values()))
    if old is not None:
        kept = old.filter(pc.invert(pc.is_in(old["source"], value_set=new["source"].combine_chunks())))
        written = {output: row.model for row in latest.values() if row.result == "done" for output in row.outputs}
        if written and len(kept):
            right = [
                all(written.get(output, model) == model for output in outputs or ())
                for model, outputs in zip(kept["model"].to_pylist(), kept["outputs"].to_pylist(), strict=True)
            ]
            kept = kept.filter(pa.array(right))
        new = pa.concat_tables([kept, new])
    return new.sort_by("source").combine_chunks()


def first_row(table: pa.Table, index: int) -> BatchRow:
    """The row with this number."""
    return rows_of(table.slice(index, 1))[0]


def rows_with_mark(table: pa.Table) -> list[BatchRow]:
    """The rows of processed models with a mark from their file system."""
    import pyarrow.compute as pc

    done = done_rows(table)
    return rows_of(done.filter(pc.not_equal(done["mark"], "")))


def without_task(table: pa.Table, task: str) -> pa.Table:
    """The same rows as if a task had not been done."""
    return arrow_rows(
        [dataclasses.replace(row, do=tuple(name for name in row.do if name != task)) for row in rows_of(table)]
    )


def skipped(row: BatchRow, run: str) -> BatchRow:
    """The row of a model that an earlier run had done."""
    return dataclasses.replace(row, result="skipped", run=run)
