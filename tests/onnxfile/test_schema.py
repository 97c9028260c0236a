from __future__ import annotations

import onnx
import pytest
from hypothesis import given

from graphml_onnx.onnxfile import schema
from tests.strategies.models import model_bytes, paths_to_messages


@given(data=model_bytes())
def test_exact_messages_write_what_they_read(data):
    assert schema.parse_model(data).SerializeToString() == data


def test_every_message_has_an_exact_class_with_the_same_fields():
    for name in paths_to_messages():
        original = onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(name)
        exact = schema.message_class(name.removeprefix("onnx.")).DESCRIPTOR
        assert [field.number for field in exact.fields] == [field.number for field in original.fields]
        assert [field.name for field in exact.fields] == [field.name for field in original.fields]
        assert [field.is_repeated for field in exact.fields] == [field.is_repeated for field in original.fields]
        assert [field.is_packed for field in exact.fields] == [field.is_packed for field in original.fields]


def test_strings_are_bytes_and_floats_are_bits():
    model = onnx.ModelProto(producer_name="é")
    model.graph.node.add().attribute.add(f=1.0)
    data = model.SerializeToString().replace("é".encode(), b"\xff\xfe")
    exact = schema.parse_model(data)
    assert exact.producer_name == b"\xff\xfe"
    assert exact.graph.node[0].attribute[0].f == 0x3F800000


def test_a_message_that_onnx_does_not_have():
    with pytest.raises(KeyError):
        schema.message_class("NoSuchProto")


@pytest.mark.parametrize("data", [b"\x08", b"\x3a\x05\x0a", b"\x0f\x00", b"\x00"])
def test_bytes_that_protobuf_cannot_read(data):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        schema.parse_model(data)


def nested(depth: int) -> bytes:
    """Graphs in attributes of operators in graphs; an exact class writes more than it reads."""
    model = schema.message_class("ModelProto")()
    graph = model.graph
    graph.name = b"g"
    for _ in range(depth):
        graph = graph.node.add().attribute.add().g
    graph.name = b"g"
    return model.SerializeToString()


def test_what_is_nested_too_deep_for_protobuf_says_so():
    schema.parse_model(nested(33))
    with pytest.raises(ValueError, match=r"more than 100 deep \(33 subgraphs\)"):
        schema.parse_model(nested(34))
