import errno
import gc
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphml_onnx.errors import GraphmlOnnxError, OutputError, StorageError, UsageError
from graphml_onnx.files import Publication, locks
from tests.files.children import needs_fork, result_of
from tests.files.toy_pair import GRAPHML, SIDECAR, contents_of, digest_of, read_pair, write_pair

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")


def publish(path: Path, content: bytes, *, overwrite: bool = False) -> None:
    with Publication(overwrite=overwrite) as publication:
        publication.stage(path).file.write(content)
        publication.publish()


@pytest.fixture
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


# --- what is published ----------------------------------------------------------------------------------------------


def test_nothing_is_visible_before_publish_and_everything_after(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a", "b", "c")]
    with Publication() as publication:
        for output in outputs:
            publication.stage(output).file.write(output.name.encode())
        assert not any(output.exists() for output in outputs)
        publication.publish()
        assert contents_of(tmp_path) == {"a": b"a", "b": b"b", "c": b"c"}
    assert contents_of(tmp_path) == {"a": b"a", "b": b"b", "c": b"c"}


def test_pair_is_published_under_its_final_names_alone(tmp_path: Path) -> None:
    write_pair(tmp_path, "first")
    write_pair(tmp_path, "second")
    assert read_pair(tmp_path) == "second"
    assert sorted(contents_of(tmp_path)) == [GRAPHML, SIDECAR]


def test_staged_file_can_be_read_back_before_it_is_published(tmp_path: Path) -> None:
    with Publication() as publication:
        staged = publication.stage(tmp_path / "a")
        staged.file.write(b"0123456789")
        staged.file.seek(3)
        assert staged.file.read(4) == b"3456"
        assert staged.temporary.read_bytes() == b"0123456789"


def test_file_may_be_closed_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with Publication() as publication:
        with io.BufferedWriter(publication.stage(tmp_path / "a").file) as writer:
            writer.write(b"content")
        publication.publish()
    assert contents_of(tmp_path) == {"a": b"content"}


def test_buffer_that_is_collected_as_garbage_loses_nothing(tmp_path: Path) -> None:
    with Publication() as publication:
        writer = io.BufferedWriter(publication.stage(tmp_path / "a").file)
        writer.write(b"content")
        del writer
        gc.collect()
        publication.publish()
    assert contents_of(tmp_path) == {"a": b"content"}


@needs_fork
def test_more_files_than_descriptors_can_be_published_if_each_is_closed(tmp_path: Path) -> None:
    import resource

    def write_many() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        with Publication() as publication:
            for number in range(200):
                staged = publication.stage(tmp_path / f"{number}.bin")
                staged.file.write(b"content")
                staged.file.close()
            publication.publish()
        return "published"

    assert result_of(write_many) == "published"
    assert len(contents_of(tmp_path)) == 200


def test_outputs_in_several_folders(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    with Publication() as publication:
        sidecar = publication.stage(tmp_path / "y" / SIDECAR)
        sidecar.alias_digest = digest_of("any")
        publication.stage(tmp_path / "x" / GRAPHML)
        publication.publish()
    assert list(contents_of(tmp_path / "x")) == [GRAPHML]
    assert list(contents_of(tmp_path / "y")) == [SIDECAR]


def test_file_named_as_the_last_is_published_after_those_staged_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = []
    real_replace = os.replace

    def replace(source: Path, target: Path) -> None:
        published.append(target.name)
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with Publication(overwrite=True) as publication:
        model, *_ = [publication.stage(tmp_path / name) for name in ("m.onnx", "1.bin", "2.bin")]
        publication.publish(last=model)
    assert published == ["1.bin", "2.bin", "m.onnx"]


def test_bare_relative_name_goes_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(Path("a"), b"content")
    assert contents_of(tmp_path) == {"a": b"content"}


def test_publication_ends_with_publish(tmp_path: Path) -> None:
    with Publication(overwrite=True) as publication:
        publication.stage(tmp_path / "a").file.write(b"1")
        publication.publish()
        publication.publish()
        publication.stage(tmp_path / "a").file.write(b"2")
    assert contents_of(tmp_path) == {"a": b"1"}


# --- permissions ----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.usefixtures("usual_umask")
def test_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    publish(tmp_path / "a", b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@posix
@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("permissions", [0o600, 0o444, 0o664, 0o777])
@pytest.mark.parametrize("close", [False, True])
def test_replacing_keeps_the_permissions(tmp_path: Path, permissions: int, close: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(permissions)
    with Publication(overwrite=True) as publication:
        staged = publication.stage(path)
        if close:
            staged.file.close()
        publication.publish()
    assert stat.S_IMODE(path.stat().st_mode) == permissions


@posix
@pytest.mark.usefixtures("usual_umask")
def test_temporary_file_is_never_more_open_than_the_private_file_that_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch(0o600)
    with Publication(overwrite=True) as publication:
        assert stat.S_IMODE(publication.stage(path).temporary.stat().st_mode) == 0o600


def test_child_processes_do_not_inherit_the_file(tmp_path: Path) -> None:
    with Publication() as publication:
        assert not os.get_inheritable(publication.stage(tmp_path / "a").file.fileno())


# --- refusals -------------------------------------------------------------------------------------------------------


def refusal(path: Path, error: type[GraphmlOnnxError], message: str, publication: Publication | None = None) -> None:
    """Expects that staging is refused at once, with a one-line error that names the file and a remedy."""
    with publication or Publication(overwrite=True) as refusing, pytest.raises(error, match=message) as caught:
        refusing.stage(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_existing_output_is_refused_with_overwrite_as_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    refusal(tmp_path / "a", OutputError, "exists already.*overwrite=True", Publication())
    assert contents_of(tmp_path) == {"a": b"old"}


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "missing" / "a", OutputError, "folder does not exist")


def test_file_as_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal(tmp_path / "file" / "a", OutputError, "its folder is a file")
    with pytest.raises(OutputError):
        Publication().stage(tmp_path / "file" / "a" / "b")


@pytest.mark.parametrize("name", ["folder", "folder/..", "."])
def test_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    refusal(tmp_path / name, OutputError, "is a directory")


@posix
@pytest.mark.parametrize("target", ["existing", "missing"])
def test_symbolic_link_is_refused_and_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "existing").write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)
    refusal(tmp_path / "link", OutputError, "links are not followed")
    assert (tmp_path / "existing").read_bytes() == b"old"
    assert not (tmp_path / "missing").exists()


@posix
def test_device_is_refused_even_with_overwrite() -> None:
    refusal(Path(os.devnull), OutputError, "not a regular file")
    assert Path(os.devnull).is_char_device()


@posix
def test_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    refusal(tmp_path / "fifo", OutputError, "not a regular file")


@pytest.mark.parametrize("overwrite", [False, True])
def test_output_that_is_an_input_is_wrong_usage(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "a").touch()
    refusal(tmp_path / "a", UsageError, "is an input", Publication(overwrite=overwrite, inputs=[tmp_path / "a"]))


@posix
def test_input_is_recognised_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "soft").symlink_to("a")
    for output, given in (("hard", "a"), ("folder/a", "a"), ("a", "soft")):
        publication = Publication(overwrite=True, inputs=[tmp_path / given])
        refusal(tmp_path / output, UsageError, "is an input", publication)


def test_missing_or_impossible_input_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    with Publication(inputs=[tmp_path / "missing", Path("\0")]) as publication:
        publication.stage(tmp_path / "a")


def test_staging_twice_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with Publication() as publication:
        publication.stage(tmp_path / "a")
        for again in (tmp_path / "a", tmp_path / "folder" / ".." / "a"):
            with pytest.raises(UsageError, match="two outputs"):
                publication.stage(again)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_name_that_the_system_does_not_have_is_refused(tmp_path: Path, name: str) -> None:
    refusal(tmp_path / name, OutputError, "cannot be a file name")


def test_name_too_long_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        Publication().stage(tmp_path / ("a" * 256))


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("overwrite", [False, True])
def test_exception_leaves_no_trace(tmp_path: Path, error: type[BaseException], overwrite: bool) -> None:
    if overwrite:
        (tmp_path / "a").write_bytes(b"old")
    before = contents_of(tmp_path)

    def fail() -> None:
        with Publication(overwrite=overwrite) as publication:
            publication.stage(tmp_path / "a").file.write(b"new")
            publication.stage(tmp_path / "b")
            raise error

    with pytest.raises(error):
        fail()
    assert contents_of(tmp_path) == before


def test_leaving_without_publish_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with Publication(overwrite=True) as publication:
        publication.stage(tmp_path / "a").file.write(b"new")
    assert contents_of(tmp_path) == {"a": b"old"}


def test_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with Publication() as publication:
        for name in ("a", "b"):
            publication.stage(tmp_path / name).file.write(b"new")
        (tmp_path / "b").write_bytes(b"of another program")
        with pytest.raises(OutputError, match="exists already"):
            publication.publish()
    assert contents_of(tmp_path) == {"b": b"of another program"}


@posix
@pytest.mark.parametrize("hard_links", [True, False])
def test_file_that_appears_during_publication_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    real_link = os.link

    def link(source: object, target: Path, **_: object) -> None:
        if target.name == GRAPHML:
            target.write_bytes(b"of another program")
        if not hard_links:
            raise OSError(errno.EPERM, "no hard links")
        real_link(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OutputError, match="exists already"):
        write_pair(tmp_path, "new", overwrite=False)
    assert contents_of(tmp_path) == {GRAPHML: b"of another program"}


@posix
def test_link_that_appeared_meanwhile_is_not_followed(tmp_path: Path) -> None:
    with Publication(overwrite=True) as publication:
        publication.stage(tmp_path / "a")
        (tmp_path / "a").symlink_to("b")
        with pytest.raises(OutputError, match="symbolic link"):
            publication.publish()
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "b").exists()


@posix
def test_temporary_file_removed_by_another_program(tmp_path: Path) -> None:
    with Publication() as publication:
        publication.stage(tmp_path / "a").temporary.unlink()
        with pytest.raises(OutputError, match="has been removed"):
            publication.publish()
    assert contents_of(tmp_path) == {}


def test_two_outputs_that_are_one_file_here_do_not_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `W` and `w` are on a file system that does not tell capitals apart."""
    real_replace = os.replace

    def replace(source: Path, target: Path) -> None:
        real_replace(source, target)
        if target.name == "W":
            os.link(target, tmp_path / "w")

    with Publication(overwrite=True) as publication:
        publication.stage(tmp_path / "W")
        publication.stage(tmp_path / "w")
        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(OutputError, match="same name as another output"):
            publication.publish()


def test_digest_that_is_none_publishes_nothing(tmp_path: Path) -> None:
    with Publication() as publication:
        publication.stage(tmp_path / "a").alias_digest = "../../up"
        with pytest.raises(GraphmlOnnxError, match="not a digest"):
            publication.publish()
    assert contents_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StorageError),
        (errno.EFBIG, StorageError),
        (errno.EIO, StorageError),
        (errno.EDQUOT, StorageError),
        (errno.EROFS, OutputError),
        (errno.EACCES, OutputError),
        (errno.EMFILE, StorageError),
    ],
)
def test_error_of_the_system_becomes_the_error_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[GraphmlOnnxError]
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with Publication() as publication:
        publication.stage(tmp_path / "a")
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(error) as caught:
            publication.publish()
    assert caught.value.file == str(tmp_path / "a")
    assert contents_of(tmp_path) == {}


@posix
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_file_system_that_cannot_synchronise_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_pair(tmp_path, "new")
    assert read_pair(tmp_path) == "new"


@posix
@pytest.mark.parametrize("good", [0, 1, 2])
def test_disk_that_breaks_when_a_folder_is_synchronised_leaves_the_earlier_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    write_pair(tmp_path, "old")
    before = contents_of(tmp_path)
    real_fsync = os.fsync
    synchronised = 0

    def fsync(descriptor: int) -> None:
        nonlocal synchronised
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synchronised += 1
            if synchronised > good:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError) as caught:
        write_pair(tmp_path, "new")
    assert caught.value.file == str(tmp_path)
    assert contents_of(tmp_path) == before


@posix
def test_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    write_pair(tmp_path, "old")
    write_pair(tmp_path, "new")
    assert read_pair(tmp_path) == "new"


@posix
def test_folder_that_another_program_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.02)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="locked") as caught:
            write_pair(tmp_path, "new")
    finally:
        os.close(descriptor)
    assert caught.value.file == str(tmp_path)
    write_pair(tmp_path, "new")
    assert read_pair(tmp_path) == "new"


@needs_fork
@pytest.mark.parametrize("keep_open", [True, False])
def test_file_size_limit(tmp_path: Path, keep_open: bool) -> None:
    import resource

    (tmp_path / "a").write_bytes(b"old")

    def write_too_much() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        from graphml_onnx.errors import writing_failed

        with Publication(overwrite=True) as publication:
            staged = publication.stage(tmp_path / "a")
            try:
                staged.file.write(b"x" * 1000)
                staged.file.write(b"x")
            except OSError as error:
                if not keep_open:
                    staged.file.close()
                raise writing_failed(error, staged.path) from error
            publication.publish()
        return "published"

    assert result_of(write_too_much).startswith("StorageError:")
    assert contents_of(tmp_path) == {"a": b"old"}


@needs_fork
def test_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"old")
    (folder / "a").chmod(0o666)
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)  # pytest's folders are root's own

    def as_ordinary_user() -> str:
        if os.geteuid() == 0:
            os.setuid(65534)
        publish(folder / "a", b"new", overwrite=True)
        return "published"

    outcome = result_of(as_ordinary_user)
    folder.chmod(0o755)
    assert outcome.startswith("OutputError:")
    assert "may not be written" in outcome
    assert contents_of(folder) == {"a": b"old"}


@needs_fork
def test_full_disk(tmp_path: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def on_small_disk() -> str:
        new_namespace, private = 0x20000, 0x44000
        if libc.unshare(new_namespace) or libc.mount(b"none", b"/", None, private, None):
            return "skip"
        if libc.mount(b"tmpfs", os.fsencode(tmp_path), b"tmpfs", 0, b"size=64k"):
            return "skip"
        write_pair(tmp_path, "old")
        before = contents_of(tmp_path)
        try:
            with Publication(overwrite=True) as publication:
                sidecar = publication.stage(tmp_path / SIDECAR)
                sidecar.file.write(b"x" * 40_000)
                filler = tmp_path / "filler"
                filler.write_bytes(b"x" * (os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize))
                publication.stage(tmp_path / GRAPHML).file.write(b"no space for this")
                publication.publish()
        except OSError as error:
            filler.unlink()
            return f"{error.errno} {contents_of(tmp_path) == before} {read_pair(tmp_path)}"
        return "published"

    outcome = result_of(on_small_disk)
    if outcome == "skip":
        pytest.skip("mounting is not allowed")
    assert outcome == f"{errno.ENOSPC} True old"


# --- what killed runs leave -----------------------------------------------------------------------------------------


def test_temporary_file_of_a_killed_run_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".a.0123456789abcdef.g2o-tmp").touch()
    with Publication() as publication:
        publication.stage(tmp_path / "a")
        assert len(contents_of(tmp_path)) == 1
    assert contents_of(tmp_path) == {}


@pytest.mark.parametrize(
    "name",
    [
        ".b.0123456789abcdef.g2o-tmp",
        ".a.b.0123456789abcdef.g2o-tmp",
        ".a.0123456789abcde.g2o-tmp",
        ".a.0123456789abcdef.g2o-tmp.txt",
        "a.0123456789abcdef",
        ".a.swp",
    ],
)
def test_other_files_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"of somebody else")
    publish(tmp_path / "a", b"new")
    assert contents_of(tmp_path) == {name: b"of somebody else", "a": b"new"}


@pytest.mark.parametrize("close", [False, True])
def test_temporary_file_in_use_is_not_removed(tmp_path: Path, close: bool) -> None:
    def live(publication: Publication) -> Callable[[], None]:
        files = [publication.stage(tmp_path / name) for name in ("a", "b")]
        for staged in files:
            staged.file.write(b"live")
            if close:
                staged.file.close()
        return publication.publish

    with Publication(overwrite=True) as first:
        finish = live(first)
        for name in ("b", "a"):
            publish(tmp_path / name, b"meanwhile", overwrite=True)
        finish()
    assert contents_of(tmp_path) == {"a": b"live", "b": b"live"}


def test_alias_of_a_killed_run_is_removed_only_by_a_run_that_succeeds(tmp_path: Path) -> None:
    stale = tmp_path / f"{SIDECAR}.0123456789abcdef"
    stale.touch()
    with Publication(overwrite=True) as publication:
        publication.stage(tmp_path / SIDECAR).alias_digest = digest_of("new")
    assert stale.exists()
    write_pair(tmp_path, "new")
    assert sorted(contents_of(tmp_path)) == [GRAPHML, SIDECAR]


def test_alias_that_is_an_input_is_not_removed(tmp_path: Path) -> None:
    given = tmp_path / f"{SIDECAR}.0123456789abcdef"
    given.touch()
    with Publication(inputs=[given]) as publication:
        publication.stage(tmp_path / SIDECAR).alias_digest = digest_of("new")
        publication.publish()
    assert given.exists()


@posix
@pytest.mark.parametrize("broken", ["open", "flock"])
def test_temporary_file_of_which_nobody_can_tell_whether_it_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    import fcntl

    left = tmp_path / ".a.0123456789abcdef.g2o-tmp"
    left.touch()
    real_open, real_flock = os.open, fcntl.flock

    def fail(*arguments: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), *arguments[:0])

    def opened(path: object, *arguments: int, **options: int) -> int:
        return fail() if str(path) == str(left) else real_open(path, *arguments, **options)  # type: ignore[arg-type]

    def flock(descriptor: int, operation: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        real_flock(descriptor, operation) if is_folder else fail()

    monkeypatch.setattr(os, "open", opened) if broken == "open" else monkeypatch.setattr(fcntl, "flock", flock)
    publish(tmp_path / "a", b"new")
    assert sorted(contents_of(tmp_path)) == [left.name, "a"]


@posix
def test_lock_that_fails_for_another_reason_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError) as caught:
        write_pair(tmp_path, "new")
    assert caught.value.file == str(tmp_path)
    assert contents_of(tmp_path) == {}
