"""Runs what a document shows, block by block, and returns the document with the output.

- ``console``: commands after ``$``, with their output: ``g2o``, ``python`` and ``cp``;
- ``pycon``: statements after ``>>>``, with their output, in one namespace for the whole document;
- ``diff FILE``: an edit of a file: hunks of lines to keep, remove (``-``) and add (``+``), with ``@@`` between hunks.

Other blocks are not run.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.common.command import in_process

ROOT = Path(__file__).parents[2]
UPDATE = os.environ.get("G2O_UPDATE_GOLDEN") == "1"

_BLOCK = re.compile(r"^```(console|pycon|diff (\S+))\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Runner:
    """Runs the blocks of one document.

    Args:
        folder: where commands run and files are edited.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, object] = {}

    def run(self, document: str) -> str:
        """The document with the output of what it shows."""
        return _BLOCK.sub(self._block, document)

    def _block(self, match: re.Match[str]) -> str:
        kind, file, content = match.groups()
        if kind == "console":
            content = "".join(map(self._command, re.findall(r"^\$ ((?:.*\\\n)*.*)\n", content, re.MULTILINE)))
        elif kind == "pycon":
            content = "".join(map(self._statement, doctest.DocTestParser().get_examples(content)))
        else:
            self._edit(self._folder / file, content)
        return f"```{kind}\n{content}```"

    def _command(self, line: str) -> str:
        name, *arguments = shlex.split(line.replace("\\\n", ""))
        if name == "g2o":
            ran = in_process(self._folder, *arguments)
            return f"$ {line}\n{ran.out}{ran.err}"
        if name == "cp":
            shutil.copy(self._folder / arguments[0], self._folder / arguments[1])
            return f"$ {line}\n"
        assert name == "python", line
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self._folder, capture_output=True, encoding="utf-8", check=True
        )
        assert done.stderr == ""
        return f"$ {line}\n{done.stdout}"

    def _statement(self, example: doctest.Example) -> str:
        shown = "".join(
            f"{'...' if number else '>>>'} {line}".rstrip() + "\n"
            for number, line in enumerate(example.source.splitlines())
        )
        out = io.StringIO()
        with contextlib.chdir(self._folder), contextlib.redirect_stdout(out):
            exec(compile(example.source, "document", "single"), self._names)
        return shown + out.getvalue()

    @staticmethod
    def _edit(path: Path, diff: str) -> None:
        text = path.read_text("utf-8")
        for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert text.count(old) == 1, f"stands {text.count(old)} times:\n{old}"
            text = text.replace(old, new)
        path.write_text(text, "utf-8")


def check(document: Path, folder: Path) -> None:
    """Runs a document, and compares; with ``G2O_UPDATE_GOLDEN=1``, writes the output instead."""
    text = document.read_text("utf-8")
    found = Runner(folder).run(text)
    if UPDATE:
        document.write_text(found, "utf-8")
    assert found == text or UPDATE
