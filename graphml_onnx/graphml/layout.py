"""The lines of a document that this project writes: a template for each, and the pattern that reads it back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx.graphml.markup import TEXT_IN_XML

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_SCHEMA = "http://graphml.graphdrawing.org/xmlns/1.1/graphml.xsd"

HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<graphml xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    f' xsi:schemaLocation="{NAMESPACE} {_SCHEMA}"{{namespaces}}>\n'
)
KEY = '<key id="{name}" for="{scope}" attr.name="{name}" attr.type="{type}"/>\n'
GRAPH = '<graph id="{id}" edgedefault="directed">\n'
GRAPH_END = "</graph>\n"
NODE = '<node id="{id}"{mark}>\n'
NODE_VALUE = '  <data key="{key}">{text}</data>\n'
NODE_END = "</node>\n"
# The space: Neo4j's importer (APOC) skips the first thing in an edge.
EDGE = '<edge source="{source}" target="{target}"> '
EDGE_VALUE = '<data key="{key}">{text}</data>'
EDGE_END = "</edge>\n"
END = "</graph>\n</graphml>\n"

ROOT = "g"
"""Id of the graph that holds all others."""

ID = r'[^"<>&\x00-\x20]++'
"""Matches an attribute. It has no white space, which XML would change."""

VALUE = rf"(?=[^<\s]){TEXT_IN_XML}"
"""Matches a value. It does not start with white space: a value of white space alone counts as empty."""


def pattern_of(template: str, fields: Mapping[str, str]) -> str:
    """The regular expression for a line.

    Args:
        template: the line, with fields as in ``{id}``.
        fields: a regular expression for each of them.
    """
    return re.sub(r"\\{(\w+)\\}", lambda field: fields[field[1]], re.escape(template))


def captured(pattern: str) -> str:
    """The same pattern as a group."""
    return f"({pattern})"
