"""The Python value of a key: text to value and back, one pair for each form.

`graphml_onnx.codec.keys.KEYS` gives the form of a key. Here, texts of a GraphML file become the values that a graph
library shows, and the reverse.

Source: docs/format.md, sections "Keys", "Text" and "JSON".
"""

from __future__ import annotations

import io
import json
import math
import operator
from collections.abc import Mapping
from typing import Protocol, TypeAlias, cast

import numpy as np

from graphml_onnx.codec.fields import Form
from graphml_onnx.codec.keys import KEYS
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.errors import PayloadError
from graphml_onnx.parameters.embedded import Base64Decoder, encode_base64
from graphml_onnx.support.strictjson import Json, JsonError, parse
from graphml_onnx.support.text import escape, json_text, unescape

Value: TypeAlias = "Json | bytes"
"""A string, an integer, JSON as Python's lists, dicts, numbers and strings, or bytes."""


class _Pair(Protocol):
    """Both directions of one form."""

    def read(self, text: str, /) -> Value:
        """The value of a text; raises JsonError, NumberError or PayloadError."""

    def write(self, value: object, /) -> str:
        """The text of a value; raises NumberError."""


class _AsIs:
    def read(self, text: str) -> str:
        return text

    def write(self, value: object) -> str:
        if not isinstance(value, str):
            raise NumberError(f"must be a string, not {type(value).__name__}")
        return value


class _Text:
    def read(self, text: str) -> str:
        return unescape(text)

    def write(self, value: object) -> str:
        return escape(_AsIs().write(value))


class _Integer:
    def read(self, text: str) -> int:
        value = parse(text)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NumberError("must be an integer")
        return value

    def write(self, value: object) -> str:
        if isinstance(value, bool):
            raise NumberError("must be an integer, not bool")
        if isinstance(value, float) and value.is_integer():  # from a column with missing numbers
            value = int(value)
        try:
            return str(operator.index(cast("int", value)))
        except TypeError:
            raise NumberError(f"must be an integer, not {type(value).__name__}") from None


class _Json:
    def read(self, text: str) -> Json:
        return parse(text)

    def write(self, value: object) -> str:
        if isinstance(value, list) and len(value) > 1 and all(isinstance(item, Mapping) for item in value):
            return "[\n" + ",\n".join(map(self._write, value)) + "\n]"
        return self._write(value)

    def _write(self, value: object) -> str:
        try:
            return json_text(json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain))
        except (TypeError, ValueError, RecursionError) as error:
            raise NumberError(f"cannot be written as JSON: {error}") from None


def _plain(value: object) -> object:
    """Converts NumPy's numbers and arrays, which computations leave in a graph, to Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is neither a number, a string, a list nor a dict")


class _Base64:
    def read(self, text: str) -> bytes:
        data = io.BytesIO()
        decoder = Base64Decoder(data)
        decoder.feed(text.encode(errors="replace"))  # what is beyond ASCII is no base64
        decoder.close()
        return data.getvalue()

    def write(self, value: object) -> str:
        if not isinstance(value, bytes):
            raise NumberError(f"must be bytes, not {type(value).__name__}")
        return "".join(encode_base64([value]))


_PAIRS: Mapping[Form, _Pair] = {
    Form.AS_IS: _AsIs(),
    Form.TEXT: _Text(),
    Form.INTEGER: _Integer(),
    Form.JSON: _Json(),
    Form.BASE64: _Base64(),
}


def values_of(texts: Mapping[str, str]) -> dict[str, Value]:
    """Values by key, given their texts.

    A text that does not fit a derived key stays text: other tools may have written it, and nothing depends on it.

    Args:
        texts: texts of a GraphML file by key.

    Raises:
        NumberError: a text does not fit a key of the truth, which the message names.
    """
    values: dict[str, Value] = {}
    for key, text in texts.items():
        try:
            values[key] = _PAIRS[KEYS[key].form].read(text)
        except (JsonError, NumberError, PayloadError) as error:
            if KEYS[key].truth:
                raise NumberError(f"{key}: {error}") from None
            values[key] = text
    return values


def is_absent(value: object) -> bool:
    """Whether a value is missing: None, or the NaN of tools that keep values in columns."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(key: str, value: object, *, as_text: bool) -> str | None:
    """The text of a value, or None if there is none; the inverse of `values_of`.

    A string for a key of an integer, JSON or bytes is already text.

    Args:
        key: a key of this format.
        value: its value.
        as_text: whether every string is text already, as in a GraphML file.

    Raises:
        NumberError: the value does not fit the key, which the message names.
    """
    form = KEYS[key].form
    if is_absent(value):
        return None
    if isinstance(value, str) and (as_text or form not in (Form.TEXT, Form.AS_IS)):
        text = value
    else:
        try:
            text = _PAIRS[form].write(value)
        except NumberError as error:
            raise NumberError(f"{key}: {error}") from None
    return text if text and not text.isspace() else None
