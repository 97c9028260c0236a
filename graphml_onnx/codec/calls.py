"""What a model comes to when its calls of functions are followed: ONNX's inference and its inliner follow each of them.

A few kilobytes of functions that call each other twice are more operators than any machine can hold.
"""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final, TypeAlias

from graphml_onnx.codec.module_facts import with_bodies
from graphml_onnx.codec.scalars import string_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx

_MOST: Final = 1_000_000
"""Operators that calls may come to, whatever the size of the model."""
MOST_TO_RUN: Final = 100_000
"""The same for a model that is to run: onnxruntime needs half a minute for so many, and longer for each of more."""
_TIMES: Final = 100
"""How many times as many as the model has they may come to, too."""

_Function: TypeAlias = "tuple[bytes, bytes, bytes]"


def problem_of_calls(model: onnx.ModelProto, at_most: int = _MOST) -> str | None:
    """Why nobody should follow the calls of a model: a function calls itself, or there would be too many operators.

    Args:
        model: any message of a model, exact or not.
        at_most: operators that the calls of any model may come to, and those of a large one to a hundred times its own.

    Returns:
        What is wrong, in one line; None where nothing is. The time is that of one walk over the model.
    """
    if not len(model.functions):
        return None
    counts = {
        (_bytes(function.domain), _bytes(function.name), _bytes(function.overload)): _count(function.node)
        for function in model.functions
    }
    main = _count(model.graph.node)
    most = max(at_most, _TIMES * sum(count.total() for count in (main, *counts.values())))
    totals: dict[_Function, int] = {}
    try:
        for key in TopologicalSorter(
            {key: count.keys() & counts.keys() for key, count in counts.items()}
        ).static_order():
            totals[key] = min(_total(counts[key], totals), most + 1)
    except CycleError as error:
        return f"the function {string_of(error.args[1][0][1])!r} calls itself"
    return f"its calls of functions come to more than {most:,} operators" if _total(main, totals) > most else None


def _total(count: Counter[_Function], totals: Mapping[_Function, int]) -> int:
    """The operators of a list, and those of the functions that they call."""
    return sum(number * (1 + totals.get(key, 0)) for key, number in count.items())


def _count(nodes: Iterable[onnx.NodeProto]) -> Counter[_Function]:
    """How many operators of each type there are, in bodies too."""
    return Counter((_bytes(node.domain), _bytes(node.op_type), _bytes(node.overload)) for node in with_bodies(nodes))


def _bytes(text: str | bytes) -> bytes:
    """A name of an exact message, whose texts are bytes, or of ONNX's own."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
