"""Identities of nodes: short ids made from names, so that they stay when other nodes come and go.

Source: docs/format.md, section "Identities".
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, cast
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

MODEL = "model"
"""The identity of the model's node."""

_MAX_TITLE = 24  # characters
_strange = re.compile(r"[^A-Za-z0-9_-]")


class Identities:
    """Gives each node of a document a unique identity."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {MODEL: 1}  # how often it was used

    def of(self, kind: str, scope: str, name: bytes, title: bytes | None = None) -> str:
        """The identity of a node.

        Args:
            kind: what it is.
            scope: identity of the graph or function that it belongs to.
            name: what distinguishes it from others of its kind there.
            title: the readable part; if None, the end of the name.
        """
        return self._free(_identity(name, title, crc32(f"{kind}\0{scope}\0".encode())))

    def of_operators(self, scope: str, nodes: Sequence[onnx.NodeProto]) -> list[str]:
        """The identities of the operators of a graph or function, by their names or first tensors."""
        seed = crc32(f"op\0{scope}\0".encode())
        identities = [
            _identity(name, None, seed) if name else _identity(_tensors(node), cast("bytes", node.op_type), seed)
            for node in nodes
            for name in [cast("bytes", node.name)]
        ]
        given = self._given
        if given.keys().isdisjoint(identities):
            count = len(given) + len(identities)
            given.update(zip(identities, repeat(1)))
            if len(given) == count:  # as nearly always
                return identities
            for identity in dict.fromkeys(identities):
                del given[identity]
        return [self._free_operator(identity, node, seed) for identity, node in zip(identities, nodes, strict=True)]

    def _free_operator(self, identity: str, node: onnx.NodeProto, seed: int) -> str:
        name = cast("bytes", node.name)
        if identity in self._given and name:
            identity = _identity(b"\0".join((name, _tensors(node))), name.rpartition(b"/")[2], seed)
        return self._free(identity)

    def _free(self, identity: str) -> str:
        count = self._given[identity] = self._given.get(identity, 0) + 1
        return identity if count == 1 else f"{identity}-{count}"


def of_body(operator: str, index: int) -> str:
    """The identity of a subgraph: that of its operator, and its number there."""
    return f"{operator}.{index}"


def of_frame(operator: str) -> str:
    """The XML id of the group around an operator and its bodies."""
    return f"{operator}.frame"


def _identity(name: bytes, title: bytes | None, seed: int) -> str:
    return f"{_title(name.rpartition(b'/')[2] if title is None else title)}.{crc32(name, seed):08x}"


def _tensors(node: onnx.NodeProto) -> bytes:
    """The first output of an operator, or all its inputs."""
    return next(filter(None, cast("Sequence[bytes]", node.output)), b"") or b"\0".join(
        cast("Sequence[bytes]", node.input)
    )


@lru_cache(maxsize=4096)
def _title(name: bytes) -> str:
    """A name as part of an XML id, in which a dot would end it."""
    return _strange.sub("_", name[-_MAX_TITLE:].decode("utf-8", "replace")) or "_"
