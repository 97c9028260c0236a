"""Streams of chunks: their bounds, what they report, and what is said of bytes that are others."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx import PayloadError
from graphml_onnx.onnxfile.skeleton import Stored
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.parameters.chunks import chunks, packed
from graphml_onnx.parameters.store import PayloadReference
from graphml_onnx.parameters.transfer import check_digest, first_difference
from tests.common.limited import limited

PARTS = st.lists(st.binary(max_size=20))
LIMITS = st.sampled_from([1, 2, 7, 64])


@given(parts=PARTS, limit=LIMITS)
def test_chunks_are_bounded_and_few(parts: list[bytes], limit: int) -> None:
    with limited(limit):
        found = list(packed(parts))
    assert b"".join(found) == b"".join(parts)
    assert all(1 <= len(chunk) <= limit for chunk in found)
    if all(len(part) <= limit for part in parts):  # none is cut, so no chunk would take what follows
        assert all(len(left) + len(right) > limit for left, right in pairwise(found))


@given(content=st.binary(max_size=100), limit=LIMITS, start=st.integers(0, 100))
def test_a_file_is_read_in_bounded_chunks(content: bytes, limit: int, start: int) -> None:
    start = min(start, len(content))
    with limited(limit):
        found = list(chunks(BytesSource(content), start, len(content)))
    assert b"".join(found) == content[start:]
    assert all(1 <= len(chunk) <= limit for chunk in found)


@pytest.mark.parametrize("limit", [1, 7, 64])
def test_a_comparison_tells_how_far_it_is(limit: int) -> None:
    content = bytes(range(100))
    store = BytesSource(b"xxxxx" + content[10:60])
    pieces = [content[:10], Stored(0), content[60:]]
    references = {0: PayloadReference(5, 50, "")}
    told: list[int] = []
    with limited(limit):
        assert first_difference(pieces, references, store, BytesSource(content), told.append) is None
    assert sum(told) == 100
    assert max(told) <= limit


@pytest.mark.parametrize(("name", "remedy"), [("w", "edited_weights=True"), (None, "changed or damaged since")])
def test_a_payload_with_another_digest(name: str | None, remedy: str) -> None:
    reference = PayloadReference(3, 1, hashlib.sha256(b"a").hexdigest(), name)
    check_digest(reference, hashlib.sha256(b"a").hexdigest())
    with pytest.raises(PayloadError, match="but the GraphML says") as caught:
        check_digest(reference, hashlib.sha256(b"b").hexdigest())
    assert remedy in str(caught.value.remedy)
    assert caught.value.place == "byte 3"
