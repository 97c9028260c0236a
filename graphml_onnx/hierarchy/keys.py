"""Typed access to the members of parsed JSON; an error names the path of keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy.findings import quoted

if TYPE_CHECKING:
    from graphml_onnx.strictjson import Json

KeyPath: TypeAlias = "tuple[KeyPath | None, str]"
"""The keys that lead to a value, the innermost first: cheap to extend, written out only for an error."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN: Final = 20


def as_object(value: Json, path: KeyPath) -> dict[str, Json]:
    """Takes a value as an object.

    Raises:
        MetadataError: it is none.
    """
    if not isinstance(value, dict):
        raise _wrong("an object", value, path)
    return value


def text_of(members: dict[str, Json], key: str, path: KeyPath) -> str | None:
    """The string at ``key``; None if the object at ``path`` does not have the key.

    Raises:
        MetadataError: the value is no string.
    """
    if key not in members:
        return None
    value = members[key]
    if not isinstance(value, str):
        raise _wrong("a string", value, (path, key))
    return value


def optional_text_of(members: dict[str, Json], key: str, path: KeyPath) -> str | None:
    """Like `text_of`, but null says the same as a missing key."""
    return None if members.get(key) is None else text_of(members, key, path)


def optional_integer_of(members: dict[str, Json], key: str, path: KeyPath) -> int | None:
    """The integer at ``key``; None if it is missing or null.

    Raises:
        MetadataError: the value is no integer.
    """
    value = members.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("an integer", value, (path, key))
    return value


def text_map(value: Json, path: KeyPath) -> dict[str, str]:
    """Takes a value as an object whose members are all strings.

    Raises:
        MetadataError: it is none, or a member is no string.
    """
    texts: dict[str, str] = {}
    for key, member in as_object(value, path).items():
        if not isinstance(member, str):
            raise _wrong("a string", member, (path, key))
        texts[key] = member
    return texts


def _wrong(wanted: str, value: Json, path: KeyPath) -> MetadataError:
    return MetadataError(f"must be {wanted}, but is {_kind(value)}", place=_written(path))


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _written(path: KeyPath) -> str:
    keys: list[str] = []
    rest: KeyPath | None = path
    while rest is not None:
        rest, key = rest
        keys.append(f".{key}" if _PLAIN.fullmatch(key) else f"[{quoted(key)}]")
    keys.reverse()
    if len(keys) > _SHOWN:
        keys[_SHOWN // 2 : -_SHOWN // 2] = ["…"]
    return "".join(keys).removeprefix(".")
