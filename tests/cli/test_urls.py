"""Models by URL, from a server of this machine."""

from __future__ import annotations

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.common.command import in_process
from tests.zoo.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("aiohttp")

MODEL = Path(__file__).parents[2] / "fixtures/htp/modelexport-resnet-mini/model.onnx"


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(MODEL, folder / "model.onnx")
    (folder / "text.onnx").write_text("no model")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_is_shown_is_the_url(base: str, tmp_path: Path) -> None:
    ran = in_process(tmp_path, "inspect", f"{base}/model.onnx")
    assert ran.out.startswith(f"model     {base}/model.onnx (main_graph)\n")
    ran = in_process(tmp_path, "inspect", f"{base}/model.onnx", "--json")
    assert json.loads(ran.out)["path"] == f"{base}/model.onnx"
    ran = in_process(tmp_path, "verify", f"{base}/model.onnx")
    assert ran.out.startswith(f"ok      {base}/model.onnx: bytes")
    ran = in_process(tmp_path, "inspect", f"{base}/text.onnx")
    assert ran.err.startswith(f"g2o: {base}/text.onnx: is not an ONNX model")
    assert "g2o-fetch" not in ran.out + ran.err


def test_a_file_that_is_not_there_and_a_server_that_is_not(base: str, tmp_path: Path) -> None:
    ran = in_process(tmp_path, "inspect", f"{base}/none.onnx")
    assert (ran.code, ran.err) == (66, f"g2o: {base}/none.onnx: no such file (check the URL)\n")
    url = f"http://127.0.0.1:{free_port()}/model.onnx"
    ran = in_process(tmp_path, "inspect", url)
    assert ran.code == 74
    assert ran.err.startswith(f"g2o: {url}: the file system failed several times: Cannot connect")
    assert ran.err.endswith("(check the connection, and the credentials if there are any)\n")


def test_outputs_need_a_place(base: str, tmp_path: Path) -> None:
    ran = in_process(tmp_path, "encode", f"{base}/model.onnx")
    assert (ran.code, list(tmp_path.glob("*.graphml"))) == (2, [])
    ran = in_process(tmp_path, "encode", f"{base}/model.onnx", "-o", "here.graphml")
    assert ran.code == 0, ran.err
    assert in_process(tmp_path, "decode", "here.graphml", "-o", "here.onnx").code == 0
    assert (tmp_path / "here.onnx").read_bytes() == MODEL.read_bytes()
