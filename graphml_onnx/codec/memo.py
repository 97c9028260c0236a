"""Bounded memo for repeated texts: many operators have the same attributes, and many values the same type."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

_MAX_KEPT, _MAX_LENGTH = 2048, 2048

Key = TypeVar("Key")
Value = TypeVar("Value")


def remembered_messages(write: Callable[[Message], str]) -> Callable[[Message], str]:
    """The same function, which writes equal messages only once."""
    known: dict[bytes, str] = {}

    def written(message: Message) -> str:
        content = message.SerializeToString()
        text = known.get(content)
        if text is None:
            text = write(message)
            if _is_worth_keeping(text):
                _keep(known, content, text)
        return text

    return written


def remembered_texts(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same function, which reads equal texts only once."""
    known: dict[str, Value] = {}

    def read_once(text: str) -> Value:
        value = known.get(text)
        if value is None:
            value = read(text)
            if _is_worth_keeping(text):
                _keep(known, text, value)
        return value

    return read_once


def _is_worth_keeping(text: str) -> bool:
    """Whether a JSON text is short and has no references, so that it always means the same."""
    return len(text) <= _MAX_LENGTH and '"$' not in text


def _keep(known: dict[Key, Value], key: Key, value: Value) -> None:
    if len(known) >= _MAX_KEPT:
        known.clear()
    known[key] = value
