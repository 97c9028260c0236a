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
INSET = 15  # pixels
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="-15 -15 {:.0f} {:.0f}" font-family="sans-serif" font-size="12">
<style>rect {{ stroke: #8a94a6 }} line {{ stroke: #56627a; marker-end: url(#arrow) }} text {{ text-anchor: middle }}</style>
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
        self.groups: list[str] = []
        self.nodes: list[str] = []
        for node in root.iterfind("g:graph/g:node", NAMES):
            self._place(node)
        ends = [
            (self.boxes[edge.get("source")], self.boxes[edge.get("target")])
            for edge in root.iterfind(".//g:edge", NAMES)
        ]
        self.edges = [
            f'<line x1="{source.middle}" y1="{source.bottom}" x2="{target.middle}" y2="{target.top}"/>'
            for source, target in ends
        ]

    def _place(self, node: etree._Element) -> Box:
        drawing = node.find("g:data[@key='graphics']", NAMES)
        geometry = drawing.find(".//y:Geometry", NAMES)
        left, top, width, height = (float(geometry.get(name)) for name in ("x", "y", "width", "height"))
        box = Box(left, top, left + width, top + height)
        inner = [self._place(child) for child in node.iterfind("g:graph/g:node", NAMES)]
        if inner:
            right = max(box.right, *(each.right + INSET for each in inner))
            box = box._replace(right=right, bottom=inner[-1].bottom + INSET)
        self.boxes[node.get("id")] = box
        label, fill = drawing.findtext(".//y:NodeLabel", "", NAMES), drawing.find(".//y:Fill", NAMES).get("color")
        rounding = 15 if drawing.find(".//y:Shape", NAMES).get("type") == "ellipse" else 4
        (self.groups if inner else self.nodes).append(
            f'<rect x="{box.left}" y="{box.top}" width="{box.right - box.left}" height="{box.bottom - box.top}"'
            f' rx="{rounding}" fill="{fill}"/>'
            f'<text x="{box.middle}" y="{box.top + (16 if inner else height / 2 + 4)}">{escape(label)}</text>'
        )
        return box

    def svg(self) -> str:
        """The picture."""
        width = max(box.right for box in self.boxes.values()) + 2 * INSET
        height = max(box.bottom for box in self.boxes.values()) + 2 * INSET
        return "\n".join([HEAD.format(width, height), *reversed(self.groups), *self.edges, *self.nodes, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(Picture(etree.parse(sys.argv[1]).getroot()).svg(), encoding="utf-8")
