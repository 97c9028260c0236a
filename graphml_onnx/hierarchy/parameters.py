"""Places operators in the module that owns the parameters that they take."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from graphml_onnx.hierarchy.parameter_names import is_joined, owner_path, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.tree import Graph
    from graphml_onnx.hierarchy.wiring import Wiring

Path = tuple[str, ...]

_FEWEST: Final = 2  # modules: a single one tells nothing of the model
_FEWEST_JOINED: Final = 4  # of names such as conv1_weights, which anything may be called
_PRODUCTS: Final = frozenset(
    {"MatMul", "MatMulInteger", "MatMulNBits", "Conv", "ConvInteger", "QLinearMatMul", "DynamicQuantizeMatMul"}
)
_BIAS: Final = frozenset({"Add", "BiasGelu", "FastGelu"})
_BETWEEN: Final = frozenset({"Cast", "Mul", "DequantizeLinear", "QuantizeLinear"})
_LONGEST_WAY: Final = 4  # operators from a product to its bias


def owners_of(graph: Graph, wiring: Wiring, outer: Mapping[str, Sequence[int]]) -> list[Path | None]:
    """For each operator the module that owns what it takes, by the names of its parameters.

    A parameter counts through whatever copies, transposes or dequantises it. Of parameters of several modules the
    innermost module around them counts.

    Args:
        graph: the graph.
        wiring: its dataflow.
        outer: the weights of the graphs around it.
    """
    owners: list[Path | None] = []
    of_tensor: dict[str, Path | None] = {}
    for position, operator in enumerate(graph.operators):
        own = [owner_path(name) for name in operator.inputs if name in graph.weights or name in outer]
        own += [of_tensor[name] for name in operator.inputs if name in of_tensor]
        owner = _common([path for path in own if path]) if own else None
        if wiring.is_constant[position]:
            for name in operator.outputs:
                of_tensor[name] = owner_path(name) or owner
            owner = owner or next((of_tensor[name] for name in operator.outputs if of_tensor[name]), None)
        owners.append(owner)
    distinct = {path for path in owners if path}
    joined = {path for path in distinct if is_joined(path)}
    if len(distinct) < _FEWEST or (len(joined) == len(distinct) and len(joined) < _FEWEST_JOINED):
        return [None] * len(owners)
    return owners


def aligned(owners: list[Path | None], draft: Draft) -> list[Path | None]:
    """Brings the paths of parameters to where the names of operators begin.

    A wrapper around the exported module is in one of them only: ``m.encoder.weight`` and ``/encoder/MatMul``.
    """
    shifts: Counter[Path] = Counter()
    both = 0
    for position, path in enumerate(owners):
        if path and draft.rules[position] == "name" and (scope := tuple(draft.scope_of(draft.places[position]))):
            both += 1
            if path[-len(scope) :] == scope and len(path) > len(scope):
                shifts[path[: -len(scope)]] += 1
    if not shifts:
        return owners
    shift, count = shifts.most_common(1)[0]
    if 2 * count <= both:
        return owners
    return [path[len(shift) :] or None if path and path[: len(shift)] == shift else path for path in owners]


def place_by_parameters(draft: Draft, owners: Sequence[Path | None], wiring: Wiring) -> tuple[int, int]:
    """Places what takes parameters in their module, unless it is in another already.

    Returns:
        How many operators with a place of their own take parameters, and how many of these stand in a module that is
        neither around nor within the owner.
    """
    told = contrary = 0
    for position, path in enumerate(owners):
        if not path or wiring.is_constant[position]:
            continue
        scope = draft.scope_of(draft.places[position])
        has_place = draft.rules[position] is not None
        if has_place and draft.places[position] != draft.root:
            told += 1
            contrary += any(left != right for left, right in zip(path, scope, strict=False))
        if not has_place or (len(path) > len(scope) and list(path[: len(scope)]) == scope):
            draft.put(position, draft.reach(steps_of(path), "parameters"), "parameter")
    _add_products(draft, owners, wiring)
    return told, contrary


def _add_products(draft: Draft, owners: Sequence[Path | None], wiring: Wiring) -> None:
    """Places a product with a weight that has no name with the bias that is added to it, quantised or not."""
    for position, operator in enumerate(wiring.operators):
        if operator.op_type not in _PRODUCTS or owners[position]:
            continue
        way = position
        for _ in range(_LONGEST_WAY):
            users = wiring.consumers[way]
            if len(users) != 1:
                break
            way = users[0]
            if wiring.operators[way].op_type in _BIAS and draft.rules[way] == "parameter":
                module = draft.places[way]
                if draft.rules[position] is None or draft.is_within(module, draft.places[position]):
                    draft.put(position, module, "parameter")
                break
            if wiring.operators[way].op_type not in _BETWEEN:
                break


def _common(paths: Iterable[Path]) -> Path | None:
    found: Path | None = None
    for path in paths:
        if found is None:
            found = path
            continue
        length = 0
        for left, right in zip(found, path, strict=False):
            if left != right:
                break
            length += 1
        found = found[:length]
    return found or None
