"""Tables as a property graph, for Cypher: an embedded graph database, filled from the folder of tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphml_onnx.errors import InputError, OutputError, StorageError
from graphml_onnx.support.extras import require
from graphml_onnx.tabular.folder import local_files
from graphml_onnx.tabular.schema import arrow_schema

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import ladybug
    import pyarrow as pa

_NODES: Mapping[str, tuple[str, str | None, Sequence[str]]] = {
    "Model": ("models", None, ("source", "name", "producer", "ir_version", "opset", "hierarchy_source", "bytes")),
    "Module": ("modules", "module", ("path", "name", "class_name", "depth")),
    "Operator": ("operators", "operator", ("name", "op_type", "domain", "opset", "body")),
    "Tensor": ("tensors", "tensor", ("name", "dtype", "shape", "is_input", "is_output", "body")),
    "Parameter": ("parameters", "parameter", ("name", "kind", "dtype", "shape", "elements", "bytes", "digest")),
}
"""Node tables: the table that they come from, the column with their number, and their properties."""

_EDGES: Mapping[str, tuple[str, str, str | None, str, str | None, Sequence[str]]] = {
    "ROOT": ("modules", "Model", None, "Module", "module", ()),
    "CONTAINS": ("modules", "Module", "parent", "Module", "module", ()),
    "HAS": ("operators", "Module", "module", "Operator", "operator", ()),
    "OWNS": ("parameters", "Module", "module", "Parameter", "parameter", ()),
    "MAKES": ("tensors", "Operator", "producer", "Tensor", "tensor", ("output",)),
    "TAKEN_BY": ("edges", "Tensor", "tensor", "Operator", "target", ("input",)),
    "FLOWS": ("edges", "Operator", "source", "Operator", "target", ("output", "input")),
    "GIVES": ("parameters", "Parameter", "parameter", "Tensor", "tensor", ()),
}
"""Relationship tables: the table that they come from, both ends with the columns of their numbers, and properties."""


def property_graph(tables: str | os.PathLike[str], database: str | os.PathLike[str]) -> Mapping[str, int]:
    """Puts the models of a folder of tables into an embedded graph database (Ladybug, the successor of Kùzu).

    Models that are already in the database are replaced. docs/tables.md describes nodes and relationships.

    Args:
        tables: the folder that `tables` wrote, on this machine.
        database: the file of the database; it is created if it does not exist.

    Returns:
        How many nodes and relationships were added, by their label.

    Raises:
        UsageError: ladybug is not installed.
        InputError: there are no tables in the folder.
        OutputError, StorageError: the database cannot be opened or written.
    """
    require("pyarrow", "the property graph")
    require("ladybug", "the property graph")
    import ladybug

    folder = Path(tables)
    if not local_files(folder, "models"):
        raise InputError("holds no tables", file=folder, remedy="write them first: g2o tables MODEL -o FOLDER")
    path = Path(database)
    try:
        opened = ladybug.Database(path)
    except (RuntimeError, OSError) as error:
        raise OutputError(f"cannot be opened: {error}", file=path, remedy="name another file, or remove it") from error
    try:
        return _fill(ladybug.Connection(opened), folder)
    except RuntimeError as error:
        raise StorageError(
            f"the graph database failed: {error}", file=path, remedy="remove it, and fill it again"
        ) from error
    finally:
        opened.close()


def _fill(connection: ladybug.Connection, folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for statement in _definitions():
        connection.execute(statement)
    names = {table for table, _, _ in _NODES.values()} | {edge[0] for edge in _EDGES.values()}
    read = {table: _table(folder, table) for table in names}
    connection.execute("BEGIN TRANSACTION")
    connection.execute(
        "UNWIND $models AS model MATCH (n {model: model}) DETACH DELETE n",
        {"models": read["models"]["model"].unique().to_pylist()},
    )
    for label, (table, number, properties) in _NODES.items():
        rows = _nodes(read[table], label, number, properties)
        counts[label] = _copy(connection, label, rows)
    for label, edge in _EDGES.items():
        counts[label] = _copy(connection, label, _edges(read[edge[0]], edge))
    connection.execute("COMMIT")
    return counts


def _copy(connection: ladybug.Connection, label: str, rows: pa.Table) -> int:
    if len(rows):
        connection.execute(f"COPY {label} FROM $rows", {"rows": rows})
    return len(rows)


def _definitions() -> list[str]:
    statements = []
    for label, (table, _, properties) in _NODES.items():
        columns = "".join(f", {name} {_type(table, name)}" for name in properties)
        statements.append(f"CREATE NODE TABLE IF NOT EXISTS {label}(id STRING PRIMARY KEY, model STRING{columns})")
    for label, (table, source, _, target, _, properties) in _EDGES.items():
        columns = "".join(f", `{name}` {_type(table, name)}" for name in properties)
        statements.append(f"CREATE REL TABLE IF NOT EXISTS {label}(FROM {source} TO {target}{columns})")
    return statements


def _type(table: str, column: str) -> str:
    return {"string": "STRING", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}[
        str(arrow_schema(table).field(column).type)
    ]


def _table(folder: Path, table: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables([pq.read_table(file) for file in local_files(folder, table)]).combine_chunks()


def _nodes(rows: pa.Table, label: str, number: str | None, properties: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    columns = [_ids(rows, number, label), rows["model"], *(rows[name] for name in properties)]
    return pa.table(columns, names=["id", "model", *properties])


def _edges(rows: pa.Table, edge: tuple[str, str, str | None, str, str | None, Sequence[str]]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    _, source, source_number, target, target_number, properties = edge
    if source == "Model":
        rows = rows.filter(pc.is_null(rows["parent"]))
    for number in (source_number, target_number):
        if number is not None:
            rows = rows.filter(pc.is_valid(rows[number]))
    ends = [_ids(rows, source_number, source), _ids(rows, target_number, target)]
    return pa.table([*ends, *(rows[name] for name in properties)], names=["from", "to", *properties])


def _ids(rows: pa.Table, number: str | None, label: str) -> pa.ChunkedArray:
    """The ids of nodes: the key of the model; for its parts followed by a letter and a number: ``KEY/o17``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if number is None:
        return rows["model"]
    return pc.binary_join_element_wise(rows["model"], f"/{label[0].lower()}", rows[number].cast(pa.string()), "")
