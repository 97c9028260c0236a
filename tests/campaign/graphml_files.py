"""The target ``graphml``: graphs with something wrong, or only unusual, in their XML."""

from __future__ import annotations

import gzip
import random
import re
from typing import TYPE_CHECKING

from tests.campaign import hostile_json
from tests.campaign.graphs import Decoding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Tokens = list[str]

TOKEN = re.compile(r"<[^>]*>|[^<]+")
"""A tag or a text."""

_ATTRIBUTE = re.compile(r'([\w:.]+)="([^"]*)"')
_NUMBER = re.compile(r"-?\d+")
_ELEMENTS = (
    "<node>", '<node id="x"/>', '<node id="n1"/>', '<edge source="m" target="m"/>', '<edge source="x" target="y"/>',
    "<graph>", "</graph>", '<graph edgedefault="undirected"/>', "</node>", "<data>", '<data key="kind">op</data>',
    '<data key="nothing">x</data>', '<key id="kind" for="node" attr.name="kind"/>', '<key id="q" for="all"/>',
    '<key id="q" for="node" attr.name="index" attr.type="int"><default>0</default></key>', "<key/>", "<hyperedge/>",
    '<port name="p"/>', '<endpoint node="m"/>', "<desc>text</desc>", '<x:y xmlns:x="z"/>', "<y:Label>x</y:Label>",
    "<graphml>", "</graphml>", "<svg/>", "<!---->", "<!-- -- -->", "<?xml version='1.1'?>", "<?g2o x?>",
    "<![CDATA[x]]>", "<![CDATA[", "]]>", "<!DOCTYPE graphml>", '<!DOCTYPE g [<!ENTITY a "b">]>',
    '<!DOCTYPE g [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "<a>" * 3000, "<a/>" * 500,
)  # fmt: skip
_TEXTS = (
    "", " ", "x", "0", "1", "-1", "999999999", "1000000000", "9" * 400, "²", "1.5", "op", "model", "module", "subgraph",
    "function", "input", "output", "parameter", "frame", "sidecar", "embedded", "reference", "4.0.0", "4.1.7", "5.0",
    "1.0", "model", "m", "[]", "{}", "null", '""', '"\\ud800"', "[" * 20_000, '[{"g":{"$graph":0}}]', '["x","x"]',
    "../x", "/etc/passwd", "graph.graphml", "out", "m0.onnx", "a" * 3000, "0" * 64, "AAAA", "AA==AAAA", "A" * 5,
    "&amp;&lt;&gt;", "&#0;", "&#xD800;", "&#x10FFFF;", "&a;", "&", "\x00", "\x0b", "\ufffe", "\U0001f600", "\u2028",
)  # fmt: skip
_VALUES = (
    "",
    "x",
    "model",
    "after",
    "m",
    "kind",
    "index",
    "node",
    "edge",
    "all",
    "string",
    "int",
    "&lt;",
    "\x01",
    "é",
    "a" * 300,
)


class GraphmlFiles:
    """Decoding ends with a model, or with the library's own error; nothing else is written.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._decoding = Decoding(folder)
        self._bases = [TOKEN.findall(text) for text in self._decoding.texts]

    def make(self, number: int) -> bytes:
        """A graph with one to six changes; some are spoiled in their bytes."""
        rng = random.Random(number)
        tokens = list(rng.choice(self._bases))
        for _ in range(rng.choice((1, 1, 2, 2, 3, 6))):
            changed(tokens, rng)
        data = "".join(tokens).encode("utf-8", "surrogatepass")
        return _spoiled(data, rng) if rng.random() < 0.1 else data

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`."""
        return self._decoding.check(data)


def changed(tokens: Tokens, rng: random.Random) -> None:
    """Makes one change, in place."""
    rng.choice(_CHANGES)(tokens, rng)


def _spoiled(data: bytes, rng: random.Random) -> bytes:
    position = rng.randint(0, len(data))
    choice = rng.randrange(8)
    if choice < 2:
        return data[:position]
    if choice < 4:
        return data[:position] + rng.randbytes(rng.randint(1, 3)) + data[position + rng.randint(0, 3) :]
    text = data.decode("utf-8", "replace")
    return (
        lambda: b"\xef\xbb\xbf" + data,
        lambda: text.encode(rng.choice(("utf-16", "utf-16-be", "utf-32", "utf-7", "latin-1")), "replace"),
        lambda: gzip.compress(data, mtime=0),
        lambda: data.replace(b"UTF-8", rng.choice((b"UTF-16", b"latin-1", b"ascii", b"\xff", b"")), 1),
    )[choice - 4]()


def _elements(tokens: Tokens) -> list[tuple[int, int]]:
    """Start and end of every element."""
    found, opened = [], []
    for index, token in enumerate(tokens):
        if not token.startswith("<") or token.startswith(("<?", "<!")):
            continue
        if token.endswith("/>"):
            found.append((index, index + 1))
        elif token.startswith("</"):
            if opened:
                found.append((opened.pop(), index + 1))
        else:
            opened.append(index)
    return found


def _texts(tokens: Tokens) -> list[int]:
    """Where the texts of values are."""
    return [
        index + 1
        for index, token in enumerate(tokens[:-1])
        if token.startswith("<data ") and not tokens[index + 1].startswith("<")
    ]


def _delete(tokens: Tokens, rng: random.Random) -> None:
    if tokens:
        del tokens[rng.randrange(len(tokens))]


def _insert(tokens: Tokens, rng: random.Random) -> None:
    tokens.insert(rng.randint(0, len(tokens)), rng.choice(_ELEMENTS))


def _delete_element(tokens: Tokens, rng: random.Random) -> None:
    if elements := _elements(tokens):
        start, end = rng.choice(elements)
        del tokens[start:end]


def _double_element(tokens: Tokens, rng: random.Random) -> None:
    if elements := _elements(tokens):
        start, end = rng.choice(elements)
        tokens[end:end] = tokens[start:end]


def _move_element(tokens: Tokens, rng: random.Random) -> None:
    if elements := _elements(tokens):
        start, end = rng.choice(elements)
        moved = tokens[start:end]
        del tokens[start:end]
        at = rng.randint(0, len(tokens))
        tokens[at:at] = moved


def _swap(tokens: Tokens, rng: random.Random) -> None:
    if tokens:
        left, right = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        tokens[left], tokens[right] = tokens[right], tokens[left]


def _change_attribute(tokens: Tokens, rng: random.Random) -> None:
    """An attribute gets another value, that of another element for instance, or is gone."""
    tags = [index for index, token in enumerate(tokens) if token.startswith("<") and "=" in token]
    if not tags:
        return
    at = rng.choice(tags)
    found = list(_ATTRIBUTE.finditer(tokens[at]))
    if not found:
        return
    match = rng.choice(found)
    others = [value for _, value in _ATTRIBUTE.findall(tokens[rng.choice(tags)])]
    value = rng.choice([*others, *_VALUES])
    new = rng.choice((f'{match[1]}="{value}"', f'{match[1]}="{value}"', "", match[0] + " " + match[0]))
    tokens[at] = tokens[at][: match.start()] + new + tokens[at][match.end() :]


def _change_text(tokens: Tokens, rng: random.Random) -> None:
    """A value becomes another one, often that of another node."""
    if texts := _texts(tokens):
        tokens[rng.choice(texts)] = rng.choice((rng.choice(_TEXTS), tokens[rng.choice(texts)]))


def _change_json(tokens: Tokens, rng: random.Random) -> None:
    texts = [index for index in _texts(tokens) if tokens[index].startswith(("[", "{"))]
    if not texts:
        return
    at = rng.choice(texts)
    try:
        changed = hostile_json.mutant(tokens[at], rng)
    except (ValueError, RecursionError):  # markup within it, or changed before
        return
    tokens[at] = changed.replace("&", "&amp;").replace("<", "&lt;")


def _change_number(tokens: Tokens, rng: random.Random) -> None:
    texts = [index for index in _texts(tokens) if _NUMBER.search(tokens[index])]
    if not texts:
        return
    at = rng.choice(texts)
    match = rng.choice(list(_NUMBER.finditer(tokens[at])))
    number = int(match[0][:300])
    new = rng.choice((number + 1, number - 1, -number, number * 2, 2**31, 2**63 - 1, 2**63, 2**64, 10**18, 0))
    tokens[at] = tokens[at][: match.start()] + str(new) + tokens[at][match.end() :]


def _split_text(tokens: Tokens, rng: random.Random) -> None:
    """What may stand within a value, and what may not."""
    if texts := _texts(tokens):
        at = rng.choice(texts)
        text = tokens[at]
        cut = rng.randint(0, len(text))
        within = rng.choice(("<!-- c -->", "<?p i?>", "<![CDATA[]]>", "<b/>", "&#65;", "&lt;", "\n", " ", "\0", "]]>"))
        tokens[at] = rng.choice((text[:cut] + within + text[cut:], f"<![CDATA[{text}]]>"))


_CHANGES: tuple[Callable[[Tokens, random.Random], None], ...] = (
    _delete, _insert, _insert, _delete_element, _double_element, _move_element, _swap, _change_attribute,
    _change_attribute, _change_text, _change_text, _change_json, _change_json, _change_json, _change_number,
    _split_text,
)  # fmt: skip
