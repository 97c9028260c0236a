from __future__ import annotations

import re
import sys
from xml.sax.saxutils import escape as xml_escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import escape, json_string, unescape
from tests.strategies.models import hostile_texts

# What a protobuf string can be in Python: any text, and bytes that are not UTF-8 as surrogates (PEP 383).
strings = (st.binary(max_size=30) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "ignore"))).map(
    lambda value: value.decode("utf-8", "surrogateescape")
) | hostile_texts.map(lambda value: value.decode("utf-8", "surrogateescape"))

# XML 1.0, section 2.2: characters; but for CR, which parsers turn into LF.
_XML_TEXT = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def is_safe(text: str) -> bool:
    """Whether a value survives XML, a tool that trims, and one that drops empty values."""
    return text != "" and text == text.strip() and _XML_TEXT.fullmatch(text) is not None


@given(strings)
@example("")
@example('"')
@example("\\u0000")
@example('"\\u0000"')
@example("\n")
@example("a\n")
@example("\N{NO-BREAK SPACE}a")
@example("a\u3000")
def test_any_string_comes_back_and_is_safe_in_between(text):
    assert unescape(escape(text)) == text
    assert is_safe(escape(text))


def test_every_character_comes_back_and_is_safe_wherever_it_stands():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        for text in (character, f"a{character}b"):
            written = escape(text)
            assert is_safe(written), hex(code)
            assert unescape(written) == text, hex(code)


def test_an_ordinary_value_stands_as_itself():
    for text in (
        "/encoder/layer.0/MatMul",
        "a b",
        "a\tb\nc",
        "日本語",
        "\U0001f600",
        "<a & b>",
        "x\u00a0y",
        "'quoted'",
    ):
        assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("", '""'),
        (" a", '" a"'),
        ("a\n", '"a\\n"'),
        ("a\rb", '"a\\rb"'),
        ('"a', '"\\"a"'),
        ("\x00", '"\\u0000"'),
        ("\ufffe", '"\\ufffe"'),
        ("\udcff", '"\\udcff"'),
        ("\x85", '"\\u0085"'),
        ("\ufeffa", '"\\ufeffa"'),
    ],
)
def test_what_would_not_survive_is_a_json_literal(text, literal):
    assert escape(text) == literal
    assert unescape(literal) == text


@given(strings)
def test_a_json_string_is_safe_and_strict_json(text):
    literal = json_string(text)
    assert is_safe(literal)
    assert parse(literal) == text


@given(strings)
def test_xml_parsers_give_the_text_as_it_was_written(text):
    written = escape(text)
    document = f"<data>{xml_escape(written)}</data>".encode()
    assert etree.fromstring(document).text == written


@pytest.mark.parametrize("text", ['"', '"a', '"a"b', '"a" "b"', '"\\x"', '"\n"', '"\x00"'])
def test_a_broken_literal_is_refused(text):
    with pytest.raises(JsonError):
        unescape(text)
