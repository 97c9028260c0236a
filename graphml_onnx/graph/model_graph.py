"""A model as a graph: modules, operators, tensors and parameters, read-only, each with its neighbours."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.graph.attributes import AttributeValue, SparseTensor, read_attributes, text_of
from graphml_onnx.graph.types import TensorType, TypeReader
from graphml_onnx.graph.weights import TensorData, same_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    import onnx

    from graphml_onnx.graph.loading import LoadedGraph
    from graphml_onnx.graph.weights import Location, Storage
    from graphml_onnx.support.strictjson import Json

BodyKind: TypeAlias = Literal["graph", "subgraph", "function"]
ParameterKind: TypeAlias = Literal["initializer", "sparse_initializer", "constant"]

_Named = TypeVar("_Named")


class Module:
    """A module of the hierarchy; the outermost one stands for the whole model.

    Attributes:
        path: dotted path of attribute names from the model: ``encoder.layer.0``; empty for the model itself.
        name: last part of the path; for the model, the name of its class or graph.
        class_name: name of its class, without the package; empty where nothing tells it.
        tag: path of classes, as traced.
        module_type: its type, where the metadata give it; else None.
        parent: the module around it; None for the model.
        children: the modules in it, in the order in which they first run.
        operators: the operators of the main graph that are directly in it, in the order of the graph.
    """

    __slots__ = (
        "_graph",
        "children",
        "class_name",
        "module_type",
        "name",
        "operators",
        "parent",
        "path",
        "tag",
    )

    def __init__(self, graph: ModelGraph, parent: Module | None, path: str, name: str, class_name: str) -> None:
        self._graph = graph
        self.parent = parent
        self.path = path
        self.name = name
        self.class_name = class_name
        self.tag: str | None = None
        self.module_type: str | None = None
        self.children: Sequence[Module] = []
        self.operators: Sequence[Operator] = []

    @property
    def depth(self) -> int:
        """How many modules are around it; 0 for the model."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The parameters that it owns itself."""
        return self._graph._owned().get(self, ())

    def walk(self) -> Iterator[Module]:
        """This module and all modules in it, each before those in it."""
        todo = [self]
        while todo:
            module = todo.pop()
            yield module
            todo.extend(reversed(module.children))

    def descendants(self) -> Iterator[Module]:
        """All modules in it."""
        yield from (module for module in self.walk() if module is not self)

    def all_operators(self) -> Sequence[Operator]:
        """Its operators and those of the modules in it, in the order of the graph."""
        return sorted((operator for module in self.walk() for operator in module.operators), key=lambda o: o.index)

    def all_parameters(self) -> Sequence[Parameter]:
        """Its parameters and those of the modules in it."""
        return [parameter for module in self.walk() for parameter in module.parameters]

    def contains(self, other: Module) -> bool:
        """Whether the other module is this one, or in it."""
        around: Module | None = other
        while around is not None and around is not self:
            around = around.parent
        return around is self

    def to_dict(self) -> dict[str, Json]:
        """The module and what is in it, as JSON values."""
        return {
            "path": self.path,
            "name": self.name,
            "class_name": self.class_name,
            "tag": self.tag,
            "module_type": self.module_type,
            "operators": [operator.label for operator in self.operators],
            "parameters": [parameter.name for parameter in self.parameters],
            "children": [child.to_dict() for child in self.children],
        }

    def __repr__(self) -> str:
        inner = f", {len(self.children)} modules" if self.children else ""
        class_name = f" {self.class_name}," if self.class_name else ""
        return f"<Module {self.path or '(model)'}:{class_name} {len(self.operators)} operators{inner}>"


class Tensor:
    """A tensor, or another value, as it flows between operators.

    Attributes:
        name: its name, unique within its body.
        body: the body that defines it.
        producer: the operator whose output it is; None for inputs, initializers, and names that nothing defines.
        consumers: the operators that take it, those of inner bodies too; one that takes it twice stands twice.
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
        if self._message is None:
            return None if self.parameter is None else self.parameter.type
        if self._type is None:
            self._type = self.body._types.read(self._message)
        return self._type

    @property
    def type_message(self) -> onnx.TypeProto | None:
        """The type as an exact message; None where it is unknown."""
        return self._message

    @property
    def dtype(self) -> str | None:
        """Element type: ``FLOAT``; None where it is unknown."""
        return None if self.type is None else self.type.dtype

    @property
    def shape(self) -> tuple[int | str | None, ...] | None:
        """Its dimensions; None where they are unknown."""
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


class Operator:
    """An operator (a node, in ONNX's words).

    Attributes:
        name: its name; may be empty, may repeat.
        op_type: its type: ``Conv``.
        domain: the domain of its type; empty for ONNX's own.
        overload: which function of several with one name; usually empty.
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
        self._node = node
        self._attributes: dict[str, AttributeValue] | None = None
        self._module: Module | None = None
        self.name = text_of(node.name)
        self.op_type = text_of(node.op_type)
        self.domain = text_of(node.domain)
        self.overload = text_of(node.overload)
        self.index = index
        self.body = body
        self.inputs: Sequence[Tensor | None] = ()
        self.outputs: Sequence[Tensor | None] = ()
        self.bodies: Sequence[Body] = ()

    @property
    def module(self) -> Module:
        """The module that it is in; in a body of an operator, that of the operator."""
        return self._module or self.body.module

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """Its attributes by name, as Python values."""
        if self._attributes is None:
            body = self.body
            self._attributes = read_attributes(
                iter(self._node.attribute), iter(self.bodies), body._storage, body._types
            )
        return self._attributes

    @property
    def label(self) -> str:
        """What tells it from others: its name, or else its type and first output, or its place."""
        if self.name:
            return self.name
        first = next((tensor.name for tensor in self.outputs if tensor is not None), None)
        return f"{self.op_type} -> {first}" if first else f"{self.op_type} #{self.index}"

    @property
    def doc_string(self) -> str:
        """Its documentation; often empty, sometimes a stack trace of the exporter."""
        return text_of(self._node.doc_string)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its ``metadata_props``."""
        return {text_of(entry.key): text_of(entry.value) for entry in self._node.metadata_props}

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
        """The operator as JSON values; of tensors in attributes, type and shape."""
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
    """The value of an attribute as JSON; of tensors, name, type and shape."""
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


class Parameter:
    """A weight: an initializer, a sparse initializer, or the value of a ``Constant`` operator.

    Attributes:
        kind: which of them.
        tensor: the tensor that operators take.
        data: its content; of a sparse one, its values.
        indices: of a sparse one, where its values are; else None.
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
        """The module that owns it: the one its name tells of, or the innermost around all operators that take it."""
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
        """Number of elements; of a sparse one, of those that it has."""
        return self.data.size

    @property
    def nbytes(self) -> int:
        """Bytes of its elements; of a sparse one, with their indices."""
        return self.data.nbytes + (0 if self.indices is None else self.indices.nbytes)

    @property
    def digest(self) -> str:
        """SHA-256 of its elements, see `TensorData.digest`; of a sparse one, both digests with a ``+`` between them."""
        return self.data.digest if self.indices is None else f"{self.data.digest}+{self.indices.digest}"

    @property
    def location(self) -> Location:
        """Where its bytes lie."""
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
        """The parameter as JSON values, without its digest, for which the bytes have to be read."""
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


class Body:
    """A list of operators with its own names: the main graph, a graph in an attribute, or a function.

    Attributes:
        graph: the model that it is part of.
        kind: which of them.
        name: its name in the file.
        path: what tells it from others: empty for the main graph, ``LABEL/ATTRIBUTE`` for a graph in an attribute,
            ``DOMAIN::NAME`` for a function.
        outer: the body around it; None for the main graph and functions.
        operator: the operator that it is part of; None for the main graph and functions.
        inputs: its inputs, in their order.
        outputs: its outputs, in their order.
        operators: its operators, in their order.
        parameters: its parameters: initializers, sparse initializers, constants.
        tensors: what it defines, and names that nothing defines, by name.
    """

    def __init__(self, graph: ModelGraph, kind: BodyKind, name: str, path: str) -> None:
        self.graph = graph
        self.kind: BodyKind = kind
        self.name = name
        self.path = path
        self.outer: Body | None = None
        self.operator: Operator | None = None
        self.inputs: Sequence[Tensor] = ()
        self.outputs: Sequence[Tensor] = ()
        self.operators: Sequence[Operator] = ()
        self.parameters: list[Parameter] = []
        self.tensors: dict[str, Tensor] = {}
        self.opsets: Mapping[str, int] = {}
        self._types = graph._types
        self._storage = graph._storage

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
            todo.extend(inner for operator in reversed(body.operators) for inner in reversed(operator.bodies))

    def lookup(self, name: str) -> Tensor | None:
        """The tensor that a name means here: that of this body, or of the nearest body around it."""
        body: Body | None = self
        while body is not None:
            if (found := body.tensors.get(name)) is not None:
                return found
            body = body.outer
        return None

    def __repr__(self) -> str:
        return f"<Body {self.path or self.name}: {self.kind}, {len(self.operators)} operators>"


class ModelGraph:
    """A model as a graph, made by `graphml_onnx.open`; weights stay where they are until they are asked for.

    It holds its files open; `close` it, use it in a ``with`` statement, or leave that to the garbage collector.

    Attributes:
        path: the file that it was made from; None for a model in memory.
        main: the main graph.
        functions: the model's functions, by domain, name and overload.
        root: the outermost module, which stands for the model.
        hierarchy_source: where the modules come from: metadata, tags, exporter, names or none.
        findings: what a reader should know about the modules, one line each.
    """

    def __init__(self, loaded: LoadedGraph, path: Path | None, stack: ExitStack) -> None:
        from graphml_onnx.graph.building import build
        from graphml_onnx.graph.shapes import add_types

        self._finalizer = weakref.finalize(self, stack.close)
        self._model = loaded.model
        self._loaded = loaded
        self._storage: Storage = loaded.storage
        self._types = TypeReader()
        self._owners: Mapping[Module, Sequence[Parameter]] | None = None
        self.path = path
        self.hierarchy_source = loaded.hierarchy.source
        self.findings: tuple[str, ...] = (*loaded.findings, *loaded.hierarchy.findings)
        self.functions: dict[tuple[str, str, str], Body] = {}
        self.main: Body
        self.root: Module
        build(self, loaded.model, loaded.hierarchy)
        if loaded.inferred is not None:
            add_types(self.main, loaded.inferred.graph)

    # The model

    @property
    def name(self) -> str:
        """Name of the main graph."""
        return text_of(self._model.graph.name)

    @property
    def ir_version(self) -> int:
        """Version of ONNX's IR."""
        return self._model.ir_version

    @property
    def opsets(self) -> Mapping[str, int]:
        """Versions of the operator sets by domain; ONNX's own is ``""``."""
        return {text_of(entry.domain): entry.version for entry in self._model.opset_import}

    @property
    def producer(self) -> str:
        """What made the model, with its version."""
        return " ".join(filter(None, (text_of(self._model.producer_name), text_of(self._model.producer_version))))

    @property
    def metadata(self) -> Mapping[str, str]:
        """The model's ``metadata_props``."""
        return {text_of(entry.key): text_of(entry.value) for entry in self._model.metadata_props}

    @property
    def doc_string(self) -> str:
        """The model's documentation."""
        return text_of(self._model.doc_string)

    # Lists

    @property
    def inputs(self) -> Sequence[Tensor]:
        """The model's inputs, in their order; initializers that are inputs too are left out."""
        return [tensor for tensor in self.main.inputs if tensor.parameter is None]

    @property
    def outputs(self) -> Sequence[Tensor]:
        """The model's outputs, in their order."""
        return self.main.outputs

    @property
    def operators(self) -> Sequence[Operator]:
        """The operators of the main graph, in their order."""
        return self.main.operators

    @property
    def tensors(self) -> Sequence[Tensor]:
        """The tensors of the main graph."""
        return list(self.main.tensors.values())

    @property
    def modules(self) -> Sequence[Module]:
        """All modules but the model itself, each before those in it."""
        return list(self.root.descendants())

    @property
    def bodies(self) -> Sequence[Body]:
        """All bodies: the main graph, functions, and the graphs in their operators' attributes."""
        return [body for outer in (self.main, *self.functions.values()) for body in outer.walk()]

    @property
    def parameters(self) -> Sequence[Parameter]:
        """All parameters: initializers, sparse initializers and constants of all bodies."""
        return [parameter for body in self.bodies for parameter in body.parameters]

    def all_operators(self) -> Iterator[Operator]:
        """The operators of all bodies."""
        for body in self.bodies:
            yield from body.operators

    # Lookups

    def module(self, path: str) -> Module:
        """The module with a path, or with a tag that no other module has; the first of several.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        modules = {module.tag: module for module in reversed([*self.root.walk()]) if module.tag}
        modules |= {module.path: module for module in reversed([*self.root.walk()])}
        modules |= {self.name: self.root} if self.name not in modules else {}
        return _found("module", path, modules)

    def operator(self, name: str) -> Operator:
        """The operator with a name, or with a `label`; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        operators = {operator.label: operator for operator in reversed([*self.all_operators()])}
        return _found("operator", name, operators)

    def tensor(self, name: str) -> Tensor:
        """The tensor with a name; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        for body in self.bodies:
            if name in body.tensors:
                return body.tensors[name]
        return _found("tensor", name, {name: tensor for body in self.bodies for name, tensor in body.tensors.items()})

    def parameter(self, name: str) -> Parameter:
        """The parameter with a name; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        return _found("parameter", name, {p.name: p for p in reversed(self.parameters)})

    def operators_of_type(self, op_type: str) -> Sequence[Operator]:
        """The operators of a type, in all bodies; none where no operator is."""
        return [operator for operator in self.all_operators() if operator.op_type == op_type]

    # What becomes of it

    def to_dict(self) -> dict[str, Json]:
        """The model as JSON values."""
        return {
            "path": None if self.path is None else str(self.path),
            "name": self.name,
            "ir_version": self.ir_version,
            "opsets": dict(self.opsets),
            "producer": self.producer,
            "metadata": dict(self.metadata),
            "hierarchy_source": self.hierarchy_source,
            "inputs": [tensor.to_dict() for tensor in self.inputs],
            "outputs": [tensor.to_dict() for tensor in self.outputs],
            "modules": self.root.to_dict(),
            "operators": [operator.to_dict() for operator in self.all_operators()],
            "parameters": [parameter.to_dict() for parameter in self.parameters],
        }

    def close(self) -> None:
        """Closes the files; weights can no longer be read."""
        self._finalizer()

    def __enter__(self) -> ModelGraph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f" of {self.path}" if self.path is not None else ""
        return (
            f"<ModelGraph {self.name!r}{where}: {len(self.operators):,} operators, {len(self.modules):,} modules, "
            f"{len(self.parameters):,} parameters>"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the page of `g2o view` in a frame; of a model whose page is large, a table."""
        from importlib import import_module

        # By name: viewing stands on this package, which otherwise knows nothing of it.
        frame: str | None = import_module("graphml_onnx.viewing.api").frame_of(self)
        return self._table() if frame is None else frame

    def _table(self) -> str:
        from html import escape

        rows = [
            ("model", self.name),
            ("producer", self.producer),
            ("opsets", ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.opsets.items())),
            ("inputs", ", ".join(f"{tensor.name}: {tensor.type}" for tensor in self.inputs)),
            ("outputs", ", ".join(f"{tensor.name}: {tensor.type}" for tensor in self.outputs)),
            ("operators", f"{len(self.operators):,}"),
            ("modules", f"{len(self.modules):,} from {self.hierarchy_source}"),
            ("parameters", f"{len(self.parameters):,}, {sum(p.nbytes for p in self.parameters):,} bytes"),
        ]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"

    def _owned(self) -> Mapping[Module, Sequence[Parameter]]:
        """The parameters by the module that owns them; found when first asked for."""
        if self._owners is None:
            from graphml_onnx.graph.building import own_parameters

            self._owners = own_parameters(self, self._model.graph, self._loaded.hierarchy)
        return self._owners


def _found(kind: str, name: str, known: Mapping[str, _Named]) -> _Named:
    if name in known:
        return known[name]
    import difflib

    near = difflib.get_close_matches(name, [key for key in known if key][:20_000], n=3, cutoff=0.5)
    if not near:
        last = name.replace("/", ".").rsplit(".", 1)[-1]
        near = [key for key in known if last and last in key][:3]
    remedy = f"the nearest are {', '.join(map(repr, near))}" if near else "g2o inspect shows the names"
    raise UsageError(f"there is no {kind} {name!r}", remedy=remedy)


def bodies_of(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The graphs in a node's attributes, in their order, each with the name of its attribute."""
    graphs = graphs_of(node)
    for attribute in node.attribute:
        count = attribute.HasField("g") + len(attribute.graphs)
        for number in range(count):
            suffix = f"[{number}]" if count > 1 else ""
            yield text_of(attribute.name) + suffix, next(graphs)
