"""A source of modules in the model itself: it gives each operator a path, and describes the module at each step.

A new source is a subclass of `Source` in a module of its own, its name in `SourceName` and its rule in `Rule`
(`tree.py`), and its turn in `_Builder._by_model` (`build.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from graphml_onnx.hierarchy.tree import Module, Operator, Rule, SourceName

Key = TypeVar("Key", bound="Hashable")
Step = TypeVar("Step", bound="Hashable")


class Description(NamedTuple):
    """A step's module: its class, its segment of the tag, and its whole scope."""

    class_name: str
    segment: str
    scope: str


class Source(ABC, Generic[Key, Step]):
    """A source in the model itself, which gives operators a path in the tree.

    Attributes:
        name: what `Hierarchy.source` calls it.
        rule: what `Hierarchy.rules` calls it.
        has_root: whether an operator without a path belongs in the outermost module, if there is only one.
    """

    name: ClassVar[SourceName]
    rule: ClassVar[Rule]
    has_root: ClassVar[bool]

    @abstractmethod
    def keys_of(self, operators: Sequence[Operator]) -> Iterable[Key | None]:
        """What each of the operators of the graph holds of this source; None if it holds nothing."""

    @abstractmethod
    def steps_of(self, key: Key) -> Sequence[Step] | None:
        """The path in that data, from the outermost module inwards; None if it cannot be read."""

    @abstractmethod
    def tag_of(self, operator: Operator) -> str | None:
        """The tag that this source gives an operator."""

    @abstractmethod
    def describe(self, step: Step, outer: Module | None) -> Description:
        """Describes the module that a step leads to; called once for each module of the tree."""
