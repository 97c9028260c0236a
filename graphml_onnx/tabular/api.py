"""Writes models as tables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import graphml_onnx.graph as graphs
from graphml_onnx.errors import GraphmlOnnxError, InputError, UsageError, reading_failed
from graphml_onnx.places import Place
from graphml_onnx.places.place import check_is_no_file
from graphml_onnx.support.extras import require
from graphml_onnx.support.progress import Stage
from graphml_onnx.tabular.folder import TablesWriter, compact, join_new
from graphml_onnx.tabular.identity import Identity, identity_of
from graphml_onnx.tabular.rows import ModelFacts, ModelRows, model_rows
from graphml_onnx.tabular.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphml_onnx.results import Progress

METADATA_ENDING = "_htp_metadata.json"
"""Suffix of the HTP metadata beside a model, after the model's name without ending."""

_ENDING = ".onnx"

_MANY = 256
"""Number of files of single models in a folder from which on they are joined."""


@dataclass(frozen=True, slots=True)
class TablesResult:
    """Outcome of `tables`.

    Attributes:
        folder: the folder of the tables.
        models: keys of the models by the name of their file, in the order in which they were given.
        rows: number of written rows, by table.
        errors: why a model could not be read, by the name of its file; or why a folder could not be searched.
    """

    folder: str
    models: Mapping[str, str]
    rows: Mapping[str, int]
    errors: Mapping[str, GraphmlOnnxError]


def tables(
    models: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    infer_shapes: bool = False,
    digests: bool = True,
    progress: Progress | None = None,
) -> TablesResult:
    """Adds models to a folder of Parquet files, which DuckDB, Polars, pandas and Spark read as one database.

    A model that is already there, by the digest of its content, is replaced. docs/tables.md describes the columns. Of
    several models, those that cannot be read are in the ``errors`` of the result, and the others are written.

    Args:
        models: ONNX or GraphML files, or folders, in which models are ``*.onnx``, as for `batch`.
        output: the folder, a path or a URL of a file system of fsspec; it is created if it does not exist.
        metadata: HTP metadata, for one model. Without it, ``NAME_htp_metadata.json`` beside ``NAME.onnx`` is used, if
            it exists.
        infer_shapes: whether to infer the types and shapes that a model leaves out.
        digests: whether to hash the parameters, which reads all weights.
        progress: called as the work goes on.

    Raises:
        ModelError, GraphMLError, MetadataError, PayloadError, InputError: there is one model, and it cannot be read;
            see `open`.
        UsageError: pyarrow is not installed; metadata are given for several models.
        OutputError, StorageError: the folder cannot be written.
    """
    require("pyarrow", "a folder of tables")
    given = [models] if isinstance(models, str | os.PathLike) else list(models)
    errors: dict[str, GraphmlOnnxError] = {}
    paths: list[Path] = []
    for name in given:
        try:
            paths += _files(Path(name), errors)
        except GraphmlOnnxError as error:
            if len(given) == 1:
                raise
            errors[os.fspath(name)] = error
    is_one = len(paths) + len(errors) == 1
    if metadata is not None and len(paths) > 1:
        raise UsageError("metadata belong to one model", remedy="write models with metadata one by one")
    place = Place(output)
    check_is_no_file(place)
    join_new(place)  # of a batch that was killed: what is written here is newer
    found: dict[str, str] = {}
    rows: dict[str, int] = {}
    with TablesWriter(place) as writer, Stage(progress, "write tables", len(paths), "steps") as stage:
        for path in paths:
            try:
                made = rows_of(path, metadata=metadata, infer_shapes=infer_shapes, digests=digests)
            except GraphmlOnnxError as error:
                if is_one:
                    raise
                errors[os.fspath(path)] = error
            else:
                writer.add(made)
                found[os.fspath(path)] = made.facts.key
                for table in TABLES:
                    rows[table] = rows.get(table, 0) + made.count(table)
            stage.advance(1)
    compact(place, at_least=_MANY)
    return TablesResult(place.url, found, rows, errors)


def is_model(name: str) -> bool:
    """Whether a file that was found in a folder is taken for a model."""
    return name.lower().endswith(_ENDING) and not name.startswith(".")


def _files(path: Path, errors: dict[str, GraphmlOnnxError]) -> Iterator[Path]:
    """The file, or the models in the folder; folders further down that may not be read are among the errors."""
    if not path.is_dir():
        yield path
        return

    def failed(error: OSError) -> None:
        problem = reading_failed(error, error.filename)
        if Path(error.filename) == path:
            raise problem from error
        errors[error.filename] = problem

    found = False
    for parent, folders, names in os.walk(path, onerror=failed):
        folders.sort()
        for name in sorted(filter(is_model, names)):
            found = True
            yield Path(parent, name)
    if not found:
        raise InputError("there is no model in it", file=path, remedy=f"models are files that end in {_ENDING}")


def rows_of(
    path: Path,
    *,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    source: str | None = None,
    identity: Identity | None = None,
    infer_shapes: bool = False,
    digests: bool = True,
) -> ModelRows:
    """The rows of one model; see `tables`.

    Args:
        path: the file.
        metadata: as for `tables`.
        source: its origin, if that is not ``path``.
        identity: its identity, if known.
        infer_shapes: as for `tables`.
        digests: as for `tables`.

    Raises:
        GraphmlOnnxError: it cannot be read.
    """
    if metadata is None:
        metadata = metadata_beside(path)
    with graphs.open(path, metadata=metadata, infer_shapes=infer_shapes) as graph:
        identity = identity or identity_of(path)
        facts = ModelFacts(identity.key, identity.sha256, source or os.fspath(path), identity.size)
        return model_rows(graph, facts, digests=digests)


def metadata_beside(path: Path) -> Path | None:
    """The HTP metadata beside a model, by the name that `export` gives them; None if there are none."""
    beside = path.with_name(f"{path.stem}{METADATA_ENDING}") if path.suffix.lower() == _ENDING else None
    return beside if beside is not None and beside.is_file() else None
