"""A model as stable text for `git diff`: no ids, no positions, no offsets in files."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from graphml_onnx.errors import GraphmlOnnxError, printable
from graphml_onnx.graph.attributes import SparseTensor
from graphml_onnx.graph.elements import Body, attribute_json
from graphml_onnx.graph.types import TensorType
from graphml_onnx.graph.weights import TensorData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphml_onnx.graph.attributes import AttributeValue
    from graphml_onnx.graph.elements import Module, Operator, Parameter, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph

_INLINE = 8  # elements


def text_lines(
    graph: ModelGraph, *, data_files: bool = True, failed: Callable[[GraphmlOnnxError], None] | None = None
) -> Iterator[str]:
    """The lines of the text, without line ends; weights are read for their digests.

    The same model gives the same text, whether it is ONNX or GraphML, and however its file is written.

    Args:
        graph: the model.
        data_files: whether to read external data; otherwise the text says only the names of their files.
        failed: called with weights that cannot be read, which the text then marks. Without it, the first is an error.

    Raises:
        GraphmlOnnxError: weights are missing, or cannot be read.
    """
    yield from _Text(data_files, failed).lines(graph)


class _Text:
    def __init__(self, data_files: bool, failed: Callable[[GraphmlOnnxError], None] | None) -> None:
        self._data_files = data_files
        self._failed = failed

    def lines(self, graph: ModelGraph) -> Iterator[str]:
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
            yield from self._module(module)
        for body in graph.functions.values():
            yield ""
            yield f"function {_word(body.path)}"
            yield from self._body(body, "  ")

    def _module(self, module: Module) -> Iterator[str]:
        parameters = [p for p in module.parameters if p.operator is None and p.tensor.body.kind == "graph"]
        if not module.operators and not parameters:
            return
        yield ""
        class_name = f" ({_word(module.class_name)})" if module.class_name else ""
        yield f"module {_word(module.path or '(model)')}{class_name}"
        for parameter in parameters:
            yield f"  parameter {self._weight(parameter)}"
        for operator in module.operators:
            yield from self._operator(operator, "  ")

    def _operator(self, operator: Operator, indent: str) -> Iterator[str]:
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
                yield f"{indent}  {_word(name)}: {self._attribute(value)}"
        for name, body in bodies:
            yield f"{indent}  {_word(name)}:"
            yield from self._body(body, f"{indent}    ")

    def _body(self, body: Body, indent: str) -> Iterator[str]:
        for tensor in body.inputs:
            yield f"{indent}input {_value(tensor)}"
        for tensor in body.outputs:
            yield f"{indent}output {_value(tensor)}"
        for parameter in body.parameters:
            if parameter.operator is None:
                yield f"{indent}parameter {self._weight(parameter)}"
        for operator in body.operators:
            yield from self._operator(operator, indent)

    def _weight(self, parameter: Parameter) -> str:
        name = _word(parameter.name)
        if parameter.indices is None:
            return f"{name}: {self._tensor(parameter.data)}"
        values, indices = self._content(parameter.data), self._content(parameter.indices)
        return f"{name}: sparse {parameter.type}: {values} at {indices}"

    def _tensor(self, data: TensorData) -> str:
        return f"{TensorType(data.dtype, data.shape)} {self._content(data)}"

    def _content(self, data: TensorData) -> str:
        """The digest, with the values if there are few; for external data that must not be read, the file."""
        if data.is_external and not self._data_files:
            file = data.location.file
            return f"in {_word(file.name)}" if file is not None else "in a data file"
        try:
            digest = data.digest
        except GraphmlOnnxError as error:
            if self._failed is None:
                raise
            self._failed(error)
            return "cannot be read"
        if data.size <= _INLINE:
            with suppress(GraphmlOnnxError):  # a type that this ONNX does not know, or another number of bytes
                return f"{_word(str(data.numpy().tolist()))} sha256:{digest[:16]}"
        return f"sha256:{digest}"

    def _attribute(self, value: AttributeValue) -> str:
        match value:
            case TensorData():
                return self._tensor(value)
            case SparseTensor():
                return f"sparse {list(value.shape)}: {self._tensor(value.values)} at {self._tensor(value.indices)}"
            case tuple() if not hasattr(value, "_fields"):
                return f"[{', '.join(self._attribute(item) for item in value)}]"
            case str():
                return repr(value)
            case _:
                return _word(str(attribute_json(value)))


def _value(tensor: Tensor) -> str:
    return f"{_word(tensor.name)}: {tensor.type}" if tensor.type is not None else _word(tensor.name)


def _names(tensors: Iterable[Tensor | None]) -> str:
    return ", ".join("-" if tensor is None else _word(tensor.name) for tensor in tensors)


def _word(text: str) -> str:
    return printable(text)
