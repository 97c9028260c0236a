"""What other tools make of a GraphML file when they save it: one function for each habit.

A habit takes the root element of a file and a source of chance, and changes the element.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import networkx
from lxml import etree

from graphml_onnx.codec.keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_SPACE = "{http://graphml.graphdrawing.org/xmlns}"
_FOREIGN = ("weight", "x y", "name2", "kind_of")

# --- habits that change the tree --------------------------------------------------------------------------------------


def _elements(root: etree._Element, name: str) -> list[etree._Element]:
    return list(root.iter(_SPACE + name))


def _top(root: etree._Element) -> etree._Element:
    return root.find(_SPACE + "graph")


def flattened(root: etree._Element, _: Random) -> None:
    """All nodes in the root graph."""
    top = _top(root)
    nodes = _elements(root, "node")
    for inner in _elements(root, "graph"):
        if inner is not top:
            inner.getparent().remove(inner)
    top[:0] = nodes


def shuffled(root: etree._Element, rng: Random) -> None:
    """Nodes and edges in any order, within the graph where they stand; and their values too."""
    for parent in [*_elements(root, "graph"), *_elements(root, "node"), *_elements(root, "edge")]:
        children = list(parent)
        parent[:] = rng.sample(children, len(children))


def renumbered(root: etree._Element, rng: Random) -> None:
    """Other XML ids, for graphs and edges as well."""
    nodes = _elements(root, "node")
    numbers = rng.sample(range(10**6), len(nodes))
    names = {node.get("id"): f"v{number}" for node, number in zip(nodes, numbers, strict=True)}
    for node in nodes:
        node.set("id", names[node.get("id")])
    for number, edge in enumerate(_elements(root, "edge")):
        edge.set("id", f"e{number}")
        for end in ("source", "target"):
            edge.set(end, names[edge.get(end)])
    for number, graph in enumerate(_elements(root, "graph")):
        graph.set("id", f"G{number}")


def keys_renumbered(root: etree._Element, rng: Random) -> None:
    """Keys d0, d1, …, declared in any order; attr.name tells what they are."""
    keys = _elements(root, "key")
    order = rng.sample(keys, len(keys))
    names = {key.get("id"): f"d{number}" for number, key in enumerate(order)}
    for key in keys:
        key.set("id", names[key.get("id")])
    for data in _elements(root, "data"):
        data.set("key", names[data.get("key")])
    root[: len(keys)] = order


def with_own_keys(root: etree._Element, rng: Random) -> None:
    """Keys and values of the tool itself, with defaults; on the graph as well."""
    for scope in ("graph", "node", "edge", "all"):
        for name in _FOREIGN:
            key = etree.Element(_SPACE + "key", {"id": f"{scope} {name}".replace(" ", "_"), "for": scope})
            key.set("attr.name", name)
            key.set("attr.type", "double")
            etree.SubElement(key, _SPACE + "default").text = "0.5"
            root.insert(0, key)
    for scope in ("graph", "node", "edge"):
        for element in _elements(root, scope):
            for name in rng.sample(_FOREIGN, 2):
                data = etree.Element(_SPACE + "data", {"key": f"{scope}_{name}".replace(" ", "_")})
                data.text = "1e3"
                element.insert(rng.choice((0, len(element))), data)


def in_columns(root: etree._Element, _: Random) -> None:
    """A value of every key for every node and edge, empty where there is none, as igraph writes them."""
    for scope in ("node", "edge"):
        keys = [key.get("id") for key in _elements(root, "key") if key.get("for") == scope]
        for element in _elements(root, scope):
            present = {data.get("key") for data in element.findall(_SPACE + "data")}
            for key in keys:
                if key not in present:
                    etree.SubElement(element, _SPACE + "data", {"key": key})


def without_derived(root: etree._Element, _: Random) -> None:
    """Nothing that decode does not read: no labels, tags, graphics, nor values of edges."""
    derived = {key.get("id") for key in _elements(root, "key") if not _is_truth(key.get("attr.name"))}
    for element in [*_elements(root, "data"), *_elements(root, "key")]:
        if element.get("key", element.get("id")) in derived:
            element.getparent().remove(element)


def _is_truth(name: str | None) -> bool:
    return name in KEYS and KEYS[name].truth


def attributes_reordered(root: etree._Element, _: Random) -> None:
    """The attributes of each element from Z to A."""
    for element in root.iter(etree.Element):
        attributes = sorted(element.attrib.items(), reverse=True)
        element.attrib.clear()
        element.attrib.update(attributes)


def in_cdata(root: etree._Element, _: Random) -> None:
    """Every text as CDATA."""
    for data in _elements(root, "data"):
        if data.text and len(data) == 0 and "]]>" not in data.text:
            data.text = etree.CDATA(data.text)


def indented(root: etree._Element, _: Random) -> None:
    """Four spaces for each level."""
    etree.indent(root, "    ")


def minified(root: etree._Element, _: Random) -> None:
    """No white space between elements."""
    for element in root.iter(etree.Element):
        element.tail = None
        if len(element):
            element.text = None


HABITS: dict[str, Callable[[etree._Element, Random], None]] = {
    habit.__name__: habit
    for habit in (
        flattened,
        shuffled,
        renumbered,
        keys_renumbered,
        with_own_keys,
        in_columns,
        without_derived,
        attributes_reordered,
        in_cdata,
        indented,
        minified,
    )
}  # fmt: skip


def rewritten(graphml: bytes, habits: list[str], rng: Random) -> bytes:
    """The file as a tool with these habits saves it."""
    root = etree.fromstring(graphml, etree.XMLParser(huge_tree=True, resolve_entities=False))
    for name in habits:
        HABITS[name](root, rng)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


# --- habits that change the file --------------------------------------------------------------------------------------


def with_prefixes(graphml: bytes) -> bytes:
    """``<ns0:graphml xmlns:ns0=…>``, as Python's own library writes it."""
    return bytes(ElementTree.tostring(ElementTree.fromstring(graphml)))


def with_crlf(graphml: bytes) -> bytes:
    return graphml.replace(b"\n", b"\r\n")


def with_byte_order_mark(graphml: bytes) -> bytes:
    return b"\xef\xbb\xbf" + graphml


def without_declaration(graphml: bytes) -> bytes:
    return graphml[graphml.index(b"?>") + 2 :].lstrip()


def in_ascii(graphml: bytes) -> bytes:
    """Everything beyond ASCII as a reference."""
    return graphml.decode().encode("ascii", "xmlcharrefreplace").replace(b'encoding="UTF-8"', b'encoding="US-ASCII"')


def through_networkx(graphml: bytes) -> bytes:
    """Read and written by networkx, whose graphs have no groups."""
    graph = networkx.read_graphml(io.BytesIO(graphml), force_multigraph=True)
    saved = io.BytesIO()
    networkx.write_graphml(graph, saved)
    return saved.getvalue()


FILE_HABITS: dict[str, Callable[[bytes], bytes]] = {
    habit.__name__: habit
    for habit in (with_prefixes, with_crlf, with_byte_order_mark, without_declaration, in_ascii, through_networkx)
}  # fmt: skip
