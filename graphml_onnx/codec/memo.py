"""Texts that are kept because they come again: operators have attributes, and values types, that others have too."""

from __future__ import annotations

from typing import TypeVar

_MAX_KEPT, _MAX_LENGTH = 2048, 2048

Key = TypeVar("Key")
Value = TypeVar("Value")


def is_worth_keeping(text: str) -> bool:
    """Whether a JSON text may come again; not one that refers to something elsewhere."""
    return len(text) <= _MAX_LENGTH and '"$' not in text


def keep(kept: dict[Key, Value], key: Key, value: Value) -> None:
    """Adds to what is kept, a bounded number of entries."""
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = value
