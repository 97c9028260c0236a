"""A pair that another program replaces while decode reads it: the new pair is read, or the error is the right one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import InputError, PayloadError, StorageError, decode, encode
from graphml_onnx.decoding import api as decoding
from graphml_onnx.files import alias_path
from tests.common import seeds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = seeds.variants(8)
posix = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for number, data in enumerate(MODELS):
        (tmp_path / f"{number}.onnx").write_bytes(data)
    return encode(tmp_path / "0.onnx", tmp_path / "graph.graphml").graphml


def meanwhile(patch: pytest.MonkeyPatch, happen: Callable[[int], None]) -> list[int]:
    """Lets something happen each time when a graph has been read, and its payloads have not."""
    reads: list[int] = []
    honest = decoding.load_graphml

    def load(*arguments: object, **options: object) -> object:
        loaded = honest(*arguments, **options)  # type: ignore[arg-type]
        reads.append(len(reads) + 1)
        happen(len(reads))
        return loaded

    patch.setattr(decoding, "load_graphml", load)
    return reads


@posix
def test_the_new_pair_is_read(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(reads: int) -> None:
        if reads == 1:
            encode(pair.with_name("1.onnx"), pair, overwrite=True)

    reads = meanwhile(monkeypatch, replace)
    result = decode(pair, pair.with_name("back.onnx"))
    assert result.exact
    assert result.onnx.read_bytes() == MODELS[1]
    assert reads == [1, 2]


def test_a_new_pair_with_the_inodes_of_the_old_one_is_read(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems give the inode of a file that was replaced to the next new one."""
    other = encode(pair.with_name("1.onnx"), pair.with_name("other.graphml")).graphml
    text = other.read_text("utf-8").replace("other.onnxdata", "graph.onnxdata")

    def overwrite(reads: int) -> None:
        if reads == 1:
            pair.with_suffix(".onnxdata").write_bytes(other.with_suffix(".onnxdata").read_bytes())
            pair.write_text(text, "utf-8")

    reads = meanwhile(monkeypatch, overwrite)
    assert decode(pair, pair.with_name("back.onnx")).onnx.read_bytes() == MODELS[1]
    assert reads == [1, 2]


def test_a_pair_that_is_replaced_again_and_again_is_an_error_at_last(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = pair.with_suffix(".onnxdata")

    def spoil(reads: int) -> None:
        new = pair.with_name("new")
        new.write_bytes(bytes([reads]) * sidecar.stat().st_size)
        new.replace(sidecar)
        new.write_bytes(pair.read_bytes())
        new.replace(pair)

    reads = meanwhile(monkeypatch, spoil)
    with pytest.raises(StorageError, match="changed while it was read"):
        decode(pair, pair.with_name("back.onnx"))
    assert 1 < len(reads) < 50
    assert not pair.with_name("back.onnx").exists()


def test_a_damaged_pair_is_read_once(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.with_suffix(".onnxdata").write_bytes(b"x")
    reads = meanwhile(monkeypatch, lambda _: None)
    with pytest.raises(PayloadError):
        decode(pair, pair.with_name("back.onnx"))
    assert reads == [1]


@posix
def test_a_sidecar_that_gets_its_final_name_in_the_last_moment(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of a writer: the alias was there when decode looked, and is gone when it opens the file."""
    sidecar = pair.with_suffix(".onnxdata")
    text = pair.read_text("utf-8")
    checksum = text.partition('"parameter_checksum">')[2][:64]
    alias = alias_path(sidecar, checksum)
    sidecar.rename(alias)
    honest = os.open

    def opened(path: object, *arguments: int, **options: int) -> int:
        if str(path) == str(alias):
            alias.rename(sidecar)
        return honest(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    assert decode(pair, pair.with_name("back.onnx")).exact


def test_a_graph_that_vanishes_is_missing(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(_: int) -> None:
        pair.unlink(missing_ok=True)
        pair.with_suffix(".onnxdata").unlink(missing_ok=True)

    meanwhile(monkeypatch, vanish)
    with pytest.raises(InputError, match="no such file"):
        decode(pair, pair.with_name("back.onnx"))


@posix
@pytest.mark.parametrize("rounds", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_reading_while_another_process_writes(pair: Path, rounds: int) -> None:
    """Each reading finds one of the models, whole.

    A reader that gets too little of the processor meets another pair each time it looks, and says so in the end.
    """
    script = (
        "import itertools, pathlib\nfrom graphml_onnx import encode\nfor number in itertools.count():\n"
        "    if pathlib.Path('enough').exists():\n        break\n"
        "    encode(f'{number % 8}.onnx', 'graph.graphml', overwrite=True, self_check=False)\n"
    )
    found: list[int] = []
    with subprocess.Popen([sys.executable, "-c", script], cwd=pair.parent) as writer:
        try:
            while len(found) < rounds or len(set(found)) == 1:
                try:
                    result = decode(pair, pair.with_name("back.onnx"), overwrite=True)
                except StorageError as error:
                    if "changed while it was read" not in str(error):
                        raise
                    continue
                assert result.exact
                found.append(MODELS.index(result.onnx.read_bytes()))
        finally:
            pair.with_name("enough").touch()
    assert writer.returncode == 0
