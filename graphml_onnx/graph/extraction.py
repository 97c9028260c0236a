"""Cuts a part out of a model and writes it as a separate model, with its weights byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.files import Publication
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.types import lacks_shape
from graphml_onnx.graph.writing import stage_model
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.graph.elements import Operator, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.results import Progress

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class ExtractResult:
    """Outcome of `extract`.

    Attributes:
        onnx: the part.
        data: its data file, or None if it has none of its own.
        operators: number of operators of its main graph.
        parameters: number of its initializers.
        inputs: names of its inputs.
        outputs: names of its outputs.
        functions: names of the functions that it has.
        findings: findings, one line each.
    """

    onnx: Path
    data: Path | None
    operators: int
    parameters: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    functions: tuple[str, ...]
    findings: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a main graph, and its boundary.

    Attributes:
        operators: its operators, in the order of the graph; with the constants that they take.
        inputs: what it takes from the rest.
        outputs: what the rest, or the user of the model, takes from it.
        weights: names of the initializers that it takes.
    """

    operators: Sequence[Operator]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    weights: frozenset[str]


def extract(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    module: str | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    operators: Sequence[str] | None = None,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExtractResult:
    """Writes a part of a model as a separate model.

    The part has the weights, functions, operator sets and metadata that it needs. Its inputs are the tensors that it
    takes from the rest, including those that bodies of its operators take. Weights are copied unchanged. External data
    stay in their place if the part is in the model's folder; otherwise they are copied to a data file beside the part.

    Args:
        model: an ONNX or GraphML file.
        output: the ONNX file to write.
        module: path or tag of a module: all operators in it.
        inputs: tensors at which the part begins, on the way from ``outputs`` to the model's inputs.
        outputs: tensors at which the part ends; by default the model's outputs, if ``inputs`` are given.
        operators: names of operators (instead of a module, or of inputs and outputs).
        metadata: HTP metadata, which say what the modules are.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.

    Raises:
        UsageError: nothing or too much was chosen, or a name does not exist; the message names similar ones.
        ModelError: the type of a tensor at the boundary is unknown, or the model is damaged.
        GraphMLError, PayloadError, ExternalDataError, InputError: what is read is damaged or missing.
        OutputError: an output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path, target = Path(model), Path(output)
    with open_graph(path, metadata=metadata, infer_shapes=True) as graph:
        try:
            part = choose(graph, module, inputs, outputs, operators)
            functions = _called(graph, part.operators)
            message, findings = _message(graph, part, functions)
        except (UsageError, ModelError) as error:
            raise error.at(file=path) from None
        with Publication(overwrite=overwrite, inputs=[path]) as publication:
            staged, data = stage_model(graph, message, path, target, publication, progress)
            publication.publish(last=staged)
        return ExtractResult(
            target,
            data,
            len(message.graph.node),
            len(message.graph.initializer),
            tuple(string_of(value.name) for value in message.graph.input),
            tuple(string_of(value.name) for value in message.graph.output),
            tuple(string_of(function.name) for function in message.functions),
            findings,
        )


# Choosing


def choose(
    graph: ModelGraph,
    module: str | None,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    operators: Sequence[str] | None,
) -> Part:
    """The part that the arguments of `extract` choose."""
    ways = [module is not None, inputs is not None or outputs is not None, operators is not None]
    if sum(ways) != 1:
        raise UsageError("choose either a module, or inputs and outputs, or operators")
    if module is not None:
        return part_of(graph, operators_to_cut(graph, module))
    if operators is not None:
        if not operators:
            raise UsageError("no operators are chosen")
        found = [graph.operator(name) for name in operators]
        inner = next((operator for operator in found if operator.body is not graph.main), None)
        if inner is not None:
            raise UsageError(f"the operator {inner.label!r} is in a body", remedy="choose the operator around it")
        return part_of(graph, found)
    return _between(graph, inputs or (), outputs)


def operators_to_cut(graph: ModelGraph, module: str) -> Sequence[Operator]:
    """The operators of a module of the main graph.

    Raises:
        UsageError: there is no such module, it has no operators, or it is in a body.
    """
    found = graph.module(module)
    if found.body is not graph.main:
        around = found.body.module.path
        where = f"in the body {found.body.path!r}" if found.body.operator else f"in the function {found.body.path!r}"
        remedy = f"choose the module around it: {around}" if around else "choose operators of the main graph"
        raise UsageError(f"the module {module!r} is {where}", remedy=remedy)
    operators = found.all_operators()
    if not operators:
        raise UsageError(f"the module {module!r} has no operators", remedy="g2o inspect shows the operators of modules")
    return operators


def _between(graph: ModelGraph, inputs: Sequence[str], outputs: Sequence[str] | None) -> Part:
    stops = [_main_tensor(graph, name) for name in dict.fromkeys(inputs)]
    wanted = list(graph.outputs) if outputs is None else [_main_tensor(graph, name) for name in dict.fromkeys(outputs)]
    seen = set(stops)
    chosen: set[Operator] = set()
    todo = [tensor for tensor in wanted if tensor not in seen]
    while todo:
        tensor = todo.pop()
        if tensor in seen or tensor.producer is None:
            continue
        seen.add(tensor)
        if tensor.producer not in chosen:
            chosen.add(tensor.producer)
            todo += taken_by(tensor.producer)
    if not chosen:
        raise UsageError(
            "there is no operator between these inputs and outputs", remedy="g2o inspect --by tensor shows them"
        )
    part = part_of(graph, chosen)
    used = set(part.inputs)
    unused = next((tensor for tensor in stops if tensor not in used and tensor not in set(wanted)), None)
    if unused is not None:
        raise UsageError(
            f"the part would not take {unused.name!r}: it is not on the way to these outputs, or it is a weight",
            remedy="choose other inputs; g2o inspect --by tensor shows the tensors",
        )
    ordered = [tensor for tensor in stops if tensor in used]
    rest = [tensor for tensor in part.inputs if tensor not in set(stops)]
    unmade = [tensor for tensor in wanted if tensor.producer is None]  # outputs that are weights, or inputs
    rest += [tensor for tensor in unmade if tensor.parameter is None and tensor not in used]
    weights = part.weights | {tensor.name for tensor in unmade if tensor.parameter is not None}
    return Part(part.operators, [*ordered, *rest], wanted, weights)


def _main_tensor(graph: ModelGraph, name: str) -> Tensor:
    tensor = graph.main.tensors.get(name) or graph.tensor(name)
    if tensor.body is not graph.main:
        raise UsageError(f"the tensor {name!r} is in a body", remedy="choose a tensor of the main graph")
    return tensor


def taken_by(operator: Operator) -> Iterator[Tensor]:
    """The tensors that an operator takes, including those that its bodies take from the graph around it."""
    yield from (tensor for tensor in operator.inputs if tensor is not None)
    for body in operator.bodies:
        yield from (tensor for tensor in body.captured if tensor.body is operator.body)


def part_of(graph: ModelGraph, operators: Iterable[Operator]) -> Part:
    """The part that consists of some operators of the main graph, with its boundary."""
    chosen = dict.fromkeys(sorted(operators, key=lambda operator: operator.index))
    given: dict[Tensor, None] = {}
    weights: set[str] = set()
    for operator in list(chosen):
        for tensor in taken_by(operator):
            parameter = tensor.parameter
            if parameter is not None and parameter.operator is not None:
                chosen.setdefault(parameter.operator)
            elif parameter is not None:
                weights.add(tensor.name)
            elif tensor.producer is None or tensor.producer not in chosen:
                given.setdefault(tensor)
    inside = set(chosen)
    made = [t for operator in sorted(inside, key=lambda o: o.index) for t in operator.outputs if t is not None]
    taken = [t for t in made if t.is_output or any(c.outermost not in inside for c in t.consumers)]
    taken = [t for t in taken if t.is_output or t.parameter is None]
    if not taken:
        taken = [t for t in made if not t.consumers] or made[-1:]
    ordered = sorted(inside, key=lambda operator: operator.index)
    return Part(ordered, [t for t in given if t.producer not in inside], list(dict.fromkeys(taken)), frozenset(weights))


def _called(graph: ModelGraph, operators: Iterable[Operator]) -> set[tuple[str, str, str]]:
    """The functions that operators and their bodies call, directly or through other functions."""
    found: set[tuple[str, str, str]] = set()
    todo = list(operators)
    while todo:
        operator = todo.pop()
        key = (operator.domain, operator.op_type, operator.overload)
        todo += [inner for body in operator.bodies for inner in body.operators]
        if key in graph.functions and key not in found:
            found.add(key)
            todo += graph.functions[key].operators
    return found


# The message


def _message(
    graph: ModelGraph, part: Part, functions: set[tuple[str, str, str]]
) -> tuple[onnx.ModelProto, tuple[Notice, ...]]:
    """The part as an exact message, with the markers of the whole model."""
    whole = graph._model
    message = cast("onnx.ModelProto", schema.message_class("ModelProto")())
    cast("Message", message).CopyFrom(cast("Message", whole))
    new, old = message.graph, whole.graph
    for field in ("node", "input", "output", "initializer", "sparse_initializer", "value_info"):
        cast("Message", new).ClearField(field)
    message.ClearField("training_info")
    new.node.extend(operator._node for operator in part.operators)
    new.initializer.extend(t for t in old.initializer if string_of(t.name) in part.weights)
    new.sparse_initializer.extend(s for s in old.sparse_initializer if string_of(s.values.name) in part.weights)
    findings: list[Notice] = []
    for tensor in part.inputs:
        kind = tensor.type_message
        if kind is None:
            raise ModelError(
                f"the type of tensor {tensor.name!r}, an input of the part, is not known",
                remedy="cut at another tensor, or add the type to the model's value_info",
            )
        if lacks_shape(kind):
            text = f"the shape of input {tensor.name!r} is not known, and ONNX's checker asks for one"
            findings.append(Notice("input-without-shape", text))
        _add_value(new.input, tensor.name, kind)
    declared = {string_of(value.name): value for value in old.input}
    # Before IR version 4, an initializer is an input too.
    new.input.extend(declared[name] for name in sorted(part.weights & declared.keys()))
    for tensor in part.outputs:
        kind = tensor.type_message or _type_of_weight(tensor)
        if kind is None:
            text = f"the type of output {tensor.name!r} is not known, and left out"
            findings.append(Notice("output-without-type", text))
        elif lacks_shape(kind):
            text = f"the shape of output {tensor.name!r} is not known, and ONNX's checker asks for one"
            findings.append(Notice("output-without-shape", text))
        _add_value(new.output, tensor.name, kind)
    names = {t.name for o in part.operators for t in (*o.inputs, *o.outputs) if t is not None}
    names -= {string_of(value.name) for values in (new.input, new.output) for value in values}
    new.value_info.extend(v for v in old.value_info if string_of(v.name) in names)
    _keep(new.quantization_annotation, lambda entry: string_of(entry.tensor_name) in names | set(part.weights))
    _keep(message.functions, lambda f: (string_of(f.domain), string_of(f.name), string_of(f.overload)) in functions)
    return message, tuple(findings)


def _type_of_weight(tensor: Tensor) -> onnx.TypeProto | None:
    if tensor.parameter is None or tensor.parameter.indices is not None:
        return None
    kind = cast("onnx.TypeProto", schema.message_class("TypeProto")())
    kind.tensor_type.elem_type = tensor.parameter.data._tensor.data_type
    kind.tensor_type.shape.SetInParent()
    for size in tensor.parameter.shape:
        kind.tensor_type.shape.dim.add().dim_value = size
    return kind


def _keep(messages, is_wanted) -> None:  # type: ignore[no-untyped-def]
    kept = [message for message in messages if is_wanted(message)]
    if len(kept) < len(messages):
        copies = [type(message).FromString(message.SerializeToString()) for message in kept]
        del messages[:]
        messages.extend(copies)


def _add_value(values, name: str, kind: onnx.TypeProto | None) -> None:  # type: ignore[no-untyped-def]
    value = values.add()
    value.name = name.encode("utf-8", "surrogateescape")
    if kind is not None:
        value.type.CopyFrom(kind)
