"""A model's graph as columns of the tables, filled in one walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.graph.attributes import AttributeReference, SparseTensor
from graphml_onnx.graph.elements import Body
from graphml_onnx.graph.types import TensorType
from graphml_onnx.graph.weights import TensorData
from graphml_onnx.tabular.schema import TABLES, VERSION, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from graphml_onnx.graph.attributes import AttributeValue
    from graphml_onnx.graph.elements import Tensor
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.graph.types import Dimension

_INT64 = range(-(1 << 63), 1 << 63)


class ModelFacts(NamedTuple):
    """What the tables say of a model that its graph does not know.

    Attributes:
        key: key of the model.
        sha256: SHA-256 of its file.
        source: where it was read from.
        size: bytes of its file and of its external data.
    """

    key: str
    sha256: str
    source: str
    size: int


class ModelRows(NamedTuple):
    """The rows of one model: of each table its columns, without the first one, which is the key.

    Attributes:
        facts: what is known of the model.
        columns: the values by table, column by column.
    """

    facts: ModelFacts
    columns: Mapping[str, Sequence[Sequence[object]]]

    def count(self, table: str) -> int:
        """How many rows there are of a table."""
        return len(self.columns[table][0])

    def value(self, table: str, column: str) -> object:
        """A value of the first row of a table."""
        return self.columns[table][list(TABLES[table]).index(column) - 1][0]


def model_rows(graph: ModelGraph, facts: ModelFacts, *, digests: bool) -> ModelRows:
    """The rows of one model.

    Args:
        graph: the model.
        facts: what else is known of it.
        digests: whether to hash the parameters, for which all of them are read.

    Raises:
        GraphmlOnnxError: a digest was asked for, and the weights are missing or cannot be read.
    """
    columns = _Columns(graph, digests=digests)
    return ModelRows(
        facts,
        {
            "models": columns.models(facts),
            "modules": columns.modules(),
            "operators": columns.operators(),
            "attributes": columns.attributes(),
            "tensors": columns.tensors(),
            "edges": columns.edges(),
            "parameters": columns.parameters(),
        },
    )


def arrow_tables(models: Sequence[ModelRows]) -> Mapping[str, pa.Table]:
    """The rows of several models by table: of small models, to make arrays of each takes longer than to read it."""
    return {table: _arrow(table, models) for table in TABLES}


def _arrow(table: str, models: Sequence[ModelRows]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    schema = arrow_schema(table)
    counts = [model.count(table) for model in models]
    keys = pa.array([model.facts.key for model in models], pa.string())
    arrays = [keys.take(pa.array(np.repeat(np.arange(len(models)), counts)))]
    for place, field in enumerate(list(schema)[1:]):
        arrays.append(_array([value for model in models for value in model.columns[table][place]], field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: Sequence[object], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(column, kind)
    except UnicodeEncodeError:  # bytes of the file that are no UTF-8, which Parquet's text has to be
        return pa.array([_valid(value) for value in column], kind)


def _valid(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case list():
            return [_valid(item) for item in value]
        case dict():
            return {key: _valid(item) for key, item in value.items()}
        case _:
            return value


class _Columns:
    """Numbers the parts of a model, and gives each table as lists of values, column by column, without the key."""

    def __init__(self, graph: ModelGraph, *, digests: bool) -> None:
        self._graph = graph
        self._digests = digests
        self._bodies = graph.bodies
        self._modules = list(graph.all_modules())
        self._operators = [operator for body in self._bodies for operator in body.operators]
        self._tensors = [tensor for body in self._bodies for tensor in body.tensors.values()]
        self._parameters = [parameter for body in self._bodies for parameter in body.parameters]
        self._module_number = _numbers(self._modules)
        self._operator_number = _numbers(self._operators)
        self._tensor_number = _numbers(self._tensors)
        self._output_number: dict[Tensor, int] = {}
        self._shapes: dict[tuple[Dimension, ...] | None, tuple[str | None, list[int | None] | None]] = {}

    def models(self, facts: ModelFacts) -> list[list[object]]:
        graph = self._graph
        opsets = graph.opsets
        row = {
            "sha256": facts.sha256,
            "source": facts.source,
            "bytes": facts.size,
            "name": graph.name,
            "producer": graph.producer,
            "ir_version": graph.ir_version,
            "opset": opsets.get("", opsets.get("ai.onnx")),
            "opsets": [{"domain": domain, "version": version} for domain, version in opsets.items()],
            "hierarchy_source": graph.hierarchy_source,
            "operators": len(self._operators),
            "modules": len(self._modules) - 1,
            "parameters": len(self._parameters),
            "elements": sum(parameter.size for parameter in self._parameters),
            "parameter_bytes": sum(parameter.nbytes for parameter in self._parameters),
            "version": VERSION,
        }
        return [[_within(row[name])] for name in list(TABLES["models"])[1:]]

    def modules(self) -> list[list[object]]:
        number = self._module_number
        last = list(range(len(self._modules)))
        depth: list[int] = []
        for module in self._modules:
            depth.append(0 if module.parent is None else depth[number[module.parent]] + 1)
        for index in reversed(range(1, len(last))):
            parent = number[self._modules[index].parent]
            last[parent] = max(last[parent], last[index])
        modules = self._modules
        return [
            list(range(len(modules))),
            [*last],
            [None if module.parent is None else number[module.parent] for module in modules],
            [*depth],
            [module.path for module in modules],
            [module.name for module in modules],
            [module.class_name for module in modules],
            [module.tag for module in modules],
            [module.module_type for module in modules],
            [len(module.operators) for module in modules],
            [module.body.path for module in modules],
        ]

    def operators(self) -> list[list[object]]:
        operators = self._operators
        number = self._module_number
        bodies: list[object] = []
        opsets: list[object] = []
        modules: list[object] = []
        for body in self._bodies:
            bodies += [body.path] * len(body.operators)
            known = body.opsets
            versions = {"": known.get("", known.get("ai.onnx")), "ai.onnx": known.get("ai.onnx", known.get(""))}
            for operator in body.operators:
                domain = operator.domain
                opsets.append(versions[domain] if domain in versions else known.get(domain))
                modules.append(number[operator.module])
        return [
            list(range(len(operators))),
            bodies,
            [operator.index for operator in operators],
            [operator.name for operator in operators],
            [operator.op_type for operator in operators],
            [operator.domain for operator in operators],
            [operator.overload for operator in operators],
            [_within(version) for version in opsets],
            modules,
        ]

    def attributes(self) -> list[list[object]]:
        columns: list[list[object]] = [[] for _ in range(9)]
        numbers, names, *others = columns
        appends = [column.append for column in others]
        for number, operator in enumerate(self._operators):
            for name, value in operator.attributes.items():
                numbers.append(number)
                names.append(name)
                for append, item in zip(appends, _attribute(value), strict=True):
                    append(item)
        return columns

    def tensors(self) -> list[list[object]]:
        tensors = self._tensors
        operator_number, output_number = self._operator_number, self._output_number
        for operator in self._operators:
            for index, made in enumerate(operator.outputs):
                if made is not None and made.producer is operator:
                    output_number.setdefault(made, index)
        parameter_number: dict[Tensor, int] = {}
        for index, parameter in enumerate(self._parameters):
            if parameter.tensor.parameter is parameter:
                parameter_number[parameter.tensor] = index
        types = [tensor.type for tensor in tensors]
        shapes = [self._shape(None if kind is None else kind.shape) for kind in types]
        return [
            list(range(len(tensors))),
            [tensor.body.path for tensor in tensors],
            [tensor.name for tensor in tensors],
            [None if kind is None else kind.dtype for kind in types],
            [text for text, _ in shapes],
            [dims for _, dims in shapes],
            [None if tensor.producer is None else operator_number[tensor.producer] for tensor in tensors],
            [output_number.get(tensor) for tensor in tensors],
            [tensor.is_input for tensor in tensors],
            [tensor.is_output for tensor in tensors],
            [parameter_number.get(tensor) for tensor in tensors],
        ]

    def edges(self) -> list[list[object]]:
        """The edges, one for each input that an operator takes; after `tensors`, which numbers the outputs."""
        operator_number, tensor_number = self._operator_number, self._tensor_number
        output_number = self._output_number
        sources: list[object] = []
        targets: list[object] = []
        tensors: list[object] = []
        outputs: list[object] = []
        inputs: list[object] = []
        for number, operator in enumerate(self._operators):
            for index, tensor in enumerate(operator.inputs):
                if tensor is not None:
                    producer = tensor.producer
                    sources.append(None if producer is None else operator_number[producer])
                    targets.append(number)
                    tensors.append(tensor_number[tensor])
                    outputs.append(output_number.get(tensor))
                    inputs.append(index)
        return [sources, targets, tensors, outputs, inputs]

    def parameters(self) -> list[list[object]]:
        parameters = self._parameters
        shapes = [self._shape(parameter.shape) for parameter in parameters]
        return [
            list(range(len(parameters))),
            [self._tensor_number[parameter.tensor] for parameter in parameters],
            [parameter.name for parameter in parameters],
            [parameter.kind for parameter in parameters],
            [self._module_number[parameter.module] for parameter in parameters],
            [parameter.dtype for parameter in parameters],
            [text for text, _ in shapes],
            [dims for _, dims in shapes],
            [_within(parameter.size) for parameter in parameters],
            [_within(parameter.nbytes) for parameter in parameters],
            [parameter.digest if self._digests else None for parameter in parameters],
        ]

    def _shape(self, shape: tuple[Dimension, ...] | None) -> tuple[str | None, list[int | None] | None]:
        """A shape as text and as numbers; most tensors of a model share a few."""
        found = self._shapes.get(shape)
        if found is None:
            if shape is None:
                found = (None, None)
            else:
                text = ", ".join("?" if dim is None else str(dim) for dim in shape)
                found = (f"[{text}]", [dim if isinstance(dim, int) and dim in _INT64 else None for dim in shape])
            self._shapes[shape] = found
        return found


def _numbers(parts: Sequence[object]) -> dict[object, int]:
    return {part: number for number, part in enumerate(parts)}


def _within(value: object) -> object:
    """The value, or None for a number that no column holds: a damaged file may claim any size."""
    return None if isinstance(value, int) and value not in _INT64 else value


def _attribute(value: AttributeValue) -> tuple[object, object, object, object, object, object, object]:
    """Kind, integer, number, text, integers, numbers and texts of an attribute's value."""
    match value:
        case int():
            return "int", value, float(value), None, None, None, None
        case float():
            return "float", None, value, None, None, None, None
        case str():
            return "text", None, None, value, None, None, None
        case TensorData() | bytes() | SparseTensor() | TensorType() | Body() | AttributeReference() | None:
            return _kind(value), None, None, _described(value), None, None, None
    items: list[object] = list(value)
    types = set(map(type, items))
    if types <= {int}:
        return "list", None, None, None, items, None, None
    if types == {float}:
        return "list", None, None, None, None, items, None
    return "list", None, None, None, None, None, [_described(item) for item in items]


def _kind(value: object) -> str:
    match value:
        case TensorData():
            return "tensor"
        case bytes():
            return "bytes"
        case SparseTensor():
            return "sparse"
        case TensorType():
            return "type"
        case Body():
            return "body"
        case AttributeReference():
            return "reference"
        case _:
            return "none"


def _described(value: object) -> str | None:
    match value:
        case None:
            return None
        case str():
            return value
        case bytes():
            return value.hex()
        case TensorData():
            return str(TensorType(value.dtype, value.shape))
        case SparseTensor():
            return str(TensorType(value.values.dtype, value.shape))
        case Body():
            return value.path
        case AttributeReference():
            return value.name
        case _:
            return str(value)
