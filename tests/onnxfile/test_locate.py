from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.onnxfile.locate import locate
from graphml_onnx.onnxfile.source import BytesSource, FileSource
from tests.common import seeds
from tests.strategies import wire
from tests.strategies.models import model_bytes
from tests.strategies.wire import BYTES, FIXED32, FIXED64, VARINT, Field, serialise


def at(data: bytes, offset: int) -> str:
    return locate(BytesSource(data), offset)


def _model() -> bytes:
    model = onnx.ModelProto(ir_version=10, producer_name="someone")
    model.graph.name = "graph name"
    for name in ("first", "second"):
        node = model.graph.node.add(op_type="Constant", output=["a", name])
        node.attribute.add(name="value").t.raw_data = b"raw of " + name.encode()
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"someone", "producer_name"),
        (b"graph name", "graph.name"),
        (b"first", "graph.node[0].output[1]"),
        (b"second", "graph.node[1].output[1]"),
        (b"raw of first", "graph.node[0].attribute[0].t.raw_data"),
        (b"raw of second", "graph.node[1].attribute[0].t.raw_data"),
    ],
)
def test_the_innermost_field_of_a_byte(text, path):
    data = _model()
    start = data.index(text)
    assert at(data, start) == path
    assert at(data, start + len(text) - 1) == path


def test_a_tag_or_a_length_belongs_to_its_field():
    data = _model()
    assert at(data, data.index(b"graph name") - 1) == "graph.name"
    assert at(data, data.index(b"someone") - 2) == "producer_name"
    assert at(data, 0) == "ir_version"


def test_numbers_of_any_width():
    data = serialise(
        (Field(1, VARINT, 5, wide_value=3), Field(20, FIXED32, 1), Field(8, BYTES, ()), Field(99, FIXED64, 1))
    )
    assert at(data, 4) == "ir_version"
    assert at(data, len(data) - 1) == "field 99"


def test_what_follows_a_number_of_eight_bytes():
    data = serialise((Field(99, FIXED64, 1), Field(2, BYTES, b"someone")))
    assert at(data, len(data) - 1) == "producer_name"


def test_the_first_byte_of_a_message_is_in_its_first_field():
    data = onnx.ModelProto(graph=onnx.GraphProto(name="n")).SerializeToString()
    assert [at(data, offset) for offset in range(len(data))] == ["graph", "graph", *["graph.name"] * 3]


def test_a_file_is_read_to_its_end_and_no_further(tmp_path):
    (tmp_path / "model.onnx").write_bytes(_model())
    with FileSource.open(tmp_path / "model.onnx") as source:
        for offset in range(source.size):
            assert locate(source, offset) == at(_model(), offset) != ""


def test_nothing_is_said_of_what_is_not_there():
    data = _model()
    assert at(data, len(data)) == ""
    assert at(b"", 0) == ""
    assert at(b"\xff" * 20, 3) == ""


def test_a_damaged_message_is_located_as_far_as_it_goes():
    damaged = serialise((Field(7, BYTES, (Field(1, BYTES, b"\xff" * 12),)),))
    assert at(damaged, len(damaged) - 1) == "graph.node[0]"


@given(data=model_bytes(), offset=st.integers(0, 5000))
def test_every_byte_of_a_model_is_located(data, offset):
    if offset < len(data):
        assert at(data, offset)


@given(data=st.binary(max_size=50), offset=st.integers(0, 60))
def test_any_bytes_are_survived(data, offset):
    at(data, offset)


def test_every_byte_of_a_real_model():
    data = seeds.small_models()["if"]
    tops = {field.name for field in wire.MODEL.fields}
    assert {at(data, offset).split(".")[0].split("[")[0] for offset in range(len(data))} <= tops
