"""A model's graph for networkx: one node for each operator, input, output and parameter, with Python values."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import networkx as nx

    from graphml_onnx.graph.elements import Body, Operator, Parameter, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph

_Element: TypeAlias = "Operator | Parameter | Tensor"


def network_of(graph: ModelGraph, *, parameters: bool) -> nx.MultiDiGraph[str]:
    """See `ModelGraph.to_networkx`."""
    import networkx as nx

    network: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        name=graph.name,
        path=None if graph.path is None else str(graph.path),
        producer=graph.producer,
        ir_version=graph.ir_version,
        opsets=dict(graph.opsets),
        metadata=dict(graph.metadata),
        hierarchy_source=graph.hierarchy_source,
    )
    nodes: dict[_Element, str] = {}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))  # for labels that several have

    def add(element: _Element, label: str, kind: str, body: Body, data: Mapping[str, object]) -> str:
        label = f"{body.path}/{label}" if body.path else label
        node = label
        while node in network:
            node = f"{label}#{next(numbers[label])}"
        network.add_node(node, kind=kind, body=body.path, **data)
        nodes.setdefault(element, node)
        return node

    def link(source: _Element, node: str, tensor: Tensor, index: int | None) -> None:
        if source in nodes:  # a name that nothing defines comes from nowhere
            network.add_edge(nodes[source], node, tensor=tensor.name, input_index=index, **_type(tensor))

    for body in graph.bodies:
        for operator in body.operators:
            add(operator, operator.label, "op", body, _facts(operator))
        for tensor in body.inputs:
            if tensor.parameter is None:
                add(tensor, tensor.name, "input", body, _type(tensor))
        for parameter in body.parameters if parameters else ():
            if parameter.operator is None:
                owner = {"module": parameter.module.path, "size": parameter.size, "nbytes": parameter.nbytes}
                add(parameter, parameter.name, "parameter", body, _type(parameter.tensor) | owner)
    for body in graph.bodies:
        for operator in body.operators:
            for index, taken in enumerate(operator.inputs):
                if taken is not None:
                    link(_source(taken), nodes[operator], taken, index)
        if body.operator is not None:
            for tensor in body.outputs:
                link(_source(tensor), nodes[body.operator], tensor, None)
    for tensor in graph.outputs:
        link(_source(tensor), add(tensor, tensor.name, "output", graph.main, _type(tensor)), tensor, None)
    return network


def _facts(operator: Operator) -> dict[str, object]:
    return {
        "name": operator.name,
        "op_type": operator.op_type,
        "domain": operator.domain,
        "index": operator.index,
        "module": operator.module.path,
        "module_class": operator.module.class_name,
        "attributes": dict(operator.attributes),
    }


def _source(tensor: Tensor) -> _Element:
    """What a tensor comes from: the operator that makes it, or the parameter or input that it is."""
    return tensor.producer or tensor.parameter or tensor


def _type(tensor: Tensor) -> dict[str, object]:
    return {"dtype": tensor.dtype, "shape": tensor.shape}
