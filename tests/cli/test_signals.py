"""Signals end the command with their code, one line, and no file left half done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import COMMAND, changed, environment, run
from tests.common.command import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SIGNALS = [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]


def signalled(name: str, *, times: int = 1) -> tuple[str, ...]:
    """The command with an `encode` that sends the signal to itself as soon as it reports progress."""
    return changed(f"""
import os, signal, graphml_onnx
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with SIGINT ignored
honest = graphml_onnx.encode
def encode(*arguments, progress=None, **options):
    def stop(*report):
        for _ in range({times}):
            os.kill(os.getpid(), signal.{name})
    return honest(*arguments, progress=stop, **options)
graphml_onnx.encode = encode
""")


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
@pytest.mark.parametrize("times", [1, 2])
def test_signal_while_it_works(model: Path, name: str, code: int, word: str, times: int) -> None:
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    ran = run(model.parent, "encode", "model.onnx", command=signalled(name, times=times))

    assert (ran.code, ran.out, ran.err) == (code, "", f"g2o: {word}\n")
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
def test_signal_is_a_json_document_too(model: Path, name: str, code: int, word: str) -> None:
    ran = run(model.parent, "encode", "model.onnx", "--json", command=signalled(name))

    assert ran.code == code
    assert json.loads(ran.out)["error"]["category"] == word


def test_signal_that_the_parent_ignores_stays_ignored(model: Path) -> None:
    prologue = """
import os, signal, graphml_onnx
signal.signal(signal.SIGINT, signal.SIG_IGN)
honest = graphml_onnx.encode
def encode(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return honest(*arguments, **options)
graphml_onnx.encode = encode
"""
    assert run(model.parent, "encode", "model.onnx", command=changed(prologue)).code == 0


def test_signal_from_outside(tmp_path: Path) -> None:
    waiting = changed("""
import graphml_onnx
def encode(*_, **__):
    import time
    print("ready", flush=True)
    time.sleep(900)
graphml_onnx.encode = encode
""")
    with subprocess.Popen(
        [*waiting, "encode", "model.onnx"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=-1
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err) == (143, b"g2o: terminated\n")


def test_signal_within_an_import_waits_for_its_end(tmp_path: Path) -> None:
    """An exception within the initialisation of an extension in C++ would end the process with SIGSEGV or SIGABRT."""
    (tmp_path / "imported.py").write_text("""
import os, signal
try:
    os.kill(os.getpid(), signal.SIGTERM)
    sum(range(1000))
except BaseException:
    print("raised within the import", flush=True)
    raise
print("imported", flush=True)
""")
    importing = changed("""
import graphml_onnx
def encode(*_, **__):
    import sys, time
    sys.path.insert(0, ".")
    import imported
    time.sleep(900)
graphml_onnx.encode = encode
""")
    ran = run(tmp_path, "encode", "model.onnx", command=importing)

    assert (ran.code, ran.out, ran.err) == (143, "imported\n", "g2o: terminated\n")


@pytest.mark.parametrize("starts", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_signal_at_any_moment(model: Path, starts: int) -> None:
    """A race: whenever the signal comes, it ends the process in its own way, and nothing is left half done."""
    command = [*COMMAND, "encode", "model.onnx", "-q", "--force"]
    start = time.monotonic()
    subprocess.run(command, cwd=model.parent, env=environment(), check=True)
    whole = time.monotonic() - start
    outputs = sorted(model.parent.iterdir())
    # Before g2o handles signals Python ends by the signal, or with 1 where it was preparing itself.
    expected = {"SIGINT": {0, 130, -signal.SIGINT, 1}, "SIGTERM": {0, 143, -signal.SIGTERM}}
    for number in range(starts):
        name = ("SIGINT", "SIGTERM")[number % 2]
        with subprocess.Popen(
            command, cwd=model.parent, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            time.sleep(random.uniform(0, whole))
            process.send_signal(getattr(signal, name))
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode in expected[name], err
        assert sorted(model.parent.iterdir()) == outputs
