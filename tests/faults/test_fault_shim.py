"""Commands on a system of which one call fails, whichever it is: a library under Python's own, written in C."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphml_onnx import encode
from tests.campaign import scratch
from tests.campaign.graphs import SMALL
from tests.common import seeds

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
STEP = 9  # which of the calls fail in a short run; all of them in a long one

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD of Linux"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]

COMMANDS = {
    "encode": "encode PLACE/in/new.onnx -o PLACE/out/g.graphml --force -q",
    "encode external data": "encode PLACE/in/external/model.onnx -o PLACE/out/g.graphml --force -q",
    "decode": "decode PLACE/in/g.graphml -o PLACE/out/m.onnx --meta-out PLACE/out/m.json --force -q",
    "decode embedded": "decode PLACE/in/e.graphml -o PLACE/out/m.onnx --force -q",
    "decode external data": "decode PLACE/in/x.graphml -o PLACE/out/m.onnx --force -q",
    "verify": "verify PLACE/in/new.onnx -q",
    "verify external data": "verify PLACE/in/external/model.onnx --params embedded -q",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "fault_shim.so"
    source = Path(__file__).with_name("fault_shim.c")
    assert COMPILER is not None
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def folder() -> Iterator[Path]:
    """Inputs, earlier outputs, and a folder for temporary files, in memory: hundreds of runs wait for no disk."""
    with scratch.folder() as folder:
        given, out = folder / "start" / "in", folder / "start" / "out"
        for place in (given, out, folder / "start" / "temporary"):
            place.mkdir(parents=True)
        small = seeds.small_models()
        (given / "new.onnx").write_bytes(small["large"])
        (given / "m.json").write_text('{"modules": {}, "nodes": {}}')
        shutil.copytree(SMALL / "external_data", given / "external")
        encode(given / "new.onnx", given / "g.graphml", metadata=given / "m.json")
        encode(given / "new.onnx", given / "e.graphml", parameters="embedded")
        encode(given / "external" / "model.onnx", given / "x.graphml")
        (given / "old.onnx").write_bytes(small["training"])
        encode(given / "old.onnx", out / "g.graphml")
        (out / "m.onnx").write_bytes(small["training"])
        (out / "m.json").write_bytes(b"before")
        yield folder


def _runs(shim: Path, folder: Path, command: str, error: str, first: int, step: int) -> list[Any]:
    """What `tests.faults.failing_commands` prints: a run without a fault, one for each call that fails, and another."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.failing_commands", folder),
            *(str(getattr(errno, error)), str(first), str(step), *command.split()),
        ],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim), "FAULT_FOLDER": f"{folder}/place"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("step", [STEP, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EMFILE"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_call_that_fails(shim: Path, folder: Path, name: str, error: str, step: int) -> None:
    """Either 74, one line and nothing changed, or 0 and everything done; never anything in between, nothing left."""
    first, *runs, after = _runs(shim, folder, COMMANDS[name], error, len(name + error) % step, step)
    (_, code, _, made), (_, last, lines, same) = first, after
    assert (code, last, lines, same) == (0, 0, [], made), "without a fault"
    assert bool(made) == (not name.startswith("verify"))
    codes: Counter[int] = Counter()
    for hit, code, err, changed in runs:
        codes[code] += 1
        # What cannot be removed is left.
        left = {file for file in changed if hit in ("unlink", "rmdir") and file.endswith(".g2o-tmp")}
        if code == 0:
            assert (err, set(changed) - left) == ([], set(made)), hit
        else:
            assert (code, len(err), set(changed) - left) == (74, 1, set()), (hit, code, err, changed)
            assert err[0].startswith("g2o: "), hit
    assert codes[74], codes


_OF_REMOVAL = ("unlink", "rmdir", "open of a folder", "close of a folder")
BATCH = "batch PLACE/in/models -o PLACE/out/zoo --workers 1 --do encode,verify,tables -q"


@pytest.mark.parametrize("step", [5 * STEP, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EMFILE"])
def test_a_call_that_fails_in_a_batch(shim: Path, folder: Path, error: str, step: int) -> None:
    """Each model is there as a whole or not at all, each failure has a line, and nothing else is left."""
    pytest.importorskip("pyarrow")
    given = folder / "start" / "in"
    (given / "models").mkdir()
    for name in ("new", "old"):
        (given / f"{name}.onnx").rename(given / "models" / f"{name}.onnx")
    first, *runs, after = _runs(shim, folder, BATCH, error, len(error), step)
    (_, code, _, made), (_, last, lines, _) = first, after
    assert (code, last, lines) == (0, 0, []), "without a fault"
    graphs = {file for file in made if "/graphs/" in file}
    assert len(graphs) == 4
    codes: Counter[int] = Counter()
    for hit, code, err, changed in runs:
        codes[code] += 1
        there = graphs.intersection(changed)
        assert all((f"{file[: -len('graphml')]}onnxdata" in there) for file in there if file.endswith("graphml")), hit
        assert all(line.startswith("g2o: ") for line in err), (hit, err)
        assert bool(err) == (code != 0), (hit, code, err)
        assert code in (0, 74), (hit, code, err)
        if hit not in _OF_REMOVAL:  # what cannot be removed is left
            assert not [file for file in changed if file.endswith("-tmp") or "temporary/" in file], (hit, changed)
        if code == 0:
            assert there == graphs, hit
    assert codes[74], codes
