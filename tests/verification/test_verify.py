"""`verify`: how often it decodes, and that a fault of each half shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import onnx
import pytest
from onnx import external_data_helper, helper

from graphml_onnx import StorageError, verify
from graphml_onnx.decoding import api as decoding
from graphml_onnx.encoding import self_check
from graphml_onnx.hierarchy import read_metadata
from graphml_onnx.onnxfile.skeleton import Stored
from graphml_onnx.results import ParameterStrategy
from graphml_onnx.verification import api as verification
from tests.common import seeds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from graphml_onnx.onnxfile.skeleton import FilePiece


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(seeds.small_models()["large"])
    return path


@pytest.mark.parametrize("parameters", get_args(ParameterStrategy))
def test_the_graph_is_decoded_once(model: Path, parameters: ParameterStrategy, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    for module in (self_check, decoding):
        original = module.load_graphml

        def counted(*arguments: object, original: object = original, **options: object) -> object:
            loads.append(original)
            return original(*arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(module, "load_graphml", counted)

    assert verify(model, parameters=parameters).passed
    assert len(loads) == 1


def test_a_fault_of_what_decode_writes_is_found(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = decoding.write_pieces

    def wrong(pieces: Iterable[FilePiece], *arguments: object) -> str:
        first, *others = pieces
        assert not isinstance(first, Stored)
        content = bytearray(first)
        content[1] ^= 1
        return original([bytes(content), *others], *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "write_pieces", wrong)

    report = verify(model)

    assert not report.passed
    assert report.difference is not None
    assert report.difference.offset == 1


@pytest.mark.parametrize("how", ["written to", "shorter", "replaced"])
@pytest.mark.parametrize("name", ["model.onnx", "data.bin"])
def test_a_model_that_changes_meanwhile_is_no_difference(
    tmp_path: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[2_000])
    tensor.raw_data = bytes(2_000)
    external_data_helper.set_external_data(tensor, "data.bin")
    tensor.ClearField("raw_data")
    (tmp_path / "data.bin").write_bytes(bytes(2_000))
    graph = helper.make_graph([], "g", [], [], [tensor])
    (tmp_path / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    decode_loaded = verification.decode_loaded

    def decode_and_change(*arguments: object, **options: object) -> object:
        decoded = decode_loaded(*arguments, **options)  # type: ignore[arg-type]
        changed = tmp_path / name
        content = changed.read_bytes()
        if how == "replaced":
            changed = tmp_path / "other"
        changed.write_bytes(content[:-1] if how == "shorter" else content[:-1] + b"\x01")
        changed.replace(tmp_path / name)
        return decoded

    monkeypatch.setattr(verification, "decode_loaded", decode_and_change)
    with pytest.raises(StorageError, match="changed while it was read"):
        verify(tmp_path / "model.onnx")


def test_a_fault_of_what_encode_writes_is_found(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "first_difference", lambda *_: 7)

    report = verify(model)

    assert [check.failed for check in report.checks] == [True]
    assert report.difference is not None
    assert report.difference.offset == 7


@pytest.mark.parametrize(
    ("op_type", "rule", "complaints"), [("Conv", "parameter", 0), ("Conv", "name", 1), ("MatMul", "parameter", 1)]
)
def test_only_a_fused_convolution_may_be_beside_its_tag(op_type: str, rule: str, complaints: int) -> None:
    operators = [("fused", op_type, "conv", rule)]
    content = verification._Content(tags={"conv": "/Net/Conv2d.c", "norm": "/Net/Norm.n"}, operators=operators)
    metadata = read_metadata(json.dumps({"nodes": {"fused": "/Net/Norm.n"}}).encode(), None)

    assert len(list(verification._misplaced(metadata, content))) == complaints
