"""Every point at which a publication can fail, be interrupted, or end with the process or with the power."""

import errno
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.files import Publication
from tests.files.failing_system import Change, FailingSystem, ProcessEndedError, failing, recording
from tests.files.toy_pair import (
    GRAPHML,
    SIDECAR,
    contents_of,
    decode,
    digest_of,
    graphml_of,
    half_publish,
    read_pair,
    sidecar_of,
    write_pair,
)  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the calls are those of POSIX")


def nothing(_: Path) -> None:
    """A folder without earlier outputs."""


def old_pair(folder: Path) -> None:
    write_pair(folder, "old")


def half_published(folder: Path) -> None:
    """An old pair that stands under the alias, beside a sidecar that is older still."""
    half_publish(folder, "older", "old")


STARTS: list[tuple[Callable[[Path], None], bool]] = [
    (nothing, False), (nothing, True), (old_pair, True), (half_published, True),
]  # fmt: skip
every_start = pytest.mark.parametrize(("start", "overwrite"), STARTS)
every_version = pytest.mark.parametrize("version", ["new", "old"])


@pytest.fixture(autouse=True)
def imagined_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of runs need not wait for the real disk: what it would hold is computed below."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


NO_HARD_LINKS = pytest.param(False, id="no hard links")
HARD_LINKS = pytest.param(True, id="hard links")


@pytest.fixture(params=[HARD_LINKS, NO_HARD_LINKS])
def hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system has hard links."""

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    if not request.param:
        monkeypatch.setattr(os, "link", link)
    return bool(request.param)


def runs(
    folder: Path,
    patch: pytest.MonkeyPatch,
    start: Callable[[Path], None],
    run: Callable[[Path], None],
    make: Callable[[int], FailingSystem],
) -> Iterator[tuple[Path, dict[str, bytes], FailingSystem, BaseException | None]]:
    """Runs once for each call that the run makes, each time in a folder of its own with the same start."""
    for number in itertools.count():
        place = folder / str(number)
        place.mkdir()
        start(place)
        before = contents_of(place)
        system = make(number)
        caught: BaseException | None = None
        with failing(patch, system):
            try:
                run(place)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                caught = error
        if system.hit is None:
            assert number > 20, "the calls are no longer those that are counted"
            assert caught is None
            return
        yield place, before, system, caught
        shutil.rmtree(place)


def storage_error() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def interrupt() -> None:
    raise KeyboardInterrupt


def end_of_process() -> None:
    raise ProcessEndedError


def assert_next_run_cleans_up(folder: Path) -> None:
    write_pair(folder, "next")
    assert read_pair(folder) == "next"
    assert sorted(contents_of(folder)) == [GRAPHML, SIDECAR]


@every_start
@every_version
def test_failure_of_any_call_leaves_the_earlier_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    start: Callable[[Path], None], overwrite: bool, version: str,
) -> None:  # fmt: skip
    def run(folder: Path) -> None:
        write_pair(folder, version, overwrite=overwrite)

    failures = 0
    for place, before, system, caught in runs(
        tmp_path, monkeypatch, start, run, lambda number: FailingSystem(number, storage_error)
    ):
        if caught is None:
            assert read_pair(place) == version
        else:
            failures += 1
            assert isinstance(caught, GraphmlOnnxError)
            assert contents_of(place) == before or system.hit == "unlink"
            assert contents_of(place).items() >= before.items()
        assert_next_run_cleans_up(place)
    assert failures > 10


@pytest.mark.parametrize("hard_links", [NO_HARD_LINKS], indirect=True)
@every_start
@every_version
def test_failure_of_any_call_leaves_a_pair_without_hard_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool,
    start: Callable[[Path], None], overwrite: bool, version: str,
) -> None:  # fmt: skip
    def run(folder: Path) -> None:
        write_pair(folder, version, overwrite=overwrite)

    for place, before, _, _ in runs(
        tmp_path, monkeypatch, start, run, lambda number: FailingSystem(number, storage_error)
    ):
        assert read_pair(place) in (version, decode(before, place))
        assert_next_run_cleans_up(place)


@pytest.mark.parametrize("done_first", [False, True])
@every_start
@every_version
def test_interrupt_at_any_call_leaves_a_pair_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool,
    start: Callable[[Path], None], overwrite: bool, version: str, done_first: bool,
) -> None:  # fmt: skip
    def run(folder: Path) -> None:
        write_pair(folder, version, overwrite=overwrite)

    for place, before, _, caught in runs(
        tmp_path, monkeypatch, start, run,
        lambda number: FailingSystem(number, interrupt, done_first=done_first),
    ):  # fmt: skip
        assert isinstance(caught, KeyboardInterrupt)
        assert read_pair(place) in (version, decode(before, place))
        assert not [name for name in contents_of(place) if name.endswith(".g2o-tmp")]
        assert_next_run_cleans_up(place)


@every_start
@every_version
def test_end_of_the_process_at_any_call_leaves_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool,
    start: Callable[[Path], None], overwrite: bool, version: str,
) -> None:  # fmt: skip
    def run(folder: Path) -> None:
        write_pair(folder, version, overwrite=overwrite)

    found = set()
    for place, before, _, _ in runs(
        tmp_path, monkeypatch, start, run,
        lambda number: FailingSystem(number, end_of_process, stays_dead=True),
    ):  # fmt: skip
        found.add(read_pair(place))
        assert found <= {version, decode(before, place)}
        assert_next_run_cleans_up(place)
    assert version in found


def test_two_runs_that_end_one_after_the_other_at_any_calls_leave_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = 0
    (tmp_path / "first").mkdir()
    for place, _, _, _ in runs(
        tmp_path / "first", monkeypatch, old_pair, lambda folder: write_pair(folder, "second"),
        lambda number: FailingSystem(number, end_of_process, stays_dead=True),
    ):  # fmt: skip
        left = contents_of(place)

        def restore(folder: Path, left: dict[str, bytes] = left) -> None:
            for name, content in left.items():
                (folder / name).write_bytes(content)

        again = tmp_path / f"then {place.name}"
        again.mkdir()
        for then, before, _, _ in runs(
            again, monkeypatch, restore, lambda folder: write_pair(folder, "third"),
            lambda number: FailingSystem(number, end_of_process, stays_dead=True),
        ):  # fmt: skip
            assert read_pair(then) in ("third", decode(before, then))
            pairs += 1
    assert pairs > 500


def test_failure_while_several_plain_files_are_replaced_leaves_all_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("1.bin", "2.bin", "m.onnx")

    def start(folder: Path) -> None:
        for name in names[1:]:
            (folder / name).write_bytes(b"old")

    def run(folder: Path) -> None:
        with Publication(overwrite=True) as publication:
            for name in names:
                publication.stage(folder / name).file.write(b"new")
            publication.publish()

    for place, before, system, caught in runs(
        tmp_path, monkeypatch, start, run, lambda number: FailingSystem(number, storage_error)
    ):
        after = contents_of(place)
        visible = {name: after[name] for name in names if name in after}
        assert visible == (dict.fromkeys(names, b"new") if caught is None else before)
        assert after == visible or system.hit == "unlink"


# --- power failures -------------------------------------------------------------------------------------------------


def disks_after_power_failure(
    before: dict[str, int], changes: list[Change]
) -> Iterator[tuple[dict[str, int], set[int]]]:
    """All folders that a disk may hold: what was synchronised, and any subset of what was not.

    Yields:
        Inode by name, and the inodes whose content reached the disk.
    """
    synced, pending = dict(before), list[Change]()
    written = set(before.values())
    for change in [*changes, Change()]:
        for chosen in itertools.product((False, True), repeat=len(pending)):
            disk = dict(synced)
            for entry in itertools.compress(pending, chosen):
                apply(disk, entry)
            yield disk, written
        if change.entries:
            pending.append(change)
        if change.file_synced is not None:
            written = {*written, change.file_synced}
        if change.folder_synced:
            for entry in pending:
                apply(synced, entry)
            pending = []


def apply(disk: dict[str, int], change: Change) -> None:
    for name, inode in change.entries.items():
        if inode is None:
            disk.pop(name, None)
        else:
            disk[name] = inode


@pytest.mark.parametrize("event", [None, storage_error])
@every_start
@every_version
def test_power_failure_at_any_point_leaves_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    start: Callable[[Path], None], overwrite: bool, version: str, event: Callable[[], None] | None,
) -> None:  # fmt: skip
    """Also while a failed publication is being taken back."""
    for number in itertools.count() if event else (-1,):
        folder = tmp_path / str(number)
        folder.mkdir()
        start(folder)
        inodes = {file.name: file.stat().st_ino for file in folder.iterdir()}
        held = {file.name: file.read_bytes() for file in folder.iterdir()}
        by_inode = {inodes[name]: held[name] for name in held}
        system = FailingSystem(number, event or interrupt)
        pins = [os.open(file, os.O_RDONLY) for file in folder.iterdir()]  # keep inodes from being used again
        with recording(monkeypatch) as changes, failing(monkeypatch, system), suppress(GraphmlOnnxError, OSError):
            write_noting_inodes(folder, version, overwrite, by_inode, pins)
        seen = set()
        for disk, written in disks_after_power_failure(inodes, changes):
            contents = {name: by_inode.get(inode, b"") if inode in written else b"" for name, inode in disk.items()}
            if contents.get(GRAPHML) == b"":
                pytest.fail("the GraphML was renamed before its content was on the disk")
            seen.add(decode(contents, folder))
        assert seen <= {version, decode(held, folder)}
        for descriptor in pins:
            os.close(descriptor)
        if system.hit is None:
            assert version in seen
            return


def write_noting_inodes(
    folder: Path, version: str, overwrite: bool, by_inode: dict[int, bytes], pins: list[int]
) -> None:
    contents = {SIDECAR: sidecar_of(version), GRAPHML: graphml_of(version)}
    with Publication(overwrite=overwrite) as publication:
        for name, content in contents.items():
            staged = publication.stage(folder / name)
            staged.file.write(content)
            if name == SIDECAR:
                staged.alias_digest = digest_of(version)
            pins.append(os.open(staged.temporary, os.O_RDONLY))
            by_inode[os.fstat(pins[-1]).st_ino] = content
        publication.publish()
