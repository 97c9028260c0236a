"""Notices: findings for the reader of a result, one line each, with a code; and names as messages show them."""

from __future__ import annotations

import json
from typing import Final

_SHOWN: Final = 80  # characters of a name


class Notice(str):
    """A finding in one line of text, with its code.

    Args:
        code: the kind of finding, for programs; ``g2o explain`` and docs/validation.md list all codes.
        text: the finding, for people.
    """

    __slots__ = ("code",)

    code: str

    def __new__(cls, code: str, text: str) -> Notice:
        """The text, with its code."""
        self = super().__new__(cls, text)
        self.code = code
        return self

    def __reduce__(self) -> tuple[type[Notice], tuple[str, str]]:
        """What pickle and copy make it again of."""
        return Notice, (self.code, str(self))


def quoted(text: str) -> str:
    """A name for a message: in quotes, on one line, printable, not longer than a line."""
    if len(text) > _SHOWN:
        text = f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
    return json.dumps(text, ensure_ascii=not text.isprintable())
