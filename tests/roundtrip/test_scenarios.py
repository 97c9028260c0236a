"""The scenarios that the earlier system was tested with, by their names; each from the first command to the last.

Their single faults are in test_faults.py, test_survival.py and test_system_faults.py; models of hundreds of megabytes
are in test_large.py.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.common import seeds
from tests.common.command import as_process, contents, in_process
from tests.faults.making_faults import ordinary_user

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def there_and_back(folder: Path, model: str, *options: str) -> None:
    """Encodes and decodes; the model is the same."""
    ran = as_process(folder, "encode", model, "-o", "there.graphml", "--force", *options)
    assert ran.code == 0, ran.err
    ran = as_process(folder, "decode", "there.graphml", "-o", "back.onnx", "--force", "--require-exact")
    assert ran.code == 0, ran.err
    assert (folder / "back.onnx").read_bytes() == (folder / model).read_bytes()


def test_large_model(tmp_path: Path) -> None:
    """Ten megabytes of weights, and two thousand operators."""
    names = [f"t{number}" for number in range(2001)]
    nodes = [onnx.helper.make_node("Relu", [a], [b], name=f"/m/layer.{a}/Relu") for a, b in itertools.pairwise(names)]
    raw = random.Random(0).randbytes(10_000_000)
    weights = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[len(raw)], raw_data=raw)
    graph = onnx.helper.make_graph(nodes, "g", [], [], [weights])
    (tmp_path / "model.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    for options in ((), ("--params", "embedded"), ("--params", "reference"), ("--layout", "flat")):
        there_and_back(tmp_path, "model.onnx", *options)


@posix
def test_permission_error_recovery(folder: Path) -> None:
    """Refused while the folder is read-only, with nothing changed; done as soon as it is not."""
    out = folder / "out"
    out.mkdir()
    for file in (folder, *folder.iterdir()):
        file.chmod(0o555)
    ordinary = ordinary_user(folder)
    line = ("encode", "model.onnx", "-o", "out/a.graphml")
    assert as_process(folder, *line, prologue=ordinary).code == 73
    assert list(out.iterdir()) == []
    out.chmod(0o777)
    assert as_process(folder, *line, prologue=ordinary).code == 0
    assert as_process(folder, "decode", "out/a.graphml", "-o", "out/a.onnx", "--require-exact").code == 0


def test_concurrent_runs(folder: Path) -> None:
    """Different outputs in one folder, at once."""
    line = [sys.executable, "-m", "graphml_onnx.cli", "encode", "model.onnx", "-q", "-o"]
    running = [
        subprocess.Popen([*line, f"{number}.graphml"], cwd=folder, stderr=subprocess.PIPE) for number in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 4
    for number in range(4):
        ran = in_process(folder, "decode", f"{number}.graphml", "-o", f"{number}.onnx", "--require-exact")
        assert ran.code == 0, ran.err
    assert not [name for name in contents(folder) if "g2o-tmp" in name]


@posix
def test_disk_space(folder: Path) -> None:
    """No space is an error that changes nothing; with space, the same command works, and nothing has to be repaired."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))"
    line = ("encode", "model.onnx", "-o", "graph.graphml", "--force")
    before = contents(folder)
    ran = as_process(folder, *line, prologue=limit)
    assert ran.code == 74
    assert "free some space" in ran.err
    assert contents(folder) == before
    assert as_process(folder, *line).code == 0
    assert as_process(folder, "decode", "graph.graphml", "-o", "model.onnx", "--force", "--require-exact").code == 0


@pytest.mark.parametrize("name", seeds.fixtures())
def test_several_architectures(tmp_path: Path, name: str) -> None:
    """A convolutional network and a transformer, from two exporters, each with its hierarchy."""
    shutil.copytree(seeds.FIXTURES / name, tmp_path / name)
    metadata = f"{name}/model_htp_metadata.json"
    there_and_back(tmp_path, f"{name}/model.onnx", "--meta", metadata)
    ran = as_process(tmp_path, "decode", "there.graphml", "-o", "again.onnx", "--meta-out", "again.json")
    assert ran.code == 0
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / metadata).read_bytes()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("encode nowhere/model.onnx", 66),
        ("encode model.onnx -o nowhere/graph.graphml", 73),
        ("encode model.onnx --meta nowhere.json", 66),
        ("encode model.onnx -o .", 73),
        ("encode .", 66),
        ("decode .", 66),
        ("encode model.onnx/model.onnx", 66),
        ("encode model.onnx -o model.onnx/graph.graphml", 73),
        ("decode nowhere.graphml", 66),
        ("decode graph.graphml -o nowhere/model.onnx", 73),
        ("decode graph.graphml -o back.onnx --params-dir nowhere", 65),
        (f"encode {'x' * 300}.onnx", 66),
        (f"encode model.onnx -o {'x' * 300}.graphml", 73),
        ("verify nowhere.onnx", 66),
        ("encode model.onnx -o owner:model.graphml", 2),
        ("encode model.onnx --dry-run -o owner:model.graphml", 2),
        ("encode model.onnx --parameter-output a:b", 2),
    ],
)
def test_invalid_paths(folder: Path, line: str, code: int) -> None:
    before = contents(folder)
    ran = as_process(folder, *line.split())
    assert ran.code == code
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("g2o: ")
    assert contents(folder) == before


def test_sidecar_format_validation(folder: Path) -> None:
    """Every file except the original sidecar is refused, with the reason."""
    sidecar = folder / "graph.onnxdata"
    good = sidecar.read_bytes()
    line = ("decode", "graph.graphml", "-o", "back.onnx")
    told = {
        "empty": (b"", "has 0 bytes"),
        "too short": (good[:-1], "bytes, but the GraphML says"),
        "too long": (good + b"\0", "bytes, but the GraphML says"),
        "zeros": (bytes(len(good)), "SHA-256"),
        "one bit of the header": (good[:20] + bytes([good[20] ^ 1]) + good[21:], "SHA-256"),
        "one bit of a tensor": (good[:-1] + bytes([good[-1] ^ 1]), "SHA-256"),
        "a JSON file": (json.dumps({"parameters": {}}).encode(), "bytes, but the GraphML says"),
    }
    for name, (content, part) in told.items():
        sidecar.write_bytes(content)
        ran = in_process(folder, *line)
        assert (ran.code, ran.out) == (65, ""), name
        assert ran.err.startswith("g2o: graph.onnxdata: "), name
        assert part in ran.err, name
        assert not (folder / "back.onnx").exists()
    sidecar.write_bytes(good)
    assert in_process(folder, *line, "--require-exact").code == 0


def test_partial_failure_recovery(tmp_path: Path) -> None:
    """Of several models one is damaged: the others are done, it is named, and mended it works too."""
    good = seeds.small_models()
    for name in ("large", "typed", "if"):
        (tmp_path / f"{name}.onnx").write_bytes(good[name])
    (tmp_path / "typed.onnx").write_bytes(good["typed"][:-9])
    line = ("verify", "large.onnx", "typed.onnx", "if.onnx", "--json")
    ran = as_process(tmp_path, *line)
    told = json.loads(ran.out)
    assert (ran.code, told["passed"], told["failed"]) == (65, 2, 1)
    assert ran.err.startswith("g2o: typed.onnx: ")
    (tmp_path / "typed.onnx").write_bytes(good["typed"])
    ran = as_process(tmp_path, *line)
    assert (ran.code, json.loads(ran.out)["failed"]) == (0, 0)
    assert sorted(contents(tmp_path)) == ["if.onnx", "large.onnx", "typed.onnx"]
