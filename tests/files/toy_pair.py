"""The smallest pair that needs the protocol: a "GraphML" that holds the digest of its sidecar."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from graphml_onnx.files import Publication, candidates

if TYPE_CHECKING:
    from pathlib import Path

GRAPHML = "m.graphml"
SIDECAR = "m.onnxdata"


class MixtureError(AssertionError):
    """The GraphML is there, but no candidate holds the sidecar that belongs to it."""


def digest_of(version: str) -> str:
    return hashlib.sha256(sidecar_of(version)).hexdigest()


def sidecar_of(version: str) -> bytes:
    return f"weights of {version}".encode() * 100


def graphml_of(version: str) -> bytes:
    return f"{version} {digest_of(version)}".encode()


def write_pair(folder: Path, version: str, *, overwrite: bool = True) -> None:
    with Publication(overwrite=overwrite) as publication:
        sidecar = publication.stage(folder / SIDECAR)
        graphml = publication.stage(folder / GRAPHML)
        sidecar.file.write(sidecar_of(version))
        sidecar.alias_digest = digest_of(version)
        graphml.file.write(graphml_of(version))
        publication.publish()


def read_pair(folder: Path) -> str | None:
    """The version that a reader finds, None if there is none."""
    return decode({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}, folder)


def decode(contents: dict[str, bytes], folder: Path) -> str | None:
    """The version in a folder with these contents."""
    if GRAPHML not in contents:
        return None
    version, digest = contents[GRAPHML].decode().split(" ")
    for candidate in candidates(folder / SIDECAR, digest):
        if hashlib.sha256(contents.get(candidate.name, b"")).hexdigest() == digest:
            return version
    raise MixtureError(f"{version}: no sidecar among {sorted(contents)}")


def half_publish(folder: Path, old: str, new: str) -> None:
    """What a run leaves that is killed after the commit point, and another one that is killed before it."""
    (folder / SIDECAR).write_bytes(sidecar_of(old))
    (folder / GRAPHML).write_bytes(graphml_of(new))
    for version in (new, "never finished"):
        candidates(folder / SIDECAR, digest_of(version))[1].write_bytes(sidecar_of(version))


def contents_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
