"""Members of parsed JSON by type, and the path of keys to a member, for messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json

KeyPath: TypeAlias = "tuple[KeyPath | None, str | int]"
"""Keys and indexes that lead to a value, the innermost first: cheap to extend, written out only for an error."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_SHOWN: Final = 20


def object_at(members: dict[str, Json], key: str) -> dict[str, Json]:
    """The object at ``key``; an empty one if there is nothing, or something else."""
    value = members.get(key)
    return value if isinstance(value, dict) else {}


def text_at(members: dict[str, Json], key: str) -> str | None:
    """The string at ``key``; None if there is nothing, or something else."""
    value = members.get(key)
    return value if isinstance(value, str) else None


def integer_at(members: dict[str, Json], key: str) -> int | None:
    """The integer at ``key``, for which 1.0 is one as in JSON Schema; None if there is nothing, or something else."""
    value = members.get(key)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def written(path: KeyPath | None) -> str | None:
    """A path for a message: ``modules.children["BertLayer.0"].scope``; None for no path.

    A path of many keys is cut in the middle.
    """
    keys: list[str] = []
    rest = path
    while rest is not None:
        rest, key = rest
        keys.append(_step(key))
    keys.reverse()
    if len(keys) > _SHOWN:
        keys[_SHOWN // 2 : -_SHOWN // 2] = ["…"]
    return "".join(keys).removeprefix(".") or None


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{quoted(key)}]"
