"""The library's words in the command line's: an argument in backticks becomes the option of that name."""

from __future__ import annotations

import re

_ARGUMENT = re.compile(r"`([a-z][a-z_]*)(?:=(True|\.\.\.|\d+|'[\w-]*'))?`")


def as_options(text: str) -> str:
    """The text with ``--overwrite`` for ```overwrite=True```, and ``--trust edges`` for ```trust='edges'```."""
    return _ARGUMENT.sub(_option, text)


def _option(match: re.Match[str]) -> str:
    name, value = match.groups()
    option = "--" + name.replace("_", "-")
    return option if value in (None, "True", "...") else option + " " + value.strip("'")
