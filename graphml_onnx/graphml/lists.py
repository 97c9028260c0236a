"""Skips the long JSON lists of a document: a token replaces each, so no reader has to hold one in memory.

It does not matter if something is mistaken for a list here. The user of a token reads the list from the document, and
refuses what is not a list. If a token appears anywhere but as a JSON value, the document is read without tokens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphml_onnx.graphml.elements import CutLists

LONG = 1 << 12
"""Size from which on a list is skipped, in bytes. A shorter one is read faster with the text around it."""

_START = re.compile(rb'":\[(?=[-0-9"])')
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


class NotAsWrittenError(Exception):
    """The document deviates from what the writer writes, or holds something unusual."""


def without_lists(chunks: Iterable[bytes], lists: CutLists) -> Iterator[bytes]:
    """The same bytes with tokens instead of long lists. Each such list is a member of an object, within one line.

    Args:
        chunks: the document.
        lists: records the lists.

    Raises:
        NotAsWrittenError: a list goes on beyond its line.
    """
    lists.restart()
    text, offset = b"", 0  # not handed on yet, and its start in the document
    is_in_line = False  # whether a long line goes on there
    scan, list_at = _Scan(), -1  # the list that is open, and where it starts
    for chunk in chunks:
        text += chunk
        done = 0  # what was handed on
        if list_at >= 0:
            end = scan.end(text, 0)
            if end == _NO_LIST:
                raise NotAsWrittenError
            if end == _GOES_ON:
                text, offset = b"", offset + len(text)
                continue
            yield lists.add(list_at, offset + end)
            done, list_at, is_in_line = end, -1, True
        hold = text.rfind(b"\n") + 1
        if is_in_line or _has_long_line(text):
            scanned = done
            while match := _START.search(text, scanned):
                start = match.end() - 1
                scan = _Scan()
                scanned = scan.end(text, start)
                if scanned == _NO_LIST:
                    scanned = scan.stopped
                elif scanned == _GOES_ON and len(text) - start < LONG:
                    hold = match.start()
                    break
                elif scanned == _GOES_ON:
                    yield text[done:start]
                    list_at, done = offset + start, len(text)
                    break
                elif scanned - start >= LONG:
                    yield text[done:start]
                    yield lists.add(offset + start, offset + scanned)
                    done = scanned
            else:  # the end may be the start of a list
                hold = hold if len(text) - hold < LONG else len(text) - 3
            hold = max(hold, done)
            is_in_line = text[hold - 1 : hold] != b"\n"
        yield text[done:hold]
        text, offset = text[hold:], offset + hold
    if list_at >= 0:
        raise NotAsWrittenError
    yield text


def _has_long_line(text: bytes) -> bool:
    """Whether a line is long enough to contain a long list: it fills a whole block."""
    return any(text.find(b"\n", start, start + LONG) < 0 for start in range(0, len(text) - LONG + 1, LONG))


_GOES_ON, _NO_LIST = -1, -2


class _Scan:
    """Looks for the end of a list, a bracket outside all strings, which may be several chunks away."""

    def __init__(self) -> None:
        self._is_quoted = self._is_escaped = False
        self.stopped = 0
        """The position in the text that shows that it is no list."""

    def end(self, text: bytes, start: int) -> int:
        """Where the list ends in the next text, in which it begins or goes on at ``start``."""
        if self._is_escaped and text[start : start + 1] in (b"<", b"\n"):
            self.stopped = start
            return _NO_LIST
        position = start + self._is_escaped
        self._is_escaped = False
        while True:
            bracket = text.find(b"]", position)
            part = text[position:bracket] if bracket >= 0 else text[position:]
            if b"<" in part or b"\n" in part:
                self.stopped = position + min(place for c in b"<\n" if (place := part.find(c)) >= 0)
                return _NO_LIST
            if b"\\" in part:
                part = _ESCAPED.sub(b"", part)
                self._is_escaped = bracket < 0 and part.endswith(b"\\")
            self._is_quoted ^= part.count(b'"') % 2 == 1
            if bracket < 0:
                return _GOES_ON
            if not self._is_quoted:
                return bracket + 1
            position = bracket + 1
