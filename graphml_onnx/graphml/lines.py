"""Nodes and edges in the very lines in which the writer puts them: found by a pattern.

expat calls Python for the start and the end of every element, and half of the time that decoding takes goes there. A
pattern finds a whole node at once. It matches nothing but what XML reads in one way only; everything else, and all that
other tools write, is for expat.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from graphml_onnx.graphml import yed
from graphml_onnx.graphml.text import TEXT_IN_XML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphml_onnx.graphml.elements import RowKeys

# A value starts with something that is not white space: an empty one would be none. In an attribute, white space would
# be changed.
_ID = r'"[^"<>&\x00-\x20]++"'
_VALUE = rf"<data key={_ID}>(?=[^<\s]){TEXT_IN_XML}</data>"
_VALUES = rf"((?:  {_VALUE}\n)++)"
_QUOTED = f'"({_ID[1:-1]})"'
_NODE = rf"node id={_QUOTED}>\n{_VALUES}({yed.NODE_PATTERN})?+</node>\n"
_ENDS = f"edge source={_QUOTED} target={_QUOTED}> "
_EDGE = rf"{_ENDS}((?:{_VALUE})*+)({re.escape(yed.EDGE)})?+</edge>\n"
_GROUP = rf"(node id={_ID}(?:{re.escape(yed.GROUP_MARK)})?+>\n){_VALUES}({yed.GROUP_PATTERN})?+(?=<graph )"

NODE, EDGE, GROUP = (1, 2, 3), (4, 5, 6, 7), (8, 9, 10)
"""The groups of a match; see `find_lines`."""

DRAWING_PREFIX = "y"
"""The prefix of the elements of yEd."""

DRAWING_KEYS = {"node": yed.NODES, "edge": yed.EDGES}
"""Ids of the keys under which drawings stand."""


def text_of(lines: bytes) -> str | None:
    """The lines as text; None where they are not UTF-8, or hold a character that XML cannot hold (XML 1.0, 2.2)."""
    try:
        text = lines.decode()
    except UnicodeDecodeError:
        return None
    # Control characters, which XML cannot hold either, no pattern matches.
    return None if not text.isascii() and ("\ufffe" in text or "\uffff" in text) else text


def find_lines(text: str) -> Iterator[re.Match[str]]:
    """The nodes and edges that stand in a text; nothing is said of what stands between them.

    Returns:
        Matches that have the groups of `NODE` (a node without children: its XML id, the text of its values, and its
        drawing), `EDGE` (source, target, the text of its values, and its drawing) or `GROUP` (a node with children,
        as far as its values: its start tag without the first character, the text of its values, and its drawing). A
        drawing consists of elements of yEd, and may be None.
    """
    return _compiled().finditer(text)


@cache
def _compiled() -> re.Pattern[str]:
    # The first character stands before the alternatives: so the search goes from one to the next, and not byte by byte.
    return re.compile(f"<(?:{_NODE}|{_EDGE}|{_GROUP})")


def values_finder(passed_over: Iterable[str]) -> Callable[[str], list[tuple[str, str]]]:
    """What gives the ids of keys, and the values as XML, that stand in the text of the values of a node or an edge.

    Args:
        passed_over: ids of keys whose values are left out.
    """
    keys = "|".join(map(re.escape, passed_over))
    wanted = f'(?!(?:{keys})")' if keys else ""
    return re.compile(f'<data key="{wanted}([^"]*+)">([^<]*+)</data>').findall


def edges_finder(*, may_be_drawn: bool) -> Callable[[str], list[tuple[str, str]]]:
    """What gives source and target of each edge that starts at the start of a line.

    As many as the text has line ends, they are all that stands in it.

    Args:
        may_be_drawn: whether their drawings may be passed over.
    """
    drawing = f"(?:{re.escape(yed.EDGE)})?+" if may_be_drawn else ""
    return re.compile(f"^<{_ENDS}(?:{_VALUE})*+{drawing}</edge>\n", re.MULTILINE).findall


def row_matcher(rows: RowKeys, names: Mapping[str, bool]) -> Callable[[str], re.Match[str] | None] | None:
    """What matches the text of the values of a node that is a row, and captures them in the order of the keys.

    Args:
        rows: which values such nodes have.
        names: the keys that the document declares, each with whether its value is captured, or passed over.

    Returns:
        None if a key is not captured that all of them have.
    """
    if not all(names.get(key) for key in (rows.first[0], *rows.required)):
        return None
    pattern = f'  <data key="{rows.first[0]}">{re.escape(rows.first[1])}</data>\n'
    for key in (*rows.required, *(key for key in rows.optional if key in names)):
        value = f'  <data key="{key}">{"([^<]*+)" if names[key] else "[^<]*+"}</data>\n'
        pattern += value if key in rows.required else f"(?:{value})?+"
    return re.compile(pattern).fullmatch
