"""Inputs of growing size, in shapes whose cost might grow faster: some are read, some are refused."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, NamedTuple

import onnx
from onnx import TensorProto, helper

from graphml_onnx import GraphmlOnnxError, decode, encode, validate
from graphml_onnx.hierarchy import Graph, Operator, build_hierarchy, read_metadata
from tests.campaign import scratch
from tests.campaign.command_shapes import COMMAND_SHAPES
from tests.campaign.hierarchies import operator_of
from tests.common.external_models import external, model_with
from tests.faults import graph_text
from tests.strategies import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Field = wire.Field
BYTES, VARINT = wire.BYTES, wire.VARINT


MODEL_MEMORY = 1000
"""Bytes of memory for each byte of a model without its weights, at most: an empty operator has two bytes there."""
TEXT_MEMORY = 40
"""The same for a graph, or metadata. SECURITY.md says both."""


class Shape(NamedTuple):
    """A kind of input.

    Attributes:
        count: how many of whatever it is made of; twice and four times as many are measured too.
        make: gives the input for a count.
        run: reads an input, in a folder, and swallows the library's own errors.
    """

    count: int
    make: Callable[[int], bytes]
    run: Callable[[bytes, Path], object]

    @property
    def memory(self) -> int:
        """Bytes of memory for each byte of input, at most."""
        return TEXT_MEMORY if self.run in (_decode, _by_edges, _validate, _metadata) else MODEL_MEMORY


# --- what is done with an input ---------------------------------------------------------------------------------------


def _decode(data: bytes, folder: Path, **options: object) -> None:
    graph = folder / "graph.graphml"
    graph.write_bytes(data)
    with contextlib.suppress(GraphmlOnnxError), scratch.no_waiting():
        decode(graph, folder / "model.onnx", overwrite=True, **options)  # type: ignore[arg-type]


def _validate(data: bytes, folder: Path) -> None:
    graph = folder / "graph.graphml"
    graph.write_bytes(data)
    with contextlib.suppress(GraphmlOnnxError):
        validate(graph)


def _round_trip(data: bytes, folder: Path) -> None:
    _encode(data, folder)
    graph = folder / "graph.graphml"
    if graph.exists():
        with contextlib.suppress(GraphmlOnnxError), scratch.no_waiting():
            decode(graph, folder / "model.onnx", overwrite=True)


def _encode(data: bytes, folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(data)
    for name in ("w0", "w1"):
        (folder / name).write_bytes(b"1234")
    with contextlib.suppress(GraphmlOnnxError), scratch.no_waiting():
        encode(model, folder / "graph.graphml", overwrite=True)


def _metadata(data: bytes, _: Path) -> None:
    with contextlib.suppress(GraphmlOnnxError):
        metadata = read_metadata(data, "m.json")
        build_hierarchy(Graph([Operator(name) for name in metadata.nodes]), metadata)


def _hierarchy(data: bytes, _: Path) -> None:
    build_hierarchy(Graph([operator_of(*fields) for fields in json.loads(data)]), None)


_by_edges = functools.partial(_decode, trust="edges")


# --- models -----------------------------------------------------------------------------------------------------------


def _nodes(*nodes: onnx.NodeProto, **fields: object) -> bytes:
    graph = helper.make_graph(list(nodes), "g", [], [], **fields)  # type: ignore[arg-type]
    return helper.make_model(graph).SerializeToString()


def _chain(count: int) -> bytes:
    return _nodes(*(helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"op{i}") for i in range(count)))


def _one_name(count: int) -> bytes:
    return _nodes(*(helper.make_node("Relu", ["x"], ["x"], name="same") for _ in range(count)))


def _fan(count: int) -> bytes:
    return _nodes(helper.make_node("Sum", [f"x{i}" for i in range(count)], ["y"]))


def _attributes(count: int) -> bytes:
    return _nodes(helper.make_node("A", [], ["y"], **{f"a{i}": i for i in range(count)}))


def _numbers(count: int) -> bytes:
    return _nodes(helper.make_node("A", [], ["y"], a=list(range(count)), b=[i / 3 for i in range(count)]))


def _initializers(count: int) -> bytes:
    tensors = [helper.make_tensor(f"w{i}", TensorProto.FLOAT, [1], [0.1]) for i in range(count)]
    return _nodes(*(helper.make_node("Neg", [f"w{i}"], [f"y{i}"]) for i in range(count)), initializer=tensors)


def _payloads(count: int) -> bytes:
    tensors = [helper.make_tensor(f"w{i}", TensorProto.INT8, [1100], bytes(1100), raw=True) for i in range(count)]
    return _nodes(initializer=tensors)


def _value_infos(count: int) -> bytes:
    infos = [helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, [1, "n"]) for i in range(count)]
    nodes = (helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(count))
    return _nodes(*nodes, value_info=infos)


def _bodies(count: int) -> bytes:
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "b", [], [])
    return _nodes(*(helper.make_node("If", ["c"], [f"y{i}"], then_branch=body) for i in range(count)))


def _bodies_of_one(count: int) -> bytes:
    bodies = [helper.make_graph([], f"b{i}", [], []) for i in range(count)]
    node = helper.make_node("Many", ["x"], ["y"])
    node.attribute.append(helper.make_attribute("graphs", bodies))
    return _nodes(node)


def _functions(count: int) -> bytes:
    model = onnx.ModelProto.FromString(_nodes(*(helper.make_node(f"F{i}", [], [f"y{i}"]) for i in range(count))))
    for i in range(count):
        model.functions.append(helper.make_function("", f"F{i}", [], ["y"], [helper.make_node("A", [], ["y"])], []))
    return model.SerializeToString()


def _shuffled(count: int) -> bytes:
    return wire.serialise(tuple(reversed(wire.parse(_chain(count)))))


def _empty_nodes(count: int) -> bytes:
    return b"\x08\x0a" + wire.serialise((Field(7, BYTES, (Field(1, BYTES, ()),) * count),))


def _unpacked(count: int) -> bytes:
    tensor = (Field(1, VARINT, count), Field(2, VARINT, 7), *(Field(7, VARINT, i) for i in range(count)))
    return wire.serialise((Field(7, BYTES, (Field(5, BYTES, tensor),)),))


def _unknown(count: int) -> bytes:
    return _chain(1) + wire.serialise(tuple(Field(999 + i % 7, VARINT, i) for i in range(count)))


def _groups(count: int) -> bytes:
    return _chain(1) + wire.serialise((Field(99, wire.GROUP, ()),) * count)


def _cut_off(count: int) -> bytes:
    return _chain(count)[:-3]


def _external(count: int) -> bytes:
    return model_with(*(external(f"w{i}", f"w{i % 2}", 1, length=4) for i in range(count))).SerializeToString()


def _external_missing(count: int) -> bytes:
    tensors = [external(f"w{i}", f"w{i % 2}", 1) for i in range(count)]
    return model_with(*tensors, external("w", "none")).SerializeToString()


# --- graphs -----------------------------------------------------------------------------------------------------------


def _graph(*elements: str, **data: object) -> bytes:
    return graph_text.graph(*elements, **data).encode()


def _operators(count: int, **data: object) -> list[str]:
    return [graph_text.operator(f"o{i}", f"o{i - 1}" if i else "m", **data) for i in range(count)]


def _empty_elements(count: int) -> bytes:
    return _graph(*(f'<node id="d{i}"/>' for i in range(count)))


def _drawn(count: int) -> bytes:
    nodes = [f'<node id="d{i}"/>' for i in range(count)]
    return _graph(*nodes, *(graph_text.edge(f"d{i}", f"d{i + 1}") for i in range(count - 1)))


def _module_chain(count: int) -> bytes:
    return _graph(graph_text.module("k0", "m"), *(graph_text.module(f"k{i}", f"k{i - 1}") for i in range(1, count)))


def _module_circle(count: int) -> bytes:
    modules = [graph_text.module(f"k{i}", f"k{(i + 1) % count}") for i in range(count)]
    return _graph(*modules, graph_text.operator("o", "m", "k7"))


def _foreign_keys(count: int) -> bytes:
    keys = "".join(f'<key id="z{i}" for="node" attr.name="zz{i}" attr.type="string"/>\n' for i in range(count))
    return _graph(*_operators(count)).replace(b"<graph ", keys.encode() + b"<graph ", 1)


def _residue(text: str) -> Callable[[int], bytes]:
    return lambda count: _graph(residue=text * count)


def _spoiled(text: str, key: str = "attributes") -> Callable[[int], bytes]:
    return lambda count: _graph(graph_text.operator("o", **{key: text * count}))


def _last(element: str) -> Callable[[int], bytes]:
    return lambda count: _graph(*_operators(count), element)


def _wired(count: int) -> bytes:
    operators = [
        graph_text.operator(f"o{i}", f"o{i - 1}" if i else "m", inputs=f'["t{i}"]', outputs=f'["t{i + 1}"]')
        for i in range(count)
    ]
    return _graph(*operators, *(graph_text.edge(f"o{i}", f"o{i + 1}") for i in range(count - 1)))


def _edges_to_nowhere(count: int) -> bytes:
    return _graph(*(graph_text.edge(f"a{i}", "b") for i in range(count)))


def _against_nodes(count: int) -> bytes:
    return _wired(count).replace(b'target="o1"', b'target="o2"')


def _raw(text: str) -> Callable[[int], bytes]:
    return lambda count: _graph("".join(text for _ in range(count)))


# --- hierarchies ------------------------------------------------------------------------------------------------------


def _wide(count: int) -> bytes:
    children = {
        f"c{i}": {"class_name": "C", "traced_tag": f"/M/C.{i}", "scope": f"c{i}", "execution_order": i}
        for i in range(count)
    }
    modules = {"class_name": "M", "traced_tag": "/M", "scope": "", "execution_order": 0, "children": children}
    return json.dumps({"modules": modules, "nodes": {f"/c{i}/op": f"/M/C.{i}" for i in range(count)}}).encode()


def _one_tag(count: int) -> bytes:
    modules = {f"m{i}": {"class_name": "C", "traced_tag": "/M/C", "scope": f"m{i}"} for i in range(count)}
    return json.dumps({"modules": modules, "nodes": {f"op{i}": "/M/C" for i in range(count)}}).encode()


def _unknown_tags(count: int) -> bytes:
    modules = {"class_name": "M", "traced_tag": "/M", "scope": "", "execution_order": 0}
    return json.dumps({"modules": modules, "nodes": {f"op{i}": "/M" + "/x" * (i % 50) for i in range(count)}}).encode()


def _names(count: int) -> bytes:
    return json.dumps([[f"/layer.{i}/block/MatMul_{i}"] for i in range(count)]).encode()


def _long_names(count: int) -> bytes:
    return json.dumps([["/a" * count + "/MatMul"], ["/a" * count + "/Add"]]).encode()


def _names_that_nest(count: int) -> bytes:
    return json.dumps([["/a" * (i % 90) + f"/{i}/MatMul"] for i in range(count)]).encode()


def _scopes(count: int) -> bytes:
    scopes = [repr(["", f"layer.{i}", f"layer.{i}.act", "relu"]) for i in range(count)]
    return json.dumps([[f"n{i}", None, scopes[i], repr(["M", "L", "Act", "aten.relu"])] for i in range(count)]).encode()


def _long_scopes(count: int) -> bytes:
    return json.dumps([["n", None, repr(["a"] * count), repr(["A"] * count)]]).encode()


def _open_scopes(count: int) -> bytes:
    return json.dumps([["n", None, "['" + "\\'" * count, "['" + "\\" * count]]).encode()


SHAPES: Mapping[str, Shape] = {
    # what is read
    "operators in a chain": Shape(400, _chain, _round_trip),
    "operators of one name": Shape(400, _one_name, _round_trip),
    "inputs of one operator": Shape(2000, _fan, _round_trip),
    "attributes of one operator": Shape(1000, _attributes, _round_trip),
    "numbers of one attribute": Shape(8000, _numbers, _round_trip),
    "small initializers": Shape(300, _initializers, _round_trip),
    "payloads": Shape(400, _payloads, _round_trip),
    "value infos": Shape(300, _value_infos, _round_trip),
    "bodies": Shape(150, _bodies, _round_trip),
    "bodies of one operator": Shape(4000, _bodies_of_one, _round_trip),
    "functions": Shape(100, _functions, _round_trip),
    "fields in another order": Shape(400, _shuffled, _round_trip),
    "empty nodes": Shape(1000, _empty_nodes, _round_trip),
    "numbers as fields of their own": Shape(8000, _unpacked, _round_trip),
    "unknown fields": Shape(2000, _unknown, _round_trip),
    "groups": Shape(2000, _groups, _round_trip),
    "tensors in data files": Shape(300, _external, _encode),
    "operators, validated": Shape(400, _wired, _validate),
    "inputs from edges": Shape(400, _wired, _by_edges),
    "foreign nodes": Shape(3000, _empty_elements, _decode),
    "foreign nodes with edges": Shape(2000, _drawn, _decode),
    "foreign keys and as many operators": Shape(500, _foreign_keys, _decode),
    "comments": Shape(5000, _raw("<!-- c -->"), _decode),
    "one long text": Shape(400_000, _spoiled("x", "doc_string"), _decode),
    "references to characters": Shape(50_000, _spoiled("&<>", "doc_string"), _decode),
    "modules within each other": Shape(300, _module_chain, _decode),
    "modules and as many operators": Shape(400, _wide, _metadata),
    "modules of one tag": Shape(400, _one_tag, _metadata),
    "tags that no module has": Shape(1000, _unknown_tags, _metadata),
    "scopes in names": Shape(600, _names, _hierarchy),
    "two long names": Shape(4000, _long_names, _hierarchy),
    "names of 90 levels": Shape(300, _names_that_nest, _hierarchy),
    "scopes of the exporter": Shape(600, _scopes, _hierarchy),
    "a long scope of the exporter": Shape(2000, _long_scopes, _hierarchy),
    # what is refused
    "a model that is cut off": Shape(3000, _cut_off, _round_trip),
    "a data file that is missing": Shape(300, _external_missing, _encode),
    "a scope that does not end": Shape(20_000, _open_scopes, _hierarchy),
    "a circle of modules": Shape(400, _module_circle, _decode),
    "edges against nodes": Shape(400, _against_nodes, _decode),
    "a node twice": Shape(500, _last('<node id="o0"/>'), _decode),
    "no end of the XML": Shape(500, _last("<node"), _decode),
    "an edge to nowhere": Shape(500, _last('<edge source="o0" target="none"/>'), _decode),
    "elements that do not end": Shape(5000, _raw("<a>"), _decode),
    "lists that do not end": Shape(50_000, _spoiled("["), _decode),
    "lists and texts that do not end": Shape(5000, _spoiled('["a",'), _decode),
    "quotation marks": Shape(50_000, _spoiled('"'), _decode),
    "backslashes in JSON": Shape(50_000, _spoiled('"\\'), _decode),
    "members of one name": Shape(3000, lambda count: _spoiled("{" + '"a":1,' * count + '"a":1}')(1), _decode),
    "a number of many digits": Shape(50_000, _spoiled("9"), _decode),
    "metadata that do not end": Shape(5000, lambda count: b'{"modules":' + b'["a",' * count, _metadata),
    "metadata with quotation marks": Shape(50_000, lambda count: b'{"modules":' + b'"' * count, _metadata),
    "a residue that does not end": Shape(20_000, _residue('["'), _decode),
    "data files that do not end": Shape(
        5000, lambda count: _graph(external_files='[{"location":"a",' * count), _decode
    ),
    "validated: lists that do not end": Shape(5000, _spoiled('["a",'), _validate),
    "validated: edges to nowhere": Shape(500, _edges_to_nowhere, _validate),
    # what other commands make of a model
    **{name: Shape(*parts) for name, parts in COMMAND_SHAPES.items()},
}
"""By name; the operators of a model, the texts of a graph and the names of a hierarchy are the sizes that grow."""
