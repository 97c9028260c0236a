"""Writes GraphML as XML, node by node, in one of the layouts.

Lines are not indented by depth: a module that moves would otherwise change every line within it, and a reviewer of
a change could not see what it was.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Protocol

from graphml_onnx.graphml.text import escape

if TYPE_CHECKING:
    from graphml_onnx.graphml.elements import Appearance, Data, Keys
    from graphml_onnx.results import Layout

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_SCHEMA = "http://graphml.graphdrawing.org/xmlns/1.1/graphml.xsd"
_YFILES = "http://www.yworks.com/xml/graphml"
_GRAPHICS_KEY = "graphics"
_FLUSH_BYTES = 1 << 18


class TextSink(Protocol):
    """Where bytes go: a binary file, or a counter."""

    def write(self, data: bytes, /) -> object:
        """Takes all of ``data``."""


class GraphMLWriter:
    """A `GraphSink` that writes a GraphML file.

    Args:
        file: where it goes.
        keys: the keys in use, in the order of their declaration.
        layout: ``nested`` writes groups as nodes that contain a graph, with graphics for yEd; ``flat`` writes every
            node into the one graph.
    """

    def __init__(self, file: TextSink, keys: Keys, layout: Layout) -> None:
        self._file = file
        self._nested = layout == "nested"
        self._parts: list[str] = []
        self._size = 0
        self._node_data = {key.name: f'  <data key="{key.name}">' for key in keys if key.scope == "node"}
        self._edge_data = {key.name: f'<data key="{key.name}">' for key in keys if key.scope == "edge"}
        self._graphics: dict[tuple[Appearance, bool], str] = {}
        self._put(self._header(keys))

    def _header(self, keys: Keys) -> str:
        yfiles = f' xmlns:y="{_YFILES}"' if self._nested else ""
        schema = f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{NAMESPACE} {_SCHEMA}"'
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<graphml xmlns="{NAMESPACE}" {schema}{yfiles}>']
        lines += [
            f'<key id="{key.name}" for="{key.scope}" attr.name="{key.name}" attr.type="{key.type}"/>' for key in keys
        ]
        if self._nested:
            lines.append(f'<key id="{_GRAPHICS_KEY}" for="node" yfiles.type="nodegraphics"/>')
        lines.append('<graph id="g" edgedefault="directed">\n')
        return "\n".join(lines)

    def node(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A node without children."""
        self._put_node(f'<node id="{node_id}">\n', data, f"{self._drawing(appearance, group=False)}</node>\n")

    def open_group(self, node_id: str, data: Data, appearance: Appearance) -> None:
        """A compound node; in the flat layout, a node like any other."""
        if not self._nested:
            self.node(node_id, data, appearance)
            return
        graph = f'<graph id="{node_id}:" edgedefault="directed">\n'
        opening = f'<node id="{node_id}" yfiles.foldertype="group">\n'
        self._put_node(opening, data, self._drawing(appearance, group=True) + graph)

    def close_group(self) -> None:
        """Ends the compound node that was opened last."""
        if self._nested:
            self._put("</graph>\n</node>\n")

    def edge(self, source: str, target: str, data: Data) -> None:
        """An edge; it stands in the root graph."""
        prefixes = self._edge_data
        values = "".join([f"{prefixes[key]}{_escaped(str(value))}</data>" for key, value in data.items()])
        self._put(f'<edge source="{source}" target="{target}">{values}</edge>\n')

    def close(self) -> None:
        """Ends the document and hands everything to the file, which stays open."""
        self._put("</graph>\n</graphml>\n")
        self._flush()

    def _put_node(self, opening: str, data: Data, closing: str) -> None:
        prefixes = self._node_data
        parts = [opening]
        for key, value in data.items():
            if isinstance(value, str):
                parts.append(f"{prefixes[key]}{_escaped(value)}</data>\n")
            else:  # too large for memory
                self._put("".join(parts) + prefixes[key])
                for piece in value:
                    self._put(_escaped(piece))
                parts = ["</data>\n"]
        parts.append(closing)
        self._put("".join(parts))

    def _drawing(self, appearance: Appearance, *, group: bool) -> str:
        if not self._nested:
            return ""
        drawing = self._graphics.get((appearance, group))
        if drawing is None:
            drawing = _draw_group(appearance) if group else _draw_node(appearance)
            if len(self._graphics) < 1024:  # few appearances stand for most nodes
                self._graphics[appearance, group] = drawing
        return drawing

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size > _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write("".join(self._parts).encode())
        self._parts.clear()
        self._size = 0


def _escaped(text: str) -> str:
    # Most values have nothing to escape, and looking is faster than replacing.
    # (html's function is that of XML; xml.sax.saxutils would load urllib and ssl with its own.)
    return html.escape(text, quote=False) if "&" in text or "<" in text or ">" in text else text


def _label(appearance: Appearance) -> str:
    return _escaped(escape(appearance.label))


def _width(label: str) -> int:
    return max(60, 20 + 8 * min(len(label), 60))


def _draw_node(appearance: Appearance) -> str:
    return (
        f'  <data key="{_GRAPHICS_KEY}"><y:ShapeNode>'
        # networkx cannot write again what it reads of a node without a position.
        f'<y:Geometry height="30" width="{_width(appearance.label)}" x="0" y="0"/><y:Fill color="{appearance.fill}"/>'
        f'<y:NodeLabel>{_label(appearance)}</y:NodeLabel><y:Shape type="{appearance.shape}"/>'
        "</y:ShapeNode></data>\n"
    )


def _draw_group(appearance: Appearance) -> str:
    def state(*, closed: bool) -> str:
        return (
            f'<y:GroupNode><y:Geometry height="50" width="{_width(appearance.label)}"/>'
            f'<y:Fill color="{appearance.fill}"/>'
            f'<y:NodeLabel modelName="internal" modelPosition="t">{_label(appearance)}</y:NodeLabel>'
            f'<y:Shape type="{appearance.shape}"/><y:State closed="{str(closed).lower()}"/></y:GroupNode>'
        )

    return (
        f'  <data key="{_GRAPHICS_KEY}"><y:ProxyAutoBoundsNode><y:Realizers active="0">'
        f"{state(closed=False)}{state(closed=True)}</y:Realizers></y:ProxyAutoBoundsNode></data>\n"
    )
