"""Models that are given by a URL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

import graphml_onnx
from tests.common.command import in_process
from tests.running.models import chain

if TYPE_CHECKING:
    from collections.abc import Iterator

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, and a file system in memory with a model, one with a data file, and a graph with its sidecar."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    made = tmp_path / "made"
    made.mkdir()
    path = chain(made)
    onnx.save(onnx.load(path), made / "data.onnx", save_as_external_data=True, size_threshold=0, location="data.bin")
    graphml_onnx.encode(path, made / "graph.graphml", inline_limit=0)
    fs = fsspec.filesystem("memory")
    for file in made.iterdir():
        fs.pipe(f"/zoo/{file.name}", file.read_bytes())
    work = tmp_path / "work"
    work.mkdir()
    yield work
    fs.rm("/zoo", recursive=True)
    assert not list((tmp_path / "temporary").iterdir())  # nothing is left


@pytest.mark.parametrize("name", ["model.onnx", "data.onnx", "graph.graphml"])
def test_commands_that_only_read(folder: Path, name: str) -> None:
    url = f"memory://zoo/{name}"
    assert "encoder" in in_process(folder, "inspect", url).out
    same = in_process(folder, "diff", "memory://zoo/model.onnx", url, "--ignore", "names")
    assert (same.code, same.out) == (0, "the models are the same\n")
    if name.endswith(".onnx"):
        assert in_process(folder, "verify", url).code == 0
    else:
        assert in_process(folder, "validate", url, "--ignore", "info").code == 2  # no code, nor a layer
        assert in_process(folder, "validate", url).code == 0
    assert not list(folder.iterdir())


def test_commands_that_write_need_an_output(folder: Path) -> None:
    url = "memory://zoo/model.onnx"
    for verb in ("encode", "view"):
        ran = in_process(folder, verb, url)
        assert ran.code == 2
        assert "give --output" in ran.err
    assert in_process(folder, "encode", url, "-o", "g.graphml").code == 0
    assert in_process(folder, "decode", "g.graphml", "-o", "back.onnx").code == 0
    assert (folder / "back.onnx").read_bytes() == fsspec.filesystem("memory").cat("/zoo/model.onnx")


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("memory://zoo/gone.onnx", 66, "no such file"),
        ("nowhere://zoo/model.onnx", 2, "no URL of a file system"),
        ("s3://user:secret@bucket/model.onnx", 2, "credentials"),
    ],
)
def test_urls_that_lead_nowhere(folder: Path, url: str, code: int, told: str) -> None:
    ran = in_process(folder, "inspect", url)
    assert ran.code == code
    assert told in ran.err
    assert "secret" not in ran.err


def test_a_url_of_a_file_here_is_that_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.onnx"
    path.write_bytes(fsspec.filesystem("memory").cat("/zoo/model.onnx"))
    assert in_process(folder, "inspect", path.as_uri()).out == in_process(folder, "inspect", str(path)).out
    gone = in_process(folder, "inspect", (tmp_path / "gone.onnx").as_uri())
    assert (gone.code, "gone.onnx: no such file" in gone.err) == (66, True)
