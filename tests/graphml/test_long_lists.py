"""Long lists of a document as tokens: whatever the bytes are, they are the document again with the lists in place."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx.graphml.lists import NotAsWrittenError, without_lists


class Noted:
    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def restart(self) -> None:
        self.spans.clear()

    def add(self, start: int, end: int) -> bytes:
        self.spans.append((start, end))
        return b"\0%d\0" % (len(self.spans) - 1)


def passed_over(data: bytes, size: int, long: int = 4) -> tuple[bytes, list[bytes]]:
    noted = Noted()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    with mock.patch("graphml_onnx.graphml.lists.LONG", long):
        text = b"".join(without_lists(chunks, noted))
    return text, [data[start:end] for start, end in noted.spans]


PARTS = st.lists(
    st.sampled_from(
        [b'"a":', b"[", b"]", b"1", b"-2.5e-3", b",", b'"', b'"x"', b"\\", b'\\"', b"\n", b"<", b'":[1', b'":["', b'"]',
         b'":[1,2,3,4]', b'":["a","b","]"]', b'":["\\"]"]', b'":[]', b"{", b"}", b"text " * 3]
    )
).map(b"".join)  # fmt: skip


@given(data=PARTS, size=st.integers(1, 9), long=st.integers(1, 12))
@example(data=b'":["\\\n"]', size=1, long=1)  # what is escaped starts a chunk
@example(data=b'":["\\<"]', size=1, long=1)
def test_with_its_lists_it_is_the_document(data: bytes, size: int, long: int) -> None:
    try:
        text, lists = passed_over(data, size, long)
    except NotAsWrittenError:
        return
    for number, content in enumerate(lists):
        assert text.count(b"\0%d\0" % number) == 1
        text = text.replace(b"\0%d\0" % number, content)
        assert content[:1] == b"["
        assert content[-1:] == b"]"
        assert not {*content} & {*b"\n<"}
    assert text == data


@pytest.mark.parametrize(
    "content",
    [b"[1,2,3,4,5,6]", b'["a","b","c","d"]', b'["]","\\"]","\\\\"]', b'["NaN",1.0,2.0]', b'[{"$base64":"AA=="},"b"]'],
)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_long_list_becomes_a_token(content: bytes, size: int) -> None:
    line = b'  <data key="attributes">[{"name":"a","x":%b,"type":1}]</data>\n' % content
    text, lists = passed_over(b"short\n" + line + b"short\n", size)
    if content.startswith(b"[{"):
        assert lists == []
    else:
        assert lists == [content]
        assert text == b"short\n" + line.replace(content, b"\x000\x00") + b"short\n"


def test_what_is_not_in_a_long_line_stays() -> None:
    data = b"".join([b'"a":[%d,2,3,4,5,6,7,8,9]\n' % number for number in range(50)])
    for size in (1, 7, 1000):
        assert passed_over(data, size, 64) == (data, [])


@pytest.mark.parametrize("end", [b"", b"\n", b"<"])
def test_a_list_that_does_not_end_in_its_line_is_not_as_written(end: bytes) -> None:
    with pytest.raises(NotAsWrittenError):
        passed_over(b'{"aaaaaaaa":[1,2,3,4,5,6,7,8,9' + end, 5)
