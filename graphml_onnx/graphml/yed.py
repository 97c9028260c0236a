"""The appearance of nodes and edges in yEd, and their places when a graph is opened for the first time.

A group has one place while open and one while closed, with the same upper left corner (yFiles for Java, developer's
guide, "Node Realizers"). `graphml_onnx.graphml.placing` computes the places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.graphml.layout import pattern_of
from graphml_onnx.graphml.markup import TEXT_IN_XML, in_xml
from graphml_onnx.graphml.placing import HEADER, Outline, placed
from graphml_onnx.support.text import escape

if TYPE_CHECKING:
    from graphml_onnx.graphml.elements import Appearance, Drawn
    from graphml_onnx.graphml.placing import Point

NAMESPACE = "http://www.yworks.com/xml/graphml"
NODES, EDGES = "graphics", "arrow"
"""Ids of the keys for drawings of nodes and edges."""

DECLARATION = f' xmlns:y="{NAMESPACE}"'
"""The namespace declaration of the root element that drawings need."""

KEYS = (
    f'<key id="{NODES}" for="node" yfiles.type="nodegraphics"/>\n'
    f'<key id="{EDGES}" for="edge" yfiles.type="edgegraphics"/>\n'
)
"""Declarations of the keys for drawings."""

# In pixels:
_NODE_HEIGHT = 30
_SMALL = 16  # both sides of a node without a visible label
_GROUP_HEIGHT = HEADER + 10  # while it is closed

_GROUP_MARK = ' yfiles.foldertype="{state}"'
_OPEN, _CLOSED = _GROUP_MARK.format(state="group"), _GROUP_MARK.format(state="folder")

_GEOMETRY = 'height="{height}" width="{width}" x="{x}" y="{y}"'
_NODE = (
    f'  <data key="{NODES}"><y:ShapeNode><y:Geometry {_GEOMETRY}/>'
    '<y:Fill color="{fill}"/><y:NodeLabel{hidden}>{label}</y:NodeLabel><y:Shape type="{shape}"/></y:ShapeNode></data>\n'
)
_HIDDEN = ' visible="false"'
_STATE = (
    f"<y:GroupNode><y:Geometry {_GEOMETRY}/>"
    '<y:Fill color="{fill}"/>'
    '<y:NodeLabel modelName="internal" modelPosition="tl">{label}</y:NodeLabel><y:Shape type="{shape}"/>'
    '<y:State closed="{is_closed}"/></y:GroupNode>'
)
_GROUP = (
    f'  <data key="{NODES}"><y:ProxyAutoBoundsNode><y:Realizers active="{{active}}">'
    "{open}{closed}</y:Realizers></y:ProxyAutoBoundsNode></data>\n"
)
_PATH = '<y:Path sx="0" sy="{from_middle}" tx="0" ty="{to_middle}">{points}</y:Path>'
_POINT = '<y:Point x="{x}" y="{y}"/>'
_EDGE = (
    f'<data key="{EDGES}"><y:PolyLineEdge>{{path}}<y:Arrows source="none" target="standard"/></y:PolyLineEdge></data>'
)


_NUMBER, _WORD = "-?[0-9]++", "[#0-9A-Za-z]++"
_FIELDS = {
    "fill": _WORD,
    "label": TEXT_IN_XML,
    "shape": _WORD,
    "hidden": f"(?:{_HIDDEN})?+",
    "is_closed": "(?:true|false)",
}
_FIELDS |= dict.fromkeys(("height", "width", "x", "y", "from_middle", "to_middle"), _NUMBER)
_STATE_PATTERN = pattern_of(_STATE, _FIELDS)
_PATH_PATTERN = pattern_of(_PATH, {**_FIELDS, "points": f"(?:{pattern_of(_POINT, _FIELDS)})*+"})
NODE_PATTERN = pattern_of(_NODE, _FIELDS)
GROUP_PATTERN = pattern_of(_GROUP, {"active": "[01]", "open": _STATE_PATTERN, "closed": _STATE_PATTERN})
GROUP_MARK_PATTERN = pattern_of(_GROUP_MARK, {"state": "(?:group|folder)"})
EDGE_PATTERN = pattern_of(_EDGE, {"path": _PATH_PATTERN})
"""Match the drawing of any node without children, of any group, its mark, and the drawing of any edge.

They match what `Drawing` gives.
"""


class Drawing:
    """Draws nodes and edges one after the other, in the order of writing.

    Args:
        drawn: all of them.
        open_depth: see `graphml_onnx.graphml.placing.placed`.
    """

    def __init__(self, drawn: Drawn, open_depth: int | None) -> None:
        groups = set(drawn.groups)
        sizes: dict[tuple[Appearance, bool], Point] = {}  # most boxes share a few appearances
        for box, look in enumerate(drawn.looks):
            sizes.setdefault((look, box in groups), _size(look, is_group=box in groups))
        outline = Outline(
            drawn.parents,
            [sizes[look, box in groups] for box, look in enumerate(drawn.looks)],
            drawn.groups,
            drawn.sources,
            drawn.targets,
        )
        self._places = placed(outline, open_depth)
        self._ends = zip(drawn.sources, drawn.targets, strict=True)
        self._sizes = outline.sizes
        self._box = self._edge = 0
        self._looks: dict[Appearance, tuple[str, str]] = {}
        # By the heights of the ends: the text around the points.
        self._straight: dict[tuple[int, int], tuple[str, str]] = {}

    def node(self, look: Appearance) -> str:
        """The data element of a node without children."""
        parts = self._looks.get(look)
        if parts is None:
            hidden = _HIDDEN if look.is_small else ""
            before, after = [part.format_map({**_facts(look), "hidden": hidden}) for part in _NODE.split(_GEOMETRY)]
            parts = self._looks[look] = before, after
        box, places = self._box, self._places
        self._box += 1
        size = f'height="{places.heights[box]}" width="{places.widths[box]}"'
        return f'{parts[0]}{size} x="{places.left[box]}" y="{places.top[box]}"{parts[1]}'

    def open_group(self, look: Appearance) -> tuple[str, str]:
        """The mark of a group, and its data element; the next drawings are inside it."""
        box, places = self._box, self._places
        self._box += 1
        facts = {**_facts(look), "x": places.left[box], "y": places.top[box]}
        sizes = {"false": (places.widths[box], places.heights[box]), "true": self._sizes[box]}
        opened, closed = [
            _STATE.format_map({**facts, "width": width, "height": height, "is_closed": is_closed})
            for is_closed, (width, height) in sizes.items()
        ]
        is_closed = box in places.closed
        return _CLOSED if is_closed else _OPEN, _GROUP.format(active=int(is_closed), open=opened, closed=closed)

    def edge(self) -> str:
        """The data element of an edge."""
        number = self._edge
        self._edge += 1
        source, target = next(self._ends)
        heights = self._places.heights[source], self._places.heights[target]
        parts = self._straight.get(heights)
        if parts is None:
            path = _PATH.format(from_middle=heights[0] // 2, to_middle=-(heights[1] // 2), points="\0")
            before, _, after = _EDGE.format(path=path).partition("\0")
            parts = self._straight[heights] = before, after
        points = self._places.paths.get(number)
        if points is None:
            return "".join(parts)
        return "".join([parts[0], *[_POINT.format(x=x, y=y) for x, y in points], parts[1]])


def _facts(look: Appearance) -> dict[str, object]:
    return {"fill": look.fill, "label": in_xml(escape(look.label)), "shape": look.shape}


def _size(look: Appearance, *, is_group: bool) -> Point:
    """Width and height of a node, or of a closed group."""
    if look.is_small and not is_group:
        return _SMALL, _SMALL
    return max(60, 20 + 8 * min(len(look.label), 60)), _GROUP_HEIGHT if is_group else _NODE_HEIGHT
