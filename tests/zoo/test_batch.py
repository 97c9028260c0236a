"""Batches on this machine: every model once and exact, failures as rows, and nothing done twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest

import graphml_onnx
from graphml_onnx.errors import InputError, OutputError, UsageError
from graphml_onnx.zoo import manifest, running
from graphml_onnx.zoo.jobs import Job, Settings
from graphml_onnx.zoo.sources import Source
from tests.common import seeds
from tests.common.closed import unreadable
from tests.common.command import PATIENCE
from tests.zoo import zoos

pq = pytest.importorskip("pyarrow.parquet")

BERT = seeds.FIXTURES / "winml-bert-mini-dynamo"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tree_of_models_comes_out_as_a_tree(tmp_path: Path, workers: int) -> None:
    models = zoos.write(tmp_path / "models", 7)
    (tmp_path / "models/bad.onnx").write_text("no model")
    seen: list[graphml_onnx.BatchRow] = []

    report = graphml_onnx.batch(
        tmp_path / "models",
        tmp_path / "zoo",
        do=("encode", "verify", "tables"),
        workers=workers,
        on_row=seen.append,
    )

    assert (report.models, report.done, report.skipped, len(report.failures)) == (8, 7, 0, 1)
    assert sorted(row.source for row in seen) == sorted(str(p) for p in (tmp_path / "models").rglob("*.onnx"))
    (failure,) = report.failures
    assert (failure.category, failure.remedy) == ("bad_data", "download or export it again")
    rows = zoos.manifest(tmp_path / "zoo")
    assert rows.pop("bad.onnx")["error"] == failure.error
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)
    assert {(row["operators"], row["exact"], row["modules"]) for row in rows.values()} == {(1, True, 0)}
    assert len(pq.read_table(tmp_path / "zoo/tables/models")) == 7


def test_metadata_beside_a_model_are_taken(tmp_path: Path) -> None:
    graphml_onnx.batch(BERT, tmp_path / "zoo", workers=1)
    row = zoos.manifest(tmp_path / "zoo")["model.onnx"]
    assert (row["hierarchy_source"], row["metadata"]) == ("metadata", str(BERT / "model_htp_metadata.json"))
    graphml_onnx.decode(tmp_path / "zoo/graphs/model.graphml", tmp_path / "m.onnx", metadata_output=tmp_path / "m.json")
    assert (tmp_path / "m.json").read_bytes() == (BERT / "model_htp_metadata.json").read_bytes()


def test_only_to_verify_writes_only_the_manifest(tmp_path: Path) -> None:
    zoos.write(tmp_path / "models", 3)
    graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", do=["verify"], workers=1)
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == [".g2o-batch-lock", "manifest.parquet"]
    assert {row["exact"] for row in zoos.manifest(tmp_path / "zoo").values()} == {True}


def test_any_executor_does_it(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 5)
    with ThreadPoolExecutor(2) as executor:
        report = graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", executor=executor)
    assert report.done == 5
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)


def test_files_of_other_systems(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    models = zoos.write(tmp_path / "models", 4)
    for name, data in models.items():
        memory.pipe(f"/batch-in/{name}", data)
    memory.pipe("/batch-in/bert/model.onnx", (BERT / "model.onnx").read_bytes())
    memory.pipe("/batch-in/bert/model_htp_metadata.json", (BERT / "model_htp_metadata.json").read_bytes())

    for source in ("memory://batch-in", "memory://batch-in/**/*.onnx", "memory://batch-in/bert/model.onnx"):
        target = f"memory://batch-out{abs(hash(source))}"
        report = graphml_onnx.batch(source, target, do=("encode", "verify", "tables"), workers=1)
        assert (report.done, report.failures) == (1 if source.endswith("l.onnx") else 5, ())
        shutil.rmtree(tmp_path / "zoo", ignore_errors=True)
        memory.get(target.removeprefix("memory:/"), str(tmp_path / "zoo"), recursive=True)
        assert zoos.manifest(tmp_path / "zoo")["model.onnx"]["hierarchy_source"] == "metadata"
        assert not memory.find(target.removeprefix("memory:/") + "/manifest.rows")
        if report.done == 5:
            zoos.check_exact(
                tmp_path / "zoo", models | {"bert/model.onnx": (BERT / "model.onnx").read_bytes()}, tmp_path
            )
    again = graphml_onnx.batch(source, target, do=("encode", "verify"), workers=1, resume=True)
    assert again.skipped == 1


def test_data_files_come_along(tmp_path: Path) -> None:
    import fsspec

    model = onnx.load_from_string(zoos.model(1))
    (tmp_path / "weights").mkdir()
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights/data.bin", size_threshold=0)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "model.onnx"), "/external/a/model.onnx")
    memory.put(str(tmp_path / "weights/data.bin"), "/external/a/weights/data.bin")
    report = graphml_onnx.batch("memory://external", tmp_path / "zoo", workers=1)
    assert report.failures == ()
    graphml_onnx.decode(tmp_path / "zoo/graphs/a/model.graphml", tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()
    row = zoos.manifest(tmp_path / "zoo")["model.onnx"]
    assert row["model"] != row["sha256"]
    assert row["size"] == (tmp_path / "model.onnx").stat().st_size + 1600


# Going on


def test_what_was_done_is_passed_over_by_content(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 4)
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    graphml_onnx.batch(source, zoo, workers=1)
    before = {path: path.stat().st_mtime_ns for path in zoo.rglob("*.graphml")}
    (source / "group0/m0.onnx").rename(source / "group0/renamed.onnx")
    (source / "group1/m1.onnx").write_bytes(zoos.model(77))
    (source / "new.onnx").write_bytes(zoos.model(5))

    report = graphml_onnx.batch(source, zoo, workers=2, resume=True)

    assert (report.done, report.skipped) == (2, 3)
    rows = zoos.manifest(zoo)
    assert {name for name, row in rows.items() if row["result"] == "done"} == {"m0.onnx", "m1.onnx", "new.onnx"}
    assert rows["renamed.onnx"]["outputs"] == rows["m0.onnx"]["outputs"]  # which is still told of
    changed = {path.name for path in zoo.rglob("*.graphml") if before.get(path) != path.stat().st_mtime_ns}
    assert changed == {"m1.graphml", "new.graphml"}
    graphml_onnx.decode(zoo / "graphs/group1/m1.graphml", tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == zoos.model(77) != models["group1/m1.onnx"]


def test_copies_have_outputs_of_their_own(tmp_path: Path) -> None:
    """A copy beside its original is a model of the zoo too, and what becomes of the one does not touch the other."""
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    models = zoos.write(source, 1)
    graphml_onnx.batch(source, zoo, workers=1)
    models["copy.onnx"] = models["group0/m0.onnx"]
    (source / "copy.onnx").write_bytes(models["copy.onnx"])
    assert graphml_onnx.batch(source, zoo, workers=2, resume=True).done == 1
    zoos.check_exact(zoo, models, tmp_path)
    assert graphml_onnx.batch(source, zoo, workers=2, resume=True).skipped == 2


def test_copies_do_not_look_at_all_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    source.mkdir()
    for number in range(30):
        (source / f"copy{number}.onnx").write_bytes(zoos.model(1))
    graphml_onnx.batch(source, zoo, workers=1, do=("verify",))
    looked_at: list[int] = []
    first_row = manifest.first_row
    monkeypatch.setattr(manifest, "first_row", lambda table, row: looked_at.append(row) or first_row(table, row))
    for path in source.iterdir():
        os.utime(path, (1, 1))  # so that a model is known by its content, and not by its time

    assert graphml_onnx.batch(source, zoo, executor=ThreadPoolExecutor(1), do=("verify",), resume=True).skipped == 30
    assert sorted(looked_at) == list(range(30))  # each finds its own row at once
    for path in source.iterdir():
        path.rename(path.with_stem(f"of-{path.stem}"))
    assert graphml_onnx.batch(source, zoo, executor=ThreadPoolExecutor(1), do=("verify",), resume=True).skipped == 30
    assert len(looked_at) == 60  # any row of another will do


def test_a_new_model_under_the_old_name_of_another(tmp_path: Path) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    source.mkdir()
    (source / "a.onnx").write_bytes(zoos.model(1))
    graphml_onnx.batch(source, zoo, workers=1)
    (source / "a.onnx").rename(source / "b.onnx")
    assert graphml_onnx.batch(source, zoo, workers=1, resume=True).skipped == 1
    assert zoos.manifest(zoo)["b.onnx"]["outputs"] == ["graphs/a.graphml", "graphs/a.onnxdata"]
    (source / "a.onnx").write_bytes(zoos.model(2))

    # Alone, it takes the place of outputs that a row led to: that row goes.
    only = shutil.copytree(zoo, tmp_path / "only")
    graphml_onnx.batch(source / "a.onnx", only, workers=1, resume=True)
    assert {*zoos.manifest(only)} == {"a.onnx"}

    graphml_onnx.batch(source, zoo, workers=1, resume=True)
    for target in (zoo, only):
        graphml_onnx.batch(source, target, workers=1, resume=True)
        zoos.check_exact(target, {"a.onnx": zoos.model(2), "b.onnx": zoos.model(1)}, tmp_path)


@pytest.mark.parametrize("lost", ["graph", "tables", "more to do", "another layout", "other metadata"])
def test_what_is_not_as_asked_for_is_done_again(tmp_path: Path, lost: str) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    zoos.write(source, 2)
    first: tuple[str, ...] = ("encode",) if lost == "more to do" else ("encode", "tables")
    graphml_onnx.batch(source, zoo, workers=1, do=first)
    if lost == "graph":
        (zoo / "graphs/group0/m0.graphml").unlink()
    elif lost == "tables":
        shutil.rmtree(zoo / "tables")
    elif lost == "other metadata":
        shutil.copy(BERT / "model_htp_metadata.json", source / "group0/m0_htp_metadata.json")
    layout = "flat" if lost == "another layout" else "nested"
    report = graphml_onnx.batch(source, zoo, workers=1, do=("encode", "tables"), resume=True, layout=layout)
    assert report.done == (1 if lost in ("graph", "other metadata") else 2)
    assert len(pq.read_table(zoo / "tables/models")) == 2


@pytest.mark.parametrize("joined", [1, 3, 1_000])
def test_tables_of_a_killed_batch_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joined: int) -> None:
    monkeypatch.setattr("graphml_onnx.zoo.api._JOINED", joined)
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    zoos.write(source, 7)
    graphml_onnx.batch(sorted(source.rglob("*.onnx"))[:5], zoo, workers=1, do=("tables",))
    with monkeypatch.context() as killed:  # nothing at the end of the batch runs
        killed.setattr("graphml_onnx.zoo.api.compact", lambda _: None)
        graphml_onnx.batch(source, zoo, workers=1, do=("tables",), resume=True)
    left = [*(zoo / "tables/new").glob("*.arrow")]
    assert bool(left) == (joined != 1)
    if joined == 1_000:
        for table in ("models", "operators"):  # the first of all batches
            shutil.rmtree(zoo / "tables" / table)

    report = graphml_onnx.batch(source, zoo, workers=2, do=("tables",), resume=True)
    assert (report.done, report.skipped) == (0, 7)
    assert len(pq.read_table(zoo / "tables/models")) == (2 if joined == 1_000 else 7)
    assert not (zoo / "tables/new").exists()


def test_small_models_go_to_a_process_together(tmp_path: Path) -> None:
    settings = Settings(str(tmp_path), ("tables",), "sidecar", "nested", False, "run", "0")
    sizes = [10] * 200 + [1 << 20] + [100_000] * 2 + [10] * 200
    jobs = [Job(Source(f"m{n}.onnx", f"m{n}", size, "", None), settings) for n, size in enumerate(sizes)]
    for workers in (1, 2, 100):
        together = list(running._handed_out(jobs, workers))
        assert [job for some in together for job in some] == jobs
        assert all(len(some) == 1 or sum(job.source.size for job in some) <= running._SMALL for some in together)
        assert max(map(len, together)) == {1: 32, 2: 32, 100: 1}[workers]
        assert len(together[-1]) <= 2
    assert list(running._handed_out([], 2)) == []


def test_tables_that_cannot_be_written_are_a_failure_of_each_model(tmp_path: Path) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    models = zoos.write(source, 6)
    (source / "bad.onnx").write_bytes(b"text")
    (zoo / "tables").mkdir(parents=True)
    (zoo / "tables/new").write_bytes(b"a file in place of the folder")
    report = graphml_onnx.batch(source, zoo, workers=1, do=("encode", "tables"))
    assert report.done == 0
    assert len(report.failures) == 7
    assert {row.category for row in report.failures if "bad" not in row.source} == {"cannot_create"}
    (zoo / "tables/new").unlink()

    report = graphml_onnx.batch(source, zoo, workers=2, do=("encode", "tables"), resume=True)
    assert (report.done, len(report.failures)) == (6, 1)
    assert len(pq.read_table(zoo / "tables/models")) == len(models)


def test_failures_are_tried_again(tmp_path: Path) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    zoos.write(source, 2)
    (source / "bad.onnx").write_text("no model")
    graphml_onnx.batch(source, zoo, workers=1)
    (source / "bad.onnx").write_bytes(zoos.model(9))
    report = graphml_onnx.batch(source, zoo, workers=1, resume=True)
    assert (report.done, report.skipped, report.failures) == (1, 2, ())
    assert {row["result"] for row in zoos.manifest(zoo).values()} == {"done", "skipped"}


def test_a_target_that_is_in_use_is_not_written_to_by_surprise(tmp_path: Path) -> None:
    source, zoo = tmp_path / "models", tmp_path / "zoo"
    zoos.write(source, 2)
    graphml_onnx.batch(source, zoo, workers=1)
    with pytest.raises(OutputError, match="outputs of an earlier run"):
        graphml_onnx.batch(source, zoo, workers=1)
    (zoo / "manifest.parquet").unlink()
    with pytest.raises(OutputError, match="outputs of an earlier run"):
        graphml_onnx.batch(source, zoo, workers=1)
    assert graphml_onnx.batch(source, zoo, workers=1, overwrite=True).done == 2


@pytest.mark.parametrize("content", ["nothing", "text", "a table of something else"])
def test_a_damaged_manifest_is_told_and_can_be_replaced(tmp_path: Path, content: str) -> None:
    import pyarrow as pa

    source, zoo = tmp_path / "models", tmp_path / "zoo"
    zoos.write(source, 2)
    zoo.mkdir()
    if content == "a table of something else":
        pq.write_table(pa.table({"source": [1, 2]}), zoo / "manifest.parquet")
    else:
        (zoo / "manifest.parquet").write_text("text" if content == "text" else "")
    with pytest.raises(InputError, match="is not a manifest of g2o"):
        graphml_onnx.batch(source, zoo, workers=1, resume=True)
    assert graphml_onnx.batch(source, zoo, workers=1, overwrite=True).done == 2
    assert len(zoos.manifest(zoo)) == 2


_IN_ITS_FOLDER = """
import sys
from graphml_onnx.zoo.jobs import _SCRATCH
print(_SCRATCH.part("0123456789ab", "job").parent, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there, a folder in use cannot be removed anyway")
def test_temporary_folders_of_killed_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = [sys.executable, "-c", _IN_ITS_FOLDER]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as killed,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as alive,
    ):
        assert killed.stdout is not None
        assert alive.stdout is not None
        folders = [Path(process.stdout.readline().strip()) for process in (killed, alive)]
        killed.kill()
        killed.wait(PATIENCE)
        zoos.write(tmp_path / "models", 1)
        graphml_onnx.batch(tmp_path / "models", tmp_path / "a", workers=1)
        assert [folder.is_dir() for folder in folders] == [True, True]  # too young to be judged
        for folder in folders:
            os.utime(folder / ".in-use", (0, 0))
        graphml_onnx.batch(tmp_path / "models", tmp_path / "b", workers=1)
        assert [folder.is_dir() for folder in folders] == [False, True]
        alive.communicate(timeout=PATIENCE)
        assert alive.returncode == 0
    assert [path.name for path in tmp_path.glob("g2o-batch-*")] == []


def test_rows_that_a_killed_run_left_count(tmp_path: Path) -> None:
    """As they lie there when a run was killed before it joined them; one of them is damaged."""
    from graphml_onnx.places import Place
    from graphml_onnx.zoo import manifest
    from graphml_onnx.zoo.rows import rows_of

    source, zoo = tmp_path / "models", tmp_path / "zoo"
    models = zoos.write(source, 4)
    graphml_onnx.batch(source, zoo, workers=1)
    table = manifest.read(Place(zoo))
    assert table is not None
    for row in rows_of(table):
        manifest.write_row(Place(zoo), row)
    (zoo / "manifest.parquet").unlink()
    (zoo / manifest.row_file(str(source / "group0/m0.onnx"))).write_bytes(b'{"source": "cut o')

    report = graphml_onnx.batch(source, zoo, workers=1, resume=True)

    assert (report.done, report.skipped) == (1, 3)
    zoos.check_exact(zoo, models, tmp_path)


# Names and places


def test_two_models_with_one_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(zoos.model(ord(name)))
    report = graphml_onnx.batch([tmp_path / "a", tmp_path / "b"], tmp_path / "zoo", workers=1)
    assert report.done == 2
    rows = pq.read_table(tmp_path / "zoo/manifest.parquet").to_pylist()
    assert len({output for row in rows for output in row["outputs"]}) == 4
    for row in rows:
        graphml_onnx.decode(tmp_path / "zoo" / row["outputs"][0], tmp_path / "back.onnx", overwrite=True)
        assert (tmp_path / "back.onnx").read_bytes() == zoos.model(ord(row["source"].split("/")[-2]))


def test_a_model_that_is_named_twice_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoos.write(tmp_path / "models", 3)
    monkeypatch.chdir(tmp_path)
    names = [
        "models",
        "models/group0/m0.onnx",
        "models/**/*.onnx",
        "./models/../models",
        (tmp_path / "models").as_uri(),
    ]
    assert graphml_onnx.batch(names, "zoo", workers=1).done == 3


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux has in names")
def test_odd_names(tmp_path: Path) -> None:
    source = tmp_path / "models [1] #?"
    source.mkdir()
    names = [
        "a b.onnx",
        "[x]*.onnx",
        "line\nbreak.onnx",
        "per%20cent%.onnx",
        "emoji 🦔.onnx",
        "-o.onnx",
        "UP.ONNX",
        "up.onnx",
        "x.y.onnx",
        "~.onnx",
        "owner:model\\v1.onnx",
    ]
    raw = [os.fsencode(source) + b"/" + name for name in (*map(os.fsencode, names), b"not utf\xff8.onnx")]
    for number, path in enumerate(raw):
        Path(os.fsdecode(path)).write_bytes(zoos.model(number))
    (source / ".hidden.onnx").write_text("")
    report = graphml_onnx.batch(source, tmp_path / "zoo", workers=2, do=("encode", "verify", "tables"))
    assert (report.done, report.failures) == (len(raw), ())
    again = graphml_onnx.batch(source, tmp_path / "zoo", workers=2, do=("encode", "verify", "tables"), resume=True)
    assert again.skipped == len(raw)
    single = graphml_onnx.batch(source / "[x]*.onnx", tmp_path / "single", workers=1)
    assert single.done == 1


def test_a_target_inside_of_the_source(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 3)
    zoo = tmp_path / "models/zoo"
    (zoo / "graphs").mkdir(parents=True)
    graphml_onnx.batch(tmp_path / "models", zoo, workers=1, overwrite=True)
    (zoo / "graphs/decoded.onnx").write_bytes(zoos.model(5))  # what somebody decoded there is no model of the zoo
    report = graphml_onnx.batch(tmp_path / "models", zoo, workers=1, resume=True)
    assert (report.models, report.skipped) == (3, 3)
    zoos.check_exact(zoo, models, tmp_path)


def test_links_and_folders_with_the_names_of_models(tmp_path: Path) -> None:
    source = tmp_path / "models"
    zoos.write(source, 1)
    (source / "folder.onnx").mkdir()
    (source / "broken.onnx").symlink_to(tmp_path / "nowhere")
    (source / "link.onnx").symlink_to(source / "group0/m0.onnx")
    (source / "circle").symlink_to(source)
    report = graphml_onnx.batch(source, tmp_path / "zoo", workers=1)
    assert (report.done, [row.category for row in report.failures]) == (2, ["no_input"])


def test_a_folder_that_may_not_be_read_is_a_failure_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "models"
    models = zoos.write(source, 3)
    closed = unreadable(monkeypatch, source / "closed")
    report = graphml_onnx.batch(source, tmp_path / "zoo", workers=1)
    assert report.done == len(models)
    (row,) = report.failures
    assert (row.source, row.error, row.remedy) == (str(closed), "may not be read", "check its permissions")
    with pytest.raises(InputError, match="closed: may not be read"):
        graphml_onnx.batch(closed, tmp_path / "other", workers=1)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("missing", InputError),
        ("missing/*.onnx", InputError),
        ("empty", InputError),
        ("memory://no-such-folder", InputError),
        ("nosuchsystem://x", UsageError),
        ("ftp://user:secret@host/models", UsageError),
        ("nul\0.onnx", InputError),
    ],
)
def test_a_source_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, kind: type) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    zoos.write(tmp_path / "models", 1)
    with pytest.raises(kind) as raised:
        graphml_onnx.batch(["models", source], "zoo", workers=1)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"do": ["encode", "fly"]},
        {"do": []},
        {"parameters": "reference"},
        {"layout": "round"},
        {"workers": 0},
        {"resume": True, "overwrite": True},
    ],
)
def test_options_that_do_not_go(tmp_path: Path, options: dict[str, object]) -> None:
    zoos.write(tmp_path / "models", 1)
    with pytest.raises(UsageError):
        graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "zoo").exists()


def test_a_file_where_the_target_should_be(tmp_path: Path) -> None:
    zoos.write(tmp_path / "models", 1)
    (tmp_path / "zoo").write_text("")
    with pytest.raises(InputError):
        graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", workers=1)


def test_a_script_without_its_guard_is_told_so(tmp_path: Path) -> None:
    zoos.write(tmp_path / "models", 4)
    script = tmp_path / "script.py"
    script.write_text("import graphml_onnx\ngraphml_onnx.batch('models', 'zoo', workers=2)\n")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "worker processes end as soon as they are started (a script that calls batch needs" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_two_batches_do_not_write_to_one_target(tmp_path: Path) -> None:
    zoos.write(tmp_path / "models", 2)

    def another(row: graphml_onnx.BatchRow) -> None:
        with pytest.raises(UsageError, match="another batch"):
            graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", workers=1, resume=True)

    assert graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", workers=1, on_row=another).done == 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_ctrl_c_while_workers_start_prints_one_line(tmp_path: Path) -> None:
    """The terminal sends it to the whole group, also to processes that are still starting Python."""
    zoos.write(tmp_path / "models", 4)
    command = [sys.executable, "-m", "graphml_onnx.cli", "batch", "models", "-o", "zoo", "--workers", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        end = time.monotonic() + PATIENCE
        while len(children.read_text().split()) < 3 and time.monotonic() < end:  # the tracker of resources, and two
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert error == "g2o: interrupted\n", error
