"""The order of an ONNX list, whose nodes each name the one before them; after an edit, they may leave some of it open.

Source: docs/format.md, section "Order".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

_Identity = TypeVar("_Identity", bound="Hashable")

_START = -1  # in place of the row of a node: the start of the list


class CircleError(ValueError):
    """Nodes stand behind each other in a circle.

    Attributes:
        row: one of them.
    """

    def __init__(self, row: int) -> None:
        super().__init__("nodes stand behind each other in a circle")
        self.row = row


def in_order(
    own: Sequence[_Identity],
    after: Sequence[_Identity | None],
    start: _Identity,
    needs: Callable[[], Mapping[int, Iterable[int]]] | None = None,
) -> Sequence[int]:
    """The rows of a list in the order of the list.

    Args:
        own: the identity of each node, in the order of the document.
        after: the identity of the node before each of them; None where it does not say one.
        start: what the first one names.
        needs: by row, the rows that have to come earlier; only called where the order is open.

    Raises:
        CircleError: nodes stand behind each other in a circle.
    """
    followers = dict(zip(after, range(len(own)), strict=True))
    order: list[int] = []
    here = start
    while (row := followers.get(here)) is not None and len(order) < len(own):
        order.append(row)
        here = own[row]
    if len(order) == len(own):
        return order
    order = _in_chains(own, after, start)
    return order if needs is None else _sorted(order, needs())


def _in_chains(own: Sequence[_Identity], after: Sequence[_Identity | None], start: _Identity) -> list[int]:
    """What ``after`` alone tells: of nodes that stand behind the same one, first that with fewer behind it."""
    rows: dict[_Identity | None, int] = {identity: row for row, identity in enumerate(own)}
    rows[start] = _START
    followers: dict[int, list[int]] = {_START: []}
    loose = []  # whose node before them is not said, or not in the list any more
    for row, identity in enumerate(after):
        before = None if identity is None else rows.get(identity)
        if before is None:
            loose.append(row)
        else:
            followers.setdefault(before, []).append(row)

    def walk() -> list[int]:
        order: list[int] = []
        todo = [*reversed(loose), *reversed(followers[_START])]
        while todo:
            row = todo.pop()
            order.append(row)
            todo.extend(reversed(followers.get(row, ())))
        return order

    order = walk()
    if len(order) < len(own):
        raise CircleError(min(set(range(len(own))) - set(order)))
    sizes = [1] * len(own)
    for row in reversed(order):
        sizes[row] += sum(sizes[follower] for follower in followers.get(row, ()))
    for group in followers.values():
        group.sort(key=lambda row: (sizes[row], row))
    return walk()


def _sorted(order: Sequence[int], needs: Mapping[int, Iterable[int]]) -> list[int]:
    """The same rows; each stands behind those that it needs, which are moved forward where they stand later."""
    rank = {row: place for place, row in enumerate(order)}
    result: dict[int, None] = {}
    entered: set[int] = set()
    for row in order:
        todo = [row]
        while todo:
            here = todo[-1]
            if here in entered:  # all that it needs is there, but for circles
                result[todo.pop()] = None
                continue
            entered.add(here)
            missing = {other for other in needs.get(here, ()) if other not in entered}
            todo.extend(sorted(missing, key=rank.__getitem__, reverse=True))
    return list(result)


def needs_by_body(
    flows: Iterable[tuple[int, int]], bodies: Mapping[int, int], around: Mapping[int, int]
) -> Mapping[int, Mapping[int, Sequence[int]]]:
    """By body and operator, the operators of the body that make what it, or a body of it, consumes.

    Args:
        flows: nodes between which tensors flow.
        bodies: the body of each operator.
        around: the operator around each body.
    """
    needs: dict[int, dict[int, list[int]]] = {}
    for source, target in flows:
        body, here = bodies.get(source), target
        if body is None:
            continue
        while here in bodies and bodies[here] != body and bodies[here] in around:
            here = around[bodies[here]]
        if bodies.get(here) == body and here != source:
            needs.setdefault(body, {}).setdefault(here, []).append(source)
    return needs
