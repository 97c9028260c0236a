"""Notices: findings for the reader of a result, one line each, with a code."""

from __future__ import annotations


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
