"""A model's graph as columns of numbers and one table of strings: the data of the page.

`viewer/src/model.ts` is the other side: it reads these columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import onnx

from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.graph.attributes import AttributeReference, SparseTensor
from graphml_onnx.graph.elements import Body, Module
from graphml_onnx.graph.inspection import Repeats, sums_of
from graphml_onnx.graph.macs import macs_of
from graphml_onnx.graph.statistics import Statistics, histogram_of, statistics_of
from graphml_onnx.graph.weights import TensorData
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphml_onnx.graph.attributes import AttributeValue
    from graphml_onnx.graph.elements import Operator, Parameter, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.support.strictjson import Json

VERSION: Final = 1
"""Version of the columns; the page refuses others."""

MODULE, OPERATOR, BODY, FUNCTION, INPUT, OUTPUT, FUNCTIONS, REPEAT = range(8)
"""Kinds of nodes."""

_NONE = -1
_REPEATED = 4  # neighbours that look the same are shown as one from this number on; fewer are easy to read
_SHOWN = 300  # characters of a value
_FEW = 8  # elements of a parameter that are shown as numbers
_READ = 20_000  # small parameters that are read for that
_BINS = 32


class Strings:
    """A table of unique strings, in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The place of a string in the table."""
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[Json]:
        """The table."""
        return list(self._numbers)


class Tables:
    """The columns of one model. Nodes are modules, operators, bodies, functions, inputs and outputs; 0 is the model.

    Args:
        graph: the model.
        stats: whether to read the weights.
        unfold: whether neighbours that look the same are shown side by side, not in one box.
        progress: called with the number of parameters that have been read.

    Attributes:
        graph: the model.
        node_of: the nodes.
        repeats: the modules that look the same, by the node of their box.
    """

    def __init__(
        self,
        graph: ModelGraph,
        *,
        stats: bool = False,
        unfold: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.graph = graph
        self.node_of: dict[Module | Operator | Body, int] = {}
        self.repeats: dict[int, Sequence[Module]] = {}
        self._unread: list[Notice] = []
        self._strings = Strings()
        self._kinds: list[int] = []
        self._parents: list[int] = []
        self._names: list[int] = []
        self._types: list[int] = []
        self._attributes: list[int] = []
        self._macs: list[int] = []
        self._inputs: list[Sequence[Tensor | None]] = []
        self._outputs: list[Sequence[Tensor | None]] = []
        self._tensor_ids: dict[Tensor, int] = {}
        self._attribute_sets: dict[tuple[int, ...], int] = {}
        self._read_attributes: dict[tuple[bytes, ...], int] = {}
        self.node_of[graph.root] = self._add(MODULE, _NONE, _name_of(graph.root), graph.root.class_name)
        roots = [body.root for body in (graph.main, *graph.functions.values()) if body.root is not None]
        self._repeats = None if unfold else Repeats({m: total for root in roots for m, total in sums_of(root).items()})
        self._add_body(graph.main, 0)
        if graph.functions:
            group = self._add(FUNCTIONS, 0, "functions", "")
            for body in graph.functions.values():
                self.node_of[body] = self._add(FUNCTION, group, body.path, "")
            for body in graph.functions.values():
                self._add_body(body, self.node_of[body])
        self._parameters = [p for p in graph.parameters if p.tensor.parameter is p]
        self._statistics = self._read_weights(progress) if stats else None

    # Nodes

    def _add(
        self,
        kind: int,
        parent: int,
        name: str,
        type_name: str,
        inputs: Sequence[Tensor | None] = (),
        outputs: Sequence[Tensor | None] = (),
    ) -> int:
        self._kinds.append(kind)
        self._parents.append(parent)
        self._names.append(self._strings.number(name))
        self._types.append(self._strings.number(type_name))
        self._attributes.append(_NONE)
        self._macs.append(0)
        self._inputs.append(inputs)
        self._outputs.append(outputs)
        for tensor in outputs:
            if tensor is not None:
                self._tensor_ids.setdefault(tensor, len(self._tensor_ids))
                self._strings.number(tensor.name)  # beside the name of its operator, which is often its beginning
        return len(self._kinds) - 1

    def _add_modules(self, root: Module, node: int) -> None:
        """Adds the modules of a body, whose root has a node already."""
        self.node_of[root] = node
        todo = self._within(root)
        while todo:
            inner, around = todo.pop()
            if isinstance(inner, Module):
                self.node_of[inner] = self._add(MODULE, around, _name_of(inner), inner.class_name)
                todo += self._within(inner)
            else:
                node = self._add_repeat(inner, around)
                todo += [(child, node) for child in reversed(inner)]

    def _within(self, module: Module) -> list[tuple[Module | Sequence[Module], int]]:
        """The children of a module, those that look the same as one, with the node of the module; the last first."""
        node = self.node_of[module]
        groups = [[child] for child in module.children] if self._repeats is None else self._repeats.within(module)
        found: list[tuple[Module | Sequence[Module], int]] = []
        for group in groups:
            found += [(group, node)] if len(group) >= _REPEATED else [(child, node) for child in group]
        return found[::-1]

    def _add_repeat(self, modules: Sequence[Module], parent: int) -> int:
        class_name = modules[0].class_name
        name = f"{_name_of(modules[0])} … {_name_of(modules[-1])}"
        node = self._add(
            REPEAT, parent, name, f"{len(modules)} × {class_name}" if class_name else f"{len(modules)} times"
        )
        self.repeats[node] = modules
        return node

    def _add_body(self, body: Body, node: int) -> None:
        self.node_of[body] = node
        if body.root is not None:
            self._add_modules(body.root, node)
        for tensor in body.inputs:
            if tensor.parameter is None:
                self._add(INPUT, node, tensor.name, "", (), (tensor,))
        for operator in body.operators:
            self._add_operator(operator, node if body.root is None else self.node_of[operator.module])
        for tensor in body.outputs:
            self._add(OUTPUT, node, tensor.name, "", (tensor,), ())

    def _add_operator(self, operator: Operator, parent: int) -> None:
        domain = operator.domain
        type_name = operator.op_type if domain in ("", "ai.onnx") else f"{domain}::{operator.op_type}"
        node = self._add(OPERATOR, parent, operator.name, type_name, operator.inputs, operator.outputs)
        self.node_of[operator] = node
        first = operator.outputs[0] if operator.outputs else None
        is_parameter = operator.op_type == "Constant" and first is not None and first.parameter is not None
        if operator._node.attribute and not is_parameter:
            self._attributes[node] = self._attribute_set(operator)
        macs = macs_of(operator)
        self._macs[node] = _NONE if macs is None else macs
        for body in operator.bodies:
            attribute = body.path.rpartition("/")[2]
            self._add_body(body, self._add(BODY, node, attribute, body.name))

    def _attribute_set(self, operator: Operator) -> int:
        """The number of an operator's attributes; most operators share them with others, and are not read again."""
        if operator.bodies:  # whose bytes may be many
            return self._new_attribute_set(operator.attributes)
        content = tuple([attribute.SerializeToString() for attribute in operator._node.attribute])
        found = self._read_attributes.get(content)
        if found is None:
            found = self._read_attributes[content] = self._new_attribute_set(operator.attributes)
        return found

    def _new_attribute_set(self, attributes: Mapping[str, AttributeValue]) -> int:
        numbers: list[int] = []
        for name, value in attributes.items():
            numbers += (self._strings.number(name), self._strings.number(attribute_text(value)))
        return self._attribute_sets.setdefault(tuple(numbers), len(self._attribute_sets))

    # Parameters

    def _read_weights(self, progress: Callable[[int, int], None] | None) -> list[Json]:
        found: list[Json] = []
        for done, parameter in enumerate(self._parameters):
            if progress is not None:
                progress(done, len(self._parameters))
            statistics = Statistics()
            bins: list[Json] = []
            try:
                statistics = statistics_of([parameter.data])
                if statistics.min is not None and statistics.max is not None:
                    bins += histogram_of(parameter.data, statistics.min, statistics.max, _BINS)
            except GraphmlOnnxError:
                text = f"the parameter {parameter.name!r} cannot be read, and has no statistics"
                self._unread.append(Notice("unreadable-weights", text))
            found.append({**statistics.to_dict(), "histogram": bins})
        if progress is not None:
            progress(len(self._parameters), len(self._parameters))
        return found

    # The document

    def document(self) -> dict[str, Json]:
        """The document as JSON values."""
        number = self._strings.number
        owners = [self._owner(p) for p in self._parameters]
        inputs = [self._references(tensors) for tensors in self._inputs]
        outputs = [self._references(tensors) for tensors in self._outputs]
        for parameter in self._parameters:
            self._tensor_ids.setdefault(parameter.tensor, len(self._tensor_ids))
        tensors = list(self._tensor_ids)
        texts = {kind: str(kind or "") for kind in {t.type for t in tensors}}  # most tensors share a few types
        types = [texts[t.type] for t in tensors]
        graph = self.graph
        few = sum(p.size <= _FEW for p in self._parameters) <= _READ
        calls = self._calls()
        values = [number(_value_text(p)) if few and p.size <= _FEW else _NONE for p in self._parameters]
        head: dict[str, Json] = {
            "version": VERSION,
            "model": self._facts(graph),
            "kind": _json(self._kinds),
            "parent": _json(self._parents),
            "name": _deltas(self._names),
            "type": _json(self._types),
            "attributes": _json(self._attributes),
            "macs": _json(self._macs),
            "attributeSets": [_json(numbers) for numbers in self._attribute_sets],
            "inputCount": _json(map(len, inputs)),
            "inputs": self._relative(inputs),
            "outputCount": _json(map(len, outputs)),
            "outputs": _deltas([n for row in outputs for n in row]),
            "calls": calls,
            "rules": self._rules(),
            "formal": self._formal_inputs(),
            "tensorName": _deltas([number(t.name) for t in tensors]),
            "tensorType": _json(map(number, types)),
            "parameterTensor": _deltas([self._tensor_ids[p.tensor] for p in self._parameters]),
            "constants": self._constants(),
            "parameterOwner": _json(owners),
            "parameterKind": [number(p.kind) for p in self._parameters],
            "parameterType": [number(str(p.type)) for p in self._parameters],
            "parameterSize": _json(p.size for p in self._parameters),
            "parameterBytes": _json(p.nbytes for p in self._parameters),
            "parameterFile": [number(_place(p)) for p in self._parameters],
            "parameterValue": _json(values),
            "statistics": self._statistics,
        }
        return head | {"strings": self._strings.all()}

    def _owner(self, parameter: Parameter) -> int:
        body = parameter.tensor.body
        return self.node_of[body if body.root is None else parameter.module]

    def _constants(self) -> list[Json]:
        """Pairs of an operator that holds a parameter (a ``Constant``) and the number of that parameter."""
        pairs: list[Json] = []
        for number, parameter in enumerate(self._parameters):
            if parameter.operator is not None and parameter.operator in self.node_of:
                pairs += (self.node_of[parameter.operator], number)
        return pairs

    def _calls(self) -> list[Json]:
        """Pairs of an operator and the function that it calls."""
        functions = self.graph.functions
        if not functions:
            return []
        pairs: list[Json] = []
        for body in self.graph.bodies:
            for operator in body.operators:
                called = functions.get((operator.domain, operator.op_type, operator.overload))
                if called is not None:
                    pairs += (self.node_of[operator], self.node_of[called])
        return pairs

    def _formal_inputs(self) -> dict[str, Json]:
        """ONNX's names of the inputs of each type of operator, by the type's number."""
        found: dict[str, Json] = {}
        operators = {(o.op_type, o.domain): o for body in self.graph.bodies for o in body.operators}
        for (op_type, domain), operator in operators.items():
            if domain not in ("", "ai.onnx") or not op_type.isascii() or not onnx.defs.has(op_type):
                continue
            version = operator.body.opsets.get(domain) or self.graph.opsets.get("", onnx.defs.onnx_opset_version())
            version = min(max(version, 0), onnx.defs.onnx_opset_version())  # ONNX takes 32 bits only
            try:
                schema = onnx.defs.get_schema(op_type, version)
            except onnx.defs.SchemaError:
                continue
            found[str(self._strings.number(op_type))] = [i.name for i in schema.inputs]
        return found

    def _rules(self) -> list[Json]:
        """The rule that placed each operator of the main graph, if known."""
        rules = self.graph._loaded.hierarchy.main.rules
        if len(rules) != len(self.graph.operators):
            return []
        return [self._strings.number(rule) for rule in rules]

    def _references(self, tensors: Sequence[Tensor | None]) -> list[int]:
        ids = self._tensor_ids
        return [_NONE if tensor is None else ids.setdefault(tensor, len(ids)) for tensor in tensors]

    def _relative(self, rows: Sequence[Sequence[int]]) -> list[Json]:
        """Inputs as distances back from the last tensor made before, which are mostly small; 0 is none."""
        made = 0
        flat: list[Json] = []
        for outputs, row in zip(self._outputs, rows, strict=True):
            flat += [0 if n == _NONE else made - n if made > n else made - n - 1 for n in row]
            made += sum(tensor is not None for tensor in outputs)
        return flat

    def _facts(self, graph: ModelGraph) -> dict[str, Json]:
        return {
            "name": graph.name,
            "file": "" if graph.path is None else graph.path.name,
            "producer": graph.producer,
            "irVersion": graph.ir_version,
            "opsets": {domain or "ai.onnx": version for domain, version in graph.opsets.items()},
            "metadata": {key: shortened(value) for key, value in graph.metadata.items()},
            "documentation": shortened(graph.doc_string),
            "hierarchy": graph.hierarchy_source,
            "findings": [*graph.findings, *self._unread],
        }


def _name_of(module: Module) -> str:
    """The name of a module within the one around it."""
    outer = module.parent.path if module.parent is not None else ""
    return (module.path.removeprefix(f"{outer}.") if outer else module.path) or module.name


def _json(numbers: Iterable[int]) -> list[Json]:
    return cast("list[Json]", list(numbers))


def _deltas(numbers: Sequence[int]) -> list[Json]:
    """Each number as the difference to the one before it, which is mostly 1 and compresses well."""
    return [number - before for before, number in zip((0, *numbers), numbers, strict=False)]


def shortened(text: str) -> str:
    """The text, cut if it is too long to show."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def attribute_text(value: AttributeValue) -> str:
    """The value of an attribute as a line of text; tensors as type and shape."""
    match value:
        case None:
            return ""
        case bool() | int() | float():
            return repr(value)
        case str():
            return shortened(value)
        case bytes():
            return shortened(value.hex(" "))
        case TensorData():
            return _tensor_text(value)
        case SparseTensor():
            return f"sparse {value.values.dtype}{list(value.shape)}"
        case AttributeReference():
            return f"@{value.name}"
        case Body():
            return value.name
        case tuple() if not hasattr(value, "_fields"):
            inner = ", ".join(attribute_text(item) for item in value[:64])
            return shortened(f"[{inner}{', …' if len(value) > 64 else ''}]")
        case _:
            return str(value)


def _tensor_text(data: TensorData) -> str:
    return f"{data.dtype}{list(data.shape)}"


def _place(parameter: Parameter) -> str:
    where = parameter.location
    return "" if where.file is None or not parameter.data.is_external else where.file.name


def _value_text(parameter: Parameter) -> str:
    try:
        values = parameter.numpy()
    except (GraphmlOnnxError, ValueError, IndexError):  # missing data, or indices of a sparse one that are beyond it
        return ""
    text = ", ".join(str(value) for value in values.reshape(-1))  # the shortest text that is unique for its type
    return shortened(f"[{text}]" if values.ndim else text)
