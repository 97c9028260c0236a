"""Models with external data come back whole, and no location ever leads out of a folder."""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

import graphml_onnx
from graphml_onnx import (
    Category,
    ExternalDataError,
    GraphMLError,
    GraphmlOnnxError,
    InputError,
    ModelError,
    OutputError,
    PayloadError,
    UsageError,
    decode,
    encode,
    verify,
)
from tests.common.external_models import PLACES, external, model_with, save

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from graphml_onnx import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")
KEPT: tuple[ParameterStrategy, ...] = ("sidecar", "embedded")
Result = TypeVar("Result")
OLD = 1_000_000_000  # a time in the past, in seconds

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder: files with their content, all else without."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


def within_a_minute(call: Callable[[], Result]) -> Result:
    """Makes a call on another thread; one that hangs does not keep the tests from ending."""
    returned: list[Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "hangs"
    if raised:
        raise raised[0]
    return returned[0]


def fails(call: Callable[[], object], *folders: Path) -> GraphmlOnnxError:
    """The error that a call ends with; makes sure that it left nothing in the folders."""
    before = [contents(folder) for folder in folders]
    with pytest.raises(GraphmlOnnxError) as caught:
        within_a_minute(call)
    assert [contents(folder) for folder in folders] == before
    return caught.value


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The model's folder, which is not the only one in its parent."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def away(tmp_path: Path) -> Path:
    folder = tmp_path / "away"
    folder.mkdir()
    return folder


@pytest.fixture
def graph(home: Path) -> Path:
    """A GraphML with a sidecar; the model has the data files ``a.bin`` and ``w/b.bin``."""
    return encode(two_files(home)).graphml


def two_files(folder: Path) -> Path:
    model = model_with(external("first", "a.bin"), external("second", "w/b.bin"))
    return save(folder, model, {"a.bin": noise(5_000, 1), "w/b.bin": noise(40, 2)})


_opened: list[str] = []
_watching: list[bool] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and threading.current_thread() is not threading.main_thread():
        _opened.append(str(arguments[0]))


@pytest.fixture
def opened() -> list[str]:
    """Names of all files that `within_a_minute` opens."""
    if not _watching:
        sys.addaudithook(_watch)  # there is no way to remove it
        _watching.append(True)
    _opened.clear()
    return _opened


# All of it comes back.


@pytest.mark.parametrize("strategy", KEPT)
def test_data_files_come_back_in_another_folder(home: Path, away: Path, strategy: ParameterStrategy) -> None:
    model = two_files(home)
    before = contents(home)
    result = encode(model, away / "g.graphml", parameters=strategy)
    for name in before:
        (home / name).rename(home / f"{name}.gone") if (home / name).is_file() else None

    back = decode(result.graphml, away / "model.onnx")

    assert back.exact
    assert set(back.external) == {away / "a.bin", away / "w/b.bin"}
    found = contents(away)
    assert {name: found[name] for name in before} == before


def test_by_reference_data_files_stay_and_are_checked(home: Path, away: Path) -> None:
    model = two_files(home)
    result = encode(model, parameters="reference")

    back = decode(result.graphml, away / "model.onnx")

    assert back.exact
    assert back.external == ()
    assert "a.bin" in back.findings[0]
    assert contents(away) == {"model.onnx": model.read_bytes()}

    (home / "a.bin").write_bytes(noise(5_000, 3))
    error = fails(lambda: decode(result.graphml, away / "second.onnx"), away)
    assert isinstance(error, ExternalDataError)
    assert "a.bin" in str(error)


@pytest.mark.parametrize(("name", "strategy"), [*itertools.product(["a.bin"], STRATEGIES), ("w/b.bin", "reference")])
def test_a_decoded_model_does_not_replace_a_data_file_of_its_own(
    home: Path, name: str, strategy: ParameterStrategy
) -> None:
    graph = encode(two_files(home), parameters=strategy).graphml
    before = contents(home)

    with pytest.raises(UsageError, match="input as well as an output"):
        decode(graph, home / name, overwrite=True)

    assert contents(home) == before


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("place", PLACES)
def test_wherever_a_tensor_may_stand(home: Path, place: str, strategy: ParameterStrategy) -> None:
    make, _ = PLACES[place]
    model = save(home, make(external("t", "w/data.bin")), {"w/data.bin": noise(3_000)})
    encoded = encode(model, parameters=strategy)

    report = verify(model, parameters=strategy)

    assert report.passed
    assert report.residue_bytes == 0
    text = encoded.graphml.read_text(encoding="utf-8")
    assert "external_files" in text  # that is, the data file was seen, and not only its name carried along


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sizes", [[0], [5_000, 0], [0, 5_000], [0, 0, 7], [7, 0, 0], [4_096, 0, 4_096]])
def test_empty_data_files(home: Path, strategy: ParameterStrategy, sizes: list[int]) -> None:
    tensors = [external(f"t{index}", f"{index}.bin", 0) for index in range(len(sizes))]
    files = {f"{index}.bin": noise(size, index) for index, size in enumerate(sizes)}
    assert verify(save(home, model_with(*tensors), files), parameters=strategy).passed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tensors_that_share_a_file_beside_payloads_of_the_model(home: Path, strategy: ParameterStrategy) -> None:
    import numpy as np
    from onnx import numpy_helper

    inside = [numpy_helper.from_array(np.arange(2_000, dtype=np.float32) * k, f"inside{k}") for k in (1, 2)]
    shared = [external("a", "w.bin", offset=0, length=40), external("b", "./w.bin", offset=64, length=40)]
    model = save(home, model_with(inside[0], *shared, inside[1]), {"w.bin": noise(4_000)})
    report = verify(model, parameters=strategy)
    assert report.passed
    if strategy == "sidecar":
        assert encode(model, parameters=strategy).sidecar.stat().st_size < 2 * 8_000 + 4_000 + 3 * 4_096  # type: ignore[union-attr]


@posix
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_data_files_than_may_be_open_at_once(home: Path, away: Path, strategy: ParameterStrategy) -> None:
    import resource

    count = 150
    files = {f"w/{index}.bin": noise(40, index) for index in range(count)}
    model = save(home, model_with(*(external(f"t{index}", f"w/{index}.bin") for index in range(count))), files)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 60, hard))
    try:
        result = encode(model, parameters=strategy)
        back = decode(result.graphml, away / "model.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert back.exact
    assert len(back.external) == (0 if strategy == "reference" else count)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bare_relative_model_path(home: Path, monkeypatch: pytest.MonkeyPatch, strategy: ParameterStrategy) -> None:
    two_files(home)
    monkeypatch.chdir(home)
    before = contents(home)
    result = encode("model.onnx", parameters=strategy)
    (home / "model.onnx").rename("moved.onnx") if strategy != "reference" else None
    back = decode(result.graphml.name, "back.onnx")
    assert back.exact
    assert back.external == ()
    found = contents(home)
    assert found["back.onnx"] == before["model.onnx"]
    assert {name: found[name] for name in ("a.bin", "w/b.bin")} == {name: before[name] for name in ("a.bin", "w/b.bin")}


def test_the_folder_of_the_process_is_not_the_folder_of_the_model(
    home: Path, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(home, model_with(external("t", "a.bin")))
    (away / "a.bin").write_bytes(noise(40))
    monkeypatch.chdir(away)
    assert isinstance(fails(lambda: encode(Path("..", "home", "model.onnx")), home, away), InputError)


# What is there already.


def test_identical_files_are_left_alone(graph: Path, home: Path) -> None:
    for name in ("a.bin", "w/b.bin"):
        os.utime(home / name, (OLD, OLD))
    back = decode(graph, home / "back.onnx")
    assert back.external == ()
    assert [(home / name).stat().st_mtime for name in ("a.bin", "w/b.bin")] == [OLD, OLD]


def test_only_missing_files_are_written(graph: Path, home: Path) -> None:
    original = (home / "w/b.bin").read_bytes()
    (home / "w/b.bin").unlink()
    os.utime(home / "a.bin", (OLD, OLD))
    assert decode(graph, home / "back.onnx").external == (home / "w/b.bin",)
    assert (home / "w/b.bin").read_bytes() == original
    assert (home / "a.bin").stat().st_mtime == OLD


@pytest.mark.parametrize("size", [40, 41, 0])
def test_a_different_file_is_refused_without_overwrite(graph: Path, away: Path, size: int) -> None:
    (away / "w").mkdir()
    (away / "w/b.bin").write_bytes(noise(size, 9))
    error = fails(lambda: decode(graph, away / "model.onnx"), away)
    assert isinstance(error, OutputError)
    assert error.category is Category.CANNOT_CREATE
    assert "b.bin" in str(error)


def test_with_overwrite_only_data_files_of_the_replaced_model_are_replaced(graph: Path, away: Path) -> None:
    """A hostile graph may name any file below the folder."""
    decode(graph, away / "model.onnx")
    (away / "w/b.bin").write_bytes(b"changed")
    decode(graph, away / "model.onnx", overwrite=True)
    assert (away / "w/b.bin").read_bytes() == noise(40, 2)
    (away / "w/b.bin").write_bytes(b"changed")
    for other in (None, b"no model"):
        if other is not None:
            (away / "other.onnx").write_bytes(other)
        error = fails(lambda: decode(graph, away / "other.onnx", overwrite=True), away)
        assert isinstance(error, OutputError)
        assert error.file == str(away / "w/b.bin")


def test_a_data_file_with_the_name_of_another_output(graph: Path, away: Path) -> None:
    error = fails(lambda: decode(graph, away / "a.bin"), away)
    assert isinstance(error, UsageError)
    assert "is a data file of the model" in str(error)


@posix
def test_a_symbolic_link_in_the_output_folder_is_not_written_through(graph: Path, away: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (away / "w").symlink_to(outside)
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away, outside)
    assert isinstance(error, OutputError)
    (away / "w").unlink()
    (outside / "b.bin").write_bytes(b"keep")
    (away / "w").mkdir()
    (away / "w/b.bin").symlink_to(outside / "b.bin")
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away, outside)
    assert isinstance(error, OutputError)
    assert (outside / "b.bin").read_bytes() == b"keep"


@posix
def test_a_fifo_or_a_folder_in_the_place_of_a_data_file(graph: Path, away: Path) -> None:
    os.mkfifo(away / "a.bin")
    assert isinstance(fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away), OutputError)
    (away / "a.bin").unlink()
    (away / "a.bin").mkdir()
    assert isinstance(fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away), OutputError)


def test_a_file_in_the_place_of_a_subfolder(graph: Path, away: Path) -> None:
    (away / "w").write_bytes(b"not a folder")
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away)
    assert isinstance(error, OutputError)


# Hostile locations.


@pytest.mark.parametrize(
    "location",
    [
        "../outside.bin",
        "w/../../outside.bin",
        "w/../a.bin",
        "..",
        ".",
        "/etc/hostname",
        "//etc/hostname",
        "",
        "a\0b",
        "\0",
        "w\\b.bin",
        "..\\outside.bin",
        "C:a.bin",
        "C:\\a.bin",
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_locations_that_leave_the_folder_are_never_opened(
    home: Path, away: Path, strategy: ParameterStrategy, location: str, opened: list[str]
) -> None:
    (home.parent / "outside.bin").write_bytes(noise(40))
    (home / "w").mkdir()
    model = save(home, model_with(external("wanted", location)))
    error = fails(lambda: encode(model, parameters=strategy), home)
    assert isinstance(error, ExternalDataError)
    assert error.category is Category.BAD_DATA
    assert "'wanted'" in error.message
    assert error.place == "graph.initializer[0]"
    assert error.file == str(model)
    assert not [name for name in opened if "outside" in name or "hostname" in name or name == location]


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_location_is_found_wherever_it_stands(home: Path, place: str) -> None:
    make, path = PLACES[place]
    (home.parent / "outside.bin").write_bytes(noise(40))
    model = save(home, make(external("wanted", "../outside.bin")))
    error = fails(lambda: encode(model), home)
    assert isinstance(error, ExternalDataError)
    assert error.place == path
    assert "'wanted'" in error.message
    assert "'../outside.bin'" in error.message


def test_a_location_that_is_not_utf8(home: Path) -> None:
    model = save(home, model_with(external("t", "name.bin")))
    model.write_bytes(model.read_bytes().replace(b"name.bin", b"nam\xff.bin"))
    assert isinstance(fails(lambda: encode(model), home), ExternalDataError)


@pytest.mark.parametrize("location", ["x" * 300, "x/" * 3_000 + "y", "é" * 200])
def test_a_location_too_long_for_the_system(home: Path, location: str) -> None:
    model = save(home, model_with(external("wanted", location)))
    error = fails(lambda: encode(model), home)
    assert isinstance(error, (InputError, ExternalDataError))
    assert "'wanted'" in error.message


@pytest.mark.parametrize("key", ["location", "offset", "length"])
def test_a_key_that_stands_twice(home: Path, key: str) -> None:
    tensor = external("wanted", "a.bin", offset=0, length=40)
    tensor.external_data.add(key=key, value="a.bin" if key == "location" else "0")
    model = save(home, model_with(tensor), {"a.bin": noise(40)})
    error = fails(lambda: encode(model), home / "..")
    assert isinstance(error, ExternalDataError)
    assert "'wanted'" in error.message
    assert key in error.message


def test_a_tensor_that_names_no_file_is_carried_as_it_is(home: Path) -> None:
    nothing, numbers = external("nothing", ""), external("numbers", "", offset="x")
    del nothing.external_data[:]
    del numbers.external_data[0]
    assert verify(save(home, model_with(nothing, numbers))).passed
    with_file = model_with(nothing, numbers, external("file", "a.bin"))
    assert verify(save(home, with_file, {"a.bin": noise(40)})).passed


@pytest.mark.parametrize(
    "numbers",
    [
        {"offset": -1},
        {"length": -1},
        {"offset": "1_0"},
        {"length": "1_0"},
        {"offset": " 1"},
        {"offset": "+1"},
        {"offset": "0x1"},
        {"offset": "1.0"},
        {"offset": ""},
        {"length": "\u0661"},
        {"offset": "9" * 5_000},
        {"offset": 101},
        {"offset": 61, "length": 40},
        {"length": 101},
        {"offset": 2**63 - 1, "length": 2**63 - 1},
    ],
    ids=str,
)
def test_impossible_ranges(home: Path, numbers: dict[str, int | str]) -> None:
    model = save(home, model_with(external("wanted", "a.bin", 10, **numbers)), {"a.bin": noise(100)})
    error = fails(lambda: encode(model), home)
    assert isinstance(error, ExternalDataError)
    assert error.category is Category.BAD_DATA
    assert "'wanted'" in error.message
    assert error.place == "graph.initializer[0]"


def test_ranges_that_just_fit(home: Path) -> None:
    tensors = [external("a", "a.bin", offset=60, length=40), external("b", "a.bin", 0, offset=100, length=0)]
    assert verify(save(home, model_with(*tensors), {"a.bin": noise(100)})).passed


@posix
@pytest.mark.parametrize("parameters", KEPT)
def test_links_as_the_cache_of_hugging_face_has_them(tmp_path: Path, parameters: ParameterStrategy) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123" / "onnx"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    data = save(blobs, model_with(external("wanted", "model.onnx_data")), {"5678": noise(40)}).rename(blobs / "1234")
    for name, blob in (("model.onnx", "1234"), ("model.onnx_data", "5678")):
        (snapshot / name).symlink_to(f"../../../blobs/{blob}")
    graph = encode(snapshot / "model.onnx", tmp_path / "graph.graphml", parameters=parameters).graphml
    (tmp_path / "out").mkdir()
    decode(graph, tmp_path / "out" / "model.onnx")
    assert contents(tmp_path / "out") == {"model.onnx": data.read_bytes(), "model.onnx_data": noise(40)}
    with graphml_onnx.open(snapshot / "model.onnx") as model:
        assert model.parameters[0].numpy().tobytes() == noise(40)


@posix
@pytest.mark.parametrize("target", ["other.bin", "deep/other.bin"])
def test_a_link_to_a_file_below_the_model_is_followed(home: Path, target: str) -> None:
    model = save(home, model_with(external("wanted", "w.bin")), {target: noise(40)})
    (home / "w.bin").symlink_to(target)
    assert verify(model).passed


@posix
def test_a_folder_that_is_a_link_is_followed_within_the_model_s_folder_only(home: Path, away: Path) -> None:
    model = save(home, model_with(external("wanted", "w/a.bin")), {"deep/a.bin": noise(40)})
    (home / "w").symlink_to("deep")
    assert verify(model).passed
    (home / "w").unlink()
    (away / "a.bin").write_bytes(noise(40))
    (home / "w").symlink_to(away)
    assert "symbolic link" in str(fails(lambda: encode(model), home))


# Hostile files.


def test_a_missing_file(home: Path) -> None:
    model = save(home, model_with(external("wanted", "w/gone.bin")))
    error = fails(lambda: encode(model), home)
    assert isinstance(error, InputError)
    assert error.category is Category.NO_INPUT
    assert "'wanted'" in error.message
    assert error.file == str(home / "w/gone.bin")


def _symlink(home: Path) -> None:
    (home.parent / "outside.bin").write_bytes(noise(40))
    (home / "wanted.bin").symlink_to(home.parent / "outside.bin")


def _dangling_symlink(home: Path) -> None:
    (home / "wanted.bin").symlink_to("nowhere")


def _device(home: Path) -> None:
    (home / "wanted.bin").symlink_to("/dev/zero")


def _fifo(home: Path) -> None:
    os.mkfifo(home / "wanted.bin")


def _folder(home: Path) -> None:
    (home / "wanted.bin").mkdir()


@posix
@pytest.mark.parametrize("make", [_symlink, _dangling_symlink, _device, _fifo, _folder])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_not_a_plain_file_in_the_folder(
    home: Path, strategy: ParameterStrategy, make: Callable[[Path], None]
) -> None:
    make(home)
    model = save(home, model_with(external("tensor", "wanted.bin")))
    error = fails(lambda: encode(model, parameters=strategy), home.parent)
    assert isinstance(error, InputError if make is _folder else ExternalDataError)
    assert "wanted.bin" in str(error)
    assert "'tensor'" in error.message


@posix
def test_a_symbolic_link_to_a_folder(home: Path) -> None:
    outside = home.parent / "outside"
    outside.mkdir()
    (outside / "a.bin").write_bytes(noise(40))
    (home / "w").symlink_to(outside)
    model = save(home, model_with(external("tensor", "w/a.bin")))
    error = fails(lambda: encode(model), home.parent)
    assert isinstance(error, ExternalDataError)
    assert "symbolic link" in error.message


@posix
def test_a_symbolic_link_to_the_model_itself_works(home: Path, away: Path) -> None:
    model = save(home, model_with(external("t", "a.bin")), {"a.bin": noise(40)})
    (away / "link.onnx").symlink_to(model)
    error = fails(lambda: encode(away / "link.onnx"), away)
    assert isinstance(error, InputError)  # the folder is that of the name which was given
    (away / "a.bin").write_bytes(noise(40))
    assert verify(away / "link.onnx").passed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_model_file_itself(home: Path, strategy: ParameterStrategy) -> None:
    model = save(home, model_with(external("wanted", "model.onnx", 1)))
    error = fails(lambda: encode(model, parameters=strategy), home)
    assert isinstance(error, ExternalDataError)
    assert "'wanted'" in error.message


@posix
def test_another_name_of_the_model_file(home: Path) -> None:
    model = save(home, model_with(external("wanted", "other.bin", 1)))
    (home / "other.bin").hardlink_to(model)
    assert isinstance(fails(lambda: encode(model), home), ExternalDataError)


def test_a_model_in_memory(home: Path) -> None:
    error = fails(lambda: encode(model_with(external("wanted", "a.bin")), home / "g.graphml"), home)
    assert isinstance(error, ModelError)
    assert "'wanted'" in error.message


@pytest.mark.parametrize("location", ["model_hierarchical_graph.graphml", "model_hierarchical_graph.onnxdata"])
def test_a_data_file_is_never_an_output_of_encode(home: Path, location: str) -> None:
    model = save(home, model_with(external("t", location)), {location: noise(2_000)})
    error = fails(lambda: encode(model, overwrite=True), home)
    assert isinstance(error, UsageError)


# Hostile GraphML.


def edited(graph: Path, *changes: tuple[str, str]) -> Path:
    """The GraphML with each text replaced everywhere."""
    text = graph.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    graph.write_text(text, encoding="utf-8", newline="")
    return graph


@pytest.mark.parametrize(
    "location",
    [
        "../b.bin",
        "w/../../b.bin",
        "/tmp/graphml-onnx-b.bin",
        "",
        ".",
        "..",
        r"w\\b.bin",
        r"w\u0000b.bin",
        "C:b.bin",
    ],
)
@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "only the list of files"])
def test_a_graph_whose_location_leaves_the_folder(
    graph: Path, away: Path, location: str, everywhere: bool, opened: list[str]
) -> None:
    change = ('"w/b.bin"', f'"{location}"') if everywhere else ('"location":"w/b.bin"', f'"location":"{location}"')
    edited(graph, change)
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away.parent)
    assert isinstance(error, GraphMLError)
    assert error.category is Category.BAD_DATA
    assert error.file == str(graph)
    assert not [name for name in opened if name.endswith("b.bin")]


@pytest.mark.parametrize("location", ["x" * 300, r"\ud800", r"\udc80", "x/" * 3_000 + "y"])
def test_a_graph_whose_location_is_no_file_name(graph: Path, away: Path, location: str) -> None:
    edited(graph, ('"location":"w/b.bin"', f'"location":"{location}"'))
    error = fails(lambda: decode(graph, away / "model.onnx"), away)
    assert isinstance(error, (GraphMLError, OutputError))


_CONTENT = '"content":{"$payload":{'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"location":"w/b.bin",', '{"location":"w/b.bin","more":1,'),
        ('{"location":"w/b.bin",', '{"location":"w/b.bin","location":"c.bin",'),
        ('{"location":"w/b.bin",', "{"),
        ('{"location":"w/b.bin",', '{"location":7,'),
        ('{"location":"w/b.bin",', '{"location":null,'),
        ('{"location":"w/b.bin",', '{"location":"a.bin",'),
        ('{"location":"w/b.bin",', '{"location":"./a.bin",'),
        (_CONTENT, '"content":{"$payload":[],"x":{'),
        (_CONTENT + '"name"', _CONTENT + '"offset"'),
        (_CONTENT + '"name":', _CONTENT + '"name":7,"x":'),
        (_CONTENT + '"name":', _CONTENT + '"name":null,"x":'),
        (_CONTENT + '"name":', _CONTENT + '"offset":0,"x":'),
        (_CONTENT + '"name":', _CONTENT + '"offset":0,"name":'),
        (_CONTENT + '"name":"', _CONTENT + '"name":"another'),
        ('"length":5000', '"length":4611686018427387904'),
        ('"length":5000', '"length":1000000000000'),
        ('"length":5000', '"length":-5'),
        ('"length":40,', '"length":"40",'),
        ('"length":40,', ""),
        ('"length":40,', '"length":40'),
    ],
)
def test_a_damaged_list_of_data_files(graph: Path, away: Path, old: str, new: str) -> None:
    edited(graph, (old, new))
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away)
    assert isinstance(error, (GraphMLError, PayloadError))
    assert error.category is Category.BAD_DATA
    assert error.file in (str(graph), str(graph.with_suffix(".onnxdata")))  # which has no such tensor


@pytest.mark.parametrize("length", [4_999, 39])
def test_a_data_file_cut_short_in_the_list(graph: Path, away: Path, length: int) -> None:
    edited(graph, (f'"length":{length + 1},', f'"length":{length},'))
    assert isinstance(fails(lambda: decode(graph, away / "model.onnx"), away), PayloadError)


def test_a_file_and_a_folder_of_the_same_name(graph: Path, away: Path) -> None:
    edited(graph, ('"location":"a.bin"', '"location":"w"'))
    error = fails(lambda: decode(graph, away / "model.onnx", overwrite=True), away)
    assert isinstance(error, (GraphMLError, OutputError))


@pytest.mark.parametrize(
    "name", ["model.onnx", "model_hierarchical_graph.graphml", "model_hierarchical_graph.onnxdata"]
)
def test_a_data_file_named_like_another_file_of_the_decoding(graph: Path, home: Path, name: str) -> None:
    for used in ("a.bin", "w/b.bin", "model.onnx"):
        (home / used).unlink()
    edited(graph, ('"location":"a.bin"', f'"location":"{name}"'))
    error = fails(lambda: decode(graph, home / "model.onnx", overwrite=True), home)
    assert isinstance(error, (GraphMLError, OutputError, UsageError))


def test_bits_flipped_in_the_sidecar(graph: Path, away: Path) -> None:
    sidecar = graph.with_suffix(".onnxdata")
    data = bytearray(sidecar.read_bytes())
    for position in (0, 4_999, 5_056 + 39):
        damaged = data.copy()
        damaged[position] ^= 1
        sidecar.write_bytes(damaged)
        error = fails(lambda: decode(graph, away / "model.onnx"), away)
        assert isinstance(error, PayloadError)
        assert error.file == str(sidecar)


def test_external_and_raw_data_at_once_in_a_model(home: Path, away: Path) -> None:
    """Other readers take the location, or the data; here both come back, and only the output is written."""
    tensor = external("t", "a.bin")
    tensor.raw_data = noise(40, 5)
    assert verify(save(home, model_with(tensor), {"a.bin": noise(40)})).passed


def test_external_and_raw_data_at_once_in_a_graph(home: Path, away: Path, opened: list[str]) -> None:
    plain = model_with(_plain("t"))
    graph = encode(plain, home / "g.graphml").graphml
    (away / "victim.bin").write_bytes(b"keep")
    claim = '"external_data":[{"key":"location","value":"victim.bin"}],"data_location":"EXTERNAL",'
    edited(graph, ('"name":"t",', f'"name":"t",{claim}'))
    back = within_a_minute(lambda: decode(graph, away / "model.onnx"))
    assert not back.exact
    assert contents(away).keys() == {"victim.bin", "model.onnx"}
    assert (away / "victim.bin").read_bytes() == b"keep"
    assert not [name for name in opened if "victim" in name]


def _plain(name: str) -> onnx.TensorProto:
    import onnx

    return onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[2], raw_data=noise(8))
