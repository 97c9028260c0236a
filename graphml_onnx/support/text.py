"""Text that survives: writes any string so that neither XML nor a tool that trims can change it.

Source: docs/format.md, section "Text"; XML 1.0, sections 2.2 (characters) and 2.11 (line ends).
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring as _json_string
from typing import TYPE_CHECKING

from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

# Characters that XML 1.0 cannot hold (most control characters, surrogates, U+FFFE, U+FFFF), that parsers change (CR),
# or that editors and tools may change (C1 controls, line and paragraph separators, byte order marks).
_FRAGILE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff"
_fragile = re.compile(f"[{_FRAGILE}]")


def _has_fragile(text: str) -> bool:
    # No fragile character is printable, most texts are, and `isprintable` is faster than a search.
    return not text.isprintable() and _fragile.search(text) is not None


def json_string(text: str) -> str:
    """A JSON string literal without fragile characters: they are escaped with four hexadecimal digits."""
    return json_text(_json_string(text))


def json_strings(strings: Sequence[bytes]) -> str:
    """A JSON list of strings without fragile characters.

    Args:
        strings: in UTF-8; bytes that are not become surrogates (PEP 383).
    """
    joined = b'","'.join(strings).decode("utf-8", "surrogateescape")
    if is_plain_json(joined, len(strings)):
        return f'["{joined}"]'
    return json_text(f"[{','.join([_json_string(text.decode('utf-8', 'surrogateescape')) for text in strings])}]")


def is_plain_json(joined: str, count: int) -> bool:
    """Whether strings need no escapes in JSON: they are printable, without quotation marks and backslashes.

    Args:
        joined: the strings, with ``","`` between them.
        count: their number.
    """
    return joined.isprintable() and "\\" not in joined and joined.count('"') == 2 * count - 2


def plain_lists(texts: Sequence[str]) -> list[list[bytes]] | None:
    """The inverse of `json_strings` for several texts without escapes; None if one is unusual."""
    joined = "".join(texts)
    if joined.isprintable() and "\\" not in joined and all(map(_is_quoted, texts)):
        lists = [text[2:-2].encode().split(b'","') for text in texts]
        if joined.count('"') == 2 * sum(map(len, lists)):  # no text has fewer
            return lists
    return None


def _is_quoted(text: str) -> bool:
    return text[:2] == '["' and text[-2:] == '"]' and len(text) >= 4


def json_text(text: str) -> str:
    """JSON without fragile characters, given JSON, which allows none outside string literals."""
    if _has_fragile(text):
        return _fragile.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def escape(text: str) -> str:
    """Writes a string as the text of a ``<data>`` element: as itself, or as a JSON string literal where it must be."""
    # A plain value starts and ends with neither white space, nor a quotation mark, and holds nothing fragile.
    is_plain = text != "" and text[0] != '"' and text == text.strip() and not _has_fragile(text)
    return text if is_plain else json_string(text)


def unescape(text: str) -> str:
    """Reads a string back; the inverse of `escape`.

    Raises:
        JsonError: the text starts with a quotation mark and is no JSON string literal.
    """
    if not text.startswith('"'):
        return text
    value = parse(text)
    if not isinstance(value, str):
        raise JsonError("is not a JSON string literal")
    return value
