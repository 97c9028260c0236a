"""The long lists of a GraphML file: which tokens were used, and what XML does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx.codec.arrays import Integers, Strings
from graphml_onnx.codec.lists import ListsOfDocument
from graphml_onnx.codec.scalars import String
from graphml_onnx.graphml.lists import NotAsWrittenError
from graphml_onnx.graphml.markup import in_xml
from graphml_onnx.onnxfile.lists import ListShape
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED, VARINT, encode_varint
from tests.common.limited import limited

if TYPE_CHECKING:
    from graphml_onnx.codec.arrays import ListCodec
    from graphml_onnx.support.strictjson import Json


TEXTS = ListShape(b"\x4a", LENGTH_DELIMITED)
INTEGERS = ListShape(b"\x40", VARINT)
AWKWARD = st.text(alphabet='a,"\\[]&<>é\n', max_size=4)


class RecordingSource(BytesSource):
    """Keeps the sizes of what is read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.sizes: list[int] = []

    def read(self, offset: int, length: int) -> bytes:
        self.sizes.append(length)
        return bytes(super().read(offset, length))


def lists_of(text: str) -> ListsOfDocument:
    """The lists of a document that has one and nothing else."""
    content = text.encode()
    lists = ListsOfDocument(BytesSource(content))
    lists.add(0, len(content))
    return lists


def token(lists: ListsOfDocument) -> Json:
    return {lists.name: 0}


def test_a_token_is_used_as_a_value() -> None:
    lists = lists_of("[1,2]")
    assert not lists.are_all_used
    assert lists.number({}) is None
    assert lists.number(0) is None
    assert not lists.are_all_used
    assert lists.number(token(lists)) == 0
    assert lists.are_all_used


def test_a_token_is_used_within_a_text() -> None:
    lists = lists_of("[1,2]")
    assert lists.restored(f'{{"ints":{{"{lists.name}":0}}}}') == '{"ints":[1,2]}'
    assert lists.are_all_used


def test_a_second_reading_uses_the_tokens_anew() -> None:
    lists = lists_of("[1,2]")
    lists.number(token(lists))
    assert lists.address(0, Integers(0, 9), INTEGERS) in lists.contents()
    lists.restart()
    assert not lists.contents()
    lists.add(0, 5)
    assert not lists.are_all_used


@pytest.mark.parametrize("character", ["\ufffe", "\uffff"])
def test_characters_that_xml_does_not_hold(character: str) -> None:
    lists = lists_of(f'["{character}"]')
    with pytest.raises(NotAsWrittenError):
        lists.items(0)
    with pytest.raises(NotAsWrittenError):
        lists.restored(f'{{"{lists.name}":0}}')


def test_bytes_that_are_no_text() -> None:
    lists = ListsOfDocument(BytesSource(b'["\xff"]'))
    lists.add(0, 5)
    with pytest.raises(NotAsWrittenError):
        lists.restored(f'{{"{lists.name}":0}}')


def test_other_characters_beyond_ascii_are_text() -> None:
    assert lists_of('["é"]').items(0) == ["é"]


@given(st.lists(AWKWARD, min_size=1), st.sampled_from([1, 7, 64]))
@example(["[", ",", ""], 1)
def test_texts_are_cut_between_two_items(texts: list[str], chunk: int) -> None:
    """Commas, quotation marks and backslashes within a text are no place to cut."""
    lists = lists_of(in_xml(f"[{','.join(String.write(text.encode()) for text in texts)}]"))
    with limited(chunk):
        address = lists.address(0, Strings(String.write, String.read), TEXTS)
    assert address is not None
    encoded = [text.encode() for text in texts]
    content = b"".join(TEXTS.tag + encode_varint(len(text)) + text for text in encoded)
    assert lists.contents()[address].content == content


@pytest.mark.parametrize(
    ("shape", "codec", "item"), [(TEXTS, Strings(String.write, String.read), '"ab"'), (INTEGERS, Integers(0, 99), "7")]
)
def test_a_long_list_is_read_in_pieces(shape: ListShape, codec: ListCodec, item: str) -> None:
    content = f"[{','.join([item] * 500)}]".encode()
    source = RecordingSource(content)
    lists = ListsOfDocument(source)
    lists.add(0, len(content))
    with limited(64):
        assert lists.address(0, codec, shape) is not None
    assert max(source.sizes) <= 64


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([1, 7, 64]))
def test_numbers_are_cut_at_any_comma(numbers: list[int], chunk: int) -> None:
    lists = lists_of(f"[{','.join(map(str, numbers))}]")
    with limited(chunk):
        address = lists.address(0, Integers(-(2**63), 2**63 - 1), INTEGERS)
    assert address is not None
    content = b"".join(INTEGERS.tag + encode_varint(number % 2**64) for number in numbers)
    assert lists.contents()[address].content == content
