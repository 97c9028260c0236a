"""Folders of tables: what is in them is the model, and a model stands in them once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx.errors import InputError, ModelError, OutputError, UsageError
from graphml_onnx.places import Place
from graphml_onnx.tabular import folder as tables_folder
from graphml_onnx.tabular.api import rows_of
from graphml_onnx.tabular.rows import ModelFacts, arrow_tables, model_rows
from graphml_onnx.tabular.schema import TABLES, arrow_schema
from tests.common import seeds
from tests.common.closed import unreadable
from tests.strategies.models import model_bytes

pytest.importorskip("pyarrow")

BERT = seeds.FIXTURES / "winml-bert-mini-dynamo/model.onnx"


def _rows(folder: Path, table: str) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    files = sorted((folder / table).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, schema=arrow_schema(table)).to_pylist()]


def _check(graph: graphml_onnx.ModelGraph, rows: dict[str, list[dict[str, object]]]) -> None:
    """Compares the tables of one model with its graph, object by object."""
    operators = list(graph.all_operators())
    assert [(o.name, o.op_type, o.domain, o.body.path, o.index) for o in operators] == [
        (r["name"], r["op_type"], r["domain"], r["body"], r["index"]) for r in rows["operators"]
    ]
    modules = list(graph.all_modules())
    assert [(m.path, m.body.path) for m in modules] == [(r["path"], r["body"]) for r in rows["modules"]]
    for module, row in zip(modules, rows["modules"], strict=True):
        inner = {m.path for m in (modules if module is graph.root else module.walk(bodies=True))}
        assert inner == {r["path"] for r in rows["modules"] if row["module"] <= r["module"] <= row["last"]}  # type: ignore[operator]
    assert [rows["modules"][r["module"]]["path"] for r in rows["operators"]] == [o.module.path for o in operators]  # type: ignore[index]
    taken = [(o, place, t) for o in operators for place, t in enumerate(o.inputs) if t is not None]
    assert len(rows["edges"]) == len(taken)
    for (operator, place, tensor), row in zip(taken, rows["edges"], strict=True):
        assert operators[row["target"]] is operator  # type: ignore[index]
        assert row["input"] == place
        assert rows["tensors"][row["tensor"]]["name"] == tensor.name  # type: ignore[index]
        source = None if row["source"] is None else operators[row["source"]]  # type: ignore[index]
        assert source is tensor.producer
        if source is not None:
            assert source.outputs[row["output"]] is tensor  # type: ignore[index]
    parameters = graph.parameters
    assert [p.name for p in parameters] == [r["name"] for r in rows["parameters"]]
    assert [p.digest for p in parameters] == [r["digest"] for r in rows["parameters"]]
    assert sum(len(o.attributes) for o in operators) == len(rows["attributes"])


@pytest.mark.parametrize("name", seeds.fixtures())
def test_tables_are_the_graph(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(seeds.fixtures()[name])

    result = graphml_onnx.tables(path, tmp_path / "zoo")

    rows = {table: _rows(tmp_path / "zoo", table) for table in TABLES}
    assert {table: len(found) for table, found in rows.items()} == result.rows
    with graphml_onnx.open(path) as graph:
        _check(graph, rows)
    (model,) = rows["models"]
    assert model["model"] == model["sha256"] == result.models[str(path)]
    assert {row["model"] for found in rows.values() for row in found} == {model["model"]}


@settings(max_examples=30)
@given(model_bytes())
def test_any_model_has_tables(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    with graphml_onnx.open(path) as graph:
        made = arrow_tables([model_rows(graph, ModelFacts("k", "s", "source", 1), digests=False)])
        assert made["operators"].num_rows == sum(1 for _ in graph.all_operators())
        for table, rows in made.items():
            rows.validate(full=True)
            assert rows.schema.equals(arrow_schema(table))


def test_a_graphml_file_has_the_rows_of_its_model(tmp_path: Path) -> None:
    metadata = BERT.with_name("model_htp_metadata.json")
    graphml_onnx.encode(BERT, tmp_path / "graph.graphml", metadata=metadata)
    graphml_onnx.tables(BERT, tmp_path / "one")
    graphml_onnx.tables(tmp_path / "graph.graphml", tmp_path / "two")

    for table in ("modules", "operators", "edges", "parameters"):
        one, two = ([dict(r, model="") for r in _rows(tmp_path / name, table)] for name in ("one", "two"))
        assert one == two
    assert len(_rows(tmp_path / "one", "modules")) > 20  # of the metadata beside the model


def _model(value: float, name: str = "w") -> bytes:
    weights = numpy_helper.from_array(np.full(4, value, np.float32), name)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Add", ["x", name], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph).SerializeToString()


def _write(folder: Path, count: int, start: int = 0) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"m{number}.onnx" for number in range(start, start + count)]
    for number, path in enumerate(paths, start):
        path.write_bytes(_model(number))
    return paths


def test_a_model_stands_once_under_whatever_name_it_comes(tmp_path: Path) -> None:
    one, two, three = _write(tmp_path / "models", 3)
    zoo = tmp_path / "zoo"
    graphml_onnx.tables([one, two], zoo)
    graphml_onnx.tables(three, zoo)
    copy = shutil.copy(one, tmp_path / "copy.onnx")
    for models in (copy, [copy], [two, one, one], [three]):
        graphml_onnx.tables(models, zoo)
        for table in ("models", "operators", "tensors", "edges", "parameters"):
            rows = _rows(zoo, table)
            assert len({row["model"] for row in rows}) == 3
            assert len(rows) == 3 * (3 if table == "tensors" else 2 if table == "edges" else 1)
    assert {row["source"] for row in _rows(zoo, "models")} == {str(path) for path in (one, two, three)}


def test_many_files_of_single_models_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphml_onnx.tabular.api._MANY", 4)
    zoo = tmp_path / "zoo"
    for path in _write(tmp_path / "models", 6):
        graphml_onnx.tables(path, zoo)
    assert len(list((zoo / "models").iterdir())) < 4
    assert len(_rows(zoo, "models")) == len(_rows(zoo, "operators")) == 6

    graphml_onnx.tables(_write(tmp_path / "models", 2)[1], zoo)  # one of the joined ones
    assert len(_rows(zoo, "models")) == len(_rows(zoo, "operators")) == 6


@pytest.mark.parametrize("small", [0, 1_000])
def test_a_model_that_was_written_again_before_files_are_joined_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """As `batch` does, whose workers write files of single models and look at no others."""
    monkeypatch.setattr(tables_folder, "_SMALL", small)  # of small ones streams, of others tables
    zoo = tmp_path / "zoo"
    paths = _write(tmp_path / "models", 3)
    graphml_onnx.tables(paths, zoo)
    tables_folder.write_models(Place(zoo), [rows_of(paths[0], source="elsewhere")])
    assert len(_rows(zoo, "operators")) == (3 if small else 4)
    assert (zoo / "new").exists() == bool(small)

    tables_folder.compact(Place(zoo))

    assert len(_rows(zoo, "operators")) == 3
    assert not (zoo / "new").exists()
    assert "elsewhere" in {row["source"] for row in _rows(zoo, "models")}


@pytest.mark.parametrize(("read", "together"), [(1, 1), (2, 5), (256, 1), (256, 100)])
def test_what_workers_leave_is_in_the_tables_as_if_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: int, together: int
) -> None:
    monkeypatch.setattr(tables_folder, "_READ", read)
    models = [*seeds.FIXTURES.parent.rglob("*.onnx"), *_write(tmp_path / "models", 2), tmp_path / "raw\udcff.onnx"]
    models[-1].write_bytes(_model(7, "w\udcff".encode("utf-8", "surrogateescape").decode("latin-1")))
    graphml_onnx.tables(models, tmp_path / "at-once")
    place = Place(tmp_path / "zoo")
    assert tables_folder.is_empty(place)
    models.append(tmp_path / "copy.onnx")
    shutil.copy(models[0], models[-1])
    for start in range(0, len(models), together):
        tables_folder.write_models(place, [rows_of(model) for model in models[start : start + together]])
    assert not tables_folder.is_empty(place)

    graphml_onnx.tables(models[0], tmp_path / "zoo")  # what a killed batch has left is taken along
    tables_folder.compact(place)

    for table in TABLES:
        ours, theirs = (sorted(map(str, _rows(tmp_path / name, table))) for name in ("zoo", "at-once"))
        assert ours == theirs


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "fewer", "another"])
def test_a_damaged_file_of_a_worker_is_named(tmp_path: Path, damage: str) -> None:
    place = Place(tmp_path / "zoo")
    (model,) = _write(tmp_path / "models", 1)
    tables_folder.write_models(place, [rows_of(model)])
    (file,) = (tmp_path / "zoo/new").iterdir()
    data = file.read_bytes()
    end = data.index(b"\xff\xff\xff\xff\0\0\0\0") + 8  # of the first of seven streams
    file.write_bytes(
        {"empty": b"", "text": b"text", "cut": data[:-9], "fewer": data[:end], "another": data[end:]}[damage]
    )

    with pytest.raises(InputError, match="is not a table of g2o") as caught:
        tables_folder.join_new(place)
    assert caught.value.file == str(file)


def test_what_a_killed_process_has_joined_in_half_is_cleared_away(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    for path in _write(tmp_path / "models", 3):
        graphml_onnx.tables(path, zoo)
    orphan = zoo / "operators/part-0123456789abcdef.parquet"
    shutil.copy(next((zoo / "operators").iterdir()), orphan)
    assert len(_rows(zoo, "operators")) == 4
    tables_folder.compact(Place(zoo))
    assert len(_rows(zoo, "operators")) == 3


def test_external_data_tell_models_apart(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        model = onnx.load_from_string(_model(value))
        onnx.save(
            model, tmp_path / name / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0
        )
    one, two = (tmp_path / name / "model.onnx" for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()

    graphml_onnx.tables([one, two], tmp_path / "zoo")

    first, second = _rows(tmp_path / "zoo", "models")
    assert first["sha256"] == second["sha256"] != first["model"] != second["model"]
    assert first["bytes"] == one.stat().st_size + 16
    digests = {row["digest"] for row in _rows(tmp_path / "zoo", "parameters")}
    assert len(digests) == 2


def test_names_that_are_no_utf_8_are_shown_escaped(tmp_path: Path) -> None:
    data = _model(1, "weight").replace(b"weight", b"w\xff\xfe\x80ht")
    (tmp_path / "m.onnx").write_bytes(data)
    graphml_onnx.tables(tmp_path / "m.onnx", tmp_path / "zoo")
    (row,) = _rows(tmp_path / "zoo", "parameters")
    assert row["name"] == "w\\xff\\xfe\\x80ht"


def test_a_bad_model_among_several_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    good, other = _write(tmp_path / "models", 2)
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    result = graphml_onnx.tables([good, bad, other, tmp_path / "missing.onnx"], tmp_path / "zoo")
    assert {*result.models} == {str(good), str(other)}
    assert isinstance(result.errors[str(bad)], ModelError)
    assert isinstance(result.errors[str(tmp_path / "missing.onnx")], InputError)
    assert len(_rows(tmp_path / "zoo", "models")) == 2
    with pytest.raises(ModelError):
        graphml_onnx.tables(bad, tmp_path / "zoo")


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "zoo/models").mkdir(parents=True)
    (tmp_path / "zoo/models/part-0.parquet").write_text("no table")
    (path,) = _write(tmp_path / "models", 1)
    with pytest.raises(InputError, match="is not a table of g2o"):
        graphml_onnx.tables(path, tmp_path / "zoo")


def test_folders_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = _write(tmp_path / "models", 3)
    (tmp_path / "models/below/empty").mkdir(parents=True)
    two = two.rename(tmp_path / "models/below/UP.ONNX")
    three.rename(tmp_path / "models/.hidden.onnx")
    (tmp_path / "models/notes.txt").write_text("text")
    bad = tmp_path / "models/below/bad.onnx"
    bad.write_text("text")
    closed = unreadable(monkeypatch, tmp_path / "models/closed")
    result = graphml_onnx.tables(tmp_path / "models", tmp_path / "zoo")
    assert [*result.models] == [str(one), str(two)]
    assert {name: error.file for name, error in result.errors.items()} == {str(p): str(p) for p in (closed, bad)}
    with pytest.raises(InputError, match="may not be read"):
        graphml_onnx.tables(closed, tmp_path / "zoo")
    with pytest.raises(InputError, match="there is no model in it"):
        graphml_onnx.tables(tmp_path / "models/below/empty", tmp_path / "zoo")


def test_a_folder_without_models_among_several_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    (good,) = _write(tmp_path / "models", 1)
    (tmp_path / "empty").mkdir()
    result = graphml_onnx.tables([tmp_path / "empty", good], tmp_path / "zoo")
    assert ([*result.models], [*result.errors]) == ([str(good)], [str(tmp_path / "empty")])
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    result = graphml_onnx.tables([tmp_path / "empty", bad], tmp_path / "zoo")
    assert {*result.errors} == {str(tmp_path / "empty"), str(bad)}


def test_a_data_file_that_is_missing_is_told_with_its_model(tmp_path: Path) -> None:
    shutil.copytree(seeds.FIXTURES.parent / "small/external_data", tmp_path / "model")
    location = next((tmp_path / "model/weights").iterdir())
    location.unlink()
    with pytest.raises(InputError) as caught:
        graphml_onnx.tables(tmp_path / "model/model.onnx", tmp_path / "zoo")
    assert caught.value.file == str(tmp_path / "model/model.onnx")
    assert caught.value.message == f"its data file weights/{location.name}: no such file"


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (path,) = _write(tmp_path / "models", 1)
    with pytest.raises(InputError, match="not a folder"):
        graphml_onnx.tables(path, path)
    with pytest.raises(OutputError):
        graphml_onnx.tables(path, path / "below")


def test_a_url_is_a_folder_too(tmp_path: Path) -> None:
    (path,) = _write(tmp_path / "models", 1)
    result = graphml_onnx.tables(path, "memory://zoo-of-tests")
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(f"memory://zoo-of-tests/operators/{result.models[str(path)]}.parquet") as file:
        assert pq.read_table(file)["op_type"].to_pylist() == ["Add"]
    graphml_onnx.tables(path, tmp_path.joinpath("zoo").as_uri())
    assert len(_rows(tmp_path / "zoo", "models")) == 1


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = _write(tmp_path / "models", 1)
    monkeypatch.setattr("graphml_onnx.support.extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"tables needs pyarrow \(pip install pyarrow\)"):
        graphml_onnx.tables(path, tmp_path / "zoo")
    monkeypatch.setattr("graphml_onnx.support.extras.find_spec", lambda name: None if name == "ladybug" else name)
    with pytest.raises(UsageError, match=r"graph needs ladybug \(pip install ladybug\)"):
        graphml_onnx.property_graph(tmp_path, tmp_path / "zoo.lbug")


def test_metadata_belong_to_one_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        graphml_onnx.tables([BERT, BERT], tmp_path, metadata=BERT.with_name("model_htp_metadata.json"))
