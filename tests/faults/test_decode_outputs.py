"""What `decode` does where its output cannot be written, or is one of its inputs."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import onnx
import pytest

from graphml_onnx import Category, ParameterStrategy, StorageError, UsageError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _save(folder: Path) -> Path:
    """A model of 200 KB, with metadata of its own and one payload."""
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["w"], ["y"], name="relu")], "g", [], [])
    data = random.Random(0).randbytes(200_000)
    graph.initializer.append(onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[50_000], raw_data=data))
    path = folder / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 100 KB, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    import signal

    earlier = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, earlier)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
def test_no_space_for_the_decoded_model(
    tmp_path: Path, strategy: ParameterStrategy, request: pytest.FixtureRequest
) -> None:
    graph = encode(_save(tmp_path), parameters=strategy).graphml
    before = sorted(tmp_path.iterdir())
    request.getfixturevalue("small_files")
    with pytest.raises(StorageError) as caught:
        decode(graph, tmp_path / "back.onnx")
    assert caught.value.category is Category.INPUT_OUTPUT
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("strategy", ["sidecar", "reference"])
def test_the_file_of_payloads_is_never_an_output(tmp_path: Path, strategy: ParameterStrategy) -> None:
    model = _save(tmp_path)
    result = encode(model, parameters=strategy)
    payloads = result.sidecar or model
    before = payloads.read_bytes()
    with pytest.raises(UsageError):
        decode(result.graphml, payloads, overwrite=True)
    assert payloads.read_bytes() == before


def test_the_file_of_payloads_is_no_place_for_metadata(tmp_path: Path) -> None:
    metadata = {"export_context": {}, "model": {}, "modules": {"class_name": "M", "traced_tag": "/M", "scope": ""}}
    result = encode(_save(tmp_path), metadata=metadata | {"nodes": {"relu": "/M"}})
    assert result.sidecar is not None
    before = result.sidecar.read_bytes()
    with pytest.raises(UsageError):
        decode(result.graphml, tmp_path / "back.onnx", metadata_output=result.sidecar, overwrite=True)
    assert result.sidecar.read_bytes() == before
