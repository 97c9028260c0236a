"""Characters that are markup in XML, as references (XML 1.0, section 2.4), and back."""

from __future__ import annotations


def in_xml(text: str) -> str:
    """The text as XML: with references for the characters that are markup."""
    # Most values have none of them, and looking is faster than replacing.
    # (xml.sax.saxutils would load urllib and ssl with its own; html a table of every entity.)
    if has_markup(text):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def from_xml(text: str) -> str:
    """The inverse of `in_xml`, for what `TEXT_IN_XML` matches."""
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return text


_NO_MARKUP = r"[^<>&\x00-\x08\x0b-\x1f]*+"
TEXT_IN_XML = f"{_NO_MARKUP}(?:&(?:lt|gt|amp);{_NO_MARKUP})*+"
"""Matches the result of `in_xml` for text without control characters: references instead of markup."""


def has_markup(text: str) -> bool:
    """Whether a text has characters that `in_xml` writes as references."""
    return "&" in text or "<" in text or ">" in text
