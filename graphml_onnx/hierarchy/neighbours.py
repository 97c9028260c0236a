"""Places operators that no other source places: between their producers and their consumers.

What an optimisation, a quantiser or an exporter adds has no name of its own, but it has neighbours. The rules, in this
order, for an operator without a place:

- an operator that depends on weights alone, or is computed from a Shape, goes to its consumers;
- an addition (or the like) of a block's output and its input belongs to the block (a residual connection);
- an activation goes into the module around the layer that it follows;
- a product with a weight goes into the module that it leads into, or else comes from, if none of that module's products
  has one: a quantiser replaced them all (``self_attn``, ``mlp``);
- every other operator goes into the innermost module around its producers and its next consumer.

A size (computed from a Shape) does not place its consumers: exporters compute it once for all layers. Neither does a
tensor that modules all over the model use, such as an attention mask, if there are other neighbours.

Each operator is visited twice, once backwards and once forwards. The cost is linear in edges, times at most the depth
of the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.hierarchy.tree import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.wiring import Wiring

_JOINS: Final = frozenset({"Add", "Sum", "Mul", "Sub", "Concat", "Max"})
_ACTIVATIONS: Final = frozenset(
    {
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Celu",
        "ThresholdedRelu",
        "Gelu",
        "QuickGelu",
        "FastGelu",
        "BiasGelu",
    }
    | {"Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Mish", "Tanh", "Softplus", "Clip", "Dropout"}
)
_PRODUCTS: Final = frozenset({"MatMul", "MatMulNBits", "MatMulInteger", "DynamicQuantizeMatMul", "Gemm"})
_SHAPES: Final = frozenset({"Shape", "Size"})


class _Behind(NamedTuple):
    """Where the consumers of each operator are; None if none has a place.

    Attributes:
        around: the innermost module around all of them; along a residual connection, that is the model.
        following: the module of the next one.
    """

    around: Sequence[int | None]
    following: Sequence[int | None]


def place_by_neighbours(draft: Draft, wiring: Wiring, *, constants_only: bool = False) -> None:
    """Places every operator that has no place yet and a neighbour with one; optionally only those without inputs."""
    unplaced = list(draft.unplaced())
    if len(unplaced) in (0, len(draft.rules)):
        return
    is_size = _sizes(draft, wiring)
    behind = _from_behind(draft, wiring, is_size)
    lacking = _lacking_weights(draft, wiring, unplaced)
    waiting = []
    for position in unplaced:
        if wiring.is_constant[position] or is_size[position]:
            waiting.append(position)
            continue
        if constants_only:
            continue
        before = [near for near in wiring.producers[position] if not wiring.is_constant[near] and not is_size[near]]
        placed = [near for near in before if draft.rules[near] is not None]
        place = _between(draft, wiring, position, placed, behind)
        if place is not None and lacking and wiring.operators[position].op_type in _PRODUCTS:
            sides = (behind.around[position], _common(draft, [draft.places[near] for near in placed]))
            place = _into(draft, wiring, position, place, [side for side in sides if side is not None], lacking)
        if place is not None:
            draft.put(position, place, "neighbours")
    users = _from_behind(draft, wiring, is_size).around if waiting else []  # by now, those have their places
    for position in waiting:
        place = users[position]
        if place is not None:
            draft.put(position, place, "neighbours")


def _lacking_weights(draft: Draft, wiring: Wiring, unplaced: Sequence[int]) -> set[int]:
    """The modules that compute, but none of whose products has a weight, if products with weights have no place."""
    if not any(wiring.operators[position].op_type in _PRODUCTS and wiring.weights[position] for position in unplaced):
        return set()
    having: set[int] = set()
    computing: set[int] = set()
    for position, operator in enumerate(wiring.operators):
        if draft.rules[position] is None:
            continue
        module = draft.places[position]
        if operator.op_type in _PRODUCTS and not wiring.weights[position]:
            computing.add(module)
        elif operator.op_type in _PRODUCTS:
            while module != NOWHERE and module not in having:
                having.add(module)
                module = draft.outer(module)
    inner = {module for module in range(len(draft.modules)) if not draft.is_leaf(module)}
    return (computing | inner) - having


def _into(draft: Draft, wiring: Wiring, position: int, place: int, sides: Sequence[int], lacking: set[int]) -> int:
    """The module on one side of a product with a weight that lacks such products; else the place that it has."""
    if wiring.weights[position]:
        for side in sides:
            module = side if side in lacking else _around_layer(draft, side)
            if module in lacking and module != place and draft.is_within(module, place):
                return module
    return place


def _sizes(draft: Draft, wiring: Wiring) -> list[bool]:
    """For each operator whether it has no place and computes a size, from Shapes and weights only."""
    made = {name for operator in wiring.operators for name in operator.outputs}
    found = [False] * len(wiring.operators)
    for position, operator in enumerate(wiring.operators):
        if draft.rules[position] is not None or wiring.is_constant[position] or operator.bodies:
            continue
        near = wiring.producers[position]
        found[position] = operator.op_type in _SHAPES or (
            any(found[maker] for maker in near)
            and all(found[maker] or wiring.is_constant[maker] for maker in near)
            and all(name in made or not name or name in wiring.weights[position] for name in operator.inputs)
        )
    return found


def _from_behind(draft: Draft, wiring: Wiring, is_size: Sequence[bool]) -> _Behind:
    """Where the consumers of each operator are, as far as they have places.

    Consumers that compute a size count only if there are no others.
    """
    count = len(draft.places)
    around: list[int | None] = [None] * count
    following: list[int | None] = [None] * count
    own_around: list[int | None] = [None] * count
    own_following: list[int | None] = [None] * count
    for position in range(count - 1, -1, -1):
        placed = [user for user in wiring.consumers[position] if own_around[user] is not None]
        users = [user for user in placed if not is_size[user]] or placed
        if users:
            around[position] = _common(draft, [place for user in users if (place := own_around[user]) is not None])
            following[position] = own_following[min(users)]
        own = draft.places[position]
        has_place = draft.rules[position] is not None
        own_around[position], own_following[position] = (
            (own, own) if has_place else (around[position], following[position])
        )
    return _Behind(around, following)


def _between(draft: Draft, wiring: Wiring, position: int, producers: Sequence[int], behind: _Behind) -> int | None:
    before = _common(draft, [draft.places[near] for near in producers])
    if before is None:
        users = behind.around[position]
        return None if users is None else _around_layer(draft, users)
    following = behind.following[position]
    if before == following:
        return before
    op_type = wiring.operators[position].op_type
    limit = before if following is None else draft.common(before, following)
    if op_type in _JOINS and len(producers) > 1:
        block = _block_of_residual(draft, wiring, position, producers, limit)
        if block is not None:
            return block
    own = [near for near in producers if not _is_handed_around(draft, producers, near, behind, following)]
    if own and len(own) < len(producers):
        return _between(draft, wiring, position, own, behind)
    if following is None or op_type in _ACTIVATIONS:
        return _around_layer(draft, before)
    return _around_layer(draft, limit) if limit == before else limit


def _is_handed_around(
    draft: Draft, producers: Sequence[int], near: int, behind: _Behind, following: int | None
) -> bool:
    """Whether a producer is used all around the module of an operator's other neighbours."""
    spread = behind.around[near]
    others = [draft.places[other] for other in producers if other != near]
    if spread is None or not others:
        return False
    inner = _common(draft, others if following is None else [*others, following])
    return inner is not None and inner != spread and draft.is_within(inner, spread)


def _block_of_residual(draft: Draft, wiring: Wiring, position: int, producers: Sequence[int], limit: int) -> int | None:
    """The innermost module around the latest producer that also takes or makes the other inputs."""
    latest = max(producers)
    others = [near for near in producers if near != latest]
    block = _around_layer(draft, draft.places[latest])
    while block != limit:
        if all(_meets(draft, wiring, near, position, block) for near in others):
            return block
        block = draft.outer(block)
    return None


def _meets(draft: Draft, wiring: Wiring, producer: int, besides: int, block: int) -> bool:
    """Whether a block holds an operator or one of its consumers."""
    near = (producer, *(user for user in wiring.consumers[producer] if user != besides))
    return any(draft.rules[user] is not None and draft.is_within(draft.places[user], block) for user in near)


def _around_layer(draft: Draft, module: int) -> int:
    """The module around a module without children: an operator beside a layer with parameters is no part of it."""
    return draft.outer(module) if draft.is_leaf(module) and module != draft.root else module


def _common(draft: Draft, modules: Sequence[int]) -> int | None:
    if not modules:
        return None
    found = modules[0]
    for module in modules:
        if found != module:
            found = draft.common(found, module)
    return found
