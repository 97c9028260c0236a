"""Draws a graph in the layout ``nested`` as SVG, where it says that things stand, with groups around what they hold.

python docs/images/draw_places.py graph.graphml picture.svg
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

from lxml import etree

NAMES = {"g": "http://graphml.graphdrawing.org/xmlns", "y": "http://www.yworks.com/xml/graphml"}
GROUP_LABEL = ' style="text-anchor: start"'
MARGIN = 15  # pixels
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="-15 -15 {:.0f} {:.0f}" font-family="sans-serif" font-size="12">
<style>rect {{ stroke: #8a94a6 }} polyline {{ stroke: #56627a; fill: none; marker-end: url(#arrow) }} text {{ text-anchor: middle }}</style>
<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#56627a"/></marker>"""  # noqa: E501


class Box(NamedTuple):
    """Where something is drawn, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        """The middle between left and right."""
        return (self.left + self.right) / 2


class Picture:
    """The elements of the picture; groups are drawn first, the outermost below the others."""

    def __init__(self, root: etree._Element) -> None:
        self.boxes: dict[str, Box] = {}
        self.shown: dict[str, str] = {}  # each node, or the closed group that it is hidden in
        self.groups: list[str] = []
        self.nodes: list[str] = []
        for node in root.iterfind("g:graph/g:node", NAMES):
            self._place(node, None)
        self.edges = [line for edge in root.iterfind(".//g:edge", NAMES) if (line := self._line(edge))]

    def _place(self, node: etree._Element, closed: str | None) -> None:
        name = node.get("id")
        self.shown[name] = closed or name
        drawing = node.find("g:data[@key='graphics']", NAMES)
        is_closed = node.get("yfiles.foldertype") == "folder"
        if closed is None:
            geometry = drawing.findall(".//y:Geometry", NAMES)[1 if is_closed else 0]
            left, top, width, height = (float(geometry.get(name)) for name in ("x", "y", "width", "height"))
            self.boxes[name] = box = Box(left, top, left + width, top + height)
            label, fill = drawing.find(".//y:NodeLabel", NAMES), drawing.find(".//y:Fill", NAMES).get("color")
            rounding = 15 if drawing.find(".//y:Shape", NAMES).get("type") == "ellipse" else 4
            is_group = node.find("g:graph", NAMES) is not None
            text = escape(label.text or "") if label.get("visible") != "false" else ""
            (self.groups if is_group else self.nodes).append(
                f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{rounding}" fill="{fill}"/>'
                f'<text x="{left + 6 if is_group else box.middle}" y="{top + (16 if is_group else height / 2 + 4)}"'
                f"{GROUP_LABEL if is_group else ''}>{text}</text>"
            )
        for child in node.iterfind("g:graph/g:node", NAMES):
            self._place(child, closed or (name if is_closed else None))

    def _line(self, edge: etree._Element) -> str | None:
        source, target = self.shown[edge.get("source")], self.shown[edge.get("target")]
        if source == target and source != edge.get("source"):
            return None  # within a closed group
        start, end = self.boxes[source], self.boxes[target]
        between = [(float(point.get("x")), float(point.get("y"))) for point in edge.iterfind(".//y:Point", NAMES)]
        points = [(start.middle, start.bottom), *between, (end.middle, end.top)]
        return f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"/>'

    def svg(self) -> str:
        """The picture."""
        width = max(box.right for box in self.boxes.values()) + 2 * MARGIN
        height = max(box.bottom for box in self.boxes.values()) + 2 * MARGIN
        return "\n".join([HEAD.format(width, height), *self.groups, *self.edges, *self.nodes, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(Picture(etree.parse(sys.argv[1]).getroot()).svg(), encoding="utf-8")
