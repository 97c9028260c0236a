"""A model as stable text for `git diff`: no ids, no numbers of order, no places in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.errors import printable
from graphml_onnx.graph.attributes import SparseTensor
from graphml_onnx.graph.elements import Body, attribute_json
from graphml_onnx.graph.weights import TensorData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphml_onnx.graph.attributes import AttributeValue
    from graphml_onnx.graph.elements import Module, Operator, Parameter, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph

_INLINE = 8  # elements


def text_lines(graph: ModelGraph) -> Iterator[str]:
    """The lines of the text, without line ends; weights are read for their digests.

    The same model gives the same text, whether it is ONNX or GraphML, and however its file is written.

    Raises:
        GraphmlOnnxError: weights are missing, or cannot be read.
    """
    yield f"model {_word(graph.name)}"
    yield f"  ir_version {graph.ir_version}"
    for domain, version in sorted(graph.opsets.items()):
        yield f"  opset {_word(domain or 'ai.onnx')} {version}"
    if graph.producer:
        yield f"  producer {_word(graph.producer)}"
    for key, value in sorted(graph.metadata.items()):
        yield f"  metadata {_word(key)}: {_word(value)}"
    for tensor in graph.inputs:
        yield f"  input {_value(tensor)}"
    for tensor in graph.outputs:
        yield f"  output {_value(tensor)}"
    for module in graph.root.walk():
        yield from _module(module)
    for body in graph.functions.values():
        yield ""
        yield f"function {_word(body.path)}"
        yield from _body(body, "  ")


def _module(module: Module) -> Iterator[str]:
    parameters = [p for p in module.parameters if p.operator is None and p.tensor.body.kind == "graph"]
    if not module.operators and not parameters:
        return
    yield ""
    class_name = f" ({_word(module.class_name)})" if module.class_name else ""
    yield f"module {_word(module.path or '(model)')}{class_name}"
    for parameter in parameters:
        yield f"  parameter {_weight(parameter)}"
    for operator in module.operators:
        yield from _operator(operator, "  ")


def _operator(operator: Operator, indent: str) -> Iterator[str]:
    domain = f"{operator.domain}::" if operator.domain else ""
    yield f"{indent}{_word(domain + operator.op_type)} {_word(operator.name)}".rstrip()
    yield f"{indent}  inputs: {_names(operator.inputs)}"
    yield f"{indent}  outputs: {_names(operator.outputs)}"
    bodies: list[tuple[str, Body]] = []
    for name, value in sorted(operator.attributes.items()):
        items = value if isinstance(value, tuple) and not hasattr(value, "_fields") else (value,)
        found = [item for item in items if isinstance(item, Body)]
        bodies += [(name, body) for body in found]
        if not found:
            yield f"{indent}  {_word(name)}: {_attribute(value)}"
    for name, body in bodies:
        yield f"{indent}  {_word(name)}:"
        yield from _body(body, f"{indent}    ")


def _body(body: Body, indent: str) -> Iterator[str]:
    for tensor in body.inputs:
        yield f"{indent}input {_value(tensor)}"
    for tensor in body.outputs:
        yield f"{indent}output {_value(tensor)}"
    for parameter in body.parameters:
        if parameter.operator is None:
            yield f"{indent}parameter {_weight(parameter)}"
    for operator in body.operators:
        yield from _operator(operator, indent)


def _value(tensor: Tensor) -> str:
    return f"{_word(tensor.name)}: {tensor.type}" if tensor.type is not None else _word(tensor.name)


def _weight(parameter: Parameter) -> str:
    is_small = parameter.size <= _INLINE and parameter.indices is None
    content = _tensor(parameter.data) if is_small else f"{parameter.type} sha256:{parameter.digest}"
    return f"{_word(parameter.name)}: {content}"


def _tensor(data: TensorData) -> str:
    kind = f"{data.dtype}[{', '.join(map(str, data.shape))}]"
    if data.size <= _INLINE:
        return f"{kind} {_word(str(data.numpy().tolist()))} sha256:{data.digest[:16]}"
    return f"{kind} sha256:{data.digest}"


def _attribute(value: AttributeValue) -> str:
    match value:
        case TensorData():
            return _tensor(value)
        case SparseTensor():
            return f"sparse {list(value.shape)}: {_tensor(value.values)} at {_tensor(value.indices)}"
        case tuple() if not hasattr(value, "_fields"):
            return f"[{', '.join(_attribute(item) for item in value)}]"
        case str():
            return repr(value)
        case _:
            return _word(str(attribute_json(value)))


def _names(tensors: Iterable[Tensor | None]) -> str:
    return ", ".join("-" if tensor is None else _word(tensor.name) for tensor in tensors)


def _word(text: str) -> str:
    return printable(text)
