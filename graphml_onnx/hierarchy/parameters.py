"""Places operators in the module that owns their parameters."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from graphml_onnx.hierarchy.parameter_names import is_joined, owner_path, steps_of
from graphml_onnx.hierarchy.paths import shared_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.tree import Graph, Operator
    from graphml_onnx.hierarchy.wiring import Wiring

Path = tuple[str, ...]

_FEWEST: Final = 2  # modules: a single one says nothing about the model
_FEWEST_JOINED: Final = 4  # names such as conv1_weights, which any tensor may have
_PRODUCTS: Final = frozenset(
    {"MatMul", "MatMulInteger", "MatMulNBits", "Conv", "ConvInteger", "QLinearMatMul", "DynamicQuantizeMatMul"}
)
_BIAS: Final = frozenset({"Add", "QLinearAdd", "BiasGelu", "FastGelu"})
_BETWEEN: Final = frozenset({"Cast", "Mul", "DequantizeLinear", "QuantizeLinear"})
_QUANTISED: Final = re.compile(r"QLinear|QuantizeLinear|DequantizeLinear|DynamicQuantize|QAttention|QGemm")
_LOOKUPS: Final = frozenset({"Gather", "GatherElements", "GatherND"})  # what they find is no parameter
_MEASURE: Final = re.compile(r"_(?:scale|zero_point)(?:_\d+)?$")
_LONGEST_WAY: Final = 4  # operators from a product to its bias


def owners_of(graph: Graph, wiring: Wiring) -> list[Path | None]:
    """For each operator the module that owns its parameters, by their names.

    A parameter still counts after operators that copy, transpose or dequantise it. For parameters of several modules,
    the innermost module around them counts. Parameters that were merged with equal ones of other modules do not count.

    Args:
        graph: the graph.
        wiring: its dataflow.
    """
    owners: list[Path | None] = []
    of_tensor: dict[str, Path | None] = {}
    slashed: set[Path] = set()
    dotted: set[Path] = set()
    merged = _merged(graph, wiring)
    for position, operator in enumerate(graph.operators):
        own: list[Path | None] = []
        for name in wiring.weights[position]:
            if name in merged or _is_of_quantiser(operator, name):
                continue
            path = owner_path(name)
            own.append(path)
            if path and not is_joined(name):
                (slashed if "/" in name else dotted).add(path)
        if of_tensor:
            own += [of_tensor[name] for name in operator.inputs if name in of_tensor]
        owner = _common([path for path in own if path]) if own else None
        if wiring.is_constant[position]:
            for name in operator.outputs:
                of_tensor[name] = owner_path(name) or (None if operator.op_type in _LOOKUPS else owner)
            owner = owner or next((of_tensor[name] for name in operator.outputs if of_tensor[name]), None)
        owners.append(owner)
    separated = slashed | dotted
    distinct = {path for path in owners if path}
    if 2 * len(dotted) > len(distinct):  # beside names of PyTorch's modules, a joined name is a tool's
        owners = [owner if owner in separated or owner is None or len(owner) > 1 else None for owner in owners]
    if len(distinct) < (_FEWEST if separated else _FEWEST_JOINED):
        return [None] * len(owners)
    return owners


def _is_of_quantiser(operator: Operator, name: str) -> bool:
    """Whether a tensor is a scale or zero point; a quantiser names it after any tensor: ``gelu_2_scale``."""
    return is_joined(name) and _QUANTISED.match(operator.op_type) is not None and _MEASURE.search(name) is not None


def aligned(owners: list[Path | None], draft: Draft) -> list[Path | None]:
    """Aligns the paths of parameters with those of the operators' names.

    A wrapper around the exported module may be in only one of them: ``m.encoder.weight`` and ``/encoder/MatMul``.
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
    """Places operators that use parameters in the owner's module, unless they are in another already.

    Returns:
        How many operators with a place of their own use parameters, and how many of these are in a module that is
        neither around, within nor beside the owner. Beside it is a convolution that was fused with the following
        normalization and has its place. A parameter that operators of several modules share does not count.
    """
    told = contrary = 0
    modules: dict[Path, int] = {}
    places: dict[Path, set[int]] = {}
    for position, path in enumerate(owners):
        if path and draft.rules[position] is not None:
            places.setdefault(path, set()).add(draft.places[position])
    of_layers = {path for path in owners if path}
    is_evidence = {path for path, found in places.items() if len(found) == 1}
    for position, path in enumerate(owners):
        if not path or wiring.is_constant[position]:
            continue
        scope = draft.scope_of(draft.places[position])
        has_place = draft.rules[position] is not None
        if has_place and draft.places[position] != draft.root and path in is_evidence:
            told += 1
            contrary += _is_contrary(path, scope)
        if _is_fused(draft, wiring, position, path, of_layers):
            draft.put(position, draft.reach(steps_of(path), "parameters"), "parameter")
            draft.tags[position] = None  # it is the normalization's
        elif not has_place or (len(path) > len(scope) and list(path[: len(scope)]) == scope):
            if path not in modules:
                modules[path] = draft.reach(steps_of(path), "parameters")
            draft.put(position, modules[path], "parameter")
    _add_products(draft, owners, wiring)
    return told, contrary


def _is_fused(draft: Draft, wiring: Wiring, position: int, path: Path, of_layers: set[Path]) -> bool:
    """Whether a convolution was fused with the normalization beside it, of which nothing else is left.

    PyTorch's dynamo exporter gives it the place of the normalization, and tags are made of that; its weight is that
    of the convolution.
    """
    if draft.rules[position] not in ("scope", "tag") or not wiring.operators[position].op_type.startswith("Conv"):
        return False
    scope = tuple(draft.scope_of(draft.places[position]))
    beside = len(path) == len(scope) and path[:-1] == scope[:-1] and path != scope
    return beside and draft.is_leaf(draft.places[position]) and scope not in of_layers


def _is_contrary(path: Path, scope: Sequence[str]) -> bool:
    if len(path) == len(scope) > 1 and list(path[:-1]) == scope[:-1]:
        return False
    return any(left != right for left, right in zip(path, scope, strict=False))


def _merged(graph: Graph, wiring: Wiring) -> frozenset[str]:
    """The weights that replace equal ones of other modules: exporters keep one of several biases that are all zero.

    The consumers of such a weight use different other weights. Repeated calls of one module use the same ones. Where
    the bias of normalizations is such a weight, so is the scale that they all use with it.
    """
    takers: dict[str, dict[int, None]] = {}
    for position, names in enumerate(wiring.weights):
        for name in names:
            takers.setdefault(name, {})[position] = None
    numbers: dict[frozenset[str], int] = {frozenset(): 0}  # comparing numbers takes no longer for large sets
    taken: dict[int, int] = {}
    merged = set()
    several = {
        name: users for name, users in takers.items() if len(users) > 1 and name in graph.weights and owner_path(name)
    }
    for name, positions in several.items():
        for position in positions:
            if position not in taken:
                taken[position] = numbers.setdefault(_taken(graph, wiring, position), len(numbers))
        if len({taken[position] for position in positions} - {0}) > 1:
            merged.add(name)
    scales = [
        name
        for name, positions in several.items()
        if len(graph.weights[name]) == 1
        and all(
            wiring.operators[position].op_type.endswith("Normalization")
            and not merged.isdisjoint(wiring.weights[position])
            for position in positions
        )
    ]
    return frozenset(merged.union(scales))


def _of_layer(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    """Those of some weights that a layer learns: they have an owner, or more than one dimension."""
    own = graph.weights
    return frozenset(name for name in names if name in own and (len(own[name]) > 1 or owner_path(name) is not None))


def _taken(graph: Graph, wiring: Wiring, position: int) -> frozenset[str]:
    """The weights of an operator with several; for the addition of a bias, those of the product before it too."""
    own = _of_layer(graph, wiring.weights[position])
    if len(own) > 1:
        return own
    if not own or wiring.operators[position].op_type in _PRODUCTS:
        return frozenset()
    for near in wiring.producers[position]:
        if wiring.operators[near].op_type in _PRODUCTS and (before := _of_layer(graph, wiring.weights[near])):
            return before | own
    return frozenset()


def _add_products(draft: Draft, owners: Sequence[Path | None], wiring: Wiring) -> None:
    """Places a product whose weight has no name beside the addition of its bias, quantised or not."""
    for position, operator in enumerate(wiring.operators):
        if operator.op_type not in _PRODUCTS or owners[position]:
            continue
        way = position
        for _ in range(_LONGEST_WAY):
            users = wiring.consumers[way]
            if len(users) != 1:
                break
            way = users[0]
            if wiring.operators[way].op_type in _BIAS and owners[way] and draft.rules[way] is not None:
                module = draft.places[way]
                place = draft.places[position]
                if draft.rules[position] is None or (module != place and draft.is_within(module, place)):
                    draft.put(position, module, "parameter")
                break
            if wiring.operators[way].op_type not in _BETWEEN:
                break


def _common(paths: Iterable[Path]) -> Path | None:
    found: Path | None = None
    for path in paths:
        found = path if found is None else found[: shared_parts(found, path)]
    return found or None
