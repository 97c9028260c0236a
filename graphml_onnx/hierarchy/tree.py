"""The records of the hierarchy: an operator as it is seen, a module, and the tree with its operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphml_onnx.hierarchy.paths import PrefixIndex, around, name_scope, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_LEVELS: Final = 100
"""Levels of modules that a tree may have; whatever lies deeper is folded into its ancestor at this level."""

NOWHERE: Final = -1
"""Stands for a module's index where an operator or a parameter lies directly in the model."""


Rule: TypeAlias = Literal["tag", "tag and name", "first of tag", "nearest tag", "own tag", "scope", "name", "root"]
"""What placed an operator; see `graphml_onnx.hierarchy`."""


class Operator(NamedTuple):
    """What the hierarchy may know of one operator of the main graph.

    Attributes:
        name: name of the operator; may be empty, may repeat.
        tag: ``metadata_props["winml.hierarchy.tag"]``, or the string attribute ``hierarchy_tag``.
        name_scopes: text of ``metadata_props["pkg.torch.onnx.name_scopes"]``, a Python list of strings.
        class_hierarchy: text of ``metadata_props["pkg.torch.onnx.class_hierarchy"]``, another one.
        namespace: text of ``metadata_props["namespace"]``.
    """

    name: str
    tag: str | None = None
    name_scopes: str | None = None
    class_hierarchy: str | None = None
    namespace: str | None = None


class Module(NamedTuple):
    """One module of the tree.

    Attributes:
        parent: index of the module around it in `Hierarchy.modules`; None directly in the model.
        class_name: name of its class, without the package.
        tag: its ``traced_tag``, a path of classes; built from its place where the source has none; never empty.
        scope: dotted path of attribute names from the root module; empty for the root module itself.
        name: last part of ``scope``; the class name for the root module.
        execution_order: place in the order of execution, if the metadata gives it.
        source: as the metadata gives it, if it does.
        module_type: as the metadata gives it, if it does.
    """

    parent: int | None
    class_name: str
    tag: str
    scope: str
    name: str
    execution_order: int | None = None
    source: str | None = None
    module_type: str | None = None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The module tree of a model, and the place of each operator of the main graph in it.

    Attributes:
        source: what the tree was built from: ``metadata``, ``tags``, ``exporter``, ``names`` or ``flat``.
        modules: parents before their children, siblings in the order of the source.
        placement: for each operator the index of its module, or -1 for an operator directly in the model.
        tags: for each operator the tag that its source gives it, or None.
        rules: number of operators by the rule that placed them; see `graphml_onnx.hierarchy`.
        findings: what a reader should know, one line each.
        coverage: percentage (0 to 100) of the operators that the source places itself, without a fallback.
    """

    source: str
    modules: tuple[Module, ...]
    placement: Sequence[int]
    tags: Sequence[str | None]
    rules: Mapping[str, int]
    findings: tuple[str, ...]
    coverage: float
    _scopes: PrefixIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scopes = PrefixIndex()
        for index, module in enumerate(self.modules):
            scopes.add(parts_of(module.scope), index)
        object.__setattr__(self, "_scopes", scopes)

    def owner(self, parameter_name: str) -> int:
        """Finds the module that a parameter belongs to.

        Args:
            parameter_name: name of an initializer: ``encoder.layer.0.output.dense.bias``, or a constant that the
                exporter folded: ``/encoder/layer.0/Constant_output_0``.

        Returns:
            Index of the module whose scope is the longest dotted prefix of the name; -1 if there is none. That a
            name tells of no module, as ``onnx::Conv_59`` does, does not make it one of the root module.
        """
        modules = around(parameter_name)
        owner = self._scopes.deepest(parts_of(parameter_name) if modules is None else name_scope(modules))
        return owner if owner != NOWHERE and self.modules[owner].scope else NOWHERE
