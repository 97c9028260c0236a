"""The target ``edges``: graphs whose edges were drawn anew, decoded with ``trust="edges"``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.campaign.graphml_files import TOKEN, Tokens, changed
from tests.campaign.graphs import Decoding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_INDICES = ("", "0", "1", "2", "7", "99", "1000000", "-1", "x", "[0]")


class EdgesTrusted(Decoding):
    """The operators' inputs are made from the edges: a model, or the library's own error.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, trust="edges")
        self._bases = [TOKEN.findall(text) for text in self.texts if "<edge " in text]

    def make(self, number: int) -> bytes:
        """A graph with one to six changes of its edges; in one of four, of anything."""
        rng = random.Random(number)
        tokens = list(rng.choice(self._bases))
        for _ in range(rng.choice((1, 1, 2, 2, 3, 6))):
            rng.choice(_CHANGES)(tokens, rng)
        if rng.random() < 0.25:
            changed(tokens, rng)
        return "".join(tokens).encode("utf-8", "surrogatepass")

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))


def _edges(tokens: Tokens) -> list[tuple[int, int]]:
    """Where edges begin and end."""
    ends = [index + 1 for index, token in enumerate(tokens) if token == "</edge>"]
    starts = [index for index, token in enumerate(tokens) if token.startswith("<edge ") and not token.endswith("/>")]
    return list(zip(starts, ends, strict=False))


def _nodes(tokens: Tokens) -> list[str]:
    return [token.split('"')[1] for token in tokens if token.startswith("<node ") and '"' in token]


def _rewire(tokens: Tokens, rng: random.Random) -> None:
    if (edges := _edges(tokens)) and (nodes := _nodes(tokens)):
        start, _ = rng.choice(edges)
        parts = tokens[start].split('"')
        at = rng.choice(range(1, len(parts), 2))
        parts[at] = rng.choice(nodes)
        tokens[start] = '"'.join(parts)


def _remove(tokens: Tokens, rng: random.Random) -> None:
    if edges := _edges(tokens):
        start, end = rng.choice(edges)
        del tokens[start:end]


def _copy(tokens: Tokens, rng: random.Random) -> None:
    """An edge stands twice, or somewhere else too."""
    if edges := _edges(tokens):
        start, end = rng.choice(edges)
        at = rng.choice((end, rng.choice(edges)[1]))
        tokens[at:at] = tokens[start:end]


def _draw(tokens: Tokens, rng: random.Random) -> None:
    """An edge as a program draws it, with its ends only."""
    if (edges := _edges(tokens)) and (nodes := _nodes(tokens)):
        at = rng.choice(edges)[1]
        tokens.insert(at, f'<edge source="{rng.choice(nodes)}" target="{rng.choice(nodes)}"/>')


def _change_data(tokens: Tokens, rng: random.Random) -> None:
    """Another index or name of a tensor, or none."""
    if edges := _edges(tokens):
        start, end = rng.choice(edges)
        texts = [
            at + 1 for at in range(start, end - 1) if tokens[at].startswith("<data ") and tokens[at + 1][:1] != "<"
        ]
        if texts:
            others = [tokens[at + 2] for at, _ in edges if at + 2 < len(tokens)]
            tokens[rng.choice(texts)] = rng.choice((rng.choice(_INDICES), rng.choice(others)))


_CHANGES: tuple[Callable[[Tokens, random.Random], None], ...] = (_rewire, _rewire, _remove, _copy, _draw, _change_data)
