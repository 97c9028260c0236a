"""Metadata of operators in functions that several modules share: each call keeps those of its own operators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from graphml_onnx.codec.scalars import string_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx

KEY: Final = "g2o.operators"
"""Key of the metadata of a call: a JSON list of the metadata of its operators, null where the function has them."""

Entries: TypeAlias = "list[tuple[str, str]]"


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


def keep_own(
    call: onnx.NodeProto, operators: Iterable[onnx.NodeProto], functions: Mapping[str, onnx.FunctionProto]
) -> None:
    """Adds to a call the metadata of its operators that its function does not have.

    Args:
        call: the call, which is changed.
        operators: those that it replaces, in the order of `_operators_of`.
        functions: the functions of modules by name.
    """
    kept = [
        None if (own := _entries(operator)) == _entries(node) else own
        for operator, node in zip(operators, _operators_of(call, functions), strict=True)
    ]
    if any(own is not None for own in kept):
        entry = call.metadata_props.add()
        entry.key = cast("str", KEY.encode())
        entry.value = cast("str", json.dumps(kept, separators=(",", ":")).encode())


def own_of(call: onnx.NodeProto) -> Iterator[Entries | None]:
    """What `keep_own` added to a call, for each operator; nothing if there is none, or it is damaged."""
    text = dict(_entries(call)).get(KEY)
    try:
        found = [] if text is None else json.loads(text)
        kept = [None if own is None else [(str(key), str(value)) for key, value in own] for own in found]
    except (ValueError, TypeError, RecursionError):
        kept = []
    return iter(kept)


def restore(node: onnx.NodeProto, own: Entries | None) -> None:
    """Gives an operator its own metadata back, where there are any."""
    if own is not None:
        _write(node, own)


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
