"""Pictures without a visible browser: the system's Chromium opens the page, draws, and returns the picture."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path
from typing import Final, Literal, TypeAlias

from graphml_onnx.errors import OutputError, UsageError

PictureFormat: TypeAlias = Literal["svg", "png"]

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_OTHER_FORMATS: Final = frozenset((".pdf", ".jpg", ".jpeg", ".gif", ".webp", ".eps"))
_PATIENCE: Final = 300  # seconds
_PICTURE: Final = re.compile(r'<pre id="picture">(.*?)</pre>', re.DOTALL)


def format_of(path: Path) -> PictureFormat | None:
    """The format for the ending of a file; None for a page.

    Raises:
        UsageError: it is a picture of another format.
    """
    match path.suffix.lower():
        case ".svg":
            return "svg"
        case ".png":
            return "png"
        case ending if ending in _OTHER_FORMATS:
            remedy = "print the page" if ending == ".pdf" else "end the name in .svg, .png or .html"
            raise UsageError(f"view draws SVG and PNG, not {ending[1:].upper()}", file=path, remedy=remedy)
        case _:
            return None


def picture(page: bytes, kind: PictureFormat) -> bytes:
    """The picture that a page draws of its model, if its data request one.

    Args:
        page: the HTML file.
        kind: what it draws.

    Raises:
        UsageError: there is no Chromium.
        OutputError: it does not start, or draws nothing.
    """
    program = next(filter(None, map(shutil.which, (*_PROGRAMS, _MAC))), None)
    if program is None:
        raise UsageError(
            f"drawing {kind.upper()} needs Chromium or Chrome, which is not on the path",
            remedy="install it, or open the page and save the picture there",
        )
    with tempfile.TemporaryDirectory(prefix="g2o-view-") as folder:
        file = Path(folder, "page.html")
        file.write_bytes(page)
        switches = ["headless", "disable-gpu", "dump-dom", "no-first-run", "virtual-time-budget=60000"]
        switches.append(f"user-data-dir={folder}/profile")
        if sys.platform != "win32" and os.geteuid() == 0:
            switches.append("no-sandbox")  # with it, Chromium does not start as root
        command = [program, *(f"--{switch}" for switch in switches), file.as_uri()]
        try:
            # No shell, and a page without network access.
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OutputError(f"{program} did not draw the model: {error}") from error
    found = _PICTURE.search(done.stdout.decode("utf-8", "replace"))
    if found is None:
        raise OutputError(f"{program} did not draw the model", remedy="open the page, and save the picture there")
    text = unescape(found[1])
    return text.encode() if kind == "svg" else base64.b64decode(text)
