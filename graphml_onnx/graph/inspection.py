"""Sums up a model's operators, parameters and cost by module or type of operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.graph.macs import macs_of
from graphml_onnx.graph.statistics import Moments, Statistics, statistics_of
from graphml_onnx.graph.structure import ModuleLook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphml_onnx.graph.elements import Module, Operator, Parameter
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.support.strictjson import Json


@dataclass(frozen=True, slots=True)
class Share:
    """The sums of a module, or of all operators of one type.

    Attributes:
        name: path of the module, or type of the operators; of the root of a body, the path of the body.
        class_name: class of the module; domain of the operators.
        body: path of the body that the module is in; empty for the main graph, and for types.
        depth: how many modules are around the module; 0 for types.
        operators: number of operators, including those of inner modules and of bodies.
        parameters: number of elements of its parameters.
        nbytes: bytes of its parameters.
        macs: multiply-accumulate operations of the operators for which they are known; bodies count once.
        unknown_macs: number of operators whose MACs depend on an unknown shape or operator.
        statistics: of its weights, if they were requested and all could be read.
    """

    name: str
    class_name: str
    body: str
    depth: int
    operators: int
    parameters: int
    nbytes: int
    macs: int
    unknown_macs: int
    statistics: Statistics | None = None

    def to_dict(self) -> dict[str, Json]:
        """The facts by name."""
        facts: dict[str, Json] = {
            name: getattr(self, name) for name in self.__slots__ if name not in ("statistics", "depth")
        }
        if self.statistics is not None:
            facts["statistics"] = self.statistics.to_dict()
        return facts


Failed: TypeAlias = "Callable[[Parameter, GraphmlOnnxError], None]"
"""Called with each parameter that could not be read, and the error."""


def module_shares(
    module: Module, depth: int | None = None, *, statistics: bool = False, failed: Failed | None = None
) -> Sequence[Share]:
    """The sums of a module and of each module in it, those in bodies included.

    Args:
        module: the outermost.
        depth: how many levels below it; None for all.
        statistics: whether to read the weights, each once.
        failed: called with weights that cannot be read; the modules around them have no statistics. Without it, the
            first of them is an error.

    Raises:
        GraphmlOnnxError: a weight cannot be read.
    """
    sums = sums_of(module)
    moments = _moments_of(module, failed) if statistics else {}
    return [
        _share_of(inner, level, sums[inner], moments[inner].result() if inner in moments else None)
        for inner, level in module.levels(bodies=True).items()
        if depth is None or level <= depth
    ]


def _moments_of(module: Module, failed: Failed | None) -> dict[Module, Moments]:
    """The moments of all weights of a module and of each inner one; None if a weight cannot be read."""
    own = {inner: _own_moments(inner, failed) for inner in module.walk(bodies=True)}
    found: dict[Module, Moments] = {}
    for inner, total in reversed(own.items()):
        below = (*inner.children, *inner.roots)
        if total is None or any(child not in found for child in below):
            continue
        for child in below:
            total.join(found[child])
        found[inner] = total
    return found


def _own_moments(module: Module, failed: Failed | None) -> Moments | None:
    total: Moments | None = Moments()
    for parameter in module.parameters:
        try:
            moments = Moments.of(parameter.data)
        except GraphmlOnnxError as error:
            if failed is None:
                raise
            failed(parameter, error)
            total = None
        else:
            if total is not None:
                total.join(moments)
    return total


@dataclass(frozen=True, slots=True)
class Row:
    """Modules that are shown as one: siblings that look the same.

    Attributes:
        share: their sum, including those that are folded with a module around them.
        modules: the siblings; one where no other looks the same.
    """

    share: Share
    modules: Sequence[Module]


def folded_shares(module: Module, depth: int | None = None) -> Sequence[Row]:
    """Like `module_shares`, with neighbours that look the same as one row.

    Two modules look the same if their operators have the same types, attributes and flow, and their parameters the same
    types and shapes. Names do not matter.

    Args:
        module: the outermost.
        depth: how many levels below it; None for all.
    """
    sums = sums_of(module)
    rows: list[Row] = []

    todo: list[tuple[Sequence[Module], int, int]] = [([module], 1, 0)]
    while todo:
        siblings, around, level = todo.pop()
        first, times = siblings[0], around * len(siblings)
        total = Counter({name: count * times for name, count in sums[first].items()})
        rows.append(Row(_share_of(first, level, total, None), siblings))
        if depth is None or level < depth:
            groups = [*alike(first.children, sums), *([root] for root in first.roots)]
            todo += [(group, times, level + 1) for group in reversed(groups)]
    return rows


def alike(modules: Iterable[Module], sums: Mapping[Module, Counter[str]]) -> Iterator[Sequence[Module]]:
    """Neighbours that look the same. Their structure is only computed if their sums are equal.

    Args:
        modules: siblings, in their order.
        sums: the result of `sums_of` for the modules around them.
    """
    group: list[Module] = []
    first: ModuleLook | None = None  # of the group, once it was asked for
    for module in modules:
        own: ModuleLook | None = None
        if group and sums[group[0]] == sums[module]:
            first = first or ModuleLook(group[0])
            own = ModuleLook(module)
            if first == own:
                group.append(module)
                continue
        if group:
            yield group
        group, first = [module], own
    if group:
        yield group


class Repeats:
    """Neighbours that look the same, in all modules of a model.

    Modules that look the same have the same repeats in them, so these are looked for in the first of them only.

    Args:
        sums: the result of `sums_of` for the root.
    """

    def __init__(self, sums: Mapping[Module, Counter[str]]) -> None:
        self._sums = sums
        self._lengths: dict[Module, Sequence[int]] = {}
        self._first: dict[Module, Module] = {}  # by each module that looks like an earlier one

    def within(self, module: Module) -> Sequence[Sequence[Module]]:
        """The children of a module, in groups as of `alike`.

        Args:
            module: the module; those around it, and those before it, have been asked for.
        """
        if module in self._first:
            rest = iter(module.children)
            groups: list[Sequence[Module]] = [
                list(islice(rest, length)) for length in self._lengths[self._first[module]]
            ]
        else:
            groups = list(alike(module.children, self._sums))
            for first, *others in groups:
                for other in others:
                    self._first.update(zip(other.walk(), first.walk(), strict=True))
        self._lengths[module] = [len(group) for group in groups]
        return groups


def sums_of(module: Module) -> dict[Module, Counter[str]]:
    """The sums of a module and of each module in it, those in bodies included."""
    sums: dict[Module, Counter[str]] = {}
    for inner in reversed([*module.walk(bodies=True)]):
        total: Counter[str] = Counter()
        _count_operators(total, _own_operators(inner))
        _count_parameters(total, inner.parameters)
        for child in (*inner.children, *inner.roots):
            total.update(sums[child])
        sums[inner] = total
    return sums


def operator_shares(module: Module) -> Sequence[Share]:
    """The types of operators in a module and in the modules in it, the most frequent first."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for operator in module.all_operators(bodies=True):
        total = sums.setdefault((operator.domain, operator.op_type), Counter())
        _count_operators(total, [operator])
        if (taken := _own_parameter(operator)) is not None:
            _count_parameters(total, [taken])
    owned: set[Parameter] = set()
    for parameter in module.all_parameters():
        for operator in parameter.consumers:
            if parameter not in owned and (key := (operator.domain, operator.op_type)) in sums:
                owned.add(parameter)
                if parameter.operator is None:
                    _count_parameters(sums[key], [parameter])
    ordered = sorted(sums.items(), key=lambda item: (-item[1]["operators"], item[0]))
    return [_share(op_type, domain, "", 0, total, None) for (domain, op_type), total in ordered]


def _own_parameter(operator: Operator) -> Parameter | None:
    tensor = operator.outputs[0] if operator.outputs else None
    parameter = None if tensor is None else tensor.parameter
    return parameter if parameter is not None and parameter.operator is operator else None


def parameter_statistics(parameter: Parameter, failed: Failed | None = None) -> Statistics | None:
    """Statistics of a parameter's elements; for a sparse one, of those that it stores.

    Args:
        parameter: the parameter.
        failed: called with the parameter if it cannot be read; without it, that is an error.

    Returns:
        The statistics; None if it cannot be read.

    Raises:
        GraphmlOnnxError: its elements are missing, cannot be read, or do not fit the shape.
    """
    try:
        return statistics_of([parameter.data])
    except GraphmlOnnxError as error:
        if failed is None:
            raise
        failed(parameter, error)
        return None


def _own_operators(module: Module) -> Iterator[Operator]:
    """The operators that are in a module and in none below it: its own, and those of bodies that have no modules."""
    for top in module.operators:
        yield top
        for body in top.bodies:
            for inner in body.walk():
                if inner.root is None and inner.module is module:
                    yield from inner.operators


def _count_operators(total: Counter[str], operators: Iterable[Operator]) -> None:
    for operator in operators:
        total["operators"] += 1
        macs = macs_of(operator)
        if macs is None:
            total["unknown"] += 1
        elif macs:
            total["macs"] += macs


def _count_parameters(total: Counter[str], parameters: Iterable[Parameter]) -> None:
    for parameter in parameters:
        total["parameters"] += parameter.size
        total["nbytes"] += parameter.nbytes


def _share_of(module: Module, depth: int, total: Counter[str], statistics: Statistics | None) -> Share:
    name = module.body.path if module is module.body.root else module.path
    return _share(name, module.class_name, module.body.path, depth, total, statistics)


def _share(
    name: str, class_name: str, body: str, depth: int, total: Counter[str], statistics: Statistics | None
) -> Share:
    return Share(
        name,
        class_name,
        body,
        depth,
        total["operators"],
        total["parameters"],
        total["nbytes"],
        total["macs"],
        total["unknown"],
        statistics,
    )


def external_files(graph: ModelGraph) -> Sequence[str]:
    """The data files that the model's parameters name, each once."""
    files = (p.location.file for p in graph.parameters if p.data.is_external)
    return list(dict.fromkeys(str(file) for file in files))
