"""Text that survives: any string, written so that neither XML nor a tool that trims can change it.

Source: docs/format.md, section "Text"; XML 1.0, sections 2.2 (characters) and 2.11 (line ends).
"""

from __future__ import annotations

import html
import re
from json.encoder import encode_basestring as _json_string
from typing import TYPE_CHECKING

from graphml_onnx.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

# What XML 1.0 cannot hold (most control characters, surrogates, U+FFFE, U+FFFF), what parsers turn into something
# else (CR), and what editors and tools may (C1 controls, line and paragraph separators, byte order marks).
_FRAGILE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff"
_fragile = re.compile(f"[{_FRAGILE}]")
# A plain value starts and ends with neither white space, nor a quotation mark, and holds nothing fragile.
_needs_literal = re.compile(rf'^(?:["\s]|$)|\s\Z|[{_FRAGILE}]')


def json_string(text: str) -> str:
    """A JSON string literal in which nothing is fragile: such characters are escaped with four hexadecimal digits."""
    return json_text(_json_string(text))


def json_strings(texts: Iterable[str]) -> str:
    """A JSON list of strings in which nothing is fragile."""
    return json_text(f"[{','.join(map(_json_string, texts))}]")


def json_text(text: str) -> str:
    """JSON in which nothing is fragile, given JSON: outside string literals, no such character can stand."""
    if _fragile.search(text):
        return _fragile.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def escape(text: str) -> str:
    """Writes a string as the text of a ``<data>`` element: as itself, or as a JSON string literal where it must be."""
    return json_string(text) if _needs_literal.search(text) else text


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


def in_xml(text: str) -> str:
    """The text as XML: with references for the characters that are markup (XML 1.0, section 2.4)."""
    # Most values have none of them, and looking is faster than replacing.
    # (html's function is that of XML; xml.sax.saxutils would load urllib and ssl with its own.)
    return html.escape(text, quote=False) if has_markup(text) else text


def has_markup(text: str) -> bool:
    """Whether a text has characters that `in_xml` writes as references."""
    return "&" in text or "<" in text or ">" in text
