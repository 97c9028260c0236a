"""The safetensors format as it is written here is read by the library, and what the library writes is read here."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx import PayloadError
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.parameters import safetensors as sidecar
from graphml_onnx.parameters.safetensors import (
    MAX_HEADER,
    TensorSpec,
    content_size,
    header_of,
    lay_out,
    parse_header,
    raw_header,
    read_header,
)
from graphml_onnx.support import limits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DTYPES = ("BOOL", "F4", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16",
          "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64")  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda name: name != "__metadata__")


@st.composite
def tensors(draw: st.DrawFn) -> list[TensorSpec]:
    """Tensors of all types and small shapes, in any order."""
    made = []
    for name in draw(st.lists(NAMES, unique=True, max_size=8)):
        dtype = draw(st.sampled_from(DTYPES))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        size = content_size(dtype, shape)
        made.append(TensorSpec(name, dtype, shape, size) if size is not None else TensorSpec(name, "U8", (3,), 3))
    return made


def file_of(specs: list[TensorSpec], metadata: dict[str, str]) -> bytes:
    layout = lay_out(specs)
    content = b"".join(bytes([number % 256]) * spec.length for number, spec in enumerate(layout.order))
    return header_of(layout, metadata) + content


@given(specs=tensors(), metadata=st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_is_written_is_read_by_the_library_and_here(specs: list[TensorSpec], metadata: dict[str, str]) -> None:
    content = file_of(specs, metadata)
    read = {name: (item["dtype"], tuple(item["shape"]), bytes(item["data"])) for name, item in deserialised(content)}
    assert read == {
        spec.name: (spec.dtype, spec.shape, bytes([number % 256]) * spec.length)
        for number, spec in enumerate(lay_out(specs).order)
    }
    header = read_header(BytesSource(content))
    assert {tensor.spec for tensor in header.tensors.values()} == set(specs)
    assert header.metadata == metadata
    for tensor in header.tensors.values():
        assert content[tensor.offset : tensor.end] == read[tensor.spec.name][2]
    assert raw_header(BytesSource(content)) == content[: header.size]


def deserialised(content: bytes) -> list[tuple[str, dict[str, object]]]:
    return safetensors.deserialize(content)


@given(st.permutations([dtype for dtype in DTYPES if dtype != "F4"]))
def test_the_order_of_types_is_that_of_the_library(order: list[str]) -> None:
    """So each tensor is aligned to its elements."""
    specs = [TensorSpec(dtype, dtype, (24,), content_size(dtype, (24,)) or 0) for dtype in order]
    layout = lay_out(specs)
    theirs = {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape), "data": bytes(spec.length)} for spec in specs}
    expected = [name for name, _ in sorted(theirs.items(), key=lambda item: -DTYPES.index(item[0]))]
    assert [spec.name for spec in layout.order] == expected
    for spec, offset in zip(layout.order, layout.offsets, strict=True):
        assert offset % (spec.length // 24) == 0


def test_tensors_of_one_type_stay_in_the_given_order() -> None:
    specs = [
        TensorSpec(name, dtype, (2,), 2 * size)
        for name, dtype, size in (("z", "F32", 4), ("b", "I64", 8), ("a", "F32", 4))
    ]
    assert [spec.name for spec in lay_out(specs).order] == ["b", "z", "a"]


def test_the_library_writes_the_same_order_of_types(tmp_path: Path) -> None:
    arrays = {
        dtype: np.zeros(3, dtype)
        for dtype in (
            "bool",
            "uint8",
            "int8",
            "int16",
            "uint16",
            "float16",
            "int32",
            "uint32",
            "float32",
            "complex64",
            "float64",
            "int64",
            "uint64",
        )
    }
    safetensors.numpy.save_file(arrays, tmp_path / "a")
    theirs = read_header(BytesSource((tmp_path / "a").read_bytes()))
    assert list(theirs.tensors) == list(reversed(arrays))
    ours = lay_out([tensor.spec for tensor in theirs.tensors.values()][::-1])
    assert [spec.name for spec in ours.order] == list(theirs.tensors)


def raw(members: object, content: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header: text, bytes, or what becomes JSON."""
    text = (
        members
        if isinstance(members, bytes)
        else (members if isinstance(members, str) else json.dumps(members)).encode()
    )
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def tensor(start: int, end: int, dtype: object = "U8", shape: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


HOSTILE = {
    "nothing": (b"", "0 bytes"),
    "seven bytes": (bytes(7), "7 bytes"),
    "a header beyond the file": (raw({}, length=3), "more than the file"),
    "a header of 2**64 - 1 bytes": (raw({}, length=2**64 - 1), "more than the file"),
    "no header": (raw(b""), "not JSON"),
    "a list": (raw([]), "not a JSON object"),
    "space before the header": (raw(b" {}"), "not a JSON object"),
    "no JSON": (raw(b"{'a':1}"), "not JSON"),
    "two headers": (raw(b"{}{}"), "not JSON"),
    "not UTF-8": (raw(b'{"\xff":1}'), "not JSON"),
    "deep": (raw(b'{"a":' + b"[" * 50_000), "not JSON"),
    "a name twice": (raw('{"a":%s,"a":%s}' % ((json.dumps(tensor(0, 1)),) * 2), b"x"), "duplicate key"),
    "a member twice": (
        raw('{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"x"), "duplicate key"),
    "NaN as an offset": (raw('{"a":{"dtype":"U8","shape":[1],"data_offsets":[NaN,1]}}', b"x"), "NaN is not JSON"),
    "half a surrogate": (raw({"\ud800": tensor(0, 1)}, b"x"), "is no text"),
    "metadata that are numbers": (raw({"__metadata__": {"a": 1}}), "object of texts"),
    "metadata that are a text": (raw({"__metadata__": "a"}), "object of texts"),
    "a tensor that is a number": (raw({"a": 1}), "needs dtype"),
    "a tensor without shape": (raw({"a": {"dtype": "U8", "data_offsets": [0, 0]}}), "needs dtype"),
    "a tensor with more": (raw({"a": {**tensor(0, 1), "x": 1}}, b"x"), "nothing else"),
    "a type that is none": (raw({"a": tensor(0, 1, "F31")}, b"x"), "unknown dtype"),
    "a type that is a list": (raw({"a": tensor(0, 1, ["U8"])}, b"x"), "unknown dtype"),
    "a shape that is a number": (raw({"a": tensor(0, 1, shape=1)}, b"x"), "an invalid shape"),
    "a negative dimension": (raw({"a": tensor(0, 1, shape=[-1])}, b"x"), "an invalid shape"),
    "a dimension of 1.0": (raw({"a": tensor(0, 1, shape=[1.0])}, b"x"), "an invalid shape"),
    "a dimension that is true": (raw({"a": tensor(0, 1, shape=[True])}, b"x"), "an invalid shape"),
    "a dimension of 2**64": (raw({"a": tensor(0, 1, shape=[2**64])}, b"x"), "an invalid shape"),
    "a shape that overflows": (raw({"a": tensor(0, 1, shape=[2**40, 2**40])}, b"x"), "not fit U8"),
    "a shape that overflows before it is empty": (raw({"a": tensor(0, 0, shape=[2**61, 2**61, 0])}), "not fit U8"),
    "a shape of another size": (raw({"a": tensor(0, 1, "F32")}, b"x"), "not fit F32"),
    "half a byte": (raw({"a": tensor(0, 1, "F4", [1])}, b"x"), "not fit F4"),
    "three offsets": (raw({"a": {**tensor(0, 1), "data_offsets": [0, 1, 1]}}, b"x"), "an invalid shape"),
    "offsets in the wrong order": (raw({"a": {**tensor(0, 0), "data_offsets": [1, 0]}}, b"x"), "an invalid shape"),
    "an offset below 0": (raw({"a": {**tensor(0, 2), "data_offsets": [-1, 1]}}, b"xx"), "an invalid shape"),
    "an offset of 2**63": (raw({"a": {**tensor(0, 1), "data_offsets": [2**63, 2**63 + 1]}}, b"x"), "an invalid shape"),
    "tensors that overlap": (raw({"a": tensor(0, 2), "b": tensor(1, 3)}, b"xxx"), "overlaps"),
    "tensors in one place": (raw({"a": tensor(0, 2), "b": tensor(0, 2)}, b"xx"), "overlaps"),
    "a gap": (raw({"a": tensor(0, 1), "b": tensor(2, 3)}, b"xxx"), "leaves a gap"),
    "a gap at the start": (raw({"a": tensor(1, 2)}, b"xx"), "leaves a gap"),
    "more bytes than tensors": (raw({"a": tensor(0, 1)}, b"xx"), "tensors end at"),
    "fewer bytes than tensors": (raw({"a": tensor(0, 3)}, b"xx"), "tensors end at"),
    "offsets far beyond": (raw({"a": tensor(0, 2**61)}, b"xx"), "tensors end at"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(name: str) -> None:
    content, told = HOSTILE[name]
    with pytest.raises(PayloadError, match=told) as caught:
        read_header(BytesSource(content))
    assert caught.value.place is not None
    assert caught.value.remedy


@pytest.mark.parametrize("name", HOSTILE)
def test_what_the_library_refuses_is_refused(name: str) -> None:
    """The library lets some of them pass (names that stand twice, more members, space); nothing here is laxer."""
    stricter = ("twice", "space before", "a tensor with more", "shape that overflows before")
    content, _ = HOSTILE[name]
    try:
        safetensors.deserialize(content)
    except Exception:  # noqa: BLE001 whatever the library raises
        return
    assert any(part in name for part in stricter), name


@pytest.mark.parametrize(
    ("content", "before_the_end"),
    [
        (bytes(7), 7),
        (raw({}, length=3), 10),
        (raw([]), 2),
        (raw({"a": tensor(0, 1), "b": tensor(1, 2, "F32")}, b"xx"), 1),
        (raw({"a": tensor(0, 1), "b": tensor(2, 3)}, b"xxx"), 1),
    ],
)
def test_an_error_names_the_byte(content: bytes, before_the_end: int) -> None:
    with pytest.raises(PayloadError) as caught:
        read_header(BytesSource(content))
    assert caught.value.place == f"byte {len(content) - before_the_end}"


def test_messages_show_the_start_of_long_names_and_shapes() -> None:
    shape = [1] * 8 + [2, 3]
    for name, shown in [("n" * 80, "n" * 80), ("n" * 81, "n" * 80 + "...")]:
        with pytest.raises(PayloadError) as caught:
            read_header(BytesSource(raw({name: tensor(0, 1, shape=shape)}, b"x")))
        assert caught.value.message == f"the tensor {shown!r} has 1 bytes, which does not fit U8{[1] * 8}"


def test_a_header_may_name_tensors_in_any_order() -> None:
    members = {"c": tensor(3, 3), "b": tensor(1, 3), "a": tensor(0, 1), "d": tensor(3, 4)}
    found = read_header(BytesSource(raw(members, b"abbd")))
    start = found.size
    assert [(name, item.offset - start, item.end - start) for name, item in found.tensors.items()] == [
        ("a", 0, 1), ("b", 1, 3), ("c", 3, 3), ("d", 3, 4),
    ]  # fmt: skip


@given(specs=tensors(), metadata=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_tensors_start_where_the_widest_elements_may(specs: list[TensorSpec], metadata: dict[str, str]) -> None:
    header = header_of(lay_out(specs), metadata)
    assert len(header) % 8 == 0
    assert not header[8:].rstrip(b" ").endswith(b" ")
    assert len(header) - len(header.rstrip(b" ")) < 8


@pytest.mark.parametrize(("shape", "size"), [([1 << 62], 1 << 62), ([(1 << 62) + 1], None), ([1 << 61, 3], None)])
def test_no_content_is_larger_than_any_file(shape: list[int], size: int | None) -> None:
    assert content_size("U8", shape) == size


def test_the_limit_of_a_header_is_told_apart_from_the_end_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "MAX_HEADER", 10)
    assert read_header(BytesSource(raw(b"{}        "))).size == 18
    for content, limit in [(raw(b"{}         "), "the limit of 10"), (raw(b"{}         ", length=12), "the file")]:
        with pytest.raises(PayloadError, match=f"more than {limit} "):
            read_header(BytesSource(content))


def _member(name: str, start: int, end: int) -> str:
    return f'"{name}":{json.dumps(tensor(start, end))}'


def _shape(items: str) -> bytes:
    """One tensor of two bytes, whose shape is this text."""
    return raw(f'{{"a":{{"dtype":"U8","shape":[{items}],"data_offsets":[0,2]}}}}', b"xx")


def _object(members: Iterable[str]) -> str:
    return f"{{{','.join(members)}}}"


GROWING = {
    "tensors in one place": lambda n: raw(_object(_member(f"t{i}", 0, 1) for i in range(n // 60)), b"x"),
    "gaps": lambda n: raw(_object(_member(f"t{i}", 2 * i + 1, 2 * i + 2) for i in range(n // 60)), b"x"),
    "one name": lambda n: raw(_object([_member("t", 0, 1)] * (n // 60)), b"x"),
    "one far beyond": lambda n: raw(
        _object([*(_member(f"t{i}", i, i + 1) for i in range(n // 60)), _member("z", n // 60, 2**61)])),
    "deep lists": lambda n: raw('{"a":' + "[" * n),
    "deep objects": lambda n: raw('{"a":' * (n // 5)),
    "digits": lambda n: _shape("9" * n),
    "numbers of many digits": lambda n: _shape(",".join(["9" * 4_000] * (n // 4_000))),
    "an exponent": lambda n: _shape("1e" + "9" * n),
    "dimensions that multiply": lambda n: _shape(",".join("2" * (n // 2))),
    "dimensions of 1": lambda n: _shape(",".join("1" * (n // 2))),
    "dimensions after 0": lambda n: _shape("0," + ",".join(["99999999"] * (n // 9))),
    "dimensions below 0": lambda n: _shape(",".join(["-1"] * (n // 3))),
    "a late infinity": lambda n: _shape(",".join("1" * (n // 2)) + ",-Infinity"),
    "a name": lambda n: raw({"n" * n: tensor(0, 1, "F32")}, b"x"),
    "a name of half surrogates": lambda n: raw({"\ud800" * (n // 6): tensor(0, 1)}, b"x"),
    "a type": lambda n: raw({"a": tensor(0, 1, "F" * n)}, b"x"),
    "a type that is a list": lambda n: raw({"a": tensor(0, 1, [1] * (n // 3))}, b"x"),
    "metadata": lambda n: raw({"__metadata__": {**{f"k{i}": "v" for i in range(n // 14)}, "z": 1}}),
    "members": lambda n: raw({"a": {f"k{i}": "v" for i in range(n // 14)}}),
    "a late byte that is not UTF-8": lambda n: raw(b'{"a":"' + b"x" * n + b'\xff"}'),
    "UTF-16": lambda n: raw(_object([_member("a" * (n // 2), 0, 1)]).encode("utf-16"), b"x"),
    "a byte order mark": lambda n: raw(b"\xef\xbb\xbf{" + b" " * n + b"}"),
    "spaces": lambda n: raw("{" + " " * n + "]"),
    "zeros": lambda n: raw(b"{" + bytes(n) + b"}"),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_a_long_hostile_header_costs_in_proportion(name: str) -> None:
    """Refused, with a short message; the memory grows with the file and no faster."""
    for size in (20_000, 80_000):
        content = GROWING[name](size)
        tracemalloc.start()
        try:
            with pytest.raises(PayloadError) as caught:
                read_header(BytesSource(content))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(str(caught.value)) < 1_000
        if limits.LIMITS.chunk > 1:  # each byte is an object otherwise
            assert peak < 40 * len(content) + 200_000


class Sparse(BytesSource):
    """A file that claims to be large, and counts what is read of it."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(head)
        self._size = size
        self.read_bytes = 0

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        self.read_bytes += length
        return super().read(offset, length).ljust(length, b" ")


def test_a_huge_header_is_refused_before_it_is_read() -> None:
    source = Sparse(struct.pack("<Q", MAX_HEADER + 1), 1 << 40)
    with pytest.raises(PayloadError, match="more than the limit of 100,000,000"):
        read_header(source)
    assert source.read_bytes == 8


@given(content=st.binary(max_size=60), length=st.integers(0, 80))
def test_any_bytes_are_refused_or_read(content: bytes, length: int) -> None:
    source = BytesSource(struct.pack("<Q", length) + content)
    try:
        read_header(source)
    except PayloadError:
        return
    safetensors.deserialize(struct.pack("<Q", length) + content)


@given(specs=tensors(), data=st.data())
def test_a_header_with_any_byte_changed_is_never_laxer_than_the_library(
    specs: list[TensorSpec], data: st.DataObject
) -> None:
    content = bytearray(file_of(specs, {"a": "b"}))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        read_header(BytesSource(bytes(content)))
    except PayloadError:
        return
    safetensors.deserialize(bytes(content))


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_tensors(count: int) -> None:
    specs = [TensorSpec(f"layer.{number}.weight", "F32", (1,), 4) for number in range(count)]
    header = header_of(lay_out(specs), {})
    assert len(parse_header(header, len(header) + 4 * count).tensors) == count
