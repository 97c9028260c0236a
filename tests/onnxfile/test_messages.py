"""Counting the messages of a model is counting those that protobuf makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given

from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.messages import count_messages
from tests.strategies.models import model_bytes

if TYPE_CHECKING:
    from google.protobuf.message import Message


def messages_within(message: Message) -> int:
    count = 0
    for field, value in message.ListFields():
        if field.message_type is not None:
            items = value if field.is_repeated else [value]
            count += sum(1 + messages_within(item) for item in items)
    return count


@given(data=model_bytes())
def test_as_many_as_protobuf_makes(data: bytes) -> None:
    assert count_messages(data, 1 << 62) == messages_within(schema.parse_model(data))


def test_what_follows_a_message_is_no_part_of_it() -> None:
    # A graph with an empty operator and an empty initializer, whose number is that of an operator's attributes.
    assert count_messages(b"\x3a\x04\x0a\x00\x2a\x00", 100) == 3


def test_unknown_groups_hold_no_messages() -> None:
    group = b"\xbb\x3e\x3a\x00\xbb\x3e\xbc\x3e\x3a\x00\xbc\x3e"  # with another one in it
    assert count_messages(group + b"\x3a\x00" + group, 100) == 1
