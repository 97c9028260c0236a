"""Writes GraphML as XML, node by node, in one of the layouts: `GraphMLWriter` is where nested, flat and plain differ.

Lines are not indented by depth: a module that moves would otherwise change every line within it, and a reviewer of
a change could not see what it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast

from graphml_onnx.graphml import layout as lines
from graphml_onnx.graphml import yed
from graphml_onnx.graphml.markup import has_markup, in_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.graphml.elements import Appearance, Data, Drawn, Key, Keys
    from graphml_onnx.results import Layout

_FLUSH_BYTES = 1 << 18

# The text between the fields of a line; `str.format` would parse the template again for every node and edge.
_NODE_START, _NODE_MIDDLE, _NODE_END = re.split(r"{\w+}", lines.NODE)
_EDGE_START, _EDGE_MIDDLE, _EDGE_END = re.split(r"{\w+}", lines.EDGE)


class TextSink(Protocol):
    """Where bytes go: a binary file, or a counter."""

    def write(self, data: bytes, /) -> object:
        """Takes all of ``data``."""


class GraphMLWriter:
    """A `GraphSink` that writes a GraphML file.

    Args:
        file: where it goes.
        keys: the keys in use, in the order of their declaration.
        layout: ``nested`` writes groups as nodes that contain a graph, drawn for yEd; ``plain`` the same without
            anything that the GraphML schema does not know; ``flat`` writes every node into the one graph.
        open_depth: of ``nested``, see `graphml_onnx.graphml.placing.placed`.
    """

    def __init__(self, file: TextSink, keys: Keys, layout: Layout, open_depth: int | None = None) -> None:
        self._file = file
        self._nested = layout != "flat"
        self._is_drawn = layout == "nested"
        self._open_depth = open_depth
        self._drawing: yed.Drawing | None = None
        self._opening = ""  # of the graph of a group that holds nothing so far
        self._parts: list[str] = []
        self._size = 0
        self._node_data = {key.name: _start(lines.NODE_VALUE, key) for key in keys if key.scope == "node"}
        self._edge_data = {key.name: _start(lines.EDGE_VALUE, key) for key in keys if key.scope == "edge"}
        self._put(lines.HEADER.format(namespaces=yed.DECLARATION if self._is_drawn else ""))
        self._put("".join([lines.KEY.format(name=key.name, scope=key.scope, type=key.type) for key in keys]))
        self._put((yed.KEYS if self._is_drawn else "") + lines.GRAPH.format(id=lines.ROOT))

    def begin(self, drawn: Drawn) -> None:
        """Computes the drawing, if the layout has one."""
        if self._is_drawn:
            self._drawing = yed.Drawing(drawn, self._open_depth)

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A node without children."""
        drawn = "" if self._drawing is None else self._drawing.node(appearance)
        self._put_node(_node(node_id), data, drawn + lines.NODE_END)

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A compound node; in the flat layout, a node like any other."""
        if not self._nested:
            self.node(node_id, data, appearance)
            return
        graph = lines.GRAPH.format(id=f"{node_id}:")
        if self._drawing is None:
            # After an empty graph, Xerces no longer finds earlier nodes that edges end at.
            self._put_node(_node(node_id), data, "")
            self._opening = graph
        else:
            mark, drawn = self._drawing.open_group(appearance)
            self._put_node(_node(node_id, mark), data, drawn + graph)

    def close_group(self) -> None:
        """Ends the last open compound node."""
        if self._nested:
            self._put(lines.NODE_END if self._opening else lines.GRAPH_END + lines.NODE_END)
            self._opening = ""

    def edge(self, source: str, target: str, data: Data) -> None:
        """An edge, in the root graph."""
        prefixes = self._edge_data
        values = "".join([f"{prefixes[key]}{text}</data>" for key, text in _in_xml(data).items()])
        drawn = "" if self._drawing is None else self._drawing.edge()
        self._put(f"{_EDGE_START}{source}{_EDGE_MIDDLE}{target}{_EDGE_END}{values}{drawn}{lines.EDGE_END}")

    def close(self) -> None:
        """Ends the document and hands everything to the file, which stays open."""
        self._put(lines.END)
        self._flush()

    def _put_node(self, opening: str, data: Data, closing: str) -> None:
        prefixes = self._node_data
        try:
            values = "".join([f"{prefixes[key]}{text}</data>\n" for key, text in _in_xml(data).items()])
        except TypeError:  # a value too large for memory
            self._put(self._opening + opening)
            for key, value in data.items():
                self._put(prefixes[key])
                for piece in [value] if isinstance(value, str) else value:
                    self._put(in_xml(piece))
                self._put("</data>\n")
            self._put(closing)
        else:
            self._put(f"{self._opening}{opening}{values}{closing}")
        self._opening = ""

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size > _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write("".join(self._parts).encode())
        self._parts.clear()
        self._size = 0


def _start(template: str, key: Key) -> str:
    """The markup before the text of a value."""
    return template.partition("{text}")[0].format(key=key.name)


def _node(node_id: str, mark: str = "") -> str:
    return f"{_NODE_START}{node_id}{_NODE_MIDDLE}{mark}{_NODE_END}"


def _in_xml(data: Data) -> Mapping[str, str]:
    """The same values with their markup escaped; raises TypeError where one is no string."""
    texts = cast("Mapping[str, str]", data)
    # One look into all of them is faster than one into each, and most have no markup.
    if not has_markup("".join(texts.values())):
        return texts
    return {key: in_xml(text) for key, text in texts.items()}
