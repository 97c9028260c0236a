"""Operators in functions that several modules share: the model keeps the name and the metadata of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from graphml_onnx.codec.scalars import string_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx

KEY: Final = "g2o.operators"
"""Key of the metadata of the model: a JSON object with a list for each call, by its name; for each operator that the
call replaces its name and its metadata, each null if the function gives it. Before IR version 10, operators have no
place for metadata."""

Entries: TypeAlias = "list[tuple[str, str]]"

Own: TypeAlias = "tuple[str | None, Entries | None]"

NOTHING: Final[Own] = (None, None)


def keep_common(nodes: Sequence[onnx.NodeProto], instances: Iterable[Sequence[onnx.NodeProto]]) -> None:
    """Removes from the operators of a function the metadata that are not true for all the modules that share it.

    Args:
        nodes: the operators of the function, which are changed.
        instances: those of each module, in the same order.
    """
    for node, *others in zip(nodes, *instances, strict=True):
        own = _entries(node)
        common = set(own).intersection(*map(_entries, others))
        if len(common) < len(own):
            _write(node, [entry for entry in own if entry in common])


def own_of(
    call: onnx.NodeProto,
    operators: Sequence[onnx.NodeProto],
    names: Iterable[str],
    functions: Mapping[str, onnx.FunctionProto],
) -> list[Own]:
    """What the operators of a call have and would not get from its function; empty if they get all.

    Args:
        call: the call.
        operators: those that it replaces, in the order of `_operators_of`.
        names: the names that they get when the function is put in.
        functions: the functions of modules by name.
    """
    found: list[Own] = []
    for operator, given, node in zip(operators, names, _operators_of(call, functions), strict=True):
        name, entries = string_of(operator.name), _entries(operator)
        found.append((None if name == given else name, None if entries == _entries(node) else entries))
    return found if any(own != NOTHING for own in found) else []


def keep(model: onnx.ModelProto, own: Mapping[str, Sequence[Own]]) -> None:
    """Adds to a model what `own_of` found for its calls, by their names."""
    if own:
        short = {call: [None if each == NOTHING else each for each in found] for call, found in own.items()}
        entry = model.metadata_props.add()
        entry.key = cast("str", KEY.encode())
        entry.value = cast("str", json.dumps(short, separators=(",", ":")).encode())


def take(model: onnx.ModelProto, functions: Mapping[str, onnx.FunctionProto]) -> dict[str, list[Own]]:
    """Takes what `keep` added out of a model; what is damaged, or does not fit an edited function, is left out."""
    props = model.metadata_props
    text = next((string_of(entry.value) for entry in props if string_of(entry.key) == KEY), None)
    if text is None:
        return {}
    others = [entry.SerializeToString() for entry in props if string_of(entry.key) != KEY]
    del props[:]
    for other in others:
        props.add().ParseFromString(other)
    calls = {string_of(node.name): node for node in model.graph.node if string_of(node.op_type) in functions}
    found: dict[str, list[Own]] = {}
    try:
        for call, operators in json.loads(text).items():
            own = [NOTHING if each is None else _read(*each) for each in operators]
            if call in calls and len(own) == sum(1 for _ in _operators_of(calls[call], functions)):
                found[call] = own
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return found


def _read(name: object, entries: Iterable[tuple[object, object]] | None) -> Own:
    read = None if entries is None else [(str(key), str(value)) for key, value in entries]
    return None if name is None else str(name), read


def restore(node: onnx.NodeProto, own: Own) -> None:
    """Gives an operator its own name and metadata back, where there are any."""
    name, entries = own
    if name is not None:
        node.name = cast("str", name.encode("utf-8", "surrogateescape"))
    if entries is not None:
        _write(node, entries)


def _operators_of(call: onnx.NodeProto, functions: Mapping[str, onnx.FunctionProto]) -> Iterator[onnx.NodeProto]:
    """The operators of a function, and in the place of each call those of the function called."""
    under_way = [iter([call])]
    while under_way:
        node = next(under_way[-1], None)
        if node is None:
            under_way.pop()
        elif node.domain == call.domain and (function := functions.get(string_of(node.op_type))) is not None:
            under_way.append(iter(function.node))
        else:
            yield node


def _entries(node: onnx.NodeProto) -> Entries:
    return [(string_of(entry.key), string_of(entry.value)) for entry in node.metadata_props]


def _write(node: onnx.NodeProto, entries: Entries) -> None:
    del node.metadata_props[:]
    for key, value in entries:
        entry = node.metadata_props.add()
        entry.key = cast("str", key.encode("utf-8", "surrogateescape"))
        entry.value = cast("str", value.encode("utf-8", "surrogateescape"))
