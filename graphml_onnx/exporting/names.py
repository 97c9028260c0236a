"""Gives each operator of the main graph a name of its own: HTP metadata knows operators by name."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import onnx


def name_operators(operators: Iterable[onnx.NodeProto]) -> int:
    """Names operators that have no name, or the name of an earlier one; the others keep theirs.

    Args:
        operators: the operators, which are changed.

    Returns:
        How many got a new name.
    """
    operators = list(operators)
    taken = {operator.name for operator in operators}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
    seen: set[str] = set()
    renamed = 0
    for operator in operators:
        if not operator.name or operator.name in seen:
            stem = operator.name or operator.op_type
            operator.name = next(name for number in numbers[stem] if (name := f"{stem}_{number}") not in taken)
            taken.add(operator.name)
            renamed += 1
        seen.add(operator.name)
    return renamed
