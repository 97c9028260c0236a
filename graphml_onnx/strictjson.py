"""JSON without surprises: what Python's reader lets through in silence is an error here.

The standard reader keeps the last of duplicate keys, accepts NaN, and ends deep nesting with a
``RecursionError``; RFC 8259 leaves the first undefined, forbids the second, and allows a limit for the third.
"""

from __future__ import annotations

import json
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class JsonError(ValueError):
    """The text is not strict JSON; the message says what and, where the reader knows, the line."""


def parse(text: str) -> Json:
    """Parses strict JSON.

    Raises:
        JsonError: syntax, a duplicate key, NaN or Infinity, nesting or a number beyond Python's limits.
    """
    try:
        value: Json
        value, end = (None, -1) if text[:1].isspace() else _DECODER.raw_decode(text)
        if end != len(text):  # white space around it, which is slower to read, or something wrong
            value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise JsonError("JSON is nested too deeply") from None
    except JsonError:
        raise
    except ValueError as error:  # int() refuses numbers of thousands of digits
        raise JsonError(f"JSON holds a number that is too long: {error}") from None
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"duplicate key {key!r}")
            seen.add(key)
    return members


def _constant(name: str) -> Json:
    raise JsonError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
