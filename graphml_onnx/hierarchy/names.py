"""Reads modules from the names of operators: ``/encoder/layer.0/attention/self/query/MatMul``.

Not every scope in a name is a module. These steps remove what is not:

1. of the names of fused TensorFlow Lite operators (``a/Add;b/Mul``), only the first counts;
2. what inlining made: ``If_0_then_branch__Inline_0__``, ``F0::``, ``StatefulPartitionedCall/``, and the functions of
   TensorFlow's loops (``model_lstm_while_cond_frozen_600_model/lstm/while/Less``);
3. suffixes that an optimisation made: ``query/MatMul/MatMulAddFusion`` means ``query/MatMul``;
4. the operator's own segments: ``node_MatMul_66`` in ``node_MatMul_66/MatMulAddFusion``, the ``ReadVariableOp`` of
   TensorFlow, and its functions that are several operators (``dense/Tensordot/MatMul``);
5. if names do not start with a slash (PyTorch's do): a scope of one operator without a parameter
   (``flatten_1/Reshape``). If scopes are left for more than half of the operators, scopes are operators, not modules;
   layers with a parameter, in a scope around them, do not count (``model/dense_1/MatMul``).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from graphml_onnx.hierarchy.paths import UNKNOWN, NameStep, PrefixIndex, around, is_item_called_again, name_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.hierarchy.tree import Operator

_INLINED: Final = re.compile(r"^(?:.*__Inline_\d+__|(?:[A-Za-z]\w*::)+|_inlfunc_\w*?/)+")
_CALLS: Final = re.compile(r"(?:^|(?<=/))(?:Stateful)?PartitionedCall(?:_\d+)?(?::\d+)?(?:/|$)")
_LOOPS: Final = re.compile(r"^(?:cond___|\w+_while_(?:cond|body)(?:_(?:frozen_)?\d+)+_)(?=[A-Za-z]\w*/)")
_GENERATED: Final = re.compile(
    r"\w*Fusion\w*|\w*_token_\d+|fused\b.*|(?:\w*ReadVariableOp|resource)(?:_\d+)?(?::\d+)?", re.DOTALL
)
_LONGEST: Final = 4_096  # characters of a name or segment that may be generated
_OPERATOR: Final = re.compile(r"(?:node_)?([A-Z][A-Za-z0-9]*?)(?:_\d+)*")
_NODE: Final = re.compile(r"node_\w+")
_FUNCTION: Final = re.compile(rf"{_NODE.pattern}|(?:Tensordot|moments|batchnorm|(?:ones|zeros)_like)(?:_\d+)?")
_LAST_DOT: Final = re.compile(r"^([A-Za-z_][\w.\-]*)\.([A-Z][A-Za-z0-9]*)(?:_\d+)?$")
_FURTHER_CALL: Final = re.compile(r"(.*[^_])_([1-9]\d*)")
_MOST_SCOPES: Final = 2  # operators for each scope, at least


def scopes_of(operators: Sequence[Operator], takes_parameter: Sequence[bool]) -> list[list[NameStep] | None]:
    """The modules around each operator of a graph, read from its name.

    Args:
        operators: the operators of a graph.
        takes_parameter: whether each operator uses a weight.

    Returns:
        For each operator the path, from the outermost module inwards; empty where the name says that no module is
        around it (``/Relu``); None if it has no modules.
    """
    names = [plain_name(operator) for operator in operators]
    slashed = [name for name in names if "/" in name]
    of_torch = 2 * sum(name.startswith("/") for name in slashed) > len(slashed)
    known: dict[str | None, list[NameStep] | None] = {None: None}
    found: list[list[NameStep] | None] = []
    for name in names:
        modules = around(name)
        if modules not in known:
            known[modules] = _without_own(name_steps(modules or ""), _NODE if of_torch else _FUNCTION)
        steps = known[modules]
        found.append(None if steps is not None and not steps and not of_torch else steps)
    return found if of_torch else _judged(operators, found, takes_parameter)


def plain_name(operator: Operator) -> str:
    """The name of an operator without the additions of inlining, fusion and optimisation."""
    name = operator.name.partition(";")[0]
    if "Inline_" in name or "::" in name or name.startswith("_inl"):
        name = _INLINED.sub("", name)
    if "PartitionedCall" in name:
        name = _CALLS.sub("", name)
    if len(name) <= _LONGEST and ("_while_" in name or name.startswith("cond___")):
        name = _LOOPS.sub("", name)
    last = name.rpartition("/")[2]
    if last != name and (not last or _is_generated(last)):
        name = _without_generated(name)
    if "/" not in name and (dotted := _LAST_DOT.match(name)) and dotted[2] == operator.op_type:
        return f"{dotted[1].replace('.', '/')}/{dotted[2]}"
    return name


def _is_generated(segment: str) -> bool:
    return len(segment) <= _LONGEST and _GENERATED.fullmatch(segment) is not None


def _without_generated(name: str) -> str:
    """Drops the segments at the end that no exporter wrote, with the slashes around them."""
    segments = name.split("/")
    end = last = len(segments)
    while last > 1:
        if segments[last - 1]:
            if not _is_generated(segments[last - 1]):
                break
            end = last - 1
        last -= 1
    while 1 < end < len(segments) and not segments[end - 1]:
        end -= 1
    return "/".join(segments[:end])


def _without_own(steps: list[NameStep], own: re.Pattern[str]) -> list[NameStep]:
    """Drops segments at the end that an exporter gives to operators: ``node_linear_1``, ``Tensordot``."""
    end = len(steps)
    while end and own.fullmatch(steps[end - 1].segment):
        end -= 1
    return steps[:end]


def _judged(
    operators: Sequence[Operator], found: list[list[NameStep] | None], takes_parameter: Sequence[bool]
) -> list[list[NameStep] | None]:
    """Drops scopes of single operators, and all scopes if the rest are operators too."""
    inside: Counter[tuple[str, ...]] = Counter()
    with_parameter: set[tuple[str, ...]] = set()
    paths = [None if steps is None else tuple(step.segment for step in steps) for steps in found]
    for position, path in enumerate(paths):
        if path and operators[position].op_type != "Constant":
            for length in range(len(path), 0, -1):
                inside[path[:length]] += 1
                if takes_parameter[position]:
                    with_parameter.add(path[:length])
    known: dict[tuple[str, ...], int] = {}
    for path in paths:
        if path and path not in known:
            end = len(path)
            while end and _is_single(path[:end], inside, with_parameter):
                end -= 1
            known[path] = end
    scopes = {path[:length] for path, end in known.items() for length in range(1, end + 1)}
    placed = sum(bool(path and known[path]) for path in paths)
    layers = {path for path in with_parameter if len(path) > 1}  # in a model that the names tell of as well
    if _MOST_SCOPES * len(scopes - layers) > placed:
        return [None] * len(found)
    return [steps[: known[path]] if path and steps else steps for path, steps in zip(paths, found, strict=True)]


def _is_single(path: tuple[str, ...], inside: Counter[tuple[str, ...]], with_parameter: set[tuple[str, ...]]) -> bool:
    """Whether a scope holds one operator, and has an operator's name or uses no parameter."""
    return inside[path] <= 1 and (path not in with_parameter or _OPERATOR.fullmatch(path[-1]) is not None)


class Calls:
    """Recognises repeated calls of one module: ``self_attn_7``, if parameters know only ``self_attn``.

    PyTorch's TorchScript exporter numbers the calls of a module in the names of operators, but not in those of
    parameters. A module without parameters counts as called again if its first call is there as well, and if its
    siblings are called again or it is an item of a list (``actor.1_2`` beside ``actor.1``).

    Args:
        paths: the modules that own parameters.
        scopes: the modules around all operators of the graph.
    """

    def __init__(self, paths: Iterable[Sequence[str]], scopes: Iterable[Sequence[NameStep] | None]) -> None:
        self._known = PrefixIndex()
        self._scopes = PrefixIndex()
        self._called_again: set[int] = set()
        self._answers: dict[int, tuple[list[NameStep], str]] = {}
        distinct = {id(steps): steps for steps in scopes if steps}.values()
        if not any(_FURTHER_CALL.fullmatch(step.parts[-1]) for steps in distinct for step in steps):
            return
        for path in paths:
            self._known.add(path, 0)
        for steps in distinct:
            self._scopes.add((step.parts[-1] for step in steps), 0)
        for steps in distinct:
            place = node = 0
            for step in steps:
                first = _FURTHER_CALL.fullmatch(step.parts[-1])
                parts = step.parts
                if first and self._known.step(node, parts) is None:
                    parts = (*parts[:-1], first[1])
                    if self._known.step(node, parts) is not None or (
                        is_item_called_again(step) and self._scopes.step(place, (first[1],)) is not None
                    ):
                        self._called_again.add(place)
                node = self._known.step(node, parts) or UNKNOWN
                place = self._scopes.step(place, step.parts[-1:]) or UNKNOWN

    def of(self, steps: list[NameStep]) -> tuple[list[NameStep], str]:
        """The modules themselves, and the numbers of their calls; the latter empty for the first of each."""
        if not self._called_again:
            return steps, ""
        if id(steps) not in self._answers:
            self._answers[id(steps)] = self._of(steps)
        return self._answers[id(steps)]

    def _of(self, steps: list[NameStep]) -> tuple[list[NameStep], str]:
        place = node = 0
        modules: list[NameStep] = []
        numbers: list[str] = []
        for step in steps:
            first = _FURTHER_CALL.fullmatch(step.parts[-1])
            own = step
            if first and place in self._called_again and self._known.step(node, step.parts) is None:
                parts = (*step.parts[:-1], first[1])
                if self._known.step(node, parts) is not None or self._scopes.step(place, (first[1],)) is not None:
                    own = NameStep(first[1], parts)
                    numbers.append(f"{first[1]} {first[2]}")
            modules.append(own)
            node = self._known.step(node, own.parts) or UNKNOWN
            place = self._scopes.step(place, step.parts[-1:]) or UNKNOWN
        return modules, ", ".join(numbers)
