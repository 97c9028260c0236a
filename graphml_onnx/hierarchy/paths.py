"""Paths as the sources write them (tags, scopes, operator names), and the search for the longest known prefix."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CALLED_AGAIN: Final = re.compile(r"\d+_[1-9]\d*")


def parts_of(scope: str) -> list[str]:
    """Splits a dotted scope: ``encoder.layer.0`` has three parts, the empty scope of the root module none."""
    return scope.split(".") if scope else []


def last_part(scope: str) -> str:
    """The name of the module at a dotted scope: ``0`` for ``encoder.layer.0``."""
    return scope.rpartition(".")[2]


def joined(scope: str, part: str) -> str:
    """The scope of ``part`` in the module at ``scope``."""
    return f"{scope}.{part}" if scope else part


def shared_parts(left: Sequence[str], right: Sequence[str]) -> int:
    """How many leading parts two paths have in common."""
    pairs = zip(left, right, strict=False)
    return next((length for length, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))


def segments_of(tag: str) -> list[str]:
    """Splits a tag: ``/BertModel/BertEncoder`` has two segments. Empty ones do not count."""
    return [segment for segment in tag.split("/") if segment]


def class_and_name(segment: str) -> tuple[str, str]:
    """Splits a segment of a tag: ``BertLayer.0`` is the class BertLayer, named 0; the name may be missing."""
    class_name, _, name = segment.partition(".")
    return (class_name, name) if class_name else (segment, "")


class NameStep(NamedTuple):
    """One module in the name of an operator: its segment, and the parts that it adds to the scope."""

    segment: str
    parts: tuple[str, ...]


def around(name: str) -> str | None:
    """The part of an operator's name that names the modules around it; None if the name has no slash."""
    modules, slash, _ = name.rpartition("/")
    return modules if slash else None


def name_steps(modules: str) -> list[NameStep]:
    """Reads the modules around an operator, from the outermost inwards.

    PyTorch's TorchScript exporter and TensorFlow write the modules as segments of the operator's name, with and
    without a slash in front. PyTorch repeats the name of a container that is called itself: in
    ``/layer1/layer1.0/conv1/Conv`` the module ``layer1.0`` is in ``layer1``, so its scope is ``layer1.0``, not
    ``layer1.layer1.0``.

    Args:
        modules: the operator's name without its last segment; see `around`.
    """
    steps: list[NameStep] = []
    previous = ""
    for segment in segments_of(modules):
        own = _item_of(previous, segment) or segment
        steps.append(NameStep(segment, tuple(own.split("."))))
        previous = segment
    return steps


def name_scope(modules: str) -> list[str]:
    """The parts of the scope that `name_steps` finds."""
    return [part for step in name_steps(modules) for part in step.parts]


def _item_of(container: str, segment: str) -> str:
    """The index in ``segment`` if it names an item of ``container``: 0 for layer1 and layer1.0; else nothing."""
    if not container or not segment.startswith(f"{container}."):
        return ""
    index = segment[len(container) + 1 :]
    return index if index.replace(".", "").isdigit() or _CALLED_AGAIN.fullmatch(index) else ""


def is_item_called_again(step: NameStep) -> bool:
    """Whether a step has the form that PyTorch gives to a further call of an item: ``actor.1_2`` in ``actor``."""
    return step.segment != step.parts[-1] and _CALLED_AGAIN.fullmatch(step.parts[-1]) is not None


UNKNOWN: Final = -1
"""A node from which no path goes on."""


class PrefixIndex:
    """Finds the longest known prefix of a path in one walk along it.

    A dictionary of whole paths would cut and hash each prefix again, which is quadratic in the length of a
    hostile path. Here each prefix is a node, numbered from 0 (the empty path), that knows its parts.
    """

    __slots__ = ("_next", "_values")

    def __init__(self) -> None:
        self._next: dict[tuple[int, str], int] = {}
        self._values = [-1]

    def add(self, parts: Iterable[str], value: int) -> int:
        """Gives a path a value; the first value of a path stays.

        Args:
            parts: the path.
            value: not negative.

        Returns:
            The node of the path.
        """
        node = 0
        for part in parts:
            following = self._next.setdefault((node, part), len(self._values))
            if following == len(self._values):
                self._values.append(-1)
            node = following
        if self._values[node] < 0:
            self._values[node] = value
        return node

    def walk(self, parts: Iterable[str]) -> list[int]:
        """The nodes of the prefixes of a path that are known, from the empty one to the longest."""
        node = 0
        nodes = [node]
        for part in parts:
            following = self._next.get((node, part))
            if following is None:
                break
            node = following
            nodes.append(node)
        return nodes

    def step(self, node: int, parts: Iterable[str]) -> int | None:
        """The node of a path that goes on from another; None if it is not known."""
        for part in parts:
            following = self._next.get((node, part))
            if following is None:
                return None
            node = following
        return node

    def value(self, node: int) -> int:
        """The value of the path of a node, or -1."""
        return self._values[node]

    def deepest(self, parts: Iterable[str]) -> int:
        """The value of the longest prefix of a path that has one, or -1."""
        found = node = 0
        for part in parts:
            following = self._next.get((node, part))
            if following is None:
                break
            node = following
            if self._values[node] >= 0:
                found = node
        return self._values[found]
