"""What networkx does with a model: graphs built with plain loops, as its users do, and written and read as GraphML.

There are two graphs of a model: `edges` has the operators and their edges only, `everything` all nodes, edges and
values that this project's GraphML has, with the same texts.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

import networkx
import onnx
from onnx import AttributeProto, TensorProto, ValueInfoProto

from graphml_onnx.codec.keys import BASE_VERSION

Graph: TypeAlias = "networkx.MultiDiGraph[str]"

_VALUES = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
}


def write_edges(source: str, target: str) -> None:
    networkx.write_graphml_lxml(edges(source), target)


def write_everything(source: str, target: str) -> None:
    networkx.write_graphml_lxml(everything(source), target)


def write_edges_of_all(sources: list[str], target: str) -> None:
    for source in sources:
        write_edges(source, f"{target}/{Path(source).stem}.graphml")


def read(source: str) -> None:
    networkx.read_graphml(source, force_multigraph=True)


def read_all(sources: list[str]) -> None:
    for source in sources:
        read(source)


def edges(source: str) -> Graph:
    """Operators with their names and inputs, and an edge for each input that an operator gives."""
    graph: Graph = networkx.MultiDiGraph()
    makers: dict[str, str] = {}
    for index, node in enumerate(onnx.load(source, load_external_data=False).graph.node):
        graph.add_node(str(index), name=node.name, op_type=node.op_type, inputs=",".join(node.input))
        for value in node.input:
            if value in makers:
                graph.add_edge(makers[value], str(index), tensor_name=value)
        makers |= dict.fromkeys(node.output, str(index))
    return graph


def everything(source: str) -> Graph:
    """All that the GraphML of a model has: a model without bodies and functions, whose modules stand in the names."""
    data = Path(source).read_bytes()
    model = onnx.load_from_string(data)
    content = _Content(model)
    content.add_inputs()
    content.add_model(data)
    content.add_operators()
    content.add_outputs()
    return content.graph


class _Content:
    """The graph of a model while it is built; nodes are numbered as they come, but the model is 0."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph: Graph = networkx.MultiDiGraph()
        self._model = model
        self._next = 1
        self._makers: dict[str, str] = {}
        self._uses: list[tuple[str, str, int]] = []
        self._modules: dict[str, str] = {"": "n0"}
        self._last: dict[str, str] = {}  # of each kind

    def _number(self) -> str:
        self._next += 1
        return f"n{self._next - 1}"

    def _after(self, kind: str, number: str) -> str:
        """The node before one in its list."""
        before = self._last.get(kind, "n0")
        self._last[kind] = number
        return before

    def add_inputs(self) -> None:
        for value in self._model.graph.input:
            self._makers[value.name] = self._add_value("input", value)

    def add_outputs(self) -> None:
        for value in self._model.graph.output:
            self._uses.append((value.name, self._add_value("output", value), 0))
        known = (*self._model.graph.value_info, *self._model.graph.input, *self._model.graph.output)
        types = {value.name: (_elements(value), _shape(value)) for value in known}
        for tensor, target, index in self._uses:
            maker = self._makers.get(tensor)
            if maker is None:
                continue
            facts = types.get(tensor)
            if facts is None:
                self.graph.add_edge(maker, target, tensor_name=tensor, input_index=index)
            else:
                kind, shape = facts
                self.graph.add_edge(
                    maker, target, tensor_name=tensor, tensor_type=kind, tensor_shape=shape, input_index=index
                )

    def _add_value(self, kind: str, value: ValueInfoProto) -> str:
        number, name = self._number(), value.name
        content = {"tensor_type": {"elem_type": _elements(value), "shape": {"dim": _dimensions(value)}}}
        after = self._after(kind, number)
        self.graph.add_node(number, kind=kind, node_id=number, after=after, label=name, name=name, type=_json(content))
        return number

    def add_model(self, data: bytes) -> None:
        model = self._model
        opsets = [{"domain": opset.domain, "version": opset.version} for opset in model.opset_import]
        tensors = [_tensor(tensor) for tensor in model.graph.initializer]
        self.graph.add_node(
            "n0",
            kind="model",
            node_id="n0",
            label=model.graph.name,
            format_version=BASE_VERSION,
            ir_version=str(model.ir_version),
            producer_name=model.producer_name,
            opset_imports=_json(opsets),
            name=model.graph.name,
            initializers="[\n" + ",\n".join(tensors) + "\n]",
            source_sha256=hashlib.sha256(data).hexdigest(),
            source_size=str(len(data)),
            parameter_strategy="sidecar",
            hierarchy_source="names",
        )

    def add_operators(self) -> None:
        for node in self._model.graph.node:
            scope = node.name.rpartition("/")[0]
            parent = self._module(scope)
            number = self._number()
            values: dict[str, str] = {"kind": "op", "node_id": number, "parent": parent}
            values["after"] = self._after("op", number)
            values["label"] = node.op_type
            if scope:
                values["hierarchy_tag"] = scope
            values["placed_by"] = "name"
            values["inputs"] = _json(list(node.input))
            values["outputs"] = _json(list(node.output))
            values["name"] = node.name
            values["op_type"] = node.op_type
            if node.attribute:
                values["attributes"] = _json([_attribute(attribute) for attribute in node.attribute])
            self.graph.add_node(number, **values)
            for position, value in enumerate(node.input):
                self._uses.append((value, number, position))
            self._makers |= dict.fromkeys(node.output, number)

    def _module(self, scope: str) -> str:
        """The node of a module, which is made with those around it when its first operator comes."""
        number = self._modules.get(scope)
        if number is None:
            outer, _, name = scope.rpartition("/")
            parent = self._module(outer)
            number = self._number()
            self.graph.add_node(
                number,
                kind="module",
                node_id=number,
                parent=parent,
                label=name,
                hierarchy_tag=scope,
                traced_tag=scope,
                module_source="names",
                scope=scope[1:].replace("/", "."),
            )
            self._modules[scope] = number
        return number


def _attribute(attribute: AttributeProto) -> dict[str, object]:
    field = _VALUES[attribute.type]
    value = getattr(attribute, field)
    content = list(value) if field.endswith("s") else value
    return {"name": attribute.name, field: content, "type": AttributeProto.AttributeType.Name(attribute.type)}


def _tensor(tensor: TensorProto) -> str:
    field = "float_data" if tensor.data_type == TensorProto.FLOAT else "int32_data"
    kind = TensorProto.DataType.Name(tensor.data_type)
    return _json({"data_type": kind, field: list(getattr(tensor, field)), "name": tensor.name})


def _elements(value: ValueInfoProto) -> str:
    return TensorProto.DataType.Name(value.type.tensor_type.elem_type)


def _dimensions(value: ValueInfoProto) -> list[dict[str, str | int]]:
    dimensions = value.type.tensor_type.shape.dim
    return [{"dim_param": dim.dim_param} if dim.dim_param else {"dim_value": dim.dim_value} for dim in dimensions]


def _shape(value: ValueInfoProto) -> str:
    dimensions = value.type.tensor_type.shape.dim
    return _json([dim.dim_param or dim.dim_value for dim in dimensions])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
