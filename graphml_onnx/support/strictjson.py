"""Strict JSON: reports as errors what Python's reader silently accepts.

The standard reader keeps the last of duplicate keys, accepts NaN, and ends deep nesting with a
``RecursionError``; RFC 8259 leaves the first undefined, forbids the second, and allows a limit for the third.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Final, TypeAlias

import orjson

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


_LONG = 1 << 16  # characters from which on the faster reader pays off


class JsonError(ValueError):
    """The text is not strict JSON, or not what it should be; the message gives the reason.

    Args:
        message: what is wrong.
        line: of the text, if known.
        column: of the line.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message if line is None else f"{message}, at line {line}, column {column}")
        self.message = message
        self.place = None if line is None else f"line {line}, column {column}"


def parse(text: str) -> Json:
    """Parses strict JSON.

    Raises:
        JsonError: syntax, a duplicate key, NaN or Infinity, nesting or a number beyond Python's limits.
    """
    if len(text) >= _LONG and (found := _parse_long(text)) is not None:
        return found[0]
    try:
        value: Json
        value, end = (None, -1) if text[:1].isspace() else _DECODER.raw_decode(text)
        if end != len(text):  # white space around it, which is slower to read, or an error
            value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"not valid JSON: {error.msg}", error.lineno, error.colno) from None
    except RecursionError:
        raise _located("JSON is nested too deeply", text, "opens") from None
    except _DuplicateError as error:
        raise _located(f"duplicate key {error.key!r}", text, "key", error.key) from None
    except _ConstantError as error:
        raise _located(f"{error} is not JSON", text, "constant") from None
    except ValueError:  # int() refuses numbers of thousands of digits
        limit = sys.get_int_max_str_digits()
        raise _located(f"JSON holds a number of more than {limit:,} digits", text, "long") from None
    return value


def _parse_long(text: str) -> tuple[Json] | None:
    """The value of a long text, several times as fast; None if the standard reader must read it.

    This reader keeps the last of duplicate keys, too. But if no string has a colon and no key is repeated, there are as
    many colons as keys. Integers of more than 64 bits, which no field of ONNX holds, become floating-point numbers.
    """
    try:
        value: Json = orjson.loads(text)
    except (ValueError, RecursionError):
        return None
    return (value,) if _count_keys(value) == text.count(":") else None


def _count_keys(value: Json) -> int:
    count = 0
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            count += len(part)
            todo += [item for item in part.values() if isinstance(item, dict | list)]
        elif isinstance(part, list) and not {dict, list}.isdisjoint(set(map(type, part))):
            todo += [item for item in part if isinstance(item, dict | list)]
    return count


class _DuplicateError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class _ConstantError(Exception):
    """NaN or an infinity."""


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateError(key)
            seen.add(key)
    return members


def _constant(name: str) -> Json:
    raise _ConstantError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)

# An unclosed string goes on to the end, so that nothing is scanned twice for any text.
_TOKEN: Final = re.compile(
    r"""(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)|(?P<opens>[\[{])|(?P<closes>[\]}])"""
    r"""|(?P<constant>-?Infinity|NaN)|-?(?P<number>\d++)(?P<rest>(?:\.\d*+)?+(?:[eE][+-]?\d++)?+)""",
    re.DOTALL,
)
_COLON: Final = re.compile(r"[ \t\r\n]*+:")


def _located(message: str, text: str, kind: str, key: str = "") -> JsonError:
    """An error with its position, which the standard reader does not give; reads the text again."""
    offset = _offset(text, kind, key)
    return JsonError(message, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _offset(text: str, kind: str, key: str) -> int:
    """The position of the first of a ``kind``: the second ``key`` of an object, a constant, a long integer.

    For brackets (``opens``) it is the deepest.
    """
    limit = sys.get_int_max_str_digits()
    found = depth = 0
    within: list[bool] = []  # whether the key was met in each object or list around
    for token in _TOKEN.finditer(text):
        if token["opens"]:
            within.append(False)
            if kind == "opens" and len(within) > depth:
                found, depth = token.start(), len(within)
        elif token["closes"]:
            del within[-1:]
        elif kind == "key" and token["string"] and _COLON.match(text, token.end()) and json.loads(token[0]) == key:
            if within[-1]:
                return token.start()
            within[-1] = True
        elif (kind == "constant" and token["constant"]) or (
            kind == "long" and token["number"] and not token["rest"] and len(token["number"]) > limit
        ):
            return token.start()
    return found
