"""Strict JSON: what is refused, and where it stands, which Python's own reader does not tell."""

from __future__ import annotations

import pytest

from graphml_onnx.support.strictjson import JsonError, parse


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ('{"a": 1,\n "b" 2}', "not valid JSON", "line 2, column 6"),
        ("", "not valid JSON", "line 1, column 1"),
        ('{"a": 1} 2', "not valid JSON", "line 1, column 10"),
        ('{"a": 1,\n "\\u0061" : 2}', "duplicate key 'a'", "line 2, column 2"),
        ('{"b": {"a": 1}, "c": ["a", {"a": 2,\n"a": 3}], "a": 0}', "duplicate key 'a'", "line 2, column 1"),
        ('{"a": 1, "a": {"b": 1, "b": 2}}', "duplicate key 'b'", "line 1, column 24"),
        ('{"": 1, "": 2}', "duplicate key ''", "line 1, column 9"),
        ('["NaN", "\\"NaN", 1,\n  NaN]', "NaN is not JSON", "line 2, column 3"),
        ('{"a": 1, "a": -Infinity}', "-Infinity is not JSON", "line 1, column 15"),
        (f"[{'1' * 5000}.5, -{'9' * 4301}]", "more than 4,300 digits", f"line 1, column {5000 + 6}"),
        (f"[1,\n{'[' * 20_000}{']' * 20_001}", "nested too deeply", "line 2, column 20000"),
        (f"{'[' * 20_000}{']' * 30_000}", "nested too deeply", "line 1, column 20000"),
    ],
)
def test_what_is_not_strict_is_refused_with_its_place(text: str, told: str, place: str) -> None:
    with pytest.raises(JsonError, match=told) as caught:
        parse(text)
    assert caught.value.place == place
    assert str(caught.value) == f"{caught.value.message}, at {place}"


@pytest.mark.parametrize("text", ['{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}', " [1] \n", '"NaN"', "1e400", "-0"])
def test_what_is_strict_is_read(text: str) -> None:
    assert parse(text) == eval(text, {"inf": float("inf")})
