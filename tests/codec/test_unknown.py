"""Fields that ONNX does not know, as JSON: what may stand there, and what may not."""

from __future__ import annotations

import pytest

from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.unknown import read_unknown, unknown_json
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import Json, parse

NUMBERS = {field.name: field.number for field in schema.message_class("AttributeProto").DESCRIPTOR.fields}


def comes_back(value: Json) -> Json:
    message = schema.message_class("AttributeProto")()
    read_unknown(message, value)
    return parse(unknown_json(message))


@pytest.mark.parametrize(
    ("field", "kind", "is_known"),
    [
        ("f", "fixed32", True),
        ("f", "varint", False),
        ("f", "bytes", False),  # one number is never packed
        ("i", "varint", True),
        ("i", "fixed64", False),
        ("i", "bytes", False),
        ("floats", "fixed32", True),
        ("floats", "bytes", True),  # packed
        ("ints", "varint", True),
        ("ints", "bytes", True),
        ("name", "bytes", True),
        ("name", "varint", False),
        ("t", "bytes", True),
        ("t", "fixed32", False),
    ],
)
def test_what_protobuf_would_read_as_a_known_field_is_refused(field: str, kind: str, is_known: bool) -> None:
    item: list[Json] = [NUMBERS[field], kind, "" if kind == "bytes" else 1]
    if is_known:
        with pytest.raises(NumberError, match="is known, and not allowed"):
            comes_back([item])
    else:
        assert comes_back([item]) == [item]


@pytest.mark.parametrize("item", ["abc", "ab", {}, 5, None, [], [500, "varint"], [500, "varint", 1, 1]])
def test_an_item_is_number_kind_and_value(item: Json) -> None:
    with pytest.raises(NumberError, match="a list of number, kind and value"):
        comes_back([item])


def groups(depth: int) -> list[Json]:
    found: list[Json] = []
    for _ in range(depth):
        found = [[500, "group", found]]
    return found


def test_how_deep_groups_may_be() -> None:
    assert comes_back(groups(100)) == groups(100)
    with pytest.raises(NumberError, match="nested too deeply"):
        comes_back(groups(101))
