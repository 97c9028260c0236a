"""Which file may hold the payloads: one with a plain name, beside the GraphML, and no link to another."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import InputError, PayloadError
from graphml_onnx.files import Watch
from graphml_onnx.parameters import store as stores
from graphml_onnx.parameters.safetensors import TensorSpec, header_of, lay_out
from graphml_onnx.parameters.store import (
    PayloadReference,
    StoreInfo,
    check_name,
    open_beside,
    open_store,
    sha256_of,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/b", r"a\b", "C:x", "a\0b", "\ud800", "a\udfffb/", "a" * 256, "é" * 128]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(PayloadError, match="not a plain file name"):
        check_name(name)


@pytest.mark.parametrize("name", ["x", "...", "a b", "é.onnxdata", ".hidden", "..x", "a" * 255])
def test_a_plain_name_is_taken(name: str) -> None:
    check_name(name)


posix = pytest.mark.skipif(os.name != "posix", reason="not every user may make links")

PAYLOAD = b"payload."
HEADER = header_of(lay_out([TensorSpec("w", "U8", (8,), 8)]), {})
CONTENT = HEADER + PAYLOAD
CHECKSUM = hashlib.sha256(HEADER).hexdigest()
REFERENCES = [PayloadReference(0, 8, hashlib.sha256(PAYLOAD).hexdigest(), "w")]
NAME, ALIAS = "s.onnxdata", f"s.onnxdata.{CHECKSUM[:16]}"
INFO = StoreInfo("sidecar", NAME, len(CONTENT), CHECKSUM)


def test_a_name_that_leads_elsewhere_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_bytes(CONTENT)
    name = "../secret" + "/" * 100
    for call in (
        lambda: open_store(tmp_path / "folder", INFO._replace(file=name), REFERENCES),
        lambda: open_beside(tmp_path / "folder", name),
    ):
        with pytest.raises(PayloadError) as caught:
            call()
        assert caught.value.message == f"parameter_file is {name[:80]!r}, which is not a plain file name"


def test_both_names_are_watched_and_a_missing_file_is_told(tmp_path: Path) -> None:
    watch = Watch()
    with pytest.raises(PayloadError, match="is missing") as caught:
        open_store(tmp_path, INFO, REFERENCES, watch)
    assert caught.value.file == str(tmp_path / NAME)
    assert not watch.has_changed()
    (tmp_path / ALIAS).write_bytes(CONTENT)
    assert watch.has_changed()


@pytest.mark.parametrize(
    ("content", "alias", "found"),
    [
        (CONTENT, CONTENT, NAME),
        (CONTENT, b"other", NAME),
        (HEADER + b"damaged.", CONTENT, ALIAS),  # the size and the header are right
        (CONTENT + b"x", CONTENT, ALIAS),
        (b"other", CONTENT, ALIAS),
    ],
)
def test_of_two_files_that_is_taken_which_holds_the_payloads(
    tmp_path: Path, content: bytes, alias: bytes, found: str
) -> None:
    (tmp_path / NAME).write_bytes(content)
    (tmp_path / ALIAS).write_bytes(alias)
    store = open_store(tmp_path, INFO, REFERENCES)
    assert store.source.path == tmp_path / found  # type: ignore[attr-defined]
    store.close()
    with pytest.raises(InputError):
        store.source.check_unchanged()  # it is closed


def test_nothing_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    honest = stores.FileSource.close

    def close(source: stores.FileSource) -> None:
        closed.append(source.path.name)
        honest(source)

    monkeypatch.setattr(stores.FileSource, "close", close)
    (tmp_path / NAME).write_bytes(b"other")
    with pytest.raises(PayloadError, match="the GraphML says") as caught:
        open_store(tmp_path, INFO, REFERENCES)
    assert (closed, caught.value.file) == ([NAME], str(tmp_path / NAME))
    (tmp_path / ALIAS).write_bytes(b"damaged")
    with pytest.raises(PayloadError):
        open_store(tmp_path, INFO, REFERENCES)
    assert closed == [NAME, NAME, ALIAS]

    def unreadable(*_: object) -> bytes:
        raise InputError("unreadable")

    (tmp_path / ALIAS).unlink()
    (tmp_path / NAME).write_bytes(CONTENT)
    monkeypatch.setattr(stores.FileSource, "read", unreadable)
    with pytest.raises(InputError):
        open_store(tmp_path, INFO, REFERENCES)
    assert closed[3:] == [NAME]


@posix
def test_a_link_that_appears_after_the_check_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    (tmp_path / NAME).symlink_to("elsewhere")
    monkeypatch.setattr(type(tmp_path), "is_symlink", lambda _: False)
    with pytest.raises(InputError):
        open_beside(tmp_path, NAME)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_beside(tmp_path, NAME)


@posix
def test_a_symbolic_link_is_refused_under_either_name(tmp_path: Path) -> None:
    payload = b"payload."
    header = header_of(lay_out([TensorSpec("w", "U8", (8,), 8)]), {})
    content = header + payload
    (tmp_path / "elsewhere").write_bytes(content)
    references = [PayloadReference(0, len(payload), hashlib.sha256(payload).hexdigest(), "w")]
    checksum = hashlib.sha256(header).hexdigest()
    info = StoreInfo("sidecar", "s.onnxdata", len(content), checksum)
    for name in ("s.onnxdata", f"s.onnxdata.{checksum[:16]}"):
        link = tmp_path / name
        link.symlink_to("elsewhere")
        with pytest.raises(PayloadError, match="symbolic link") as caught:
            open_store(tmp_path, info, references)
        assert caught.value.file == str(link)
        link.unlink()
        link.write_bytes(content)
        store = open_store(tmp_path, info, references)
        found = store.located(references[0])
        assert sha256_of(store.source, found.offset, found.end) == found.sha256
        store.close()
        link.unlink()
