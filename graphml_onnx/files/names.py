"""The names beside an output: its temporary files, and the alias under which a sidecar is published first."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from graphml_onnx.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LOCK_NAME = ".g2o-lock"
"""The file that is locked on Windows, where folders have no locks."""

_NAME_MAX = 255  # bytes, on every common file system
_HEX = "[0-9a-f]{16}"
_ALIAS_ADDS = 1 + 16
_TEMPORARY_ENDS = ".g2o-tmp"
_TEMPORARY_ADDS = 1 + 1 + 16 + len(_TEMPORARY_ENDS)
# A file system may ignore case; the name of a sidecar may have been shortened.
_RESERVED = re.compile(
    rf"{re.escape(LOCK_NAME)}|.*{re.escape(_TEMPORARY_ENDS)}|.*(?:\.onnxdata|\.{_HEX})\.{_HEX}",
    re.DOTALL | re.IGNORECASE,
)


def with_suffix(path: Path, suffix: str) -> Path:
    """The path with another suffix; a path without a name (``.``) stays as it is, for others to refuse as a folder."""
    return path.with_suffix(suffix) if path.name else path


def alias_path(path: Path, digest: str) -> Path:
    """The name beside ``path`` that holds its new content until the rest is published.

    Args:
        path: the final name.
        digest: digest of the content, at least 16 lower-case hexadecimal digits, of which the first 16 count.

    Returns:
        ``<name>.<16 digits>`` in the same folder; a name too long for that is shortened, and stays unique.

    Raises:
        PayloadError: the digest is not of that form.
    """
    if not re.fullmatch(f"{_HEX}[0-9a-f]*", digest):
        raise PayloadError(f"{digest[:80]!r} is not a digest in lower-case hexadecimal digits", file=path)
    return path.parent / f"{_shortened(path.name, _ALIAS_ADDS)}.{digest[:16]}"


def candidates(path: Path, digest: str) -> tuple[Path, ...]:
    """The names under which a reader looks for the file with this digest: the final name, then the alias.

    Neither name says that the content is right: the reader compares the digest.

    Raises:
        PayloadError: see `alias_path`.
    """
    return path, alias_path(path, digest)


def aliases_of(path: Path, names: Iterable[str]) -> Iterator[Path]:
    """The aliases of ``path``, for any digest, among the ``names`` in its folder."""
    pattern = re.compile(f"{re.escape(_shortened(path.name, _ALIAS_ADDS))}\\.{_HEX}")
    return (path.parent / name for name in names if pattern.fullmatch(name))


def new_token() -> str:
    """The random part of the names of temporary files that belong together."""
    return os.urandom(8).hex()


def temporary_path(path: Path, token: str) -> Path:
    """The name of a temporary file in the folder of ``path``."""
    return path.parent / f".{_shortened(path.name, _TEMPORARY_ADDS)}.{token}{_TEMPORARY_ENDS}"


def tokens_of(path: Path, names: Iterable[str]) -> set[str]:
    """The tokens under which temporary files of ``path`` are among the ``names`` in its folder."""
    stem = re.escape(_shortened(path.name, _TEMPORARY_ADDS))
    pattern = re.compile(f"\\.{stem}\\.({_HEX}){re.escape(_TEMPORARY_ENDS)}")
    return {match[1] for name in names if (match := pattern.fullmatch(name))}


def has_token(name: str, token: str) -> bool:
    """Whether ``name`` is that of a temporary file with this token, of any output."""
    return name.startswith(".") and name.endswith(f".{token}{_TEMPORARY_ENDS}")


def is_reserved(name: str) -> bool:
    """Whether a publication may mistake a file of this name for one of its own, and remove it.

    Args:
        name: without folders.
    """
    return _RESERVED.fullmatch(name) is not None


def _shortened(name: str, added: int) -> str:
    """The name, shortened so that ``added`` more bytes fit; a short name ends with a digest, so it stays unique."""
    if len(os.fsencode(name)) + added <= _NAME_MAX:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    kept = name
    while len(os.fsencode(kept)) + 1 + len(digest) + added > _NAME_MAX:
        kept = kept[:-1]  # by characters: half a UTF-8 sequence is no name on macOS
    return f"{kept}.{digest}"
