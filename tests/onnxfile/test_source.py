"""Input files: regular files only, read as a whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import GraphmlOnnxError, InputError, ModelError, StorageError, decode, encode
from graphml_onnx.onnxfile import schema, skeleton
from graphml_onnx.onnxfile.source import BytesSource, FileSource
from tests.common import seeds
from tests.common.external_models import external, model_with, save

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="reads with pread")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    return path


@posix
def test_a_system_that_reads_less_at_a_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux does beyond 2 GiB, and network file systems whenever they like."""
    honest = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: honest(descriptor, min(length, 7), offset))
    with FileSource.open(file) as source:
        assert source.read(3, 50) == bytes(range(3, 53))


def test_a_file_that_becomes_shorter_while_it_is_read(file: Path) -> None:
    with FileSource.open(file) as source:
        os.truncate(file, 10)
        with pytest.raises(StorageError, match="changed while it was read"):
            source.read(0, 100)


@posix
@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, StorageError), (errno.ESTALE, InputError)])
def test_a_read_that_fails(file: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]) -> None:
    def pread(*_: int) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", pread)
    with FileSource.open(file) as source:
        with pytest.raises(kind) as caught:
            source.read(0, 1)
        assert caught.value.file == str(file)  # type: ignore[attr-defined]
        assert caught.value.remedy  # type: ignore[attr-defined]


def test_names_that_open_nothing(tmp_path: Path) -> None:
    for path, told in [(tmp_path, "is a directory"), (tmp_path / "a\0b", "file name"), (tmp_path / "no", "no such")]:
        with pytest.raises(InputError, match=told):
            FileSource.open(path)


def test_a_system_that_opens_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows, which says that access is denied."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="is a directory"):
        FileSource.open(tmp_path)


def test_closing_twice_is_allowed(file: Path) -> None:
    source = FileSource.open(file)
    source.close()
    source.close()


def test_a_file_that_is_closed_has_no_state_to_compare(file: Path) -> None:
    source = FileSource.open(file)
    source.close()
    with pytest.raises(GraphmlOnnxError):
        source.check_unchanged()


def test_a_system_that_does_not_tell_the_state_of_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refuse)
        with pytest.raises(StorageError):
            FileSource.open(file)


def test_the_first_descriptor_of_a_process_is_closed_too(file: Path) -> None:
    kept, taken = os.dup(0), os.open(file, os.O_RDONLY)
    try:
        os.dup2(taken, 0)
        FileSource(file, 0).close()
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(taken)


@pytest.mark.parametrize("kind", [ModelError, InputError])
def test_what_is_wrong_with_a_file_that_changed_is_that_it_changed(file: Path, kind: type[GraphmlOnnxError]) -> None:
    def read() -> None:
        with FileSource.open(file):
            file.write_bytes(b"other")
            raise kind("is wrong")

    with pytest.raises(StorageError if kind is ModelError else kind) as caught:
        read()
    assert ("changed while it was read" in caught.value.message) == (kind is ModelError)


def test_a_descriptor_that_cannot_be_shared(file: Path) -> None:
    with pytest.raises(InputError):
        FileSource.sharing(file, -1)


def test_a_data_file_that_is_replaced_between_looking_and_reading(tmp_path: Path) -> None:
    model = save(tmp_path, model_with(external("w", "w.bin")), {"w.bin": bytes(40)})
    names = {path.name for path in tmp_path.iterdir()}

    def replace(stage: str, done: int, total: int, unit: str) -> None:
        if (stage, done) == ("payloads", 0):
            (tmp_path / "new").write_bytes(b"x" * 40)
            (tmp_path / "new").replace(tmp_path / "w.bin")

    with pytest.raises(StorageError, match="changed while it was read"):
        encode(model, progress=replace)
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("told", ["Allocation failed", "Out of memory: failed to allocate"])
def test_too_little_memory_for_a_message_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    class Starved:
        @staticmethod
        def FromString(_: bytes) -> None:
            raise schema.DecodeError(f"Error parsing message with type 'onnx.ModelProto': {told}")

    monkeypatch.setattr(schema, "message_class", lambda _: Starved)
    with pytest.raises(MemoryError):
        schema.parse_model(b"")


def test_too_little_memory_to_write_a_message_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    class Starved:
        @staticmethod
        def SerializeToString() -> bytes:
            raise schema.EncodeError("Failed to serialize proto")

    with pytest.raises(MemoryError):
        schema.serialise(Starved())  # type: ignore[arg-type]


def test_a_group_with_numbers_of_fixed_width(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x3a\x00\xbb\x3e\x0d1234\x1112345678\x08\x05\xbc\x3e")
    result = encode(tmp_path / "model.onnx")
    decoded = decode(result.graphml, tmp_path / "back.onnx")
    assert decoded.exact


def test_a_group_with_a_wire_type_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x3a\x00\xbb\x3e\x0f")
    with pytest.raises(ModelError, match="wire type 7, which protobuf does not know"):
        encode(tmp_path / "model.onnx")


def test_a_model_that_holds_the_first_choice_for_its_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nonce is made from the model's own digest; where it stands in the model already, another one is made."""

    class Digest:
        """Stands for SHA-256, whose outcome nobody can put into the file that it is made from."""

        def __init__(self) -> None:
            self._updates = 0

        def update(self, data: bytes) -> None:
            self._updates += data == b"a" * 16

        def hexdigest(self) -> str:
            return "ba"[self._updates == 0] * 64

    monkeypatch.setattr(skeleton.hashlib, "sha256", Digest)
    text = b"\x12\x10" + b"a" * 16  # producer_name
    made = skeleton.split(BytesSource(seeds.small_models()["large"] + text), 64)
    assert made.nonce == b"b" * 16


def test_a_skeleton_beyond_what_protobuf_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(skeleton, "MAX_SKELETON", 100)
    (tmp_path / "model.onnx").write_bytes(seeds.small_models()["typed"])
    with pytest.raises(ModelError, match="2 GiB"):
        encode(tmp_path / "model.onnx")
