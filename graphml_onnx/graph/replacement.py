"""Replaces a module of a model by an edited part: the opposite of extraction."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.decoding.output import check_not_store, write_pieces
from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.files import Publication
from graphml_onnx.graph.building import bodies_of
from graphml_onnx.graph.difference import changes_of_function
from graphml_onnx.graph.extraction import operators_to_cut, part_of
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.schema import serialise
from graphml_onnx.onnxfile.skeleton import join, renumbered
from graphml_onnx.onnxfile.source import JoinedSource
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.graph.elements import Tensor
    from graphml_onnx.graph.extraction import Part
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.parameters.store import PayloadReference
    from graphml_onnx.results import Progress


@dataclass(frozen=True, slots=True)
class ReplaceResult:
    """Outcome of `replace`.

    Attributes:
        onnx: the new model.
        removed: number of operators that were taken out.
        added: number of operators that were put in.
    """

    onnx: Path
    removed: int
    added: int


def replace(
    model: str | os.PathLike[str],
    part: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    module: str,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ReplaceResult:
    """Writes a model in which a part replaces a module.

    With an unchanged part from `extract`, the result is the original file.

    Args:
        model: an ONNX or GraphML file.
        part: an ONNX file: the edited result of `extract` for this module.
        output: the ONNX file to write.
        module: path or tag of the module.
        metadata: HTP metadata, which say what the modules are.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.

    Raises:
        UsageError: there is no such module; the message names the nearest.
        ModelError: the part does not fit: inputs, outputs, types, names, operator sets, functions; a file is damaged.
        GraphmlOnnxError: a file is missing, or cannot be read or written.
    """
    path, part_path, target = Path(model), Path(part), Path(output)
    with open_graph(path, metadata=metadata) as whole, open_graph(part_path) as inner:
        _check_folders(whole, inner, target)
        try:
            operators = operators_to_cut(whole, module)
        except UsageError as error:
            raise error.at(file=path) from None
        chosen = part_of(whole, operators)
        try:
            _check_interface(whole, inner, chosen)
            joined = _join_stores(whole, inner)
            message = _message(whole, inner, joined.part, {operator.index for operator in operators})
            is_same = message == whole._model
            if not is_same:
                _check_complete(message, whole, chosen)
        except ModelError as error:
            raise error.at(file=part_path, remedy="edit the part, or extract it again") from None
        skeleton = whole._loaded.skeleton if is_same else serialise(cast("Message", message))
        with Publication(overwrite=overwrite, inputs=[path, part_path]) as publication:
            for graph in (whole, inner):
                check_not_store(target, graph._storage.store)
            staged = publication.stage(target)
            lengths = {number: reference.length for number, reference in joined.references.items()}
            size = len(skeleton) + sum(parameter.nbytes for parameter in whole.parameters)
            with Stage(progress, "write model", size, "bytes") as stage:
                pieces = join(skeleton, whole._storage.nonce, lengths)
                write_pieces(pieces, joined.references, joined.store, staged, stage, size)
            publication.publish(last=staged)
        return ReplaceResult(target, len(operators), len(message.graph.node) - len(whole.operators) + len(operators))


def _check_folders(whole: ModelGraph, inner: ModelGraph, target: Path) -> None:
    """Checks that all external data are in one folder, since the new model only refers to them."""
    for graph in (whole, inner):
        folder = cast("Path", graph.path).parent
        if any(p.data.is_external for p in graph.parameters) and folder.resolve() != target.parent.resolve():
            raise UsageError("has external data in another folder than the output", file=graph.path, remedy="move it")


def _check_interface(whole: ModelGraph, inner: ModelGraph, chosen: Part) -> None:
    given = {tensor.name: tensor for tensor in chosen.inputs}
    for tensor in inner.inputs:
        if tensor.name not in given:
            raise ModelError(f"the part takes {tensor.name!r}, which the module does not take")
    made = {tensor.name: tensor for tensor in inner.outputs}
    for tensor in chosen.outputs:
        if tensor.name not in made:
            raise ModelError(f"the part does not make {tensor.name!r}, which the rest of the model takes")
    sides = [(given[t.name], t) for t in inner.inputs] + [(t, made[t.name]) for t in chosen.outputs]
    for ours, theirs in sides:
        if ours.dtype is not None and theirs.dtype is not None and ours.dtype != theirs.dtype:
            raise ModelError(f"{ours.name!r} is {theirs.dtype} in the part, and {ours.dtype} in the model")
        if _contradict(ours.shape, theirs.shape):
            raise ModelError(f"{ours.name!r} is {theirs.type} in the part, and {ours.type} in the model")
    for domain, version in inner.opsets.items():
        if whole.opsets.get(domain, version) != version:
            name = domain or "ai.onnx"
            raise ModelError(f"the part has operator set {name} {version}, the model {whole.opsets[domain]}")
    for key in inner.functions.keys() & whole.functions.keys():
        change = next(changes_of_function(whole, inner, key), None)
        if change is not None:
            name = inner.functions[key].path
            raise ModelError(
                f"the function {name} differs: {change.kind} {change.op_type or change.subject} {change.name!r}"
            )


def _contradict(ours: tuple[int | str | None, ...] | None, theirs: tuple[int | str | None, ...] | None) -> bool:
    if ours is None or theirs is None:
        return False
    sizes = zip(ours, theirs, strict=False)
    return len(ours) != len(theirs) or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in sizes)


def _check_complete(message: onnx.ModelProto, whole: ModelGraph, replaced: Part) -> None:
    """Checks that each tensor of the new model that something takes is made once."""
    graph = message.graph
    made = Counter(name for node in graph.node for name in cast("list[bytes]", node.output) if name)
    twice = next((name for name, count in made.items() if count > 1), None)
    if twice is not None:
        raise ModelError(f"with the part, two operators make {string_of(twice)!r}")
    known = {*made, *(cast("bytes", value.name) for value in graph.input)}
    known |= {cast("bytes", tensor.name) for tensor in graph.initializer}
    known |= {cast("bytes", sparse.values.name) for sparse in graph.sparse_initializer}
    # What nothing made before is not the part's fault.
    known |= {name.encode("utf-8", "surrogateescape") for name, t in whole.main.tensors.items() if _is_unmade(t)}
    for name in (name for node in graph.node for name in _taken(node)):
        if name and name not in known:
            raise ModelError(f"with the part, nothing makes {string_of(name)!r}")
    for tensor in replaced.outputs:
        if tensor.name.encode("utf-8", "surrogateescape") not in known:
            raise ModelError(f"with the part, nothing makes {tensor.name!r}")


def _is_unmade(tensor: Tensor) -> bool:
    return tensor.producer is None and tensor.parameter is None


class _Joined(NamedTuple):
    """The stores of the model and of the part as one.

    Attributes:
        part: the part's message, with the markers of the joined store.
        references: the payloads of both.
        store: has them.
    """

    part: onnx.ModelProto
    references: Mapping[int, PayloadReference]
    store: Source


def _join_stores(whole: ModelGraph, inner: ModelGraph) -> _Joined:
    ours, theirs = whole._storage, inner._storage
    references = dict(ours.located)
    first = max(references, default=-1) + 1
    store = JoinedSource()
    store.add(ours.store)
    start = store.add(theirs.store)
    for number, reference in theirs.located.items():
        references[number + first] = reference._replace(offset=reference.offset + start)
    numbers = {number: number + first for number in theirs.located}
    content = renumbered(serialise(cast("Message", inner._model)), theirs.nonce, ours.nonce, numbers)
    return _Joined(schema.parse_model(content), references, store)


def _message(whole: ModelGraph, inner: ModelGraph, part: onnx.ModelProto, taken: set[int]) -> onnx.ModelProto:
    old = whole._model
    message = cast("onnx.ModelProto", schema.message_class("ModelProto")())
    cast("Message", message).CopyFrom(cast("Message", old))
    kept = [(index, node) for index, node in enumerate(old.graph.node) if index not in taken]
    made_by_rest = {name for _, node in kept for name in cast("list[bytes]", node.output) if name}
    # `extract` copied constants of the rest that the part takes; they stay in the rest.
    inserted = [
        node for node in part.graph.node if node.input or not made_by_rest.issuperset(cast("list[bytes]", node.output))
    ]
    made = [name for node in inserted for name in cast("list[bytes]", node.output) if name]
    defined = {name.encode("utf-8", "surrogateescape") for name, t in whole.main.tensors.items() if t.producer is None}
    clash = next((name for name in made if name in made_by_rest or name in defined), None)
    if clash is not None:
        raise ModelError(f"the part makes {string_of(clash)!r}, and so does the rest of the model")
    places = sorted(taken)
    if len(inserted) != len(places):  # then all at the first place, and sorted if that is too early
        places = [places[0]] * len(inserted)
    numbered = [
        *((index, 1, node) for index, node in kept),
        *((i, 0, n) for i, n in zip(places, inserted, strict=True)),
    ]
    nodes = [node for _, _, node in sorted(numbered, key=lambda item: item[:2])]
    del message.graph.node[:]
    message.graph.node.extend(_sorted(nodes))
    _replace_weights(message, whole, inner, part, taken)
    known = {cast("bytes", value.name) for value in old.graph.value_info}
    gone = {t.name for i in taken for t in whole.operators[i].outputs if t is not None} - {string_of(n) for n in made}
    values = [value for value in old.graph.value_info if string_of(value.name) not in gone]
    values += [value for value in part.graph.value_info if cast("bytes", value.name) not in known]
    copies = [type(cast("Message", value)).FromString(value.SerializeToString()) for value in values]
    del message.graph.value_info[:]
    message.graph.value_info.extend(cast("list[onnx.ValueInfoProto]", copies))
    _add_functions(message, part, whole)
    domains = set(whole.opsets)
    message.opset_import.extend(entry for entry in part.opset_import if string_of(entry.domain) not in domains)
    return message


def _replace_weights(
    message: onnx.ModelProto, whole: ModelGraph, inner: ModelGraph, part: onnx.ModelProto, taken: set[int]
) -> None:
    """Takes the part's weights where they differ; drops those that only the old module took."""
    old = {parameter.name: parameter for parameter in whole.main.parameters if parameter.operator is None}
    new = {parameter.name: parameter for parameter in inner.main.parameters if parameter.operator is None}
    changed = {name for name, p in new.items() if name not in old or not old[name].has_same_content(p)}
    for name in changed & old.keys():
        if any(consumer.outermost.index not in taken for consumer in old[name].consumers):
            raise ModelError(f"the part changes the weight {name!r}, which the rest of the model takes too")
    gone = {
        name
        for name, parameter in old.items()
        if name not in new
        and parameter.consumers
        and not parameter.tensor.is_output
        and all(consumer.outermost.index in taken for consumer in parameter.consumers)
    }
    fresh = changed - old.keys()
    clash = next((name for name in sorted(fresh) if _is_of_rest(whole.main.tensors.get(name), taken)), None)
    if clash is not None:
        raise ModelError(f"the part has a weight {clash!r}, and the rest of the model another tensor of that name")
    for field in ("initializer", "sparse_initializer"):
        ours = {_name(weight): weight for weight in getattr(whole._model.graph, field)}
        theirs = {_name(weight): weight for weight in getattr(part.graph, field)}
        kept = [theirs.get(name) if name in changed else w for name, w in ours.items() if name not in gone]
        kept += [weight for name, weight in theirs.items() if name in changed and name not in ours]
        cast("Message", message.graph).ClearField(field)
        getattr(message.graph, field).extend(weight for weight in kept if weight is not None)


def _name(weight: onnx.TensorProto | onnx.SparseTensorProto) -> str:
    return string_of(weight.values.name if hasattr(weight, "values") else weight.name)


def _is_of_rest(tensor: Tensor | None, taken: set[int]) -> bool:
    return tensor is not None and (tensor.producer is None or tensor.producer.index not in taken)


def _add_functions(message: onnx.ModelProto, part: onnx.ModelProto, whole: ModelGraph) -> None:
    for function in part.functions:
        key = (string_of(function.domain), string_of(function.name), string_of(function.overload))
        if key not in whole.functions:
            message.functions.append(function)


def _sorted(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes in topological order; unchanged if they already are."""
    maker = {name: i for i, node in enumerate(nodes) for name in cast("list[bytes]", node.output) if name}
    before = [
        {maker[name] for name in _taken(node) if maker.get(name, index) != index} for index, node in enumerate(nodes)
    ]
    if all(max(needed, default=-1) < index for index, needed in enumerate(before)):
        return list(nodes)
    after: dict[int, list[int]] = {}
    for index, needed in enumerate(before):
        for other in needed:
            after.setdefault(other, []).append(index)
    missing = [len(needed) for needed in before]
    ready = [index for index, count in enumerate(missing) if not count]
    ordered = []
    while ready:
        index = heapq.heappop(ready)
        ordered.append(nodes[index])
        for other in after.get(index, ()):
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, other)
    if len(ordered) < len(nodes):
        raise ModelError("with the part, operators of the model would form a cycle")
    return ordered


def _taken(node: onnx.NodeProto) -> Iterator[bytes]:
    yield from cast("list[bytes]", node.input)
    for _, body in bodies_of(node):
        own = {cast("bytes", value.name) for value in body.input}
        own |= {cast("bytes", tensor.name) for tensor in body.initializer}
        own |= {cast("bytes", sparse.values.name) for sparse in body.sparse_initializer}
        own |= {name for inner in body.node for name in cast("list[bytes]", inner.output)}
        for inner in body.node:
            yield from (name for name in _taken(inner) if name not in own)
        yield from (cast("bytes", v.name) for v in body.output if cast("bytes", v.name) not in own)
