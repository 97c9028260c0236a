"""How nodes and edges look in yEd, and where they stand when a graph is opened for the first time.

Nodes stand below each other in the order of the file, in which operators run; what lies in a group stands further to
the right. So each place is known when its node is written. Only the upper left corner of a group is given: yEd fits an
open group around what it holds (yFiles for Java, developer's guide, "Node Realizers").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.graphml.text import TEXT_IN_XML, escape, in_xml

if TYPE_CHECKING:
    from graphml_onnx.graphml.elements import Appearance

NAMESPACE = "http://www.yworks.com/xml/graphml"
_NODES = "graphics"
_EDGES = "arrow"
_MOST_KEPT = 1024  # few appearances stand for most nodes

KEYS = (
    f'<key id="{_NODES}" for="node" yfiles.type="nodegraphics"/>',
    f'<key id="{_EDGES}" for="edge" yfiles.type="edgegraphics"/>',
)
"""Declarations of the keys under which drawings stand."""

EDGE = f'<data key="{_EDGES}"><y:PolyLineEdge><y:Arrows source="none" target="standard"/></y:PolyLineEdge></data>'
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
    f'  <data key="{_NODES}"><y:ShapeNode><y:Geometry height="{_NODE_HEIGHT}" width="{{width}}" {_POSITION}/>'
    '<y:Fill color="{fill}"/><y:NodeLabel>{label}</y:NodeLabel><y:Shape type="{shape}"/></y:ShapeNode></data>\n'
)
_NUMBER, _WORD = "-?[0-9]++", "[#0-9A-Za-z]++"
_FIELDS = {"width": _NUMBER, "x": _NUMBER, "y": _NUMBER, "fill": _WORD, "label": TEXT_IN_XML, "shape": _WORD}

NODE_PATTERN = re.sub(r"\\{(\w+)\\}", lambda field: _FIELDS[field[1]], re.escape(_NODE))
"""Matches the drawing of any node without children, as `Drawing.node` gives it."""


class Drawing:
    """Draws nodes one after the other, as they are written."""

    def __init__(self) -> None:
        self._x = self._y = 0
        self._nodes: dict[Appearance, tuple[str, str]] = {}
        self._groups: dict[Appearance, tuple[str, str, str]] = {}

    def node(self, look: Appearance) -> str:
        """The data element of a node without children."""
        texts = self._nodes.get(look)
        if texts is None:
            texts = _node(look)
            if len(self._nodes) < _MOST_KEPT:
                self._nodes[look] = texts
        before, after = texts
        text = f'{before}x="{self._x}" y="{self._y}"{after}'
        self._y += _NODE_HEIGHT + _GAP
        return text

    def open_group(self, look: Appearance) -> str:
        """The data element of a group; what is drawn until `close_group` lies within."""
        texts = self._groups.get(look)
        if texts is None:
            texts = _group(look)
            if len(self._groups) < _MOST_KEPT:
                self._groups[look] = texts
        text = f'x="{self._x}" y="{self._y}"'.join(texts)
        self._x += _INSET
        self._y += _HEADER
        return text

    def close_group(self) -> None:
        """Ends the group that was opened last."""
        self._x -= _INSET
        self._y += _INSET


def _label(look: Appearance) -> str:
    return in_xml(escape(look.label))


def _width(look: Appearance) -> int:
    return max(60, 20 + 8 * min(len(look.label), 60))


def _node(look: Appearance) -> tuple[str, str]:
    """What stands before and after the position."""
    before, after = _NODE.split(_POSITION)
    return before.format(width=_width(look)), after.format(fill=look.fill, label=_label(look), shape=look.shape)


def _group(look: Appearance) -> tuple[str, str, str]:
    """What stands before, between and after the positions of the group when it is open, and when it is closed."""
    before = f'<y:GroupNode><y:Geometry height="{_GROUP_HEIGHT}" width="{_width(look)}" '
    after = (
        f'/><y:Fill color="{look.fill}"/><y:NodeLabel modelName="internal" modelPosition="t">{_label(look)}'
        f'</y:NodeLabel><y:Shape type="{look.shape}"/>'
    )
    return (
        f'  <data key="{_NODES}"><y:ProxyAutoBoundsNode><y:Realizers active="0">{before}',
        f'{after}<y:State closed="false"/></y:GroupNode>{before}',
        f'{after}<y:State closed="true"/></y:GroupNode></y:Realizers></y:ProxyAutoBoundsNode></data>\n',
    )
