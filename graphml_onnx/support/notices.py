"""Notices: what a reader of a result should know, one line each, with the code of its kind."""

from __future__ import annotations


class Notice(str):
    """One line of text that knows its code.

    Args:
        code: which kind of notice it is, for programs; ``g2o explain`` and docs/validation.md list all codes.
        text: what a person reads.
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
