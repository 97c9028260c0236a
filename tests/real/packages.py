"""Which published packages hold models, ``packages.toml``, and how they get here."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).with_name("packages.toml")
_DATA = (".onnx.data", ".onnx_data")  # external data, under the names that exporters give it


@dataclass(frozen=True, slots=True)
class Package:
    """A release of a package, and the models that are taken from it.

    Attributes:
        name: its name in the package index.
        version: its exact version.
        models: SHA-256 of each model, and of its external data, by path in the wheel; of ``….onnx.gz``, that of the
            unpacked model.
        heavy: whether it takes too long for every run.
    """

    name: str
    version: str
    models: dict[str, str]
    heavy: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def folder(self, cache: Path) -> Path:
        """Where its models lie once they are fetched."""
        return cache / f"{self.name}-{self.version}"


class NotFetchedError(Exception):
    """A package could not be had, or holds something else than it did; the message says why, in one line."""


def read_table() -> list[Package]:
    """The packages of ``packages.toml``, in its order."""
    table = cast("dict[str, list[dict[str, object]]]", tomllib.loads(TABLE.read_text(encoding="utf-8")))
    return [
        Package(
            str(entry["name"]),
            str(entry["version"]),
            cast("dict[str, str]", entry["models"]),
            heavy=bool(entry.get("heavy")),
        )
        for entry in table["package"]
    ]


def fetch(package: Package, cache: Path) -> list[Path]:
    """Downloads a package with pip and takes its models; what an earlier run left, and is whole, is used again.

    Returns:
        The models, in the order of the table.

    Raises:
        NotFetchedError: pip did not get it, or a model is not there, or has another digest.
    """
    folder = package.folder(cache)
    if not _is_whole(package, folder):
        shutil.rmtree(folder, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as name:
            taken = Path(name, "models")
            for path, content in download(f"{package.name}=={package.version}", Path(name)):
                if path in package.models:
                    _write(taken / _unpacked(path), content)
            for path, digest in package.models.items():
                if not (taken / _unpacked(path)).is_file():
                    raise NotFetchedError(f"there is no {path} in the wheel")
                if _digest(taken / _unpacked(path)) != digest:
                    raise NotFetchedError(f"{path} has another SHA-256 than packages.toml says")
            taken.rename(folder)
    return [folder / _unpacked(path) for path in package.models if not path.endswith(_DATA)]


def download(requirement: str, folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Downloads the wheel of a requirement, such as ``magika==1.0.3``, and reads its models and their data.

    Args:
        requirement: name and exact version.
        folder: where the wheel goes.

    Yields:
        Path in the wheel and content of each file, to be read before the next one; unpacked if it ends in ``.gz``.

    Raises:
        NotFetchedError: pip did not get it, or it is no wheel.
    """
    # No package is installed or run, so it does not matter which versions of Python it was made for.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--ignore-requires-python", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise NotFetchedError(reasons[-1].removeprefix("ERROR: "))
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise NotFetchedError("pip brought no wheel")
    with zipfile.ZipFile(wheels[0]) as wheel:
        for path in sorted(wheel.namelist()):
            if path.endswith((".onnx", *_DATA)):
                with wheel.open(path) as content:
                    yield path, content
            elif path.endswith(".onnx.gz"):
                with wheel.open(path) as packed, gzip.open(packed) as content:
                    yield path, cast("IO[bytes]", content)


def record(requirement: str) -> str:
    """The lines of ``packages.toml`` for all models in a package; what is there already can be left out."""
    name, _, version = requirement.partition("==")
    lines = ["[[package]]", f'name = "{name}"', f'version = "{version}"', "[package.models]"]
    with tempfile.TemporaryDirectory() as folder:
        for path, content in download(requirement, Path(folder)):
            lines.append(f'"{path}" = "{hashlib.file_digest(cast("IO[bytes]", content), "sha256").hexdigest()}"')
    return "\n".join(lines)


def _is_whole(package: Package, folder: Path) -> bool:
    files = {folder / _unpacked(path): digest for path, digest in package.models.items()}
    return all(file.is_file() and _digest(file) == digest for file, digest in files.items())


def _unpacked(path: str) -> PurePosixPath:
    """Where a model of a wheel lies in its folder."""
    inside = PurePosixPath(path.removesuffix(".gz"))
    if inside.is_absolute() or ".." in inside.parts:
        raise NotFetchedError(f"{path} would lie outside of its folder")
    return inside


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
