"""A row of the manifest: the result for a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

Task: TypeAlias = Literal["encode", "verify", "tables"]
TASKS: tuple[Task, ...] = ("encode", "verify", "tables")
Outcome: TypeAlias = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The result for a model.

    Attributes:
        source: its absolute path, or URL.
        result: done, skipped (an earlier run had done it), or failed.
        model: its key, the digest of its content with that of its external data; None if it was not read.
        sha256: SHA-256 of its file.
        size: bytes of its file and of its external data.
        mark: its file system's mark of the content (an ETag); empty if there is none.
        metadata: the HTP metadata that were used.
        metadata_sha256: their SHA-256.
        category: for a failure, its category, as in ``--json``.
        error: for a failure, what is wrong.
        file: for a failure, the file that it is about, if that is not the source.
        place: for a failure, where in the file.
        remedy: for a failure, what to do about it.
        operators: operators in all bodies.
        modules: modules below the model.
        coverage: percentage of the operators that are in a module below the model.
        hierarchy_source: where the modules come from: metadata, tags, exporter, names, …, none.
        exact: whether verify has confirmed that it comes back byte for byte.
        do: what was done with it.
        parameters: where its weights went.
        layout: of its GraphML.
        outputs: its GraphML and sidecar, relative to the target.
        started: when work on it began, in seconds since 1970.
        seconds: how long that took.
        transfer_seconds: time of these for downloading it and uploading its outputs.
        encode_seconds: time of these for encoding it.
        verify_seconds: time of these for verifying it.
        tables_seconds: time of these for writing its tables.
        run: the batch.
        version: of this package.
    """

    source: str
    result: Outcome
    model: str | None = None
    sha256: str | None = None
    size: int | None = None
    mark: str = ""
    metadata: str | None = None
    metadata_sha256: str | None = None
    category: str | None = None
    error: str | None = None
    file: str | None = None
    place: str | None = None
    remedy: str | None = None
    operators: int | None = None
    modules: int | None = None
    coverage: float | None = None
    hierarchy_source: str | None = None
    exact: bool | None = None
    do: tuple[str, ...] = ()
    parameters: str = "sidecar"
    layout: str = "nested"
    outputs: tuple[str, ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    transfer_seconds: float = 0.0
    encode_seconds: float = 0.0
    verify_seconds: float = 0.0
    tables_seconds: float = 0.0
    run: str = ""
    version: str = ""

    def to_json(self) -> bytes:
        """The row as JSON."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, data: bytes) -> BatchRow | None:
        """The row from JSON; None if it is not a row."""
        try:
            row = _row(orjson.loads(data))
        except (ValueError, TypeError, AttributeError):
            return None
        return row if isinstance(row.source, str) else None


def _row(members: Mapping[str, Any]) -> BatchRow:
    known = {field.name for field in dataclasses.fields(BatchRow)}
    return BatchRow(**{name: _tuple(value) for name, value in members.items() if name in known})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache
def manifest_schema() -> pa.Schema:
    """The columns of the manifest."""
    import pyarrow as pa

    kinds = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "tuple[str, ...]": pa.list_(pa.string()),
        "Outcome": pa.string(),
    }
    fields = [
        pa.field(field.name, kinds[str(field.type).removesuffix(" | None")]) for field in dataclasses.fields(BatchRow)
    ]
    return pa.schema(fields, metadata={"g2o_manifest": "1"})


def arrow_rows(rows: list[BatchRow]) -> pa.Table:
    """Rows as a table."""
    import pyarrow as pa

    schema = manifest_schema()
    return pa.Table.from_arrays(
        [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema], schema=schema
    )


def rows_of(table: pa.Table) -> list[BatchRow]:
    """The rows of a table with the columns of the manifest."""
    return [_row(row) for row in table.to_pylist()]
