"""Decodes GraphML to ONNX from docs/format.md alone, without the package: a second implementation of the format.

It is written to be ported. It needs an XML parser, JSON, SHA-256, Zstandard with a prefix, and the descriptors of the
messages of ONNX (`onnx.proto`); the sections of docs/format.md are named where they are used. What a document has to be
refused for is left out, except what would go unnoticed otherwise.

Decoding takes three steps. The nodes of the document become one JSON object for the whole model (`model_object`). It
becomes the canonical skeleton, with a marker for each payload (`message`). The residue and the payloads make it the
file (`restore`).

    python -m tests.spec.independent_decoder GRAPHML OUTPUT
"""

import base64
import hashlib
import json
import re
import struct
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import onnx

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Object = dict[str, Any]

# Keys, by kind: the field of each. The last part of each table of docs/format.md#keys.
MODEL = {
    **{
        name: name
        for name in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string")
    },
    **{name: name for name in ("metadata_props", "training_info", "configuration")},
    "opset_imports": "opset_import",
}
GRAPH = {
    "name": "name",
    "initializers": "initializer",
    "graph_doc_string": "doc_string",
    "value_info": "value_info",
    "quantization_annotation": "quantization_annotation",
    "sparse_initializers": "sparse_initializer",
    "graph_metadata_props": "metadata_props",
}
OPERATOR = {
    **{name: name for name in ("name", "op_type", "domain", "overload", "doc_string", "metadata_props")},
    "inputs": "input",
    "outputs": "output",
    "attributes": "attribute",
    "device_configurations": "device_configurations",
}
FUNCTION = {
    **{name: name for name in ("name", "domain", "overload", "doc_string", "metadata_props", "value_info")},
    "inputs": "input",
    "outputs": "output",
    "attribute_names": "attribute",
    "attributes": "attribute_proto",
    "opset_imports": "opset_import",
}
VALUE = {name: name for name in ("name", "type", "doc_string", "metadata_props")}

TEXTS = {"name", "op_type", "domain", "overload", "doc_string", "graph_doc_string", "producer_name", "producer_version"}


class Node(NamedTuple):
    """A node of the document: its values by key, and its XML id."""

    values: dict[str, str]
    xml_id: str

    @property
    def id(self) -> str:
        return self.values["node_id"]

    @property
    def kind(self) -> str:
        return self.values["kind"]


def refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


# Documents


KINDS = {"model", "module", "op", "input", "output", "subgraph", "function", "parameter", "frame"}
TRUTH = {*MODEL, *GRAPH, *OPERATOR, *FUNCTION, *VALUE, "after", "index"}
TRUTH |= {"other_fields", "graph_other_fields", "weight_inputs", "tensor"}


def read_document(data: bytes) -> tuple[list[Node], list[tuple[str, str]]]:
    """The nodes with data of the format, and the ends of the edges as XML ids."""

    class NoDoctype(ET.TreeBuilder):
        def doctype(self, *_: object) -> None:
            refuse("the document has a DOCTYPE")

    declared = re.match(r"""<\?xml[^>]*encoding=["']([^"']*)""", data.decode("utf-8-sig"))
    if declared and declared[1].upper() != "UTF-8":
        refuse(f"the document declares the encoding {declared[1]}")
    root = ET.fromstring(data, ET.XMLParser(target=NoDoctype()))  # drops comments, joins CDATA sections with the text
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    names = {}
    for key in root.iter("key"):
        name = key.get("attr.name", "")  # keys of drawings have none
        names[key.get("id"), key.get("for")] = name
        if name in TRUTH and (key.findtext("default") or "").strip():
            refuse(f"the key {name} has a default")

    def values_of(element: ET.Element) -> dict[str, str]:
        values: dict[str, str] = {}
        for item in element.findall("data"):
            key = item.get("key")
            name = names.get((key, "node"), names.get((key, "all"))) if names else key
            if name is None:
                refuse(f"the key {key} is not declared")
            if not name:
                continue
            if name in TRUTH and len(item):
                refuse(f"the value of {name} contains an element")
            if (item.text or "").strip():
                if name in values:
                    refuse(f"a second value of {name}")
                values[name] = item.text or ""
        return values

    nodes = []
    around: dict[ET.Element, str] = {}  # the node_id of the node whose graph contains a node
    for element in root.iter("node"):
        values = values_of(element)
        for inner in element.iterfind("graph/node"):
            around[inner] = values.get("node_id", "")
        if not names and element in around and "kind" in values:
            values.setdefault("parent", around[element])
        if "name" in values and values["name"] == values.get("node_id"):
            del values["name"]
        if "kind" in values:
            nodes.append(Node(values, element.get("id") or ""))
        elif TRUTH & values.keys():
            refuse("a node has data of the format, and no kind")
    edges = [(edge.get("source") or "", edge.get("target") or "") for edge in root.iter("edge")]
    return nodes, edges


# Text and JSON


def text(value: str) -> str:
    """A string as the document writes it."""
    return str(strict_json(value)) if value.startswith('"') else value


def strict_json(value: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> Object:
        if len(dict(pairs)) != len(pairs):
            refuse("a JSON object has a member twice")
        return dict(pairs)

    return json.loads(value, object_pairs_hook=unique, parse_constant=lambda name: refuse(f"{name} is no JSON"))


def fields(node: Node, table: dict[str, str], other: str = "other_fields") -> Object:
    """The fields of a message that are present in a node, by their names in `onnx.proto`."""
    found = {}
    for key, name in table.items():
        if key in node.values:
            value = node.values[key]
            found[name] = text(value) if key in TEXTS else strict_json(value)
    return {**found, **strict_json(node.values.get(other, "{}"))}


# Nodes


class Document:
    """The nodes of a document as a tree of bodies: graphs and functions, each with its lists."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = [node for node in nodes if node.kind != "frame"]
        for node in self.nodes:
            if node.kind not in KINDS:
                refuse(f"the kind {node.kind}")
        self.by_id = {node.id: node for node in self.nodes}
        if len(self.by_id) != len(self.nodes):
            refuse("a node_id occurs twice")
        (self.model,) = (node for node in self.nodes if node.kind == "model")
        self.lists: dict[tuple[str, str], list[Node]] = {}
        self.subgraphs: dict[tuple[str, int], Node] = {}
        for node in self.nodes:
            if node.kind == "subgraph":
                self.subgraphs[node.values["parent"], int(node.values["index"])] = node
            elif node.kind not in ("model", "module"):
                self.lists.setdefault((self.body(node).id, node.kind), []).append(node)
        self.lists = {place: self.in_order(place[0], place[1], nodes) for place, nodes in self.lists.items()}

    def body(self, node: Node) -> Node:
        """The graph or function to whose list a node belongs."""
        if "parent" not in node.values:
            return self.model
        parent = self.by_id[node.values["parent"]]
        return self.body(parent) if parent.kind == "module" else parent

    def entries(self, body: Node, kind: str) -> list[Node]:
        return self.lists.get((body.id, kind), [])

    # Order

    def in_order(self, body: str, kind: str, nodes: list[Node]) -> list[Node]:
        """A list in the order of `after`, completed where the chain is broken."""
        following: dict[str, list[Node]] = {place: [] for place in (body, *(node.id for node in nodes))}
        loose: list[Node] = []
        for node in nodes:
            following.get(node.values.get("after", ""), loose).append(node)
        broken = bool(loose) or any(len(several) > 1 for several in following.values())

        sizes: dict[str, int] = {}

        def chain(start: list[Node]) -> Iterator[Node]:
            waiting = start[::-1]
            while waiting:
                node = waiting.pop()
                yield node
                waiting += by_size(following[node.id])[::-1]

        def by_size(several: list[Node]) -> list[Node]:
            return sorted(several, key=lambda node: sizes[node.id])  # stable: equal ones stay in the document's order

        reached = []
        waiting = [*following[body], *loose]
        while waiting:
            reached.append(waiting.pop())
            waiting += following[reached[-1].id]
        if len(reached) != len(nodes):
            refuse("the order is circular")
        for node in reversed(reached):
            sizes[node.id] = 1 + sum(sizes[after.id] for after in following[node.id])
        ordered = [*chain(by_size(following[body])), *chain(loose)]
        return self.producers_first(ordered) if broken and kind == "op" else ordered

    def producers_first(self, ordered: list[Node]) -> list[Node]:
        place = {node.id: index for index, node in enumerate(ordered)}
        makers: dict[str, list[Node]] = {}
        for node in ordered:
            for name in json.loads(node.values.get("outputs", "[]")):
                makers.setdefault(name, []).append(node)
        consumed: dict[str, set[str]] = {node.id: set() for node in ordered}
        for node in self.nodes:
            names = json.loads(node.values.get("inputs", "[]")) if node.kind == "op" else []
            if node.kind == "output":
                names = [text(node.values.get("name", ""))]
            around: Node | None = node
            while around is not None:
                if around.id in consumed:
                    consumed[around.id].update(names)
                around = self.by_id.get(around.values.get("parent", ""))
        done: list[Node] = []
        put: set[str] = set()
        for first in ordered:
            waiting = [(first, False)]
            while waiting:
                node, ready = waiting.pop()
                if ready:
                    done.append(node)
                elif node.id not in put:
                    put.add(node.id)
                    before = {maker.id: maker for name in consumed[node.id] - {""} for maker in makers.get(name, [])}
                    needed = sorted(before.values(), key=lambda maker: place[maker.id])
                    waiting += [(node, True), *((maker, False) for maker in reversed(needed))]
        return done

    # Messages

    def model_object(self) -> Object:
        """The whole model as one JSON object."""
        found = fields(self.model, MODEL) | {"graph": self.graph_object(self.model)}
        functions = [self.function_object(node) for node in self.entries(self.model, "function")]
        return found | ({"functions": functions} if functions else {})

    def graph_object(self, node: Node) -> Object:
        found = fields(node, GRAPH, "graph_other_fields")
        shown = [strict_json(tensor.values["tensor"]) for tensor in self.entries(node, "parameter")]
        weights: dict[str, list[Object]] = {}
        inputs = self.entries(node, "input")
        place = node.id
        known = {node.id, *(entry.id for entry in inputs)}
        for entry in strict_json(node.values.get("weight_inputs", "[]")):
            place = entry["after"] if entry["after"] in known else place
            weights.setdefault(place, []).append(entry["value"])
        values = weights.get(node.id, [])
        for entry in inputs:
            values += [fields(entry, VALUE), *weights.get(entry.id, [])]
        lists = {
            "node": [self.operator_object(operator) for operator in self.entries(node, "op")],
            "initializer": found.get("initializer", []) + shown,
            "input": values,
            "output": [fields(entry, VALUE) for entry in self.entries(node, "output")],
        }
        return found | {name: values for name, values in lists.items() if values}

    def operator_object(self, node: Node) -> Object:
        found = fields(node, OPERATOR)
        for attribute in found.get("attribute", []):
            if "g" in attribute:
                attribute["g"] = self.subgraph_object(node, attribute["g"])
            if "graphs" in attribute:
                attribute["graphs"] = [self.subgraph_object(node, graph) for graph in attribute["graphs"]]
        return found

    def subgraph_object(self, node: Node, reference: Object) -> Object:
        return self.graph_object(self.subgraphs[node.id, reference["$graph"]])

    def function_object(self, node: Node) -> Object:
        operators = [self.operator_object(operator) for operator in self.entries(node, "op")]
        return fields(node, FUNCTION) | ({"node": operators} if operators else {})

    # Edges

    def edges(self) -> Counter[tuple[str, str]]:
        """The ends of the edges that follow from inputs and outputs."""
        scopes: dict[str, dict[str, str | None]] = {}
        for body in self.nodes:
            if body.kind not in ("model", "subgraph", "function"):
                continue
            scope: dict[str, str | None] = {}
            defined: list[tuple[str, str | None]] = []
            if body.kind == "function":
                defined += [(name, None) for name in strict_json(body.values.get("inputs", "[]"))]
            else:
                defined += [(text(node.values.get("name", "")), node.xml_id) for node in self.entries(body, "input")]
                graph = fields(body, GRAPH)
                defined += [(tensor.get("name", ""), None) for tensor in graph.get("initializer", [])]
                shown = self.entries(body, "parameter")
                defined += [(strict_json(node.values["tensor"]).get("name", ""), node.xml_id) for node in shown]
                sparse = graph.get("sparse_initializer", [])
                defined += [(tensor.get("values", {}).get("name", ""), None) for tensor in sparse]
                weights = strict_json(body.values.get("weight_inputs", "[]"))
                defined += [(entry["value"].get("name", ""), None) for entry in weights]
            for node in self.entries(body, "op"):
                defined += [(name, node.xml_id) for name in strict_json(node.values.get("outputs", "[]"))]
            for name, xml_id in defined:
                scope.setdefault(name, xml_id)
            scopes[body.id] = scope
        found: Counter[tuple[str, str]] = Counter()
        for node in self.nodes:
            names = strict_json(node.values.get("inputs", "[]")) if node.kind == "op" else []
            if node.kind == "output":
                names = [text(node.values.get("name", ""))]
            for name in names:
                body = self.body(node)
                while name not in scopes[body.id] and body.kind == "subgraph":
                    body = self.body(self.by_id[body.values["parent"]])
                source = scopes[body.id].get(name)
                if name and source is not None:
                    found[source, node.xml_id] += 1
        return found


# JSON to protobuf

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
WIRE_TYPES = {"varint": VARINT, "fixed64": FIXED64, "bytes": BYTES, "group": GROUP, "fixed32": FIXED32}


def varint(number: int, over_long: int = 0) -> bytes:
    """A number as protobuf writes it, with as many bytes more than needed."""
    number &= 2**64 - 1
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    if over_long:
        out[-1] |= 128
        out += b"\x80" * (over_long - 1) + b"\0"
    return bytes(out)


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def message(descriptor: Any, value: Object, marker: Callable[[Object], bytes]) -> bytes:
    """A message as protobuf writes it: known fields by number, then unknown ones."""
    out = b""
    for name in sorted(value.keys() - {"$unknown"}, key=lambda name: descriptor.fields_by_name[name].number):
        field = descriptor.fields_by_name[name]
        content = value[name]
        if field.is_repeated and field.is_packed:
            if isinstance(content, dict):
                content = marker(content["$payload"])
            else:
                content = b"".join(scalar(field, item) for item in content)
            out += delimited(field.number, content)
            continue
        for item in content if field.is_repeated else [content]:
            if name == "raw_data" and isinstance(item, list):
                out += delimited(field.number, raw_data(value.get("data_type", 0), item))
            elif field.type == field.TYPE_MESSAGE:
                out += delimited(field.number, message(field.message_type, item, marker))
            elif field.type in (field.TYPE_BYTES, field.TYPE_STRING):
                out += delimited(field.number, as_bytes(item, marker))
            else:
                wire_type = {field.TYPE_FLOAT: FIXED32, field.TYPE_DOUBLE: FIXED64}.get(field.type, VARINT)
                out += varint(field.number << 3 | wire_type) + scalar(field, item)
    return out + b"".join(unknown_field(item, marker) for item in value.get("$unknown", []))


def scalar(field: Any, value: Any) -> bytes:
    if field.type == field.TYPE_FLOAT:
        return floats("<f4", [value])
    if field.type == field.TYPE_DOUBLE:
        return floats("<f8", [value])
    if isinstance(value, str):
        names = field.enum_type.values_by_name if field.type == field.TYPE_ENUM else DATA_TYPES
        value = names[value].number
    return varint(value)


def as_bytes(value: Any, marker: Callable[[Object], bytes]) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return base64.b64decode(value["$base64"]) if "$base64" in value else marker(value["$payload"])


def unknown_field(field: list[Any], marker: Callable[[Object], bytes]) -> bytes:
    number, kind, value = field
    start = varint(number << 3 | WIRE_TYPES[kind])
    if kind == "varint":
        return start + varint(value)
    if kind == "bytes":
        return delimited(number, as_bytes(value, marker))
    if kind == "group":
        inner = b"".join(unknown_field(item, marker) for item in value)
        return start + inner + varint(number << 3 | END_GROUP)
    return start + struct.pack("<I" if kind == "fixed32" else "<Q", value)


# Elements of `raw_data`

DATA_TYPES = onnx.TensorProto.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
NUMPY_TYPES = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "<u1",
    "FLOAT16": "<f2",
    "FLOAT": "<f4",
    "DOUBLE": "<f8",
    "COMPLEX64": "<f4",
    "COMPLEX128": "<f8",
}
SMALL_INTEGERS = {"UINT4": 4, "INT4": 4, "UINT2": 2, "INT2": 2}
# bits of exponent and mantissa, bias, and the special codes: infinity and NaN, NaN alone, -0 as NaN, or none
SMALL_FLOATS = {
    "BFLOAT16": (8, 7, 127, "ieee"),
    "FLOAT8E4M3FN": (4, 3, 7, "fn"),
    "FLOAT8E4M3FNUZ": (4, 3, 8, "fnuz"),
    "FLOAT8E5M2": (5, 2, 15, "ieee"),
    "FLOAT8E5M2FNUZ": (5, 2, 16, "fnuz"),
    "FLOAT6E2M3": (2, 3, 1, ""),
    "FLOAT6E3M2": (3, 2, 3, ""),
    "FLOAT4E2M1": (2, 1, 1, ""),
}


def floats(kind: str, values: list[Any]) -> bytes:
    """Numbers of IEEE types."""
    width = int(kind[-1])
    quiet = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}[width]
    out = b""
    for value in values:
        if isinstance(value, str) and value.startswith("NaN"):
            bits = int(value[4:], 16) if ":" in value else quiet
            out += bits.to_bytes(width, "little")
        else:
            out += np.array(float(value), kind).tobytes()
    return out


def small_floats(name: str, values: list[Any]) -> list[int]:
    """The codes of numbers of the smaller types."""
    if name == "FLOAT8E8M0":
        codes = {2.0 ** (code - 127): code for code in range(255)}
        quiet = 255
    else:
        exponent_bits, mantissa_bits, bias, special = SMALL_FLOATS[name]
        sign = 1 << exponent_bits + mantissa_bits
        codes = {}
        for code in range(sign):
            exponent, mantissa = code >> mantissa_bits, code & (1 << mantissa_bits) - 1
            if exponent == 0:
                number = mantissa * 2.0 ** (1 - bias - mantissa_bits)
            else:
                number = (1 + mantissa / (1 << mantissa_bits)) * 2.0 ** (exponent - bias)
            if special == "ieee" and exponent == (1 << exponent_bits) - 1:
                if mantissa:
                    continue
                number = float("inf")
            if special == "fn" and code == sign - 1:
                continue
            codes[number] = code
        quiet = {"ieee": sign - (1 << mantissa_bits) + (1 << mantissa_bits - 1), "fn": sign - 1, "fnuz": sign, "": 0}[
            special
        ]
    numbers = np.array(list(codes))
    out = []
    for value in values:
        if isinstance(value, str) and value.startswith("NaN"):
            out.append(int(value[4:], 16) if ":" in value else quiet)
            continue
        number = float(value)
        negative = np.signbit(number)
        code = codes[abs(number) if abs(number) in codes else float(numbers[np.abs(numbers - abs(number)).argmin()])]
        out.append(code + (sign if negative else 0))
    return out


def raw_data(data_type: Any, values: list[Any]) -> bytes:
    """The bytes of a tensor whose elements are written as numbers."""
    name = data_type if isinstance(data_type, str) else onnx.TensorProto.DataType.Name(data_type)
    kind = NUMPY_TYPES.get(name)
    if kind is not None and kind[1] == "f":
        return floats(kind, values)
    if kind is not None:
        return np.array([int(value) for value in values], kind).tobytes()
    if name in SMALL_INTEGERS:
        width, codes = SMALL_INTEGERS[name], values
    else:
        width = {"BFLOAT16": 16, "FLOAT4E2M1": 4, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6}.get(name, 8)
        codes = small_floats(name, values)
    bits = 0
    for place, code in enumerate(codes):
        bits |= (code & (1 << width) - 1) << place * width
    return bits.to_bytes((len(values) * width + 7) // 8, "little")


# Payloads


def place_of(payload: Object) -> tuple[str, str, int]:
    """What sorts payloads, and tells them apart."""
    return payload.get("file", ""), payload.get("name", ""), payload.get("offset", 0)


def read_safetensors(file: Path) -> Callable[[str], bytes]:
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = strict_json(data[8:start].decode())

    def read(name: str) -> bytes:
        begin, end = header[name]["data_offsets"]
        return data[start + begin : start + end]

    return read


class Payloads:
    """The content of payloads: from the store, or from the user's weight files."""

    def __init__(self, model: Node, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Callable[[str], bytes]] = {}
        self.strategy = model.values["parameter_strategy"]
        self.file = text(model.values.get("parameter_file", ""))
        self.store = b""
        if self.strategy == "embedded":
            self.store = base64.b64decode(model.values.get("parameter_data", ""))
        elif self.strategy == "reference" and self.file:
            self.store = (folder / self.file).read_bytes()

    def content(self, payload: Object) -> bytes:
        file = payload.get("file") or (self.file if self.strategy == "sidecar" else "")
        if file:
            if file not in self.files:
                self.files[file] = read_safetensors(self.folder / file)
            content = self.files[file](payload["name"])
        else:
            content = self.store[payload["offset"] : payload["offset"] + payload["length"]]
        if len(content) != payload["length"] or hashlib.sha256(content).hexdigest() != payload["sha256"]:
            refuse(f"the payload {place_of(payload)} has other content")
        return content


def payloads_in(value: Any) -> Iterator[Object]:
    """Every reference to a payload in a JSON value."""
    if isinstance(value, dict):
        if "$payload" in value:
            yield value["$payload"]
        for item in value.values():
            yield from payloads_in(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                yield from payloads_in(item)


# Residue


def wire_fields(data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The fields of a message: number, wire type, where it starts, where its length and its content start, its end."""

    def read_varint(place: int) -> tuple[int, int]:
        number = shift = 0
        while True:
            number |= (data[place] & 127) << shift
            shift += 7
            place += 1
            if data[place - 1] < 128:
                return number, place

    def skip(place: int) -> tuple[int, int, int, int, int]:
        tag, length_at = read_varint(place)
        start = length_at
        if tag & 7 == VARINT:
            _, end = read_varint(start)
        elif tag & 7 == FIXED64:
            end = start + 8
        elif tag & 7 == FIXED32:
            end = start + 4
        elif tag & 7 == BYTES:
            length, start = read_varint(start)
            end = start + length
        else:
            end = start
            while tag & 7 == GROUP:
                inner, _, _, _, end = skip(end)
                if inner & 7 == END_GROUP:
                    break
        return tag, length_at, start, end, end

    place = 0
    while place < len(data):
        tag, length_at, start, end, _ = skip(place)
        yield tag >> 3, tag & 7, place, length_at, start, end
        place = end


def restore(data: bytes, descriptor: Any, contents: dict[bytes, bytes]) -> bytes:
    """A skeleton with the content of payloads for their markers."""
    nonce = next(iter(contents))[:16] if contents else None
    if nonce is None or nonce not in data:
        return data
    out = []
    for number, wire_type, at, length_at, start, end in wire_fields(data):
        field = descriptor.fields_by_number.get(number)
        content = data[start:end]
        if wire_type != BYTES or nonce not in content:
            out.append(data[at:end])
            continue
        over_long = start - length_at - len(varint(len(content)))
        content = contents[content] if content in contents else restore(content, field.message_type, contents)
        out += [data[at:length_at], varint(len(content), over_long), content]
    return b"".join(out)


# The whole


class Decoded(NamedTuple):
    """The ONNX file, its data files by location, and whether the digest of the source was met."""

    model: bytes
    data_files: dict[str, bytes]
    exact: bool


def decode(file: Path, *, check_edges: bool = True) -> Decoded:
    """Decodes a GraphML file; its weights are looked for where it says."""
    nodes, edges = read_document(file.read_bytes())
    document = Document(nodes)
    values = document.model.values
    if values["format_version"].partition(".")[0] != "4":
        refuse(f"format {values['format_version']}")
    if check_edges:
        ours = {node.xml_id for node in document.nodes}
        if Counter(edge for edge in edges if ours.issuperset(edge)) != document.edges():
            refuse("the edges contradict inputs and outputs")
    model = document.model_object()
    residue = strict_json(values.get("residue", "{}"))
    payloads = Payloads(document.model, file.parent)

    references = [*payloads_in(model), *payloads_in(residue.get("payloads", []))]
    places = sorted({place_of(reference) for reference in references})
    nonce = residue.get("nonce") or hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    markers = {place: f"{nonce}{number:016x}".encode() for number, place in enumerate(places)}
    descriptor = onnx.ModelProto.DESCRIPTOR
    skeleton = message(descriptor, model, lambda payload: markers[place_of(payload)])
    if residue and hashlib.sha256(skeleton).hexdigest() == residue["canonical_sha256"]:
        skeleton = zstd_with_prefix(base64.b64decode(residue["patch"]), skeleton)
    contents = {markers[place_of(reference)]: payloads.content(reference) for reference in references}
    data = restore(skeleton, descriptor, contents)

    data_files = {}
    for entry in strict_json(values.get("external_files", "[]")):
        if payloads.strategy == "reference":
            data_files[entry["location"]] = (file.parent / entry["location"]).read_bytes()
        else:
            data_files[entry["location"]] = payloads.content(entry["content"]["$payload"])
    return Decoded(data, data_files, hashlib.sha256(data).hexdigest() == values["source_sha256"])


def zstd_with_prefix(frame: bytes, prefix: bytes) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}
    dictionary = zstd.ZstdDict(prefix, is_raw=True).as_prefix if prefix else None
    return zstd.decompress(frame, dictionary, options)


def main(arguments: Iterable[str]) -> None:
    source, output = arguments
    decoded = decode(Path(source))
    Path(output).write_bytes(decoded.model)


if __name__ == "__main__":
    main(sys.argv[1:])
