"""Modules from the names of a graph's operators and parameters; each name is read once, on demand."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.names import Calls, scopes_of
from graphml_onnx.hierarchy.parameter_names import owner_path
from graphml_onnx.hierarchy.parameters import owners_of
from graphml_onnx.hierarchy.tags import Hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.hierarchy.draft import Draft
    from graphml_onnx.hierarchy.parameters import Path
    from graphml_onnx.hierarchy.paths import NameStep
    from graphml_onnx.hierarchy.tree import Graph
    from graphml_onnx.hierarchy.wiring import Wiring


class NameEvidence:
    """Reads the names of a graph.

    Args:
        graph: the graph.
        wiring: its dataflow.
        outer: the weights of the graphs around it.
    """

    def __init__(self, graph: Graph, wiring: Wiring, outer: Mapping[str, tuple[int, ...]]) -> None:
        self._graph = graph
        self._wiring = wiring
        self._outer = outer

    @cached_property
    def owners(self) -> list[Path | None]:
        """For each operator the module that owns its parameters."""
        return owners_of(self._graph, self._wiring)

    @property
    def hints(self) -> list[Hint]:
        """For each operator the modules in its name, and the owner of its parameters."""
        pairs = zip(self._scopes, self.owners, strict=True)
        return [Hint(self._calls.of(steps)[0] if steps else None, owner) for steps, owner in pairs]

    def refine(self, draft: Draft) -> bool:
        """Places operators by their names, unless they are already in another module.

        Returns:
            Whether names contain modules (in a body, perhaps only the module of the body).
        """
        modules: dict[int, int] = {}  # end of each path, since many operators share one
        for position, steps in enumerate(self._scopes):
            if steps is None:
                continue
            has_place = draft.rules[position] is not None
            if not steps:
                if not has_place:
                    draft.put(position, draft.root, "name")
                continue
            path, call = self._calls.of(steps)
            if not has_place or _goes_on(path, draft.scope_of(draft.places[position])):
                if id(steps) not in modules:
                    modules[id(steps)] = draft.reach(path, "names")
                module = modules[id(steps)]
                if not has_place or module != draft.places[position]:
                    draft.put(position, module, "name")
            if call:
                draft.calls[position] = call
        return any(self._scopes)

    @cached_property
    def _scopes(self) -> list[list[NameStep] | None]:
        return scopes_of(self._graph.operators, self._takes_weight())

    @cached_property
    def _calls(self) -> Calls:
        return Calls(self._paths_used(), self._scopes)

    def _paths_used(self) -> Iterator[Path]:
        """The modules that own the parameters of operators."""
        for names in self._wiring.weights:
            for name in names:
                if path := owner_path(name):
                    yield path

    def _takes_weight(self) -> Sequence[bool]:
        """For each operator whether it uses a learned weight: a matrix, or a weight that has an owner."""
        own, outer = self._graph.weights, self._outer
        return [
            bool(owner) or any(len(own[name] if name in own else outer[name]) > 1 for name in names)
            for owner, names in zip(self.owners, self._wiring.weights, strict=True)
        ]


def _goes_on(path: Sequence[NameStep], scope: Sequence[str]) -> bool:
    """Whether a path goes deeper than a scope."""
    parts = [part for step in path for part in step.parts]
    return len(parts) > len(scope) and parts[: len(scope)] == scope
