"""Reads the small JSON files that steer an export: a file or a mapping in, a checked object out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from graphml_onnx.errors import UsageError, reading_failed
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Collection

    from graphml_onnx.support.strictjson import Json

JsonSource: TypeAlias = "str | os.PathLike[str] | Mapping[str, object]"
"""A JSON file, or what would stand in it."""


class Place:
    """Where a value stands, for messages.

    Args:
        file: the file, or None for a mapping in memory.
        path: keys that lead to the value.
        option: what the user gave it for: ``--input-specs``.
    """

    __slots__ = ("file", "option", "path")

    def __init__(self, file: str | None, option: str, path: str = "") -> None:
        self.file, self.option, self.path = file, option, path

    def at(self, key: str) -> Place:
        """The place of a member."""
        return Place(self.file, self.option, f"{self.path}.{key}" if self.path else key)

    def wrong(self, message: str, remedy: str | None = None) -> UsageError:
        """The error for what stands here."""
        return UsageError(message, file=self.file or self.option, place=self.path or None, remedy=remedy)


def read_object(source: JsonSource, option: str) -> tuple[dict[str, Json], Place]:
    """Reads a JSON object.

    Args:
        source: a file, or its content as a mapping.
        option: what it was given for.

    Returns:
        The object, and its place for messages.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not UTF-8, not strict JSON, or no object.
    """
    if isinstance(source, Mapping):
        return cast("dict[str, Json]", dict(source)), Place(None, option)
    place = Place(os.fspath(source), option)
    try:
        value = parse(Path(source).read_bytes().decode("utf-8"))
    except OSError as error:
        raise reading_failed(error, source) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", file=place.file, place=f"byte {error.start}") from None
    except (JsonError, ValueError) as error:  # ValueError: a NUL in the name
        raise place.wrong(str(error)) from None
    return as_object(value, place), place


def as_object(value: Json, place: Place) -> dict[str, Json]:
    """Takes a value as an object.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, Mapping):
        raise place.wrong("is not a JSON object")
    return dict(value)


def check_keys(members: Mapping[str, Json], known: Collection[str], place: Place) -> None:
    """Raises UsageError for a key that is not known."""
    for key in members:
        if key not in known:
            raise place.at(key).wrong("is no known key", f"the keys are {', '.join(sorted(known))}")


def integer(value: Json, place: Place, least: int | None = None) -> int:
    """Takes a value as an integer.

    Raises:
        UsageError: it is none, or smaller than ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise place.wrong("is not an integer")
    if least is not None and value < least:
        raise place.wrong(f"is {value}, and has to be {least} or more")
    return value


def text(value: Json, place: Place) -> str:
    """Takes a value as a string.

    Raises:
        UsageError: it is none, or empty.
    """
    if not isinstance(value, str) or not value:
        raise place.wrong("is not a string with something in it")
    return value


def items(value: Json, place: Place) -> list[Json]:
    """Takes a value as a list.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, list | tuple):
        raise place.wrong("is not a list")
    return list(value)
