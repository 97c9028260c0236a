"""The data files of a model, as the model's node lists them.

Source: docs/format.md, section "External data".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.payloads import payload_json, read_payload
from graphml_onnx.onnxfile.external import check_location
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphml_onnx.parameters.store import PayloadReference


class ExternalFile(NamedTuple):
    """A data file of a model.

    Attributes:
        location: its path relative to the model's folder, with ``/`` between folders.
        content: length and digest; the offset is its address in the store, or 0 if it stays in its place.
    """

    location: str
    content: PayloadReference


def externals_text(files: Iterable[ExternalFile]) -> str:
    """The text of ``external_files``."""
    items = [f'{{"location":{json_string(file.location)},"content":{payload_json(file.content)}}}' for file in files]
    return "[\n" + ",\n".join(items) + "\n]"


def read_externals(text: str) -> tuple[ExternalFile, ...]:
    """Reads the text back; the inverse of `externals_text`.

    Raises:
        NumberError: it is malformed, or a location leaves the model's folder or occurs twice.
    """
    try:
        value = parse(text)
    except JsonError as error:
        raise NumberError(str(error)) from None
    if not isinstance(value, list):
        raise NumberError("must be a list")
    files: dict[str, ExternalFile] = {}
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"location", "content"}:
            raise NumberError("a data file needs location and content, and nothing else")
        location = item["location"]
        if not isinstance(location, str):
            raise NumberError("a location must be a string")
        try:
            location = check_location(location)
        except ValueError as error:
            raise NumberError(str(error)) from None
        if location in files:
            raise NumberError(f"the location {location!r} is there twice")
        content = read_payload(item["content"])
        if content.file is not None:
            raise NumberError(f"the data file {location!r} cannot be a tensor of another file")
        files[location] = ExternalFile(location, content)
    return tuple(files.values())
