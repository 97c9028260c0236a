"""``g2o batch``: what people see of it, and what is left when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import COMMAND, environment, run
from tests.common.command import PATIENCE
from tests.zoo import zoos

pytest.importorskip("pyarrow")

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_a_bad_model(tmp_path: Path) -> None:
    models = zoos.write(tmp_path / "models", 3)
    (tmp_path / "models/bad.onnx").write_text("no model")

    ran = run(tmp_path, "batch", "models", "--output", "zoo", "--workers", "2")

    assert ran.code == 65
    assert ran.err == (
        f"g2o: {tmp_path}/models/bad.onnx: is not an ONNX model; it looks like text (download or export it again)\n"
    )
    assert ran.out.startswith("models    4\ndone      3 (3 operators, ")
    assert ran.out.endswith("failed    1\nmanifest  zoo/manifest.parquet\n")
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)

    again = run(tmp_path, "batch", "models", "--output", "zoo")
    assert again.code == 73
    assert "to continue, --resume; to start again, --overwrite" in again.err

    resumed = run(tmp_path, "batch", "models", "-o", "zoo", "--resume", "--json", "--workers", "1")
    told = json.loads(resumed.out)
    assert (told["models"], told["done"], told["skipped"], told["failed"]) == (4, 0, 3, 1)
    assert told["failures"][0]["category"] == "bad_data"


def test_quiet_says_nothing(tmp_path: Path) -> None:
    zoos.write(tmp_path / "models", 2)
    ran = run(tmp_path, "batch", "models", "-o", "zoo", "--do", "encode, verify,tables", "-q", "--workers", "1")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--do", "encode,fly"], "do is fly (give some of encode, verify, tables)"),
        (["--dask", "tcp://127.0.0.1:1", "--workers", "2"], "--dask has its own workers"),
        (["--resume", "--overwrite"], "resume keeps what overwrite replaces"),
    ],
)
def test_options_that_do_not_go(tmp_path: Path, arguments: list[str], told: str) -> None:
    zoos.write(tmp_path / "models", 1)
    ran = run(tmp_path, "batch", "models", "-o", "zoo", *arguments)
    assert ran.code == 2
    assert told in ran.err


_SLOWLY = """
import graphml_onnx.zoo.jobs as jobs, time
encode = jobs.encode
def slowly(*arguments, **options):
    time.sleep(0.3)
    return encode(*arguments, **options)
jobs.encode = slowly
import sys
from graphml_onnx.cli.main import run
sys.exit(run())
"""


def _slow_batch(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A batch in this one process that takes its time over each model, in a group of its own."""
    command = [sys.executable, "-c", _SLOWLY, "batch", "models", "-o", "zoo", "--workers", "1", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def _wait_for_rows(zoo: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(zoo.glob("manifest.rows/*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_batch_that_was_stopped_goes_on_where_it_was(tmp_path: Path, number: signal.Signals) -> None:
    models = zoos.write(tmp_path / "models", 8)
    process = _slow_batch(tmp_path)
    _wait_for_rows(tmp_path / "zoo", 2, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)

    told = {signal.SIGINT: (130, "g2o: interrupted\n"), signal.SIGTERM: (143, "g2o: terminated\n")}
    assert (process.returncode, err) == told.get(number, (-9, ""))
    if number != signal.SIGKILL:
        assert 2 <= len(zoos.manifest(tmp_path / "zoo")) < 8
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "zoo").rglob("*.graphml")}

    ran = run(tmp_path, "batch", "models", "-o", "zoo", "--resume", "--json", "--workers", "1")

    counts = json.loads(ran.out)
    assert counts["done"] + counts["skipped"] == 8
    assert counts["skipped"] >= 2
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)
    again = [path for path, changed in before.items() if path.stat().st_mtime_ns != changed]
    assert len(again) <= 1  # the one whose row was not written yet


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_worker_processes_end_with_the_one_that_started_them(tmp_path: Path, number: signal.Signals) -> None:
    models = zoos.write(tmp_path / "models", 300)
    command = [*COMMAND, "batch", "models", "-o", "zoo", "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    _wait_for_rows(tmp_path / "zoo", 2, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does it
    else:
        process.send_signal(number)
    assert process.stderr is not None
    told = process.stderr.read()  # ends when the last process of the group has closed it
    assert process.wait(PATIENCE) == (130 if number == signal.SIGINT else -9)
    assert told == "g2o: interrupted\n" or number == signal.SIGKILL

    ran = run(tmp_path, "batch", "models", "-o", "zoo", "--resume", "--workers", "2")
    assert ran.code == 0, ran.err
    zoos.check_exact(tmp_path / "zoo", models, tmp_path)
