"""The order of an ONNX list: each node names the one before it. After an edit, part of the order may be open.

Source: docs/format.md, section "Order".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

_Identity = TypeVar("_Identity", bound="Hashable")

_START = -1  # in place of the row of a node: the start of the list


class CircleError(ValueError):
    """The order of nodes is circular.

    Attributes:
        row: one of them.
    """

    def __init__(self, row: int) -> None:
        super().__init__("the order of nodes is circular")
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
        after: the identity of the node before each of them; None if it names none.
        start: the identity that the first one names.
        needs: by row, the rows that must come earlier; only called if the order is open.

    Raises:
        CircleError: the order of nodes is circular.
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
    """The order by ``after`` alone; of nodes after the same one, the one with fewer nodes after it comes first."""
    rows: dict[_Identity | None, int] = {identity: row for row, identity in enumerate(own)}
    rows[start] = _START
    followers: dict[int, list[int]] = {_START: []}
    loose = []  # nodes that name no node before them, or one that is gone
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
    """The same rows, after moving forward the rows that an earlier row needs."""
    rank = {row: place for place, row in enumerate(order)}
    result: dict[int, None] = {}
    entered: set[int] = set()
    for row in order:
        todo = [row]
        while todo:
            here = todo[-1]
            if here in entered:  # all that it needs is there, except in circles
                result[todo.pop()] = None
                continue
            entered.add(here)
            missing = {other for other in needs.get(here, ()) if other not in entered}
            todo.extend(sorted(missing, key=rank.__getitem__, reverse=True))
    return list(result)


def needs_by_body(
    flows: Iterable[tuple[int, int]], bodies: Mapping[int, int], around: Mapping[int, int]
) -> Mapping[int, Mapping[int, Sequence[int]]]:
    """By body and operator, the operators of the body whose outputs it, or a body of it, consumes.

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
