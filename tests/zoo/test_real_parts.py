"""Batches over parts that are real: an S3 server, a Dask cluster, worker processes that die, a disk that is full."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import graphml_onnx
from tests.cli.g2o_process import COMMAND, environment, run
from tests.common import seeds
from tests.common.command import PATIENCE
from tests.docs.documents import ROOT
from tests.zoo import lethal, servers, zoos

pq = pytest.importorskip("pyarrow.parquet")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals and mounts of Linux")]

MODEL_BYTES = 400_000


def _large(folder: Path, count: int) -> dict[str, bytes]:
    """Models of 400 kB."""
    models = {f"m{number}.onnx": zoos.model(number, MODEL_BYTES // 4) for number in range(count)}
    folder.mkdir(parents=True)
    for name, data in models.items():
        (folder / name).write_bytes(data)
    return models


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of buckets, and the credentials of its server."""
    pytest.importorskip("s3fs", reason="make zoo")
    folder = tmp_path / "buckets"
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-1"}.items():
        monkeypatch.setenv(name, value)
    return folder


def test_s3_to_s3_is_exact_and_takes_bounded_space(
    buckets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = _large(buckets / "in/models", 16)
    bert = seeds.FIXTURES / "winml-bert-mini-dynamo"
    shutil.copytree(bert, buckets / "in/models/bert")
    shutil.copytree(ROOT / "fixtures/small/external_data", buckets / "in/models/external")
    models |= {"bert/model.onnx": (bert / "model.onnx").read_bytes()}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with servers.s3(buckets) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        command = [*COMMAND, "batch", "s3://in/models", "--output", "s3://out/zoo", "--workers", "2"]
        process = subprocess.Popen([*command, "--do", "encode,verify,tables"], env=environment(), cwd=tmp_path)
        most = 0
        while process.poll() is None:
            most = max(most, _size(temporary))
            time.sleep(0.005)
        assert process.returncode == 0
        again = run(tmp_path, "batch", "s3://in/models", "-o", "s3://out/zoo", "--resume", "--json")
        assert json.loads(again.out)["skipped"] == 18
    assert MODEL_BYTES < most < 2 * 4 * MODEL_BYTES  # of each worker: the model, its sidecar, what is decoded
    assert list(temporary.iterdir()) == []
    rows = pq.read_table(buckets / "out/zoo/manifest.parquet").to_pylist()
    assert len({row["source"] for row in rows}) == len(rows) == 18
    for name, data in models.items():
        graphml_onnx.decode(
            buckets / f"out/zoo/graphs/{name.removesuffix('.onnx')}.graphml", tmp_path / "b.onnx", overwrite=True
        )
        assert (tmp_path / "b.onnx").read_bytes() == data
    assert len(pq.read_table(buckets / "out/zoo/tables/models")) == 18
    assert not list((buckets / "out/zoo").rglob("*.json"))


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def test_a_server_that_drops_connections(buckets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = _large(buckets / "in/models", 6)
    with servers.s3(buckets) as port, servers.breaking_wire(port, every=3) as (wire, cut):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{wire}")
        ran = run(tmp_path, "batch", "s3://in/models", "-o", "s3://out/zoo", "--workers", "2")
    assert (ran.code, ran.err) == (0, "")
    assert cut
    shutil.copytree(buckets / "out/zoo", tmp_path / "zoo")
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)


def test_a_server_that_is_gone(buckets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ran = run(tmp_path, "batch", "s3://in/models", "-o", "zoo", "--workers", "1")
    assert ran.code == 74
    assert "check the connection; with --resume only what is missing is done" in ran.err
    assert ran.err.count("\n") == 1


def test_a_dask_worker_that_is_killed(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 150)
    (tmp_path / "models/bad.onnx").write_text("no model")
    with servers.dask(tmp_path, 2) as (address, workers):
        command = [*COMMAND, "batch", "models", "-o", "zoo", "--dask", address, "--do", "encode,verify,tables"]
        process = subprocess.Popen([*command, "--json"], env=environment(), cwd=tmp_path, stdout=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE
        while len(list((tmp_path / "zoo").glob("manifest.rows/*.json"))) < 20:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers[0].kill()
        out, _ = process.communicate(timeout=PATIENCE)
    told = json.loads(out)
    assert (told["models"], told["done"], told["failed"]) == (151, 150, 1)
    assert process.returncode == 65
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)
    assert len(pq.read_table(tmp_path / "zoo/tables/models")) == 150


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="make zoo")
    monkeypatch.setattr("graphml_onnx.zoo.cluster._PATIENCE", "1s")
    from graphml_onnx.errors import StorageError
    from graphml_onnx.zoo.cluster import dask_executor

    with (
        pytest.raises(StorageError, match="the scheduler does not answer"),
        dask_executor(f"tcp://127.0.0.1:{servers.free_port()}"),
    ):
        pass


def test_a_worker_process_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 60)
    killed: list[int | None] = []

    def kill_one(row: graphml_onnx.BatchRow) -> None:
        if len(killed) < 2 and row.source.endswith(("m7.onnx", "m20.onnx")):
            child = multiprocessing.active_children()[0]
            killed.append(child.pid)
            child.kill()

    report = graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", workers=2, on_row=kill_one)
    assert len(killed) == 2
    assert (report.done, report.failures) == (60, ())
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)


def test_a_model_under_which_processes_die_is_the_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphml_onnx.zoo.running.run_jobs", lethal.run_jobs)
    models = zoos.write(tmp_path / "models", 12)
    (tmp_path / "models/group1/lethal.onnx").write_bytes(zoos.model(1))
    report = graphml_onnx.batch(tmp_path / "models", tmp_path / "zoo", workers=2)
    (failure,) = report.failures
    assert failure.source.endswith("lethal.onnx")
    assert "the worker process ended" in (failure.error or "")
    assert report.done == 12
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)


_SMALL_DISK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("small")
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
if libc.mount(b"tmpfs", b"small", b"tmpfs", 0, b"size=900k"):
    sys.exit(77)
os.environ["TMPDIR"] = os.path.abspath("small") if sys.argv[1] == "temporary" else os.path.abspath("large")
del sys.argv[1]
from graphml_onnx.cli.main import run
sys.exit(run())
"""


@pytest.mark.parametrize("place", ["temporary", "target"])
def test_a_disk_that_is_full(tmp_path: Path, place: str) -> None:
    """Models for which there is room are done; the others are rows with a remedy, and nothing is left of them."""
    (tmp_path / "large").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/large.onnx").write_bytes(zoos.model(1, 500_000))
    (tmp_path / "models/small.onnx").write_bytes(zoos.model(2))
    output = "zoo" if place == "temporary" else "small/zoo"
    show = "import os; os.system('ls -R small')"
    script = _SMALL_DISK.replace("sys.exit(run())", f"code = run(); {show}; sys.exit(code)")
    done = subprocess.run(
        [sys.executable, "-c", script, place, "batch", "models", "-o", output, "--workers", "1", "-q"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("mounting is not allowed")
    assert done.returncode == 74, done.stderr
    assert done.stderr.count("\n") == 1
    assert "large.onnx: writing failed: No space left on device" in done.stderr
    assert ("TMPDIR" in done.stderr) == (place == "temporary")
    if place == "target":
        assert "small.graphml" in done.stdout
        assert "large" not in done.stdout
        assert "manifest.parquet" in done.stdout
    else:
        assert "g2o-batch" not in done.stdout
        rows = zoos.manifest(tmp_path / "zoo")
        assert {name: row["result"] for name, row in rows.items()} == {"large.onnx": "failed", "small.onnx": "done"}


def test_threads_of_one_process_can_share_a_batch(tmp_path: Path) -> None:
    """Two batches at once, to two targets."""
    models = zoos.write(tmp_path / "models", 10)
    threads = [
        threading.Thread(target=graphml_onnx.batch, args=(tmp_path / "models", tmp_path / name), kwargs={"workers": 1})
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("one", "two"):
        zoos.check_exact(tmp_path / name, models, tmp_path)


def test_a_folder_of_5_000_files(tmp_path: Path) -> None:
    source = tmp_path / "models"
    source.mkdir()
    for number in range(5000):
        suffix = ".onnx" if number % 100 == 0 else ".txt"
        (source / f"{number}{suffix}").write_bytes(zoos.model(number, 8) if suffix == ".onnx" else b"text")
    report = graphml_onnx.batch(source, tmp_path / "zoo", workers=1, do=("encode", "tables"))
    assert (report.done, report.failures) == (50, ())


def test_a_batch_over_s3_that_was_killed_goes_on(
    buckets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = _large(buckets / "in/models", 12)
    with servers.s3(buckets) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        arguments = ["batch", "s3://in/models", "-o", "s3://out/zoo", "--workers", "2"]
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment(), cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
        )
        deadline = time.monotonic() + PATIENCE
        while len(list((buckets / "out").glob("zoo/manifest.rows/*.json"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        ran = run(tmp_path, *arguments, "--resume", "--json")
    assert ran.code == 0, ran.err
    counts = json.loads(ran.out)
    assert counts["skipped"] >= 3
    assert counts["done"] + counts["skipped"] == 12
    shutil.copytree(buckets / "out/zoo", tmp_path / "zoo")
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)
