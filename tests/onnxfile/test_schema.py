from __future__ import annotations

import random

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.onnxfile import schema, unreadable
from tests.common import seeds
from tests.strategies.models import model_bytes, paths_to_messages
from tests.strategies.wire import spoil


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


def test_strings_of_nested_messages_are_bytes_too():
    model = onnx.ModelProto()
    model.graph.input.add().type.tensor_type.shape.dim.add(dim_param="é")
    exact = schema.parse_model(model.SerializeToString())
    assert exact.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "é".encode()


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


# protobuf before 7.35 refuses without a reason; each test runs with every release.


@pytest.fixture
def without_reasons(monkeypatch):
    exact = schema.message_class("ModelProto")

    class Silent:
        DESCRIPTOR = exact.DESCRIPTOR

        @staticmethod
        def FromString(data):
            try:
                return exact.FromString(data)
            except schema.DecodeError:
                raise schema.DecodeError("Error parsing message with type 'onnx.ModelProto'") from None

    monkeypatch.setattr(schema, "message_class", lambda _: Silent)


@pytest.mark.usefixtures("without_reasons")
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (nested(34), r"more than 100 deep \(33 subgraphs\)"),
        (b"\x3b" * 101 + b"\x3c" * 101, "more than 100 deep"),
        (b"\x3b\x08\x01", "a group is not closed"),
        (b"\x3c", "wire type 4"),
        (b"\x3b\x44", "wire type 4"),
        (b"\x0f\x00", "wire type 7"),
        (b"\x00\x00", "number 0"),
        (b"\x08", "ends within a number"),
        (b"\x09\x00", "runs past the end"),
        (b"\x0d\x00", "runs past the end"),
        (b"\x3a\x05\x0a", "runs past the end"),
        (b"\x88\x80\x80\x80\x80\x00\x01", "too large"),
        (b"\x3a\xff\xff\xff\xff\x0f", "too large"),
        (b"\x3a\x80\x80\x80\x80\x08", "too large"),
        (b"\x80\x80\x80\x80\x10\x01", "too large"),
        (b"\x3a\x08\x2a\x04\x0a\x02\x01\x80\x52\x00", "packed numbers end within a number"),
        (b"\x3a\x06\x2a\x04\x22\x02\x01\x02", "packed numbers end within a number"),
    ],
)
def test_a_reason_is_found_where_protobuf_gives_none(data, told):
    with pytest.raises(ValueError, match=told):
        schema.parse_model(data)


@pytest.mark.parametrize(
    ("data", "is_read"),
    [
        (b"\x88\x80\x80\x80\x00\x01", True),  # a tag of five bytes
        (b"\x88\x80\x80\x80\x80\x00\x01", False),
        (b"\x41" + bytes(8), True),
        (b"\x41" + bytes(7), False),
        (b"\x45" + bytes(4), True),
        (b"\x45" + bytes(3), False),
        (b"\x3b" * 100 + b"\x3c" * 100, True),
        (b"\x3b" * 101 + b"\x3c" * 101, False),
        (nested(33), True),
        (nested(34), False),
    ],
)
def test_a_reason_is_found_just_where_protobuf_refuses(data: bytes, is_read: bool) -> None:
    exact = schema.message_class("ModelProto")
    assert (unreadable.reason(data, schema.descriptor_of(exact())) is None) == is_read
    if is_read:
        exact.FromString(data)
    else:
        with pytest.raises(schema.DecodeError):
            exact.FromString(data)


def test_where_nothing_is_wrong_with_a_model_memory_is(monkeypatch):
    exact = schema.message_class("ModelProto")

    class Starved:
        DESCRIPTOR = exact.DESCRIPTOR

        @staticmethod
        def FromString(_):
            raise schema.DecodeError("Error parsing message with type 'onnx.ModelProto'")

    data = nested(33)
    monkeypatch.setattr(schema, "message_class", lambda _: Starved)
    with pytest.raises(MemoryError):
        schema.parse_model(data)


@given(st.sampled_from([*seeds.small_models().values()]), st.integers(0, 1 << 32))
def test_a_reason_is_found_for_what_protobuf_refuses_and_for_nothing_else(data, seed):
    exact = schema.message_class("ModelProto")
    rng = random.Random(seed)
    noise = bytes(rng.choices(b"\x3a\x0a\x2a\x02\x01\x00\x08\x0d\xbb\x3e\xbc\x3e\x80\xff", k=rng.randrange(40)))
    for bad in (spoil(data, rng), noise):
        try:
            exact.FromString(bad)
            refused = False
        except schema.DecodeError:
            refused = True
        assert (unreadable.reason(bad, schema.descriptor_of(exact())) is not None) == refused
