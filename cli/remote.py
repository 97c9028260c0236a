"""Models from a URL: they are downloaded for the time of the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 typer reads the annotations of a callback

from graphml_onnx.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/(?!/)(.+)")
"""Restores a URL from a path, which has lost one of two slashes."""

_HERE = ("file", "local")  # whose paths are absolute: file:///folder/model.onnx

_PREFIX = "g2o-fetch-"

_folders: dict[str, str] = {}
"""The folders of downloaded files, and the part of the URL that each replaces."""


def as_given(text: str, *, is_json: bool = False) -> str:
    """A text with URLs instead of the paths of downloaded files."""
    for folder, url in _folders.items():
        text = text.replace(folder, json.dumps(url)[1:-1] if is_json else url)
    return text


def fetched(context: typer.Context, value: Path) -> Path:
    """The file itself, or the download of a URL, in a folder that is removed when the command ends."""
    found = _URL.fullmatch(value.as_posix()) if isinstance(value, Path) else None
    if found is None or value.exists():
        return value
    if found[1] in _HERE:
        return Path("/", found[2])
    import tempfile

    from graphml_onnx.zoo.fetching import fetch_model

    folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
    url = f"{found[1]}://{found[2]}"
    _folders[folder.name] = url.rpartition("/")[0]
    try:
        model = fetch_model(url, Path(folder.name))
    except BaseException:  # the context is not closed where its options cannot be read
        folder.cleanup()
        raise
    context.with_resource(folder)
    return model


def all_fetched(context: typer.Context, values: list[Path]) -> list[Path]:
    """The same for several."""
    return [fetched(context, value) for value in values]


def check_output(models: Sequence[Path], output: Path | None) -> None:
    """Checks that the output for a downloaded model does not go into the temporary folder.

    Raises:
        UsageError: no output is given for such a model.
    """
    if output is None and any(model.parent.name.startswith(_PREFIX) for model in models):
        raise UsageError("a model from a URL has no folder here for its output", remedy="give --output")
