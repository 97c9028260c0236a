"""Bounded memo for repeated texts: many operators have the same attributes, and many values the same type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

_MAX_KEPT, _MAX_LENGTH = 2048, 2048

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(Generic[Key, Value]):
    """What one side of a conversion between messages and JSON gave."""

    def __init__(self) -> None:
        self._known: dict[Key, Value] = {}
        self.get = self._known.get

    def keep(self, key: Key, value: Value, text: str) -> None:
        """Keeps a value, if its JSON is short and has no references, so that it always means the same."""
        if len(text) <= _MAX_LENGTH and '"$' not in text:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[key] = value


def remembered_messages(write: Callable[[Message], str]) -> Callable[[Message], str]:
    """The same function, which writes equal messages only once."""
    memo: Memo[bytes, str] = Memo()

    def written(message: Message) -> str:
        content = message.SerializeToString()
        text = memo.get(content)
        if text is None:
            text = write(message)
            memo.keep(content, text, text)
        return text

    return written
