"""Payloads of more than one window: copied, hashed on other threads, compared; holes; and all sizes of base64."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING

import onnx
import pytest

from graphml_onnx import PayloadError, StorageError, decode, encode, preview, verify
from graphml_onnx.onnxfile.skeleton import Payload, Stored
from graphml_onnx.onnxfile.source import BytesSource
from graphml_onnx.parameters import store
from graphml_onnx.parameters.embedded import Base64Decoder
from graphml_onnx.parameters.lanes import WINDOW, WORTH_THREADS, DrainingFile, Lane, Windows, ahead
from graphml_onnx.parameters.store import PayloadReference, StoreInfo, store_checksum
from graphml_onnx.parameters.transfer import assemble, collect, first_difference

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


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Payloads that end within a window, whole windows of zeros, many small ones; so much that threads pay."""
    small = [noise(5000 + n) for n in range(40)]
    payloads = [noise(WORTH_THREADS + 5), bytes(2 * WINDOW), noise(7000), b"", *small]
    path = tmp_path_factory.mktemp("large") / "model.onnx"
    path.write_bytes(model_of(*payloads))
    return path


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_windows_come_back(large: Path, strategy: ParameterStrategy) -> None:
    assert verify(large, parameters=strategy).passed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_threads_too(large: Path, monkeypatch: pytest.MonkeyPatch, strategy: ParameterStrategy) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert verify(large, parameters=strategy).passed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_small_payloads_that_add_up_to_more_than_a_window(tmp_path: Path, strategy: ParameterStrategy) -> None:
    """Six Add operators with weights of 200 kB each: joined, they were compared with one window of the original."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model_of(*(noise(200_000 + n) for n in range(6))))
    graph = encode(path, parameters=strategy).graphml
    assert decode(graph, tmp_path / "back.onnx").exact


@pytest.mark.parametrize("offset", [0, WINDOW, WINDOW + 4])
def test_a_byte_changed_in_any_window(large: Path, tmp_path: Path, offset: int) -> None:
    result = encode(large, tmp_path / "graph.graphml")
    assert result.sidecar is not None
    with result.sidecar.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(PayloadError, match="SHA-256"):
        decode(result.graphml, tmp_path / "back.onnx")
    assert not (tmp_path / "back.onnx").exists()


@pytest.mark.parametrize("size", [1, 3, 3071, 3072, 3073, 6144, 10_000])
def test_base64_of_any_size(tmp_path: Path, size: int) -> None:
    """In lines of 4,096 characters; the preview knows how many there will be."""
    (tmp_path / "model.onnx").write_bytes(model_of(noise(size)))
    told = preview(tmp_path / "model.onnx", parameters="embedded", inline_limit=0)
    result = encode(tmp_path / "model.onnx", parameters="embedded", inline_limit=0)
    assert result.graphml.stat().st_size == told.graphml_bytes
    assert decode(result.graphml, tmp_path / "back.onnx").exact


def test_an_error_on_another_thread_is_raised_here() -> None:
    def fail() -> None:
        raise StorageError("full")

    def fail_often() -> None:
        with Lane(threaded=True) as lane:
            for _ in range(10):
                lane.run(fail)

    with pytest.raises(StorageError):
        fail_often()


def test_no_window_is_overwritten_while_it_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing that comes late sees what was read, though all windows share a few pieces of memory."""
    honest = Lane.run
    monkeypatch.setattr(Lane, "run", lambda lane, work: honest(lane, lambda: (time.sleep(0.002), work())[1]))
    content = noise(WORTH_THREADS + 2 * WINDOW + 9)
    source = BytesSource(content)
    payloads = [Payload(3, WORTH_THREADS, 3), Payload(WORTH_THREADS + 3, 2 * WINDOW, WORTH_THREADS + 3)]
    collected = collect(source, payloads, None, lambda _: None)
    assert collected.sha256 == hashlib.sha256(content).hexdigest()
    for reference in collected.references:
        assert reference.sha256 == hashlib.sha256(content[reference.offset : reference.end]).hexdigest()
    pieces = [content[:3], Stored(3), Stored(WORTH_THREADS + 3), content[WORTH_THREADS + 2 * WINDOW + 3 :]]
    references = {reference.offset: reference for reference in collected.references}
    found = assemble(pieces, references, source, io.BytesIO(), lambda _: None, threaded=True)
    assert found == collected.sha256


def test_no_memory_for_a_window(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of the shell: it is told as such, and not as an error of the file that was being written."""

    def fail(*_: int) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr("mmap.mmap", fail)
    with pytest.raises(MemoryError):
        encode(large, tmp_path / "graph.graphml")
    assert list(tmp_path.iterdir()) == []


def test_a_window_stays_while_the_next_ones_are_read() -> None:
    content = noise(10 * WINDOW)
    windows = Windows(BytesSource(content))
    read = [windows.read(start, WINDOW) for start in range(0, 4 * WINDOW, WINDOW)]
    assert b"".join(read) == content[: 4 * WINDOW]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the disk work meanwhile")
@pytest.mark.parametrize("work", ["encode", "decode"])
def test_a_disk_that_fails_while_a_file_grows(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    graph = encode(large, tmp_path / "graph.graphml").graphml

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    output = tmp_path / ("other.onnxdata" if work == "encode" else "back.onnx")
    with pytest.raises(StorageError) as caught:
        _ = encode(large, output.with_suffix(".graphml")) if work == "encode" else decode(graph, output)
    assert caught.value.file == str(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.graphml", "graph.onnxdata"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the disk work meanwhile")
def test_the_disk_is_waited_for_once_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def wait(_: int) -> None:
        begun.release()
        go_on.wait(10)

    monkeypatch.setattr(os, "fdatasync", wait)
    with (tmp_path / "file").open("wb", buffering=0) as file, Lane(threaded=True) as disk:
        draining = DrainingFile(file, disk)
        draining.write(b"a")
        assert begun.acquire(timeout=10)
        draining.write(b"b")
        go_on.set()
        disk.finish()
        assert not begun.acquire(blocking=False)
        draining.write(b"c")
        disk.finish()
        assert begun.acquire(blocking=False)
    assert (tmp_path / "file").read_bytes() == b"abc"


def test_items_ahead_stop_with_who_wants_them() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1, 100):
            made.append(number)
            yield number

    for item in ahead(items(), threaded=True):
        if item == 5:
            break
    assert max(made) < 10


def test_bytes_after_the_last_payload_are_zero(tmp_path: Path) -> None:
    """A store may be longer than its payloads, where a data file of the model ends with padding."""
    reference = PayloadReference(0, 2, store.hashlib.sha256(b"ab").hexdigest())
    info = StoreInfo("sidecar", "s", 10, store_checksum([reference]))
    (tmp_path / "s").write_bytes(b"ab" + bytes(8))
    store.open_store(tmp_path, info, [reference]).close()
    (tmp_path / "s").write_bytes(b"ab" + bytes(7) + b"x")
    with pytest.raises(PayloadError, match="from 2 to 10 between payloads are not zero"):
        store.open_store(tmp_path, info, [reference])


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


def test_base64_that_goes_on_after_its_end() -> None:
    decoder = Base64Decoder(io.BytesIO())
    decoder.feed("AA==")
    with pytest.raises(PayloadError, match="after their end"):
        decoder.feed("AAAA")


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
        decoder.feed(wrapped[start : start + cut])
    decoder.close()
    assert file.getvalue() == data
    assert decoder.size == len(data)


@pytest.mark.parametrize("text", ["AA*A", "AA AA*", "A===", "=AAA", "AA=A", "\u0661AAA", "AA-_"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    decoder = Base64Decoder(io.BytesIO())
    with pytest.raises(PayloadError, match="not base64"):
        decoder.feed(text + "AAAA")


@pytest.mark.parametrize("text", ["A", "AAAAA", "AAAAAA", "AAAA AAA"])
def test_base64_that_is_cut_off_is_refused(text: str) -> None:
    decoder = Base64Decoder(io.BytesIO())
    decoder.feed(text)
    with pytest.raises(PayloadError, match="cut off"):
        decoder.close()
