"""What a reader that trusts the places in a document sees: boxes, groups around them, and lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lxml import etree

from graphml_onnx.graphml.layout import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

NS = {"g": NAMESPACE, "y": "http://www.yworks.com/xml/graphml"}


class Box(NamedTuple):
    """In pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def contains(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def is_crossed(self, start: tuple[float, float], end: tuple[float, float]) -> bool:
        """Whether a line runs through the inside (Liang and Barsky's clipping)."""
        low, high = 0.0, 1.0
        for begin, stop, least, most in (
            (start[0], end[0], self.left + 1, self.right - 1),
            (start[1], end[1], self.top + 1, self.bottom - 1),
        ):
            delta = stop - begin
            if delta == 0:
                if not least < begin < most:
                    return False
            else:
                near, far = sorted(((least - begin) / delta, (most - begin) / delta))
                low, high = max(low, near), min(high, far)
        return low < high


@dataclass
class Node:
    """A node of the document, with the boxes that it says: of a group while it is open, and while it is closed."""

    name: str
    boxes: list[Box]
    is_group: bool
    is_closed: bool
    children: list[Node] = field(default_factory=list)

    @property
    def shown(self) -> Box:
        return self.boxes[1 if self.is_closed else 0]

    def walk(self) -> Iterator[Node]:
        """This node, and all that it holds."""
        yield self
        for child in self.children:
            yield from child.walk()


class Line(NamedTuple):
    """An edge, with all its points from end to end."""

    source: str
    target: str
    points: list[tuple[float, float]]


class Drawing:
    """All that is drawn.

    Args:
        document: GraphML in the layout ``nested``.
    """

    def __init__(self, document: bytes) -> None:
        root = etree.fromstring(document, etree.XMLParser(huge_tree=True))
        graph = root.find("g:graph", NS)
        self.top = [_node(element) for element in graph.iterfind("g:node", NS)]
        self.nodes = {node.name: node for top in self.top for node in top.walk()}
        self.lines = [_line(edge, self.nodes) for edge in root.iterfind(".//g:edge", NS)]

    def groups(self) -> Iterator[list[Node]]:
        """What is in each group, and what is in none."""
        yield self.top
        for node in self.nodes.values():
            if node.is_group:
                yield node.children

    def crossed(self, siblings: list[Node]) -> list[tuple[Line, Node]]:
        """Edges between nodes of a group that run through another one of it."""
        shown = {node.name: node for node in siblings}
        return [
            (line, node)
            for line in self.lines
            if line.source in shown and line.target in shown
            for node in siblings
            if node.name not in (line.source, line.target)
            and any(node.shown.is_crossed(*piece) for piece in zip(line.points, line.points[1:], strict=False))
        ]


def _node(element: etree._Element) -> Node:
    boxes = []
    for geometry in element.iterfind("g:data[@key='graphics']//y:Geometry", NS):
        left, top, width, height = (float(geometry.get(name)) for name in ("x", "y", "width", "height"))
        boxes.append(Box(left, top, left + width, top + height))
    inner = element.find("g:graph", NS)
    children = [] if inner is None else [_node(child) for child in inner.iterfind("g:node", NS)]
    return Node(element.get("id"), boxes, inner is not None, element.get("yfiles.foldertype") == "folder", children)


def _line(edge: etree._Element, nodes: dict[str, Node]) -> Line:
    source, target = edge.get("source"), edge.get("target")
    path = edge.find(".//y:Path", NS)
    start, end = nodes[source].shown, nodes[target].shown
    points = [(start.middle + float(path.get("sx")), (start.top + start.bottom) / 2 + float(path.get("sy")))]
    points += [(float(point.get("x")), float(point.get("y"))) for point in path.iterfind("y:Point", NS)]
    points += [(end.middle + float(path.get("tx")), (end.top + end.bottom) / 2 + float(path.get("ty")))]
    return Line(source, target, points)
