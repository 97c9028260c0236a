"""The parts of a model's graph: modules, operators, tensors, parameters, and the bodies that they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.errors import ModelError
from graphml_onnx.graph.attributes import AttributeValue, SparseTensor, read_attributes
from graphml_onnx.graph.of_file import OfFile
from graphml_onnx.graph.types import TensorType, lacks_shape
from graphml_onnx.graph.weights import TensorData, same_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx

    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.graph.weights import Location
    from graphml_onnx.support.strictjson import Json

BodyKind: TypeAlias = Literal["graph", "subgraph", "function"]
ParameterKind: TypeAlias = Literal["initializer", "sparse_initializer", "constant"]


class Module(OfFile):
    """A module of the hierarchy; the outermost one is the whole model.

    Attributes:
        body: the body whose operators it holds.
        path: dotted path of attribute names from the model: ``encoder.layer.0``; empty for the model itself; for the
            root of a body, that of the module around; in a function, from the function.
        name: last part of the path; for the model, the name of its class or graph; for the root of a body, its path.
        class_name: name of its class, without the package; empty if unknown. Of a model without one, the name of
            its main graph.
        tag: path of classes, as traced.
        module_type: its type, if the metadata give it; else None.
        source: where it comes from, as in `ModelGraph.hierarchy_source`; None if unknown, and for the model.
        parent: the module around it; None for the model. The root of a body is in the module of the body's operator.
        children: the modules in it, of the same body, in the order in which they first run.
        operators: the operators of its body that are directly in it, in the order of the graph.
    """

    __slots__ = (
        "body",
        "children",
        "class_name",
        "module_type",
        "name",
        "operators",
        "parent",
        "path",
        "source",
        "tag",
    )

    def __init__(self, body: Body, parent: Module | None, path: str, name: str, class_name: str) -> None:
        self.body = body
        self.parent = parent
        self.path = path
        self.name = name
        self.class_name = class_name
        self.tag: str | None = None
        self.module_type: str | None = None
        self.source: str | None = None
        self.children: Sequence[Module] = []
        self.operators: Sequence[Operator] = []

    @property
    def label(self) -> str:
        """Identifies it: its path, in a body ``BODY/PATH``; the path of a body for its root; empty for the model."""
        body = self.body.path
        return body if self is self.body.root else f"{body}/{self.path}" if body else self.path

    @property
    def depth(self) -> int:
        """How many modules are around it; 0 for the model."""
        return len(_from_the_model(self)) - 1

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The parameters that it owns directly."""
        return self.body.graph._owned().get(self, ())

    @property
    def roots(self) -> Sequence[Module]:
        """The roots of the bodies of its operators that have modules; see `Body.root`."""
        bodies = (inner for operator in self.operators for body in operator.bodies for inner in body.walk())
        return [body.root for body in bodies if body.root is not None and body.root.parent is self]

    def walk(self, *, bodies: bool = False) -> Iterator[Module]:
        """This module and all modules in it, each before those in it.

        Args:
            bodies: whether those in bodies of operators count, each with the root of its body.
        """
        todo = [self]
        while todo:
            module = todo.pop()
            yield module
            if bodies:
                todo.extend(reversed(module.roots))
            todo.extend(reversed(module.children))

    def levels(self, *, bodies: bool = False) -> Mapping[Module, int]:
        """This module and all modules in it, as `walk` gives them, with the number of modules between; 0 for itself."""
        found = {self: 0}
        for module in self.walk(bodies=bodies):
            if module is not self:
                found[module] = found[cast("Module", module.parent)] + 1
        return found

    def descendants(self) -> Iterator[Module]:
        """All modules in it, of the same body."""
        yield from (module for module in self.walk() if module is not self)

    def all_operators(self, *, bodies: bool = False) -> Sequence[Operator]:
        """Its operators and those of the modules in it, in the order of the graph.

        Args:
            bodies: whether those in bodies of operators count, each behind the operator.
        """
        found = sorted((operator for module in self.walk() for operator in module.operators), key=lambda o: o.index)
        return [inner for operator in found for inner in operator.walk()] if bodies else found

    def all_parameters(self) -> Sequence[Parameter]:
        """Its parameters and those of the modules in it, those in bodies too."""
        return [parameter for module in self.walk(bodies=True) for parameter in module.parameters]

    def contains(self, other: Module) -> bool:
        """Whether the other module is this one, or in it."""
        around: Module | None = other
        while around is not None and around is not self:
            around = around.parent
        return around is self

    def to_dict(self) -> dict[str, Json]:
        """The module and what is in it, as JSON values."""
        found: dict[Module, dict[str, Json]] = {}
        for module in reversed([*self.walk(bodies=True)]):  # those in it first
            found[module] = {
                "path": module.path,
                "name": module.name,
                "class_name": module.class_name,
                "tag": module.tag,
                "module_type": module.module_type,
                "source": module.source,
                "body": module.body.path,
                "operators": [operator.label for operator in module.operators],
                "parameters": [parameter.name for parameter in module.parameters],
                "children": [found[child] for child in module.children],
                "roots": [found[root] for root in module.roots],
            }
        return found[self]

    def __repr__(self) -> str:
        inner = f", {len(self.children)} modules" if self.children else ""
        class_name = f" {self.class_name}," if self.class_name else ""
        return f"<Module {self.path or '(model)'}:{class_name} {len(self.operators)} operators{inner}>"


def innermost_around(modules: Iterable[Module]) -> Module | None:
    """The innermost module around all of some modules; None if there is none."""
    distinct = [*dict.fromkeys(modules)]
    if len(distinct) == 1:
        return distinct[0]
    found = None
    for level in zip(*map(_from_the_model, distinct), strict=False):
        if any(module is not level[0] for module in level):
            break
        found = level[0]
    return found


def _from_the_model(module: Module) -> Sequence[Module]:
    """The modules around a module, the model first, and itself."""
    path = [module]
    while (outer := path[-1].parent) is not None:
        path.append(outer)
    return path[::-1]


class Tensor(OfFile):
    """A tensor, or another value, as it flows between operators.

    Attributes:
        name: its name, unique within its body.
        body: the body that defines it.
        producer: the operator whose output it is; None for inputs, initializers, and names that nothing defines.
        consumers: the operators that take it, including those in inner bodies; one that takes it twice is listed twice.
        parameter: the parameter that it is; None for others.
        is_input: whether it is an input of its body.
        is_output: whether it is an output of its body.
    """

    __slots__ = ("_message", "_type", "body", "consumers", "is_input", "is_output", "name", "parameter", "producer")

    def __init__(self, name: str, body: Body) -> None:
        self.name = name
        self.body = body
        self.producer: Operator | None = None
        self.consumers: list[Operator] = []
        self.parameter: Parameter | None = None
        self.is_input = False
        self.is_output = False
        self._message: onnx.TypeProto | None = None
        self._type: TensorType | None = None

    @property
    def type(self) -> TensorType | None:
        """Type and shape, where the model says them (or shape inference did); else None."""
        if self._message is None and self.parameter is not None:
            return self.parameter.type
        message = self.type_message
        if self._type is None and message is not None:
            self._type = self.body._types.read(message)
        return self._type

    @property
    def type_message(self) -> onnx.TypeProto | None:
        """The type as an exact message; None if it is unknown."""
        if self._type is None and lacks_shape(self._message):
            self.body.graph._infer_shapes()
        return self._message

    @property
    def dtype(self) -> str | None:
        """Element type: ``FLOAT``; None if it is unknown."""
        return None if self.type is None else self.type.dtype

    @property
    def shape(self) -> tuple[int | str | None, ...] | None:
        """Its dimensions; None if they are unknown."""
        return None if self.type is None else self.type.shape

    def to_dict(self) -> dict[str, Json]:
        """The tensor as JSON values."""
        shape = self.shape
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": None if shape is None else list(shape),
            "producer": None if self.producer is None else self.producer.label,
            "consumers": [operator.label for operator in self.consumers],
            "is_input": self.is_input,
            "is_output": self.is_output,
            "is_parameter": self.parameter is not None,
        }

    def __repr__(self) -> str:
        return f"<Tensor {self.name}: {self.type or 'type unknown'}>"


class Operator(OfFile):
    """An operator (a node, in ONNX's words).

    Attributes:
        name: its name; may be empty, may repeat.
        op_type: its type: ``Conv``.
        domain: the domain of its type; empty for ONNX's own.
        overload: distinguishes several functions with one name; usually empty.
        index: its place in the list of its body.
        body: the body that it is in.
        inputs: what it takes; None for an input that is left out.
        outputs: what it makes; None for an output that is left out.
        bodies: the graphs in its attributes, in their order.
    """

    __slots__ = (
        "_attributes",
        "_module",
        "_node",
        "bodies",
        "body",
        "domain",
        "index",
        "inputs",
        "name",
        "op_type",
        "outputs",
        "overload",
    )

    def __init__(self, node: onnx.NodeProto, index: int, body: Body) -> None:
        words = body.graph._words
        self._node = node
        self._attributes: dict[str, AttributeValue] | None = None
        self._module: Module | None = None
        self.name = string_of(node.name)
        self.op_type = words[node.op_type]
        self.domain = words[node.domain]
        self.overload = words[node.overload]
        self.index = index
        self.body = body
        self.inputs: Sequence[Tensor | None] = ()
        self.outputs: Sequence[Tensor | None] = ()
        self.bodies: Sequence[Body] = ()

    @property
    def module(self) -> Module:
        """The module that it is in; in a body without modules, that of the body's operator."""
        return self._module or self.body.module

    @property
    def placed_by(self) -> str | None:
        """The rule that placed it in its module: ``name``, ``parameter``, …

        None for a GraphML file, where the key `placed_by` of its node says it.
        """
        rules = self.body._rules
        return rules[self.index] if rules else None

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """Its attributes by name, as Python values."""
        if self._attributes is None:
            body = self.body
            self._attributes = read_attributes(iter(self._node.attribute), self.bodies, body._storage, body._types)
        return self._attributes

    @property
    def outermost(self) -> Operator:
        """The operator of the main graph, or of a function, in whose bodies it is; itself where it is in none."""
        operator = self
        while operator.body.operator is not None:
            operator = operator.body.operator
        return operator

    def walk(self) -> Iterator[Operator]:
        """This operator, and those of all bodies in it."""
        yield self
        for body in self.bodies:
            for inner in body.walk():
                yield from inner.operators

    @property
    def label(self) -> str:
        """Identifies it: its name, or else its type and first output, or its place."""
        if self.name:
            return self.name
        first = next((tensor.name for tensor in self.outputs if tensor is not None), None)
        return f"{self.op_type} -> {first}" if first else f"{self.op_type} #{self.index}"

    @property
    def doc_string(self) -> str:
        """Its documentation; often empty, sometimes a stack trace of the exporter."""
        return string_of(self._node.doc_string)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its ``metadata_props``."""
        return {string_of(entry.key): string_of(entry.value) for entry in self._node.metadata_props}

    @property
    def successors(self) -> Sequence[Operator]:
        """The operators that take its outputs, each once."""
        return list(dict.fromkeys(c for tensor in self.outputs if tensor is not None for c in tensor.consumers))

    @property
    def predecessors(self) -> Sequence[Operator]:
        """The operators whose outputs it takes, each once."""
        producers = (tensor.producer for tensor in self.inputs if tensor is not None)
        return list(dict.fromkeys(producer for producer in producers if producer is not None))

    def to_dict(self) -> dict[str, Json]:
        """The operator as JSON values; tensors in attributes as type and shape."""
        return {
            "name": self.name,
            "op_type": self.op_type,
            "domain": self.domain,
            "module": self.module.path,
            "body": self.body.path,
            "index": self.index,
            "inputs": [None if tensor is None else tensor.name for tensor in self.inputs],
            "outputs": [None if tensor is None else tensor.name for tensor in self.outputs],
            "attributes": {name: attribute_json(value) for name, value in self.attributes.items()},
        }

    def __repr__(self) -> str:
        return f"<Operator {self.op_type} {self.label!r}: {_names(self.inputs)} -> {_names(self.outputs)}>"


def _names(tensors: Sequence[Tensor | None]) -> str:
    return ", ".join("-" if tensor is None else tensor.name for tensor in tensors)


def attribute_json(value: AttributeValue) -> Json:
    """The value of an attribute as JSON; tensors as name, type and shape."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"bytes": value.hex()}
        case TensorData():
            return {"name": value.name, "dtype": value.dtype, "shape": list(value.shape), "nbytes": value.nbytes}
        case SparseTensor():
            return {"sparse": attribute_json(value.values), "shape": list(value.shape)}
        case TensorType():
            return str(value)
        case Body():
            return {"body": value.path}
        case tuple() if not hasattr(value, "_fields"):
            return [attribute_json(item) for item in value]
        case _:
            return {"attribute": str(getattr(value, "name", value))}


class Parameter(OfFile):
    """A weight: an initializer, a sparse initializer, or the value of a ``Constant`` operator.

    Attributes:
        kind: which of them.
        tensor: the tensor that operators take.
        data: its content; for a sparse one, its values.
        indices: for a sparse one, the indices of its values; else None.
        operator: the ``Constant`` that holds it; else None.
    """

    __slots__ = ("_module", "_shape", "data", "indices", "kind", "operator", "tensor")

    def __init__(
        self,
        kind: ParameterKind,
        tensor: Tensor,
        data: TensorData,
        sparse: SparseTensor | None = None,
        operator: Operator | None = None,
    ) -> None:
        self.kind: ParameterKind = kind
        self.tensor = tensor
        self.data = data
        self.indices = None if sparse is None else sparse.indices
        self._shape = None if sparse is None else sparse.shape
        self.operator = operator
        self._module: Module | None = None

    @property
    def name(self) -> str:
        """The name of its tensor."""
        return self.tensor.name

    @property
    def module(self) -> Module:
        """The module that owns it: by its name, or else the innermost around all operators that take it."""
        self.tensor.body.graph._owned()
        return self._module or self.tensor.body.module

    @property
    def dtype(self) -> str:
        """Element type: ``FLOAT``."""
        return self.data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return self.data.shape if self._shape is None else self._shape

    @property
    def type(self) -> TensorType:
        """Type and shape."""
        return TensorType(self.dtype, self.shape)

    @property
    def size(self) -> int:
        """Number of elements; for a sparse one, of those that it stores."""
        return self.data.size

    @property
    def nbytes(self) -> int:
        """Bytes of its elements; for a sparse one, with their indices."""
        return self.data.nbytes + (0 if self.indices is None else self.indices.nbytes)

    @property
    def digest(self) -> str:
        """SHA-256 of its elements, see `TensorData.digest`; for a sparse one, both digests joined by ``+``."""
        return self.data.digest if self.indices is None else f"{self.data.digest}+{self.indices.digest}"

    @property
    def location(self) -> Location:
        """Where its bytes are."""
        return self.data.location

    @property
    def consumers(self) -> Sequence[Operator]:
        """The operators that take it."""
        return self.tensor.consumers

    def numpy(self) -> npt.NDArray[np.generic]:
        """Its elements as an array, read from their place; a sparse one is made dense.

        Raises:
            GraphmlOnnxError: they are missing, cannot be read, or do not fit the shape.
        """
        values = self.data.numpy()
        if self.indices is None:
            return values
        import numpy as np

        indices = cast("npt.NDArray[np.int64]", self.indices.numpy())
        try:
            dense = np.zeros(self.shape, values.dtype)
            if indices.ndim == 2:
                indices = np.ravel_multi_index(tuple(indices.T), self.shape)
            dense.reshape(-1)[indices] = values
        except (IndexError, ValueError) as error:
            told = f"the sparse tensor {self.name!r} does not fit its shape {list(self.shape)}: {error}"
            raise ModelError(told, file=self.data._storage.path) from None
        return dense

    def has_same_content(self, other: Parameter) -> bool:
        """Whether type, shape and every bit are the same."""
        if (self.shape, self.indices is None) != (other.shape, other.indices is None):
            return False
        if self.indices is not None and other.indices is not None and not same_content(self.indices, other.indices):
            return False
        return same_content(self.data, other.data)

    def to_dict(self) -> dict[str, Json]:
        """The parameter as JSON values, without its digest, which would need to read the bytes."""
        where = self.location
        return {
            "name": self.name,
            "kind": self.kind,
            "module": self.module.path,
            "body": self.tensor.body.path,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "size": self.size,
            "nbytes": self.nbytes,
            "file": None if where.file is None else str(where.file),
            "offset": where.offset,
            "consumers": [operator.label for operator in self.consumers],
        }

    def __repr__(self) -> str:
        return f"<Parameter {self.name}: {self.type}, {self.nbytes:,} bytes>"


class Body(OfFile):
    """A list of operators with its own names: the main graph, a graph in an attribute, or a function.

    Attributes:
        graph: the model that it is part of.
        kind: which of them.
        name: its name in the file.
        path: identifies it: empty for the main graph, ``LABEL/ATTRIBUTE`` for a graph in an attribute,
            ``DOMAIN::NAME`` for a function.
        outer: the body around it; None for the main graph and functions.
        operator: the operator that it is part of; None for the main graph and functions.
        inputs: its inputs, in their order.
        outputs: its outputs, in their order.
        root: the module that all modules of the body are in; that of the main graph is the model. None for a body of
            an operator that has no modules: its operators are in the module of that operator.
        operators: its operators, in their order.
        parameters: its parameters: initializers, sparse initializers, constants.
        tensors: the tensors that it defines, and those that nothing defines, by name.
    """

    def __init__(self, graph: ModelGraph, kind: BodyKind, name: str, path: str) -> None:
        self.graph = graph
        self.kind: BodyKind = kind
        self.name = name
        self.path = path
        self.outer: Body | None = None
        self.operator: Operator | None = None
        self.root: Module | None = None
        self.inputs: Sequence[Tensor] = ()
        self.outputs: Sequence[Tensor] = ()
        self.operators: Sequence[Operator] = ()
        self.parameters: list[Parameter] = []
        self.tensors: dict[str, Tensor] = {}
        self.opsets: Mapping[str, int] = {}
        self._types = graph._types
        self._storage = graph._storage
        self._rules: Sequence[str] = ()

    @property
    def module(self) -> Module:
        """The module around it: that of its operator, or the model."""
        return self.graph.root if self.operator is None else self.operator.module

    @property
    def captured(self) -> Sequence[Tensor]:
        """The tensors of outer bodies that its operators, and those of bodies in it, take; each once."""
        inner = {self}
        found: dict[Tensor, None] = {}
        for body in self.walk():
            inner.add(body)
            taken = (t for o in body.operators for t in o.inputs if t is not None)
            found |= dict.fromkeys(t for t in (*taken, *body.outputs) if t.body not in inner)
        return list(found)

    def walk(self) -> Iterator[Body]:
        """This body and all bodies of its operators, each before those in it."""
        todo = [self]
        while todo:
            body = todo.pop()
            yield body
            inner = [operator.bodies for operator in body.operators if operator.bodies]
            todo += [body for bodies in reversed(inner) for body in reversed(bodies)]

    def lookup(self, name: str) -> Tensor | None:
        """The tensor of a name here: that of this body, or of the nearest body around it."""
        body: Body | None = self
        while body is not None:
            if (found := body.tensors.get(name)) is not None:
                return found
            body = body.outer
        return None

    def to_dict(self) -> dict[str, Json]:
        """The body as JSON values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": self.path,
            "operator": None if self.operator is None else self.operator.label,
            "inputs": [tensor.to_dict() for tensor in self.inputs],
            "outputs": [tensor.to_dict() for tensor in self.outputs],
            "operators": [operator.label for operator in self.operators],
            "parameters": [parameter.name for parameter in self.parameters],
        }

    def __repr__(self) -> str:
        return f"<Body {self.path or self.name}: {self.kind}, {len(self.operators)} operators>"
