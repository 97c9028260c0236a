"""What is found in a file, and what is not: payloads, lists, and the messages around them."""

from __future__ import annotations

import onnx
import pytest

from graphml_onnx.onnxfile.extents import Copied, Extent, Lists, find_extents, model_routes, resize
from graphml_onnx.onnxfile.skeleton import split
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.onnxfile.unreadable import MAX_DEPTH
from graphml_onnx.onnxfile.wire import FIXED32, LENGTH_DELIMITED, WireError, encode_varint

LONG = Lists(20, 31)


def found_in(data: bytes, lists: Lists = LONG) -> list[Extent]:
    return find_extents(BytesSource(data), lambda route, start, end: not route.payload or end - start > 100, lists)


def leaves(extents: list[Extent]) -> list[Extent]:
    found = []
    for extent in extents:
        assert extent.children is None or extent.children, "a message with nothing in it"
        found += [extent] if extent.children is None else leaves(extent.children)
    return found


def test_messages_with_nothing_in_them_are_left_out() -> None:
    model = onnx.ModelProto(producer_name="p")
    model.graph.node.add(name="n").attribute.add(name="a", floats=[1.0, 2.0])
    assert found_in(model.SerializeToString()) == []


def test_a_payload_and_the_messages_around_it() -> None:
    model = onnx.ModelProto()
    model.graph.node.add(name="n")
    model.graph.initializer.add(raw_data=b"w" * 101)
    model.graph.initializer.add(raw_data=b"v" * 100)
    data = model.SerializeToString()
    [found] = leaves(found_in(data))
    assert data[found.start : found.end] == b"w" * 101
    assert (found.length_at, found.shape) == (found.start - 1, None)


@pytest.mark.parametrize(("count", "is_taken"), [(19, False), (20, True), (300, True)])
def test_long_lists_are_found(count: int, is_taken: bool) -> None:
    model = onnx.ModelProto()
    model.graph.node.add().attribute.add(floats=range(count), ints=[1])
    data = model.SerializeToString()
    found = leaves(found_in(data))
    assert [(extent.end - extent.start, extent.shape and extent.shape.kind) for extent in found] == (
        [(5 * count, FIXED32)] if is_taken else []
    )
    assert found_in(data, Lists(1 << 62, 31)) == []


def test_two_lists_one_after_the_other() -> None:
    model = onnx.ModelProto()
    model.graph.node.add().attribute.add(floats=range(30), ints=range(40))
    found = leaves(found_in(model.SerializeToString()))
    assert [extent.end - extent.start for extent in found] == [30 * 5, 40 * 2]
    assert found[0].end == found[1].start


@pytest.mark.parametrize(("longest", "is_taken"), [(31, True), (32, False)])
def test_a_list_of_strings_is_taken_where_none_may_be_a_payload(longest: int, is_taken: bool) -> None:
    model = onnx.ModelProto()
    model.graph.initializer.add(string_data=[b"s", b"w" * longest, *[b"s"] * 28])
    found = leaves(found_in(model.SerializeToString()))
    assert [extent.length for extent in found] == ([29 * 3 + 2 + longest] if is_taken else [])


def test_only_what_leads_to_payloads_and_lists_is_entered() -> None:
    graph = model_routes()[onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number].fields
    tensor = graph[onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number].fields
    numbers = {name: field.number for name, field in onnx.TensorProto.DESCRIPTOR.fields_by_name.items()}
    payloads = {name for name, number in numbers.items() if number in tensor and tensor[number].payload}
    assert payloads == {
        *("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"),
    }
    assert [tensor[numbers[name]].text for name in ("raw_data", "string_data", "float_data")] == [False, True, False]
    assert tensor[numbers["string_data"]].shape is not None
    assert tensor[numbers["float_data"]].shape is None  # it is packed
    opset = onnx.ModelProto.DESCRIPTOR.fields_by_name["opset_import"].number
    assert opset not in model_routes()
    assert all(route.payload or route.shape or route.fields for route in graph.values())


def test_a_file_of_one_byte() -> None:
    with pytest.raises(WireError):
        split(BytesSource(b"\x08"), 0)


def test_a_tag_whose_first_byte_is_empty() -> None:
    assert split(BytesSource(b"\x80\x02\x05"), 0).data == b"\x80\x02\x05"  # field 32


def test_resizing_to_the_same_length_copies() -> None:
    data = onnx.ModelProto(
        graph=onnx.GraphProto(initializer=[onnx.TensorProto(raw_data=b"w" * 101)])
    ).SerializeToString()
    extents = found_in(data)
    pieces = list(resize(extents, len(data), lambda extent: extent.length))
    assert all(piece.start < piece.end for piece in pieces if isinstance(piece, Copied))
    parts = [piece if isinstance(piece, bytes) else data[piece.start : piece.end] for piece in pieces]
    assert b"".join(parts) == data


def nested_messages(depth: int) -> bytes:
    """Graphs in attributes of operators of graphs."""
    numbers = [7, *[1, 5, 6] * depth][:depth]  # of graph in ModelProto, node, attribute, g
    data = b""
    for number in reversed(numbers):
        data = encode_varint(number << 3 | LENGTH_DELIMITED) + encode_varint(len(data)) + data
    return data


def test_how_deep_messages_may_be() -> None:
    assert find_extents(BytesSource(nested_messages(MAX_DEPTH)), lambda *_: True) == []
    with pytest.raises(WireError, match=f"more than {MAX_DEPTH} deep"):
        find_extents(BytesSource(nested_messages(MAX_DEPTH + 1)), lambda *_: True)


def groups(depth: int) -> bytes:
    return b"\xbb\x3e" * depth + b"\xbc\x3e" * depth


def test_how_deep_groups_may_be() -> None:
    assert find_extents(BytesSource(groups(100)), lambda *_: True) == []
    with pytest.raises(WireError, match="more than 100 deep"):
        find_extents(BytesSource(groups(101)), lambda *_: True)
