"""What yEd and Cytoscape save, as far as documentation and sources tell: the programs need a screen and a person."""

from __future__ import annotations

import itertools
from pathlib import Path

from lxml import etree

from graphml_onnx.graphml.layout import NAMESPACE

_SPACE = f"{{{NAMESPACE}}}"
_Y = "{http://www.yworks.com/xml/graphml}"


def yed(graph: Path, saved: Path) -> None:
    """yEd 3: keys d0, d1, … beside its own; values in CDATA; ids by nesting; edges where both ends are; groups closed.

    Source: yFiles for Java, developer's guide, "GraphML"; files of yEd 3 in public repositories.
    """
    root = etree.parse(graph, etree.XMLParser(huge_tree=True)).getroot()
    _give_keys_numbers(root)
    top = root.find(f"{_SPACE}graph")
    assert top is not None
    top.set("id", "G")
    names: dict[str, str] = {}
    _name_by_nesting(top, "", names)
    _move_edges_inwards(root, top, names)
    for data in root.iter(f"{_SPACE}data"):
        data.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
        if data.text and len(data) == 0 and "]]>" not in data.text:
            data.text = etree.CDATA(data.text)
    for node in root.iter(f"{_SPACE}node"):
        if node.get("yfiles.foldertype") == "group":
            node.set("yfiles.foldertype", "folder")
    for geometry in root.iter(f"{_Y}Geometry"):
        geometry.set("x", "17.5")
    etree.SubElement(etree.SubElement(root, f"{_SPACE}data", key="d0"), f"{_Y}Resources")
    etree.indent(root)
    saved.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=False))


def _give_keys_numbers(root: etree._Element) -> None:
    own = [{"for": "graphml", "yfiles.type": "resources"}, {"for": "port", "yfiles.type": "portgraphics"}]
    own += [
        {"for": scope, "attr.name": name, "attr.type": "string"}
        for scope in ("graph", "node", "edge")
        for name in ("url", "description")
    ]
    for attributes in reversed(own):
        root.insert(0, etree.Element(f"{_SPACE}key", {**attributes, "id": "its own"}))
    numbers = {}
    for number, key in enumerate(root.findall(f"{_SPACE}key")):
        numbers[key.get("id")] = f"d{number}"
        key.set("id", f"d{number}")
    for data in root.iter(f"{_SPACE}data"):
        data.set("key", numbers[data.get("key")])


def _name_by_nesting(graph: etree._Element, prefix: str, names: dict[str, str]) -> None:
    for number, node in enumerate(graph.findall(f"{_SPACE}node")):
        name = f"{prefix}n{number}"
        names[node.get("id")] = name
        node.set("id", name)
        inner = node.find(f"{_SPACE}graph")
        if inner is not None:
            inner.set("id", f"{name}:")
            _name_by_nesting(inner, f"{name}::", names)


def _move_edges_inwards(root: etree._Element, top: etree._Element, names: dict[str, str]) -> None:
    graphs = {graph.get("id"): graph for graph in root.iter(f"{_SPACE}graph")} | {":": top}
    for number, edge in enumerate(top.findall(f"{_SPACE}edge")):
        ends = [names[edge.get(end)] for end in ("source", "target")]
        edge.set("id", f"e{number}")
        edge.set("source", ends[0])
        edge.set("target", ends[1])
        steps = zip(*(end.split("::")[:-1] for end in ends), strict=False)
        common = [left for left, right in itertools.takewhile(lambda pair: pair[0] == pair[1], steps)]
        graphs["::".join(common) + ":"].append(edge)


def cytoscape(graph: Path, saved: Path) -> None:
    """Cytoscape 3: no groups, values trimmed, SUIDs for ids, and a name for every node.

    Source: cytoscape/cytoscape-impl, graphml-impl: GraphMLParser.java (a node's name is its XML id, unless it has a
    value called name; texts are trimmed; keys without attr.type are passed over) and GraphMLWriter.java (columns of
    all three tables are keys; elements within the root have no namespace).
    """
    root = etree.parse(graph, etree.XMLParser(huge_tree=True)).getroot()
    columns = {
        scope: {
            key.get("id"): (key.get("attr.name"), key.get("attr.type"))
            for key in root.iterfind(f"{_SPACE}key")
            if key.get("for") == scope and key.get("attr.type")
        }
        for scope in ("node", "edge")
    }
    nodes, edges = list(root.iter(f"{_SPACE}node")), list(root.iter(f"{_SPACE}edge"))
    suids = {node.get("id"): str(number) for number, node in enumerate(nodes, 91)}
    document = etree.Element(f"{_SPACE}graphml", nsmap={None: NAMESPACE})
    for scope, named in (*columns.items(), ("graph", {})):
        own = {"SUID": "long", "shared name": "string", "name": "string", "selected": "boolean"}
        if scope == "edge":
            own |= {"shared interaction": "string", "interaction": "string"}
        known = own | dict(named.values())
        for name, kind in known.items():
            etree.SubElement(document, "key", {"for": scope, "attr.name": name, "attr.type": kind, "id": name})
    inner = etree.SubElement(document, "graph", {"edgedefault": "directed", "id": "g"})
    for node in nodes:
        suid = suids[node.get("id")]
        row = {"SUID": suid, "shared name": node.get("id"), "name": node.get("id"), "selected": "false"}
        _put_row(etree.SubElement(inner, "node", id=suid), row | _row(node, columns["node"]))
    for number, edge in enumerate(edges, 91 + len(nodes)):
        ends = {end: suids[edge.get(end)] for end in ("source", "target")}
        name = f"{edge.get('source')} (-) {edge.get('target')}"
        row = {"SUID": str(number), "shared name": name, "name": name, "interaction": "-", "selected": "false"}
        _put_row(etree.SubElement(inner, "edge", ends), row | _row(edge, columns["edge"]))
    saved.write_bytes(etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _row(element: etree._Element, columns: dict[str, tuple[str, str]]) -> dict[str, str]:
    values = {data.get("key"): (data.text or "").strip() for data in element.iterfind(f"{_SPACE}data")}
    return {columns[key][0]: value for key, value in values.items() if key in columns and value}


def _put_row(element: etree._Element, row: dict[str, str]) -> None:
    for name, value in row.items():
        etree.SubElement(element, "data", key=name).text = value
