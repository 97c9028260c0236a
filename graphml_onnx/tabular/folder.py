"""The folder of tables: one file per table for one model or for many; each model is in it once.

In every table, a file ``KEY.parquet`` has the rows of one model, and ``part-DIGEST.parquet`` those of several. The file
in ``models`` is written last and removed first, so a model that is listed there is complete.

A worker of a batch leaves small models together in a file ``new/DIGEST.arrow``, the seven tables one after the other as
Arrow streams, which is written and read in a fraction of the time of seven files of Parquet; `join_new` moves them into
the tables.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from graphml_onnx.errors import InputError
from graphml_onnx.tabular.rows import ModelRows, arrow_tables
from graphml_onnx.tabular.schema import TABLES, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from graphml_onnx.places import Place

_ENDING = ".parquet"
_PART = "part-"
_BUFFERED = 250_000
"""Number of operators from which on rows in memory are written to a file."""
_BUFFERED_MODELS = 2_000
_PENDING = 20_000
"""Number of operators from which on rows in lists, which need more memory, become arrays."""
_NEW = "new"
_STREAMS = ".arrow"
_SMALL = 2_000
"""Number of operators up to which models are written as streams."""
_READ = 256
"""Number of files of streams in memory."""
_ROWS = 1 << 20
"""Rows per group in a file: a reader reads one group at a time."""


class TablesWriter:
    """Adds models to a folder of tables; a context manager that writes the remaining rows at its end.

    Args:
        place: the folder.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pending: dict[str, ModelRows] = {}
        self._pending_operators = 0
        self._waiting: list[Mapping[str, pa.Table]] = []
        self._waiting_keys: set[str] = set()
        self._operators = 0
        self._parts: dict[str, frozenset[str]] | None = None

    def add(self, rows: ModelRows) -> None:
        """Adds the rows of a model, and drops earlier rows of the same model.

        Raises:
            GraphmlOnnxError: the folder cannot be written.
        """
        key = rows.facts.key
        if key in self._waiting_keys:
            self.flush()
        self._pending[key] = rows
        self._pending_operators += rows.count("operators")
        if self._pending_operators >= _PENDING:
            self._make_arrays()
        self._flush_many()

    def _flush_many(self) -> None:
        if self._operators >= _BUFFERED or len(self._waiting_keys) + len(self._pending) >= _BUFFERED_MODELS:
            self.flush()

    def add_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Adds the rows of several models, without those that were just added.

        Raises:
            GraphmlOnnxError: the folder cannot be written.
        """
        self._make_arrays()
        keys = set(tables["models"]["model"].to_pylist())
        if again := keys & self._waiting_keys:
            tables = {table: _without(rows, again) for table, rows in tables.items()}
        self._waiting.append(tables)
        self._waiting_keys |= keys
        self._operators += len(tables["operators"])
        self._flush_many()

    def _make_arrays(self) -> None:
        if self._pending:
            self._waiting.append(arrow_tables(list(self._pending.values())))
            self._waiting_keys |= self._pending.keys()
            self._operators += self._pending_operators
            self._pending, self._pending_operators = {}, 0

    def flush(self) -> None:
        """Writes the added rows.

        Raises:
            GraphmlOnnxError: the folder cannot be written.
        """
        self._make_arrays()
        if not self._waiting:
            return
        waiting, keys = self._waiting, frozenset(self._waiting_keys)
        self._waiting, self._waiting_keys, self._operators = [], set(), 0
        self._forget(keys)
        name = _file_name(keys)
        _write(self._place, name, {table: [rows[table] for rows in waiting] for table in TABLES})
        if self._parts is not None:
            self._parts[name] = keys

    def _forget(self, keys: Iterable[str]) -> None:
        """Removes the rows of models from all files."""
        if self._parts is None:
            names = self._place.files("models")
            self._parts = {name: frozenset({name[: -len(_ENDING)]}) for name in names if _is_single(name)}
            self._parts |= {name: _keys(self._place, name) for name in names if name.startswith(_PART)}
        gone = set(keys)
        for name, held in [(name, held) for name, held in self._parts.items() if held & gone]:
            _drop(self._place, name, held, gone)
            del self._parts[name]
            if left := held - gone:
                self._parts[_file_name(left)] = left

    def __enter__(self) -> TablesWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.flush()


def write_models(place: Place, models: Sequence[ModelRows]) -> None:
    """Writes the rows of models to files of their own, without reading the rest of the folder; see `join_new`.

    Raises:
        GraphmlOnnxError: the folder cannot be written.
    """
    if sum(rows.count("operators") for rows in models) <= _SMALL:
        different = {rows.facts.key: rows for rows in models}
        name = hashlib.sha256("".join(different).encode()).hexdigest()
        place.write(f"{_NEW}/{name}{_STREAMS}", _streams(arrow_tables(list(different.values()))))
        return
    for rows in models:
        made = arrow_tables([rows])
        _write(place, rows.facts.key + _ENDING, {table: [made[table]] for table in TABLES})


def is_empty(place: Place) -> bool:
    """Whether a folder has no models.

    Raises:
        GraphmlOnnxError: the folder cannot be read.
    """
    return not place.files("models") and not _new(place)


def join_new(place: Place) -> None:
    """Moves the models that workers have left as streams into the tables; of copies, one.

    Raises:
        GraphmlOnnxError: the folder cannot be read or written.
    """
    files = _new(place)
    if not files:
        return
    with TablesWriter(place) as writer:
        for start in range(0, len(files), _READ):
            some = files[start : start + _READ]
            for file, data in zip(some, place.read_all(some), strict=True):
                if data is not None:
                    writer.add_tables(_parsed_streams(data, place.name(file)))
    place.remove(files)
    place.remove_folder(_NEW)


def _new(place: Place) -> list[str]:
    return [f"{_NEW}/{name}" for name in place.files(_NEW) if name.endswith(_STREAMS) and not name.startswith(".")]


def _streams(tables: Mapping[str, pa.Table]) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    for rows in tables.values():
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
    return sink.getvalue()


def _parsed_streams(data: bytes, name: str) -> Mapping[str, pa.Table]:
    import pyarrow as pa

    source = pa.BufferReader(data)
    found = {}
    try:
        for table in TABLES:
            with pa.ipc.open_stream(source) as stream:
                found[table] = _with_schema(stream.read_all(), table)
            found[table].validate(full=True)
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:  # ValueError of names that are no UTF-8
        raise _no_table(error, name) from error
    return found


def compact(place: Place, *, at_least: int = 1) -> None:
    """Joins the files of single models into a few large ones, which readers open faster; see also `join_new`.

    If a model is in a separate file and in a joined one, the separate file is newer and wins.

    Args:
        place: the folder.
        at_least: the number of files of single models from which on they are joined.

    Raises:
        GraphmlOnnxError: the folder cannot be read or written.
    """
    join_new(place)
    names = place.files("models")
    singles = [name for name in names if _is_single(name)]
    if len(singles) < at_least:
        return
    for table in TABLES:  # left by a process that was killed before it had joined all tables
        place.remove(f"{table}/{name}" for name in place.files(table) if name.startswith(_PART) and name not in names)
    newer = {name[: -len(_ENDING)] for name in singles}
    for name in names:
        if name.startswith(_PART) and (held := _keys(place, name)) & newer:
            _drop(place, name, held, newer)
    for start in range(0, len(singles), _BUFFERED_MODELS):
        group = singles[start : start + _BUFFERED_MODELS]
        if len(group) == 1:
            continue
        rows = {table: _read_all(place, table, group) for table in TABLES}
        _write(place, _file_name(name[: -len(_ENDING)] for name in group), rows)
        for table in TABLES:
            place.remove(f"{table}/{name}" for name in group)


def _is_single(name: str) -> bool:
    return name.endswith(_ENDING) and not name.startswith((_PART, "."))


def _file_name(keys: Iterable[str]) -> str:
    ordered = sorted(keys)
    if len(ordered) == 1:
        return ordered[0] + _ENDING
    return f"{_PART}{hashlib.sha256(''.join(ordered).encode()).hexdigest()[:16]}{_ENDING}"


def _drop(place: Place, name: str, held: frozenset[str], gone: set[str]) -> None:
    """Replaces a file by one without the rows of some models."""
    left = held - gone
    if left:
        kept = {table: [_without(_read(place, table, name), held & gone)] for table in TABLES}
        _write(place, _file_name(left), kept)
    # From here on the remaining models are in two files: if the process is killed, none is lost.
    place.remove(f"{table}/{name}" for table in TABLES)


def _without(rows: pa.Table, keys: Iterable[str]) -> pa.Table:
    """The rows of other models."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return rows.filter(pc.invert(pc.is_in(rows["model"], value_set=pa.array(sorted(keys), pa.string()))))


def _keys(place: Place, name: str) -> frozenset[str]:
    return frozenset(_read(place, "models", name)["model"].to_pylist())


def _read(place: Place, table: str, name: str) -> pa.Table:
    """The rows of a file; none if it is missing."""
    return _read_all(place, table, [name])[0]


def _read_all(place: Place, table: str, names: Sequence[str]) -> list[pa.Table]:
    files = [f"{table}/{name}" for name in names]
    return [_parsed(data, table, place.name(file)) for file, data in zip(files, place.read_all(files), strict=True)]


def _parsed(data: bytes | None, table: str, name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if data is None:
        return arrow_schema(table).empty_table()
    try:
        return _with_schema(pq.read_table(pa.BufferReader(data)), table)
    except (pa.ArrowException, KeyError) as error:
        raise _no_table(error, name) from error


def _with_schema(read: pa.Table, table: str) -> pa.Table:
    """The rows with the columns of this version; what another one has not written is null."""
    import pyarrow as pa

    schema = arrow_schema(table)
    if read.schema.equals(schema):
        return read
    columns = [
        read[field.name].cast(field.type) if field.name in read.column_names else pa.nulls(len(read), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _no_table(error: Exception, name: str) -> InputError:
    told = " ".join(str(error).split())
    return InputError(f"is not a table of g2o: {told}", file=name, remedy="remove it, and write its models again")


def _write(place: Place, name: str, tables: Mapping[str, Sequence[pa.Table]]) -> None:
    import pyarrow as pa

    files = {f"{table}/{name}": _parquet(pa.concat_tables(tables[table]).combine_chunks()) for table in TABLES}
    last = f"models/{name}"
    place.write_all({file: data for file, data in files.items() if file != last})
    place.write(last, files[last])


def _parquet(rows: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd", row_group_size=_ROWS)
    return sink.getvalue()


def local_files(folder: Path, table: str) -> list[Path]:
    """The files of a table in a folder of this machine, in order."""
    return sorted(path for path in (folder / table).glob(f"*{_ENDING}") if not path.name.startswith("."))
