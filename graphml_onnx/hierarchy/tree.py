"""The records of the hierarchy: operator, module, and the tree with its operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphml_onnx.hierarchy.paths import PrefixIndex, around, name_scope, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.hierarchy.exporter import Texts
    from graphml_onnx.support.notices import Notice

MAX_LEVELS: Final = 100
"""Levels of modules that a tree may have; deeper modules are folded into their ancestor at this level.

Bodies whose modules would be deeper, with those around, have none.
"""

NOWHERE: Final = -1
"""The module index of an operator or a parameter that is directly in its graph."""

Rule: TypeAlias = Literal[
    "tag",
    "tag and name",
    "first of tag",
    "nearest tag",
    "own tag",
    "scope",
    "name",
    "parameter",
    "neighbours",
    "repetition",
    "root",
]
"""What placed an operator; see `graphml_onnx.hierarchy`."""

SourceName: TypeAlias = Literal["metadata", "tags", "exporter", "names", "parameters", "repetition", "none"]
"""Where modules come from; see `graphml_onnx.hierarchy`."""


class Graph(NamedTuple):
    """The main graph, a body or a function, as the hierarchy sees it.

    Attributes:
        operators: its operators, in their order.
        weights: its initializers by name, with their dimensions.
    """

    operators: Sequence[Operator]
    weights: Mapping[str, tuple[int, ...]] = {}


class Operator(NamedTuple):
    """An operator, as the hierarchy sees it.

    Attributes:
        name: name of the operator; may be empty, may repeat.
        tag: ``winml.hierarchy.tag`` of its metadata_props or attributes, or the attribute ``hierarchy_tag``.
        texts: what its exporter wrote about the modules around it, if anything.
        op_type: its type.
        inputs: names of its inputs.
        outputs: names of its outputs.
        bodies: the graphs in its attributes, in their order.
    """

    name: str
    tag: str | None = None
    texts: Texts | None = None
    op_type: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    bodies: tuple[Graph, ...] = ()


class Module(NamedTuple):
    """One module of the tree.

    Attributes:
        parent: index of the module around it in `Placed.modules`; None directly in the graph.
        class_name: name of its class, without the package; empty if unknown.
        tag: its ``traced_tag``, a path of classes; built from its place if the source has none; never empty.
        scope: dotted path of attribute names from the root module; empty for the root module itself.
        name: last part of ``scope``; the class name for the root module.
        execution_order: place in the order of execution, if the metadata gives it.
        source: as the metadata gives it, if it does.
        module_type: as the metadata gives it, if it does.
        told_by: the source that it comes from.
    """

    parent: int | None
    class_name: str
    tag: str
    scope: str
    name: str
    execution_order: int | None = None
    source: str | None = None
    module_type: str | None = None
    told_by: SourceName = "metadata"

    @property
    def label(self) -> str:
        """Its label for people: name and class, as far as known."""
        if not self.class_name:
            return self.tag.rpartition("/")[2] or self.name
        return self.class_name if self.name in ("", self.class_name) else f"{self.name}: {self.class_name}"


@dataclass(frozen=True, slots=True)
class Placed:
    """The modules of one graph, and the place of each of its operators.

    Attributes:
        modules: parents before their children, siblings in the order of the source.
        placement: for each operator the index of its module, or -1 for an operator directly in the graph.
        rules: for each operator the rule that placed it; see `graphml_onnx.hierarchy`.
        tags: for each operator the tag that its source gives it, or None.
        calls: number of the call, by position, for operators of modules that are called more than once.
        bodies: the same of the bodies of an operator, by its position.
    """

    modules: tuple[Module, ...]
    placement: Sequence[int]
    rules: Sequence[Rule]
    tags: Sequence[str | None]
    calls: Mapping[int, str]
    bodies: Mapping[int, tuple[Placed, ...]]

    def walk(self) -> Iterator[Placed]:
        """This graph and all bodies in it."""
        todo = [self]
        while todo:
            placed = todo.pop()
            yield placed
            todo += [body for bodies in placed.bodies.values() for body in bodies]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The module trees of a model, and the place of each operator in them.

    Attributes:
        source: the first source of the main graph's tree; if the main graph has no modules, that of its bodies and
            functions; ``none`` if there are no modules.
        main: the main graph.
        functions: the functions, in their order.
        findings: findings, one line each.
        coverage: percentage (0 to 100) of all operators, bodies and functions included, that are in a module below
            the root, either themselves or because the operator of their body is.
        coverages: the same for the operators of the ``main`` graph, of ``bodies`` and of ``functions``, where there
            are such operators.
    """

    source: SourceName
    main: Placed
    functions: tuple[Placed, ...]
    findings: tuple[Notice, ...]
    coverage: float
    coverages: Mapping[str, float]
    _scopes: PrefixIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scopes = PrefixIndex()
        for index, module in enumerate(self.main.modules):
            scopes.add(parts_of(module.scope), index)
        object.__setattr__(self, "_scopes", scopes)

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules of the main graph."""
        return self.main.modules

    @property
    def inner_modules(self) -> int:
        """How many modules bodies and functions have."""
        graphs = (self.main, *self.functions)
        return sum(len(placed.modules) for graph in graphs for placed in graph.walk()) - len(self.main.modules)

    @property
    def placement(self) -> Sequence[int]:
        """The places of the main graph's operators."""
        return self.main.placement

    @property
    def tags(self) -> Sequence[str | None]:
        """The tags of the main graph's operators."""
        return self.main.tags

    @property
    def rules(self) -> Mapping[str, int]:
        """Number of operators by the rule that placed them, bodies and functions included."""
        counts: dict[str, int] = {}
        for graph in (self.main, *self.functions):
            for placed in graph.walk():
                for rule in placed.rules:
                    counts[rule] = counts.get(rule, 0) + 1
        return counts

    def owner(self, parameter_name: str) -> int:
        """Finds the module that a parameter belongs to.

        Args:
            parameter_name: name of an initializer: ``encoder.layer.0.output.dense.bias``, or a constant that the
                exporter folded: ``/encoder/layer.0/Constant_output_0``.

        Returns:
            Index of the module of the main graph whose scope is the longest dotted prefix of the name; -1 if there is
            none. A name without a module, such as ``onnx::Conv_59``, does not belong to the root module.
        """
        modules = around(parameter_name)
        owner = self._scopes.deepest(parts_of(parameter_name) if modules is None else name_scope(modules))
        return owner if owner != NOWHERE and self.modules[owner].scope else NOWHERE
