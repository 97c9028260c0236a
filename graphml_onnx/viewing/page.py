"""The page: the built viewer and the data of a model in one HTML file that never uses the network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.support.strictjson import Json

_LEVEL: Final = 5  # of gzip; 6 takes up to three times as long for at most two per cent

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws the model with JavaScript, which is switched off here.</noscript>
<script type="application/octet-stream" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page(document: Mapping[str, Json], title: str) -> bytes:
    """One HTML file that shows the data. Names in the data are never read as HTML or code.

    Args:
        document: the data for the viewer, see `tables` in this package.
        title: of the page.
    """
    script, style = (_asset(name) for name in ("viewer.js", "viewer.css"))
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    packed = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), _LEVEL, mtime=0)
    values = {
        "policy": policy,
        "title": _escape(title),
        "style": style,
        "data": base64.b64encode(packed).decode(),
        "script": script,
    }
    return _PAGE.format_map(values).encode()


def _asset(name: str) -> str:
    return files("graphml_onnx.viewing").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _escape(text: str) -> str:
    """Escapes text for an element: HTML's special characters, control characters and lone surrogates as numbers."""
    return "".join(c if c.isalnum() or c in " ._-:/" else f"&#{_known(c)};" for c in text)


def _known(character: str) -> int:
    code = ord(character)
    return code if 0x20 <= code < 0xD800 or code > 0xDFFF else 0xFFFD
