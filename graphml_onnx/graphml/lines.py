"""Nodes without children, and edges, in the very lines in which the writer puts them: found by a pattern.

expat calls Python for the start and the end of every element, and half of the time that decoding takes goes there. A
pattern finds a whole node at once. It matches nothing but what XML reads in one way only; everything else, and all that
other tools write, is for expat.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.graphml import yed
from graphml_onnx.graphml.text import TEXT_IN_XML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# A value starts with something that is not white space: an empty one would be none. In an attribute, white space would
# be changed.
_ID = r'"([^"<>&\x00-\x20]++)"'
_VALUE = rf'<data key="[^"<>&\x00-\x20]++">(?=[^<\s]){TEXT_IN_XML}</data>'
_NODE = rf"<node id={_ID}>\n((?:  {_VALUE}\n)++)({yed.NODE_PATTERN})?+</node>\n"
_EDGE = rf"<edge source={_ID} target={_ID}> ((?:{_VALUE})*+)({re.escape(yed.EDGE)})?+</edge>\n"
_find = re.compile(f"{_NODE}|{_EDGE}").finditer

DRAWING_PREFIX = "y"
"""The prefix of the elements of yEd."""


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
        Matches with these groups: XML id of a node, the text of its values, its drawing in elements of yEd; source
        and target of an edge, the text of its values, its drawing. Those of a node are None for an edge, and the
        reverse; so is a drawing that is not there.
    """
    return _find(text)


def values_finder(passed_over: Iterable[str]) -> Callable[[str], list[tuple[str, str]]]:
    """What gives the ids of keys, and the values as XML, that stand in the text of the values of a node or an edge.

    Args:
        passed_over: ids of keys whose values are left out.
    """
    keys = "|".join(map(re.escape, passed_over))
    wanted = f'(?!(?:{keys})")' if keys else ""
    return re.compile(f'<data key="{wanted}([^"]*+)">([^<]*+)</data>').findall
