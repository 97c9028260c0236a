"""Which file may hold the payloads: one with a plain name, beside the GraphML, and no link to another."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import PayloadError
from graphml_onnx.parameters.safetensors import TensorSpec, header_of, lay_out
from graphml_onnx.parameters.store import PayloadReference, StoreInfo, check_name, open_store, sha256_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", r"a\b", "C:x", "a\0b", "\ud800", "a\udfffb/"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(PayloadError, match="not a plain file name"):
        check_name(name)


@pytest.mark.parametrize("name", ["x", "...", "a b", "é.onnxdata", ".hidden", "..x"])
def test_a_plain_name_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.skipif(os.name != "posix", reason="not every user may make links")
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
