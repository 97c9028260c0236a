"""Long lists between an ONNX file and a GraphML file: each is read from one file and written to the other in pieces.

While a graph is encoded or decoded, a token replaces each list: in the text that the codec writes for a message, and in
the text that the reader of a GraphML file hands on.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from graphml_onnx.graphml.lists import NotAsWrittenError
from graphml_onnx.graphml.markup import TEXT_IN_XML, from_xml, in_xml
from graphml_onnx.onnxfile.lists import pieces
from graphml_onnx.onnxfile.skeleton import LIST_ADDRESS, LongList
from graphml_onnx.onnxfile.wire import LENGTH_DELIMITED
from graphml_onnx.support import limits
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.codec.arrays import ListCodec
    from graphml_onnx.graphml.writer import TextSink
    from graphml_onnx.onnxfile.lists import ListShape
    from graphml_onnx.onnxfile.skeleton import ListRun
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.support.strictjson import Json

_NOT_IN_XML = ("\ufffe".encode(), "\uffff".encode())
_TEXT_IN_XML = re.compile(TEXT_IN_XML)


def new_name() -> str:
    """The name of a token's only member. It is random, so no document contains it, by chance or on purpose."""
    return f"$list-{os.urandom(8).hex()}"


class ListsToWrite:
    """The long lists of a model that is encoded.

    Args:
        source: the model file.
        runs: where they are, by their number.
    """

    def __init__(self, source: Source, runs: Sequence[ListRun]) -> None:
        self._source, self._runs = source, runs
        self._name = new_name()
        self._codecs: dict[int, ListCodec] = {}

    def token(self, address: int, codec: ListCodec) -> str:
        """The token of a list, given the function that writes its items."""
        number = address - LIST_ADDRESS
        self._codecs[number] = codec
        return f'{{"{self._name}":{number}}}'

    def sink(self, file: TextSink) -> TextSink:
        """A file that takes the text of a GraphML with tokens, and writes the lists instead of the tokens."""
        return _Sink(file, re.compile(rb'\{"%b":(\d+)\}' % re.escape(self._name.encode())), self)

    def texts(self, number: int) -> Iterator[bytes]:
        """The text of a list, in pieces."""
        run, codec = self._runs[number], self._codecs[number]
        separator = "["
        for fields, items in pieces(self._source, run.shape, run.start, run.end):
            yield (separator + in_xml(codec.text_of(fields, items, run.shape))).encode()
            separator = ","
        yield b"]"


class _Sink:
    def __init__(self, file: TextSink, token: re.Pattern[bytes], lists: ListsToWrite) -> None:
        self._file, self._token, self._lists = file, token, lists

    def write(self, data: bytes, /) -> None:
        position = 0
        for match in self._token.finditer(data):
            self._file.write(data[position : match.start()])
            for text in self._lists.texts(int(match[1])):
                self._file.write(text)
            position = match.end()
        self._file.write(data[position:])


class ListsOfDocument:
    """The long lists of a GraphML file, which the reader skips.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = new_name()
        self._spans: list[tuple[int, int]] = []
        self._used: set[int] = set()
        self._addresses: dict[int, LongList] = {}
        self._known: dict[tuple[int, int, ListShape], LongList] = {}

    def restart(self) -> None:
        """Forgets the positions of lists, because the document is read again. Their content stays known."""
        self._spans.clear()
        self._used.clear()
        self._addresses.clear()

    def add(self, start: int, end: int) -> bytes:
        """Records the position of a list in the document; returns its token."""
        self._spans.append((start, end))
        return b'{"%b":%d}' % (self.name.encode(), len(self._spans) - 1)

    @property
    def are_all_used(self) -> bool:
        """Whether each token was used as the value of a field: elsewhere, it would be mistaken for text."""
        return len(self._used) == len(self._spans)

    def number(self, value: Json) -> int | None:
        """The number of the list of a token; None if ``value`` is no token."""
        if isinstance(value, dict) and self.name in value:
            number = value[self.name]
            if isinstance(number, int):
                self._used.add(number)
                return number
        return None

    def items(self, number: int) -> Json:
        """The items of a list one by one.

        Raises:
            JsonError, UnicodeDecodeError: they are no list.
            NotAsWrittenError: what they are depends on XML.
        """
        return parse(self._whole(number))

    def restored(self, text: str) -> str:
        """A text with the lists instead of the tokens."""
        if self.name not in text:
            return text
        return re.sub(rf'\{{"{re.escape(self.name)}":(\d+)\}}', self._original, text)

    def _original(self, match: re.Match[str]) -> str:
        number = int(match[1])
        self._used.add(number)
        try:
            return self._whole(number)
        except UnicodeDecodeError:
            raise NotAsWrittenError from None

    def _whole(self, number: int) -> str:
        start, end = self._spans[number]
        try:
            return _text(self._source.read(start, end - start)).decode()
        except JsonError:
            raise NotAsWrittenError from None

    def address(self, number: int, codec: ListCodec, shape: ListShape) -> int | None:
        """The address of a list, after reading its text; None if one of its items is wrong."""
        key = (*self._spans[number], shape)
        if key not in self._known:
            content = bytearray()
            try:
                for text in self._texts(number, is_text=shape.kind == LENGTH_DELIMITED):
                    fields = codec.fields_of(text, shape)
                    if fields is None:
                        return None
                    content += fields
            except JsonError:
                return None
            self._known[key] = LongList(content, shape)
        self._addresses[LIST_ADDRESS + number] = self._known[key]
        return LIST_ADDRESS + number

    def contents(self) -> Mapping[int, LongList]:
        """The lists by their addresses."""
        return self._addresses

    def _texts(self, number: int, *, is_text: bool) -> Iterator[bytes]:
        """The text of a list without its brackets, in pieces that end between two items."""
        start, end = self._spans[number]
        start, end = start + 1, end - 1
        size = limits.LIMITS.chunk
        while True:
            text = self._source.read(start, min(size, end - start))
            is_last = len(text) == end - start
            if not is_last:
                cut = _last_comma(text, after_quote=is_text)
                if cut < 0:
                    size *= 2
                    continue
                text = text[:cut]
            yield _text(text)
            if is_last:
                return
            start += len(text) + 1
            size = limits.LIMITS.chunk


def _last_comma(text: bytes, *, after_quote: bool) -> int:
    """The position of the last comma that is certainly between two items; -1 if there is none."""
    if not after_quote:
        return text.rfind(b",")
    place = text.rfind(b'","')
    while place > 0 and text[place - 1] in b"\\,":  # perhaps within a string, or a string that is a comma
        place = text.rfind(b'","', 0, place + 2)
    return place + 1 if place > 0 else -1


def _text(content: bytes) -> bytes:
    """Checks text from XML: raises JsonError if XML reads it in another way, or not at all."""
    if not content.isascii() and any(character in content for character in _NOT_IN_XML):
        raise JsonError("holds what XML cannot")
    if b"&" in content or b">" in content:
        text = content.decode("utf-8", "surrogateescape")
        if not _TEXT_IN_XML.fullmatch(text):
            raise JsonError("holds markup")
        return from_xml(text).encode("utf-8", "surrogateescape")
    return content
