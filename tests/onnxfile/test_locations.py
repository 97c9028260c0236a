"""Where data files may lie, and opening them there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from graphml_onnx.errors import ExternalDataError, InputError
from graphml_onnx.onnxfile import external
from graphml_onnx.onnxfile.external import LocationError, check_location, external_tensors, open_external
from graphml_onnx.onnxfile.schema import parse_model
from tests.common.external_models import external as external_tensor
from tests.common.external_models import model_with

posix = pytest.mark.skipif(sys.platform == "win32", reason="no links, and devices in every folder")


@pytest.mark.parametrize(
    ("location", "normal"),
    [("w.bin", "w.bin"), ("a/b/w.bin", "a/b/w.bin"), ("./a//w.bin", "a/w.bin"), ("x" * 4096, "x" * 4096)],
)
def test_locations_in_the_folder(location: str, normal: str) -> None:
    assert check_location(location) == normal


@pytest.mark.parametrize(
    ("location", "told", "remedy"),
    [
        ("", "is empty", "save the model again with the name"),
        ("y" * 4097, f"'{'y' * 40}'... is longer than 4,096 characters", None),
        ("../w.bin", "leads out of the model's folder", None),
        ("/w.bin", "leads out of the model's folder", None),
        (".", "leads out of the model's folder", None),
        ("a/.w.bin.0123456789abcdef.g2o-tmp", "reserved for temporary files", "rename the data file"),
        ("a/NUL/w.bin", "the name of a device of Windows", "rename the data file"),
        ("a\\w.bin", "has a backslash", "'/' between folders"),
        ("c:w.bin", "the character ':'", "rename the data file"),
    ],
)
def test_locations_that_no_data_file_can_have(location: str, told: str, remedy: str | None) -> None:
    with pytest.raises(LocationError) as caught:
        check_location(location)
    assert told in str(caught.value)
    assert remedy is None if caught.value.remedy is None else remedy in caught.value.remedy


@pytest.mark.parametrize(("platform", "is_refused"), [("linux", False), ("win32", True)])
def test_names_of_devices_with_a_suffix_are_devices_on_windows(
    monkeypatch: pytest.MonkeyPatch, platform: str, is_refused: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert check_location("a/nul2.bin") == "a/nul2.bin"
    if is_refused:
        with pytest.raises(LocationError):
            check_location("a/nul.bin")
    else:
        assert check_location("a/nul.bin") == "a/nul.bin"


def test_the_remedy_of_a_location_without_one_of_its_own() -> None:
    model = model_with(external_tensor("w", "../w.bin"))
    data = model.SerializeToString()
    with pytest.raises(ExternalDataError) as caught:
        external_tensors(parse_model(data), data)
    assert caught.value.remedy == "every data file must lie in the folder of the model"


@posix
@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_that_appear_after_the_check_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: str
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "w.bin").write_bytes(b"secret")
    (tmp_path / "a").mkdir()
    if linked == "file":
        (tmp_path / "a" / "w.bin").symlink_to(tmp_path / "secret" / "w.bin")
    else:
        (tmp_path / "a").rmdir()
        (tmp_path / "a").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)
    with pytest.raises((ExternalDataError, InputError)):
        open_external(tmp_path, "a/w.bin")


@pytest.mark.parametrize("missing", ["dir_fd", "no_follow"])
def test_a_system_that_opens_by_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "w.bin").write_bytes(b"w")
    honest = os.open

    def by_path(path: str | Path, flags: int, mode: int = 0o777) -> int:
        return honest(path, flags, mode)

    if missing == "dir_fd":
        monkeypatch.setattr(os, "supports_dir_fd", set())
    else:
        monkeypatch.setattr(os, "supports_dir_fd", {by_path})
        monkeypatch.setattr(external, "_NOFOLLOW", 0)
    monkeypatch.setattr(os, "open", by_path)
    with open_external(tmp_path, "a/w.bin") as source:
        assert source.read(0, 1) == b"w"


@posix
def test_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"w")
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.onnx").touch()
    found = external.DataFile.find(tmp_path / "model.onnx", "w.bin")
    (tmp_path / "w.bin").write_bytes(b"other")
    before = _free_descriptors()
    for _ in range(2):
        with pytest.raises(Exception, match="changed while it was read"):
            found.open()
        with pytest.raises(InputError, match="is a directory"):
            open_external(tmp_path, "folder")
    assert _free_descriptors() == before


def _free_descriptors() -> list[int]:
    """The numbers that the next files would get."""
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    for descriptor in descriptors:
        os.close(descriptor)
    return descriptors
