"""The stream of chunks and what takes it: bounds, order, threads, the disk, digests, comparison, base64."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import random
import re
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx import PayloadError, StorageError, decode, encode, preview, verify
from graphml_onnx.onnxfile.skeleton import Payload, Stored
from graphml_onnx.onnxfile.source import BytesSource, FileSource
from graphml_onnx.parameters import store
from graphml_onnx.parameters.chunks import Output, chunks, drive, packed
from graphml_onnx.parameters.embedded import Base64Decoder
from graphml_onnx.parameters.store import PayloadReference
from graphml_onnx.parameters.transfer import assemble, collect, first_difference
from graphml_onnx.support import limits
from tests.common.command import PATIENCE
from tests.common.limited import limited

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphml_onnx import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")


def model_of(*payloads: bytes) -> bytes:
    tensors = [
        onnx.TensorProto(name=f"w{number}", data_type=onnx.TensorProto.UINT8, dims=[len(raw)], raw_data=raw)
        for number, raw in enumerate(payloads)
    ]
    node = onnx.helper.make_node("Identity", ["w0"], ["y"])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [len(payloads[0])])
    graph = onnx.helper.make_graph([node], "g", [], [output], tensors)
    return onnx.helper.make_model(graph).SerializeToString()


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Payloads of many chunks and of less than one, and some of zeros."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model_of(noise(20_000), bytes(9_000), noise(7_000), b"", *(noise(1_500 + n) for n in range(9))))
    return path


@pytest.fixture(autouse=True)
def _small_chunks() -> Iterator[None]:
    with limited(1000):
        yield


@given(parts=st.lists(st.binary(max_size=30)), limit=st.integers(1, 20))
def test_packed_gives_the_same_bytes_in_bounded_chunks(parts: list[bytes], limit: int) -> None:
    with limited(limit):
        found = list(packed(parts))
    assert b"".join(found) == b"".join(parts)
    assert all(1 <= len(chunk) <= limit for chunk in found)
    assert all(len(one) + len(other) > limit for one, other in pairwise(found))


def test_a_chunk_that_is_whole_is_not_copied() -> None:
    part = noise(1000)
    assert next(packed([part])) is part


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 2500])
def test_chunks_are_full_but_the_last(size: int) -> None:
    content = noise(size + 5)
    found = list(chunks(BytesSource(content), 3, 3 + size))
    assert b"".join(found) == content[3 : 3 + size]
    assert [len(chunk) for chunk in found[:-1]] == [1000] * (len(found) - 1)
    assert all(0 < len(chunk) <= 1000 for chunk in found)


@pytest.mark.parametrize("threaded", [True, False])
def test_every_sink_takes_every_item_in_order(threaded: bool) -> None:
    taken: list[list[int]] = [[], [], []]
    slow = [lambda n: (time.sleep(0.0005), taken[1].append(n)), taken[2].append]
    drive(range(50), taken[0].append, *slow, threaded=threaded)
    assert taken == [list(range(50))] * 3


def test_a_sink_is_a_few_items_behind_at_most() -> None:
    made, used = [0], [0]

    def items() -> Iterator[int]:
        for number in range(40):
            assert number - used[0] <= 6
            made[0] = number
            yield number

    def slow(_: int) -> None:
        time.sleep(0.001)
        used[0] += 1

    drive(items(), lambda _: None, slow, threaded=True)
    assert used == [40]


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_a_sink_raises_is_raised_once_and_ends_the_stream(failing: int, threaded: bool) -> None:
    taken = []

    def fail(number: int) -> None:
        if number == 3:
            raise StorageError("full")

    sinks = [lambda _: None] * 3
    sinks[failing] = fail
    with pytest.raises(StorageError):
        drive((taken.append(n) or n for n in range(100)), *sinks, threaded=threaded)  # type: ignore[func-returns-value]
    assert len(taken) < 20


@pytest.mark.parametrize("threaded", [True, False])
def test_the_last_item_may_fail_too(threaded: bool) -> None:
    def fail(number: int) -> None:
        if number == 9:
            raise StorageError("full")

    with pytest.raises(StorageError):
        drive(range(10), lambda _: None, fail, threaded=threaded)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_threads_too(model: Path, monkeypatch: pytest.MonkeyPatch, strategy: ParameterStrategy) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert verify(model, parameters=strategy).passed


@pytest.mark.parametrize("threads", [0, 1 << 40])
def test_digests_of_the_whole_and_of_each_payload(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMITS", limits.LIMITS._replace(threads=threads))
    content = noise(9_009)
    payloads = [Payload(3, 4000), Payload(4003, 1000), Payload(5003, 1), Payload(5009, 4000)]
    addresses = [2000, 0, 1000, 6000]
    file = io.BytesIO()
    done: list[int] = []
    collected = collect(BytesSource(content), payloads, addresses, Output(file, "s"), done.append)
    assert sum(done) == len(content)
    assert collected.sha256 == hashlib.sha256(content).hexdigest()
    references = {}
    for payload, address, digest in zip(payloads, addresses, collected.payloads, strict=True):
        data = content[payload.offset : payload.offset + payload.length]
        assert digest == hashlib.sha256(data).hexdigest()
        assert file.getvalue()[address:][: payload.length] == data
        references[payload.offset] = PayloadReference(address, payload.length, digest)
    kept = BytesSource(file.getvalue())
    pieces = [content[:3], Stored(3), Stored(4003), Stored(5003), content[5004:5009], Stored(5009)]
    back = io.BytesIO()
    assert assemble(pieces, references, kept, back.write, done.append, threaded=not threads) == collected.sha256
    assert back.getvalue() == content
    assert sum(done) == 2 * len(content)


@pytest.mark.parametrize("offset", [0, 999, 1000, 20_000])
def test_a_byte_changed_in_any_chunk(model: Path, tmp_path: Path, offset: int) -> None:
    result = encode(model, tmp_path / "graph.graphml")
    assert result.sidecar is not None
    with result.sidecar.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(PayloadError, match=r"SHA-256|not zero"):
        decode(result.graphml, tmp_path / "back.onnx")
    assert not (tmp_path / "back.onnx").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the disk work meanwhile")
@pytest.mark.parametrize("work", ["encode", "decode"])
def test_a_disk_that_fails_while_a_file_grows(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    graph = encode(model, tmp_path / "graph.graphml").graphml

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    output = tmp_path / ("other.onnxdata" if work == "encode" else "back.onnx")
    with pytest.raises(StorageError) as caught:
        _ = encode(model, output.with_suffix(".graphml")) if work == "encode" else decode(graph, output)
    assert caught.value.file == str(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.graphml", "graph.onnxdata", "model.onnx"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the disk work meanwhile")
def test_the_disk_is_waited_for_once_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def wait(_: int) -> None:
        begun.release()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(os, "fdatasync", wait)
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file, Output(file, path, file.fileno()) as output:
        output.write(b"a")
        assert begun.acquire(timeout=PATIENCE)
        output.write(b"b")
        go_on.set()
        output.settle()
        assert not begun.acquire(blocking=False)
        output.write(b"c")
        output.settle()
        assert begun.acquire(blocking=False)
        output.sync()
        output.settle()
        assert begun.acquire(blocking=False)
    assert path.read_bytes() == b"abc"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the disk work meanwhile")
def test_an_error_of_the_disk_is_told_though_it_works_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [OSError(errno.EIO, os.strerror(errno.EIO))]

    def fail_once(_: int) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(os, "fdatasync", fail_once)
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file, Output(file, path, file.fileno()) as output:
        output.write(b"a")
        with pytest.raises(StorageError, match="writing failed"):
            output.sync()


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_the_first_bytes_may_stand_anywhere(offset: int, tmp_path: Path) -> None:
    file = io.BytesIO()
    output = Output(file, tmp_path)
    output.write_at(offset, b"ab")
    output.write(b"c")
    assert file.getvalue() == bytes(offset) + b"abc"


def test_a_small_file_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("it waited"), raising=False)
    with (tmp_path / "file").open("wb", buffering=0) as file, Output(file, tmp_path / "file") as output:
        output.write(b"a")
        output.sync()
        output.settle()


def test_a_file_that_takes_little_at_a_time() -> None:
    class Slow(io.BytesIO):
        taken: bool = False

        def write(self, data: bytes | memoryview, /) -> int | None:  # type: ignore[override]
            self.taken = not self.taken
            return super().write(bytes(data[:3])) if self.taken else None

    file = Slow()
    Output(file, "slow").write_at(4, noise(10))
    assert file.getvalue() == bytes(4) + noise(10)


STAGES = ("payloads", "write graph", "check")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("change", ["overwrite", "append", "cut", "replace"])
def test_a_model_that_changes_while_it_is_encoded(model: Path, stage: str, change: str) -> None:
    """Told as that, and never as an error to report: the bytes that were read belong to no one file."""
    before = set(model.parent.iterdir())

    def spoil(name: str, done: int, total: int, unit: str) -> None:
        if name != stage or done:
            return
        content = model.read_bytes()
        if change == "replace":
            (model.parent / "new").write_bytes(content)
            (model.parent / "new").replace(model)
        elif change == "overwrite":
            with model.open("r+b") as file:
                file.seek(len(content) // 2)
                file.write(bytes(500))
        else:
            model.write_bytes(content + b"x" if change == "append" else content[:5000])

    with pytest.raises(StorageError, match="changed while it was read") as caught:
        encode(model, progress=spoil)
    assert caught.value.file == str(model)
    assert set(model.parent.iterdir()) == before


def test_a_sidecar_that_changes_while_it_is_decoded(model: Path, tmp_path: Path) -> None:
    result = encode(model, tmp_path / "graph.graphml")
    assert result.sidecar is not None
    sidecar = result.sidecar

    def spoil(name: str, done: int, total: int, unit: str) -> None:
        if name == "write model":
            with sidecar.open("r+b") as file:
                file.write(os.urandom(64))

    with pytest.raises((StorageError, PayloadError)):
        decode(result.graphml, tmp_path / "back.onnx", progress=spoil)
    assert not (tmp_path / "back.onnx").exists()


@pytest.mark.parametrize("size", [1, 3, 3071, 3072, 3073, 6144, 10_000])
def test_base64_of_any_size(tmp_path: Path, size: int) -> None:
    """In lines of 4,096 characters; the preview knows how many there will be."""
    (tmp_path / "model.onnx").write_bytes(model_of(noise(size)))
    told = preview(tmp_path / "model.onnx", parameters="embedded", inline_limit=0)
    result = encode(tmp_path / "model.onnx", parameters="embedded", inline_limit=0)
    assert result.graphml.stat().st_size == told.graphml_bytes
    assert decode(result.graphml, tmp_path / "back.onnx").exact


def test_payloads_lie_in_their_store_side_by_side() -> None:
    references = [PayloadReference(offset, length, "") for offset, length in ((8, 4), (0, 9), (12, 5), (20, 0))]
    assert list(store.range_problems(references, 16)) == [
        "the payload of 4 bytes at offset 8 overlaps the one before it",
        "the payload of 5 bytes at offset 12 goes beyond its store of 16 bytes",
        "the payload of 0 bytes at offset 20 goes beyond its store of 16 bytes",
    ]


@pytest.mark.parametrize("position", [0, 7, 4999, 5000, 5007])
def test_the_first_difference_is_found(position: int) -> None:
    """In the skeleton, in a payload, and at the end."""
    pieces = [b"0123456", Stored(0), b"tail"]
    payload = noise(5000 - 7)
    references = {0: PayloadReference(0, len(payload), "")}
    original = bytearray(b"0123456" + payload + b"tail!!!!")
    original[position] ^= 1
    found = first_difference(pieces, references, BytesSource(payload), BytesSource(bytes(original)), lambda _: None)
    assert found == min(position, 5004)


@pytest.mark.parametrize("size", [0, 3, 7, 8, 5006, 5007, 5010])
def test_a_file_that_ends_too_early_differs_at_its_end(size: int, tmp_path: Path) -> None:
    payload = noise(5000)
    whole = b"0123456" + payload + b"tail"
    (tmp_path / "short").write_bytes(whole[:size])
    references = {0: PayloadReference(0, len(payload), "")}
    with FileSource.open(tmp_path / "short") as original:
        found = first_difference([whole[:7], Stored(0), b"tail"], references, BytesSource(payload), original, print)
    assert found == size


def test_base64_that_goes_on_after_its_end() -> None:
    decoder = Base64Decoder(io.BytesIO())
    decoder.feed(b"AA==")
    with pytest.raises(PayloadError, match="after their end"):
        decoder.feed(b"AAAA")


@pytest.mark.parametrize("position", [None, 0, 7, 17, 18, 27, 28, 30])
def test_a_store_that_is_the_file_is_compared_where_it_is_not_in_its_place(position: int | None) -> None:
    """The payload at 7 is where it belongs, and is not compared with itself; that at 20 has moved to 18."""
    file = bytearray(b"0123456" + noise(10) + b"-" + b"moved-ten!" + b"end")
    pieces = [b"0123456", Stored(7), b"-", Stored(18), b"end"]
    references = {7: PayloadReference(7, 10, ""), 18: PayloadReference(18, 10, "")}
    moved = [b"0123456", Stored(7), b"--", Stored(18), b"end"]

    original = BytesSource(bytes(file))
    assert first_difference(pieces, references, original, original, lambda _: None) is None
    assert first_difference(moved, references, original, original, lambda _: None) == 18
    elsewhere = [b"0123456", Stored(18), b"-", Stored(18), b"end"]
    assert first_difference(elsewhere, references, original, original, lambda _: None) == 7
    other = BytesSource(bytes(file[:9]) + b"?" + bytes(file[10:]))  # a store of its own, with the same addresses
    assert first_difference(pieces, references, other, original, lambda _: None) == 9
    if position is not None:
        file[position] ^= 1
        found = first_difference(
            [bytes(BytesSource(bytes(file)).read(0, 7)), Stored(7), bytes(file[17:28]), bytes(file[28:])],
            references, original, original, lambda _: None,
        )  # fmt: skip
        assert found == (None if 7 <= position < 17 else position)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 7, 1000])
@pytest.mark.parametrize("between", [" ", "\n  ", "\t\n", " \n \n "])
def test_base64_that_a_tool_has_wrapped_in_its_own_way(cut: int, between: str) -> None:
    data = noise(500)
    text = base64.b64encode(data).decode()
    wrapped = between.join(text[start : start + 5] for start in range(0, len(text), 5))
    file = io.BytesIO()
    decoder = Base64Decoder(file)
    for start in range(0, len(wrapped), cut):
        decoder.feed(wrapped[start : start + cut].encode())
    decoder.close()
    assert file.getvalue() == data
    assert decoder.size == len(data)


@pytest.mark.parametrize("text", ["AA*A", "****", "AA AA*", "A===", "=AAA", "AA=A", "\u0661AAA", "AA-_"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    decoder = Base64Decoder(io.BytesIO())
    with pytest.raises(PayloadError, match="not base64"):
        decoder.feed((text + "AAAA").encode())


@pytest.mark.parametrize("text", ["A", "AAAAA", "AAAAAA", "AAAA AAA"])
def test_base64_that_is_cut_off_is_refused(text: str) -> None:
    decoder = Base64Decoder(io.BytesIO())
    decoder.feed(text.encode())
    with pytest.raises(PayloadError, match="cut off"):
        decoder.close()


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""RFC 4648, section 4; not `binascii`'s strict mode, which passes over the padding of ``0000=`` in Python 3.11."""


@given(st.text("AQz09+/= \n\t\r*_", max_size=24), st.lists(st.integers(0, 24)))
@example(text="0000=", cuts=[])
def test_base64_is_what_its_specification_says(text: str, cuts: list[int]) -> None:
    """Whatever the pieces; of white space only XML's is passed over."""
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    file = io.BytesIO()
    decoder = Base64Decoder(file)
    joined = "".join(text.split())
    try:
        for start, end in pairwise(places):
            decoder.feed(data[start:end])
        decoder.close()
    except PayloadError:
        assert not _BASE64.fullmatch(joined)
    else:
        assert _BASE64.fullmatch(joined)
        assert file.getvalue() == base64.b64decode(joined)


@pytest.mark.parametrize("text", ["\x0bAAAA", "AAAA\xa0", "AAAA\u2028", "\udcffAAA"])
def test_other_white_space_is_no_base64(text: str) -> None:
    with pytest.raises(PayloadError, match="not base64"):
        Base64Decoder(io.BytesIO()).feed((text + "AAAA").encode(errors="surrogateescape"))


def test_what_is_written_goes_on_after_what_was_written_last(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file, Output(file, tmp_path / "file") as output:
        output.write_at(4, b"abc")
        output.write(b"d")
        output.write_at(1, b"x")
        output.write(b"y")
    assert (tmp_path / "file").read_bytes() == b"\0xy\0abcd"


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object, /) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Output(Full(), tmp_path / "file") as output, pytest.raises(StorageError, match="No space"):
        output.write(b"abc")


@pytest.mark.parametrize("fails", [False, True])
def test_no_thread_is_left(tmp_path: Path, fails: bool) -> None:
    before = threading.active_count()
    with suppress(ZeroDivisionError), (tmp_path / "file").open("wb", buffering=0) as file:
        with Output(file, tmp_path / "file", file.fileno()) as output:
            output.write(b"abc")
            if fails:
                raise ZeroDivisionError
        drive([b"abc"], lambda _: None, lambda _: None, threaded=True)
    assert threading.active_count() == before


@pytest.mark.parametrize("external", [False, True])
def test_verify_tells_where_the_self_check_failed(model: Path, monkeypatch: pytest.MonkeyPatch, external: bool) -> None:
    """A payload, whose first byte is not what it was when it lies in the store."""
    if external:
        onnx.save(onnx.load(model), model, save_as_external_data=True, location="data", size_threshold=0)
    original = Output.write_at

    def write_at(self: Output, offset: int, data: bytes | memoryview) -> None:
        if isinstance(data, memoryview):  # payloads are
            data = bytes([data[0] ^ 1]) + bytes(data[1:])
        original(self, offset, data)

    monkeypatch.setattr(Output, "write_at", write_at)
    report = verify(model)
    assert not report.passed
    assert report.difference is not None
    if external:
        assert (report.difference.offset, report.difference.path) == (0, "")
    else:
        assert report.difference.path == "graph.initializer[0].raw_data"
        assert f"differs in graph.initializer[0].raw_data at byte {report.difference.offset}" in report.checks[0].detail
