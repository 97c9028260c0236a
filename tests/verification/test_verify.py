"""`verify`: how often it decodes, and that a fault of each half shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from graphml_onnx import verify
from graphml_onnx.decoding import api as decoding
from graphml_onnx.encoding import self_check
from graphml_onnx.onnxfile.skeleton import Stored
from graphml_onnx.results import ParameterStrategy
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


def test_a_fault_of_what_encode_writes_is_found(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "first_difference", lambda *_: 7)

    report = verify(model)

    assert [check.failed for check in report.checks] == [True]
    assert report.difference is not None
    assert report.difference.offset == 7
