"""Documents that are written by hand, piece by piece, as the encoder writes them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from graphml_onnx.graphml.elements import Drawn
from graphml_onnx.graphml.writer import GraphMLWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx import Layout
    from graphml_onnx.graphml.elements import Appearance, Data, GraphSink, Keys


class _Outline:
    """A sink that only takes note of what will be drawn."""

    def __init__(self) -> None:
        self.drawn = Drawn([], [], [], [], [])
        self._open = [-1]
        self._numbers: dict[str, int] = {}

    def begin(self, drawn: Drawn) -> None:
        """Nothing is known before."""

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        self._numbers[node_id] = len(self._numbers)
        self.drawn.parents.append(self._open[-1])  # type: ignore[attr-defined]
        self.drawn.looks.append(appearance)  # type: ignore[attr-defined]

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        self.node(node_id, data, appearance)
        self._open.append(self._numbers[node_id])
        self.drawn.groups.append(self._numbers[node_id])  # type: ignore[attr-defined]

    def close_group(self) -> None:
        self._open.pop()

    def edge(self, source: str, target: str, data: Data) -> None:
        self.drawn.sources.append(self._numbers.get(source, 0))  # type: ignore[attr-defined]
        self.drawn.targets.append(self._numbers.get(target, 0))  # type: ignore[attr-defined]


def written(keys: Keys, layout: Layout, emit: Callable[[GraphSink], object]) -> bytes:
    """The document of what ``emit`` sends to a sink; it is called twice."""
    outline, file = _Outline(), io.BytesIO()
    emit(outline)
    writer = GraphMLWriter(file, keys, layout)
    writer.begin(outline.drawn)
    emit(writer)
    writer.close()
    return file.getvalue()
