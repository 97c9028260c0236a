"""Finds the models of a batch: in folders and by patterns, on this machine and in file systems of fsspec."""

from __future__ import annotations

import glob
import hashlib
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.errors import InputError, reading_failed
from graphml_onnx.places import Place, is_url
from graphml_onnx.places.place import file_system, patiently
from graphml_onnx.tabular.api import METADATA_ENDING, is_model
from graphml_onnx.zoo.fetching import check_no_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphml_onnx.errors import GraphmlOnnxError

_ENDING = ".onnx"
_NOT_PORTABLE = re.compile(r"[:\\\ud800-\udfff]")
_OWN = ("graphs", "tables", "manifest.rows")
"""Folders of a target that are not searched for models."""


class Source(NamedTuple):
    """A model that was found.

    Attributes:
        name: its absolute path, or its URL without credentials.
        relative: its path below the named source, with ``/`` and without its suffix: the place of its outputs. What not
            every system has in names is escaped as in URLs.
        size: bytes of the file.
        mark: the file system's mark of its content (an ETag); empty if there is none.
        metadata: name of the HTP metadata beside it; None if there are none.
        problem: why a folder could not be searched; the folder then replaces its unknown models.
    """

    name: str
    relative: str
    size: int
    mark: str
    metadata: str | None
    problem: GraphmlOnnxError | None = None


def find_models(sources: Iterable[str | os.PathLike[str]], target: Place) -> list[Source]:
    """The models that the sources name, each once, in order.

    A folder is searched for ``*.onnx``, except for the target's own files. A pattern names files or folders.
    Folders further down that may not be read are among the results, each with its problem.

    Raises:
        InputError: a source does not exist, or holds no model.
        UsageError: a file system is unknown.
        StorageError: a file system does not answer.
    """
    found: dict[str, Source] = {}
    for source in sources:
        text = os.fspath(source)
        check_no_credentials(text)
        models = list(_of_url(text, target) if is_url(text) else _of_path(text, target))
        if not models:
            raise InputError("there is no model in it", file=text, remedy=f"models are files that end in {_ENDING}")
        for model in models:
            found.setdefault(model.name, model)
    return _apart(list(found.values()))


def _of_path(text: str, target: Place) -> Iterator[Source]:
    path = Path(os.path.abspath(text))  # noqa: PTH100 unlike resolve, it follows no links
    try:
        if path.is_dir():
            yield from _of_folder(path, path, target)
        elif os.path.lexists(path):
            yield _of_file(path, path.parent)
        elif glob.has_magic(text):
            base = _plain_part(path)
            for match in sorted(glob.glob(os.fspath(path), recursive=True)):  # noqa: PTH207 of an absolute pattern
                if (matched := Path(match)).is_dir():
                    yield from _of_folder(matched, base, target)
                elif is_model(matched.name):
                    yield _of_file(matched, base)
        else:
            raise InputError("no such file or folder", file=text, remedy="check the path")
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):
            raise InputError("is not a possible file name", file=repr(text)) from None
        raise reading_failed(error, text) from error


def _of_folder(folder: Path, base: Path, target: Place) -> Iterator[Source]:
    own = set() if target.local is None else {(target.local / name).resolve() for name in _OWN}

    unread: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        here = Path(parent)
        if own:
            folders[:] = [name for name in folders if name not in _OWN or (here / name).resolve() not in own]
        folders.sort()
        beside = set(names)
        for name in sorted(names):
            if is_model(name):
                yield _of_file(here / name, base, beside)
    for error in unread:
        path = Path(error.filename)
        if path == folder:
            raise error
        yield Source(os.fspath(path), path.relative_to(base).as_posix(), 0, "", None, reading_failed(error, path))


def _of_file(path: Path, base: Path, beside: set[str] | None = None) -> Source:
    metadata = path.with_name(path.stem + METADATA_ENDING)
    has_metadata = metadata.name in beside if beside is not None else metadata.is_file()
    return Source(
        os.fspath(path),
        _portable(path.relative_to(base).with_suffix("").as_posix()),
        _size(path),
        "",
        os.fspath(metadata) if has_metadata else None,
    )


def _portable(relative: str) -> str:
    """A name for outputs: a sidecar may have no colon and no backslash, and text of Parquet only what is UTF-8."""
    return _NOT_PORTABLE.sub(lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), relative)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it reports what is wrong
        return 0


def _plain_part(path: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    parts = path.parts
    plain = next((count for count, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:plain])


def _of_url(text: str, target: Place) -> Iterator[Source]:
    fs, root = file_system(text)
    place = Place(text)
    if place.local is not None:
        yield from _of_path(os.fspath(place.local), target)
        return

    def listed() -> tuple[str, Mapping[str, Mapping[str, object]]]:
        fs.invalidate_cache()
        if glob.has_magic(root) and not fs.exists(root):
            parts = root.split("/")
            base = "/".join(parts[: next(count for count, part in enumerate(parts) if glob.has_magic(part))])
            matches = fs.glob(root, detail=True)
            for match, info in list(matches.items()):
                if info["type"] == "directory":
                    del matches[match]
                    matches |= fs.find(match, detail=True)
            for folder in {posixpath.dirname(match) for match in matches}:
                matches |= metadata_in(folder)
            return base, matches
        info = fs.info(root)
        if info["type"] == "directory":
            return root, fs.find(root, detail=True)
        folder = posixpath.dirname(root)
        return folder, {root: info} | metadata_in(folder)

    def metadata_in(folder: str) -> dict[str, Mapping[str, object]]:
        entries = fs.ls(folder, detail=True)
        return {entry["name"]: entry for entry in entries if entry["name"].endswith(METADATA_ENDING)}

    base, entries = patiently(listed, place.url)
    single = base == posixpath.dirname(root) and not glob.has_magic(root)
    own = tuple(target.name(name) + "/" for name in _OWN)
    for path, info in sorted(entries.items()):
        name = str(fs.unstrip_protocol(path))
        if (is_model(posixpath.basename(path)) or (single and path == root)) and not name.startswith(own):
            stem = posixpath.splitext(path)[0]
            beside = stem + METADATA_ENDING
            yield Source(
                name,
                _portable(posixpath.relpath(stem, base)),
                int(str(info.get("size") or 0)),
                _mark(info),
                str(fs.unstrip_protocol(beside)) if beside in entries else None,
            )


def _mark(info: Mapping[str, object]) -> str:
    for name in ("ETag", "etag", "md5Hash", "content_md5", "blob_id"):
        if info.get(name):
            return f"{name}:{info[name]}".replace('"', "")
    return ""


def _apart(models: list[Source]) -> list[Source]:
    """Adds a digest of the location to models whose outputs would have the same name, independent of the batch."""
    counts: dict[str, int] = {}
    for model in models:
        key = model.relative.casefold()
        counts[key] = counts.get(key, 0) + 1
    return [
        model
        if counts[model.relative.casefold()] == 1
        else model._replace(relative=f"{model.relative}~{_short_digest(model.name)}")
        for model in models
    ]


def _short_digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
