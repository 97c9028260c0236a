"""How nodes and edges look in yEd, and where they are placed when a graph is opened for the first time.

Nodes stand below each other in the order of the file, in which operators run; what lies in a group stands further to
the right. So each place is known when its node is written. Only the upper left corner of a group is given: yEd fits an
open group around what it holds (yFiles for Java, developer's guide, "Node Realizers").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.graphml.layout import pattern_of
from graphml_onnx.graphml.text import TEXT_IN_XML, escape, in_xml

if TYPE_CHECKING:
    from graphml_onnx.graphml.elements import Appearance

NAMESPACE = "http://www.yworks.com/xml/graphml"
NODES, EDGES = "graphics", "arrow"
"""Ids of the keys for drawings of nodes and edges."""

_MOST_KEPT = 1024  # most nodes share a few appearances

DECLARATION = f' xmlns:y="{NAMESPACE}"'
"""The attribute of the root element that drawings need."""

KEYS = (
    f'<key id="{NODES}" for="node" yfiles.type="nodegraphics"/>\n'
    f'<key id="{EDGES}" for="edge" yfiles.type="edgegraphics"/>\n'
)
"""Declarations of the keys for drawings."""

EDGE = f'<data key="{EDGES}"><y:PolyLineEdge><y:Arrows source="none" target="standard"/></y:PolyLineEdge></data>'
"""The drawing of every edge: a line with an arrow."""

GROUP_MARK = ' yfiles.foldertype="group"'
"""The attribute of a node that is a group, and open."""

# In pixels:
_GROUP_HEIGHT = 50  # when it is closed
_GAP = 20  # below a node
_HEADER = 40  # of a group, with its label
_INSET = 20  # between a group and what it holds
_NODE_HEIGHT = 30

_POSITION = 'x="{x}" y="{y}"'
_NODE = (
    f'  <data key="{NODES}"><y:ShapeNode><y:Geometry height="{_NODE_HEIGHT}" width="{{width}}" {_POSITION}/>'
    '<y:Fill color="{fill}"/><y:NodeLabel>{label}</y:NodeLabel><y:Shape type="{shape}"/></y:ShapeNode></data>\n'
)
_STATE = (
    f'<y:GroupNode><y:Geometry height="{_GROUP_HEIGHT}" width="{{width}}" {_POSITION}/><y:Fill color="{{fill}}"/>'
    '<y:NodeLabel modelName="internal" modelPosition="t">{label}</y:NodeLabel><y:Shape type="{shape}"/>'
)
_GROUP = (
    f'  <data key="{NODES}"><y:ProxyAutoBoundsNode><y:Realizers active="0">'
    f'{_STATE}<y:State closed="false"/></y:GroupNode>{_STATE}<y:State closed="true"/></y:GroupNode>'
    "</y:Realizers></y:ProxyAutoBoundsNode></data>\n"
)


_NUMBER, _WORD = "-?[0-9]++", "[#0-9A-Za-z]++"
_FIELDS = {"width": _NUMBER, "x": _NUMBER, "y": _NUMBER, "fill": _WORD, "label": TEXT_IN_XML, "shape": _WORD}
NODE_PATTERN, GROUP_PATTERN = pattern_of(_NODE, _FIELDS), pattern_of(_GROUP, _FIELDS)
"""Match the drawing of any node without children, and of any group, as `Drawing` gives it."""


class Drawing:
    """Draws nodes one after the other, as they are written."""

    def __init__(self) -> None:
        self._x = self._y = 0
        self._parts: dict[tuple[str, Appearance], list[str]] = {}

    def node(self, look: Appearance) -> str:
        """The data element of a node without children."""
        text = self._draw(_NODE, look)
        self._y += _NODE_HEIGHT + _GAP
        return text

    def open_group(self, look: Appearance) -> str:
        """The data element of a group; what is drawn until `close_group` lies within."""
        text = self._draw(_GROUP, look)
        self._x += _INSET
        self._y += _HEADER
        return text

    def _draw(self, template: str, look: Appearance) -> str:
        parts = self._parts.get((template, look))
        if parts is None:
            facts = {"width": _width(look), "fill": look.fill, "label": _label(look), "shape": look.shape}
            parts = [part.format_map(facts) for part in template.split(_POSITION)]
            if len(self._parts) < _MOST_KEPT:
                self._parts[template, look] = parts
        return f'x="{self._x}" y="{self._y}"'.join(parts)

    def close_group(self) -> None:
        """Ends the group that was opened last."""
        self._x -= _INSET
        self._y += _INSET


def _label(look: Appearance) -> str:
    return in_xml(escape(look.label))


def _width(look: Appearance) -> int:
    return max(60, 20 + 8 * min(len(look.label), 60))
