"""What differs between two models: operators with their attributes and inputs, weights, model fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.graph.attributes import SparseTensor
from graphml_onnx.graph.elements import Body, Operator, Parameter, Tensor, attribute_json
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.matching import Matching
from graphml_onnx.graph.model_graph import ModelGraph, not_found
from graphml_onnx.graph.statistics import ValueChange, value_change
from graphml_onnx.graph.weights import TensorData, same_content

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphml_onnx.graph.attributes import AttributeItem, AttributeValue
    from graphml_onnx.support.strictjson import Json

ChangeKind: TypeAlias = Literal["added", "removed", "changed", "moved", "renamed"]
Subject: TypeAlias = Literal["operator", "parameter", "input", "output", "function", "model"]
Aspect: TypeAlias = Literal["doc_string", "metadata", "types", "names", "producer"]

ASPECTS: tuple[Aspect, ...] = ("doc_string", "metadata", "types", "names", "producer")
"""What a comparison can leave out."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: what happened to it.
        subject: what it is.
        module: path of its module; empty for the model.
        name: its name; the new one if it is in the new model.
        details: for each attribute or field its name, old value and new value; None for a missing value.
        op_type: type of the operator; empty for others.
        body: path of the body that it is in; empty for the main graph.
        values: how far the values of a weight moved; None without `stats`, and for other changes.
    """

    kind: ChangeKind
    subject: Subject
    module: str
    name: str
    details: tuple[tuple[str, str | None, str | None], ...] = ()
    op_type: str = ""
    body: str = ""
    values: ValueChange | None = None

    def to_dict(self) -> dict[str, Json]:
        """The change as JSON values."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "module": self.module,
            "body": self.body,
            "op_type": self.op_type,
            "name": self.name,
            "details": [{"what": what, "old": old, "new": new} for what, old, new in self.details],
            "values": None if self.values is None else asdict(self.values),
        }


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """The differences between two models; empty if there are none.

    Attributes:
        changes: in the order of the old model, added things at the end of their module.
    """

    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.changes

    def by_module(self) -> Mapping[str, Sequence[Change]]:
        """The changes by the path of their module; those of the model first."""
        found: dict[str, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.module, []).append(change)
        return dict(sorted(found.items()))

    def counts(self) -> Mapping[str, int]:
        """How many changes there are of each kind."""
        return Counter(change.kind for change in self.changes)

    def to_dict(self) -> dict[str, Json]:
        """The difference as JSON values."""
        return {"counts": dict(self.counts()), "changes": [change.to_dict() for change in self.changes]}

    def to_html(self, old: str = "old", new: str = "new") -> str:
        """The difference as a page of its own, without scripts.

        Args:
            old: the name of the old model on the page.
            new: the name of the new model.
        """
        from graphml_onnx.graph.difference_page import page

        return page(self, old, new)


def diff(
    old: str | os.PathLike[str] | ModelGraph,
    new: str | os.PathLike[str] | ModelGraph,
    *,
    module: str | None = None,
    ignore: Iterable[Aspect] = (),
    stats: bool = False,
) -> ModelDiff:
    """Compares two models, in ONNX or GraphML, operator by operator and weight by weight.

    Operators are matched by name and module, by the names of their outputs, then by their neighbours and their look. An
    operator that was inserted between others, or removed from between them, is one change; the changed inputs of its
    neighbours are not reported. The order of operators has no meaning where the flow is the same. Where modules of
    the two come from different sources (for example tags and names), their paths differ although no operator moved.

    Args:
        old: the one.
        new: the other.
        module: path or tag of a module of one of them; other changes are left out.
        ignore: aspects of `ASPECTS` to leave out.
        stats: whether to read both values of each weight that changed, and to say how far they are apart.

    Raises:
        UsageError: neither model has the module; the message names the nearest.
        GraphmlOnnxError: a model cannot be read, or its weights.
    """
    left, right = (model if isinstance(model, ModelGraph) else open_graph(model) for model in (old, new))
    path = "" if module is None else _path_of(module, left, right)
    changes = tuple(_Comparison(left, right, frozenset(ignore), stats).changes())
    if path:
        changes = tuple(c for c in changes if c.module == path or c.module.startswith(f"{path}."))
    return ModelDiff(changes)


def _path_of(module: str, old: ModelGraph, new: ModelGraph) -> str:
    modules = {**old.modules_by_name(), **new.modules_by_name()}
    if module not in modules:
        raise not_found("module", module, modules).at(file=new.path)
    return modules[module].path


def changes_of_function(old: ModelGraph, new: ModelGraph, key: tuple[str, str, str]) -> Iterator[Change]:
    """What differs between the functions of two models that one operator would call.

    Args:
        old: the one.
        new: the other.
        key: domain, name and overload of the function, which both have.

    Raises:
        GraphmlOnnxError: weights cannot be read.
    """
    return _Comparison(old, new, frozenset(), stats=False)._function(old.functions[key], new.functions[key])


@dataclass(slots=True)
class _Comparison:
    old: ModelGraph
    new: ModelGraph
    ignore: frozenset[Aspect]
    stats: bool
    pairs: dict[Tensor, Tensor] = field(default_factory=dict)

    def changes(self) -> Iterator[Change]:
        yield from self._model()
        yield from self._body(self.old.main, self.new.main)
        for key in sorted(self.old.functions.keys() | self.new.functions.keys()):
            ours, theirs = self.old.functions.get(key), self.new.functions.get(key)
            if ours is None or theirs is None:
                kind: ChangeKind = "added" if ours is None else "removed"
                yield Change(kind, "function", "", (ours or theirs or self.old.main).path)
            else:
                yield from self._function(ours, theirs)

    def _function(self, ours: Body, theirs: Body) -> Iterator[Change]:
        sides = [([t.name for t in body.inputs], [t.name for t in body.outputs]) for body in (ours, theirs)]
        if [*map(len, sides[0])] != [*map(len, sides[1])]:
            yield Change("changed", "function", "", ours.path, (("signature", str(sides[0]), str(sides[1])),))
        yield from self._body(ours, theirs)

    # The model

    def _model(self) -> Iterator[Change]:
        details: list[tuple[str, str | None, str | None]] = []
        for name in ("ir_version", "domain", "model_version", "producer_name", "producer_version", "doc_string"):
            if name in self.ignore or (name.startswith("producer") and "producer" in self.ignore):
                continue
            sides = [getattr(graph._model, name) for graph in (self.old, self.new)]
            ours, theirs = (string_of(side) if isinstance(side, bytes) else str(side) for side in sides)
            _compare(details, name, ours, theirs)
        if "names" not in self.ignore:
            _compare(details, "graph name", self.old.name, self.new.name)
        for domain in sorted(self.old.opsets.keys() | self.new.opsets.keys()):
            pair = (graph.opsets.get(domain) for graph in (self.old, self.new))
            _compare(details, f"opset {domain or 'ai.onnx'}", *(None if v is None else str(v) for v in pair))
        if "metadata" not in self.ignore:
            _compare_mappings(details, "metadata", self.old.metadata, self.new.metadata)
        if details:
            yield Change("changed", "model", "", self.new.name, tuple(details))

    # Bodies

    def _body(self, old: Body, new: Body) -> Iterator[Change]:
        matching = Matching(old, new, self.pairs)
        self.pairs.update(matching.new_tensor)
        flow = _Flow(matching)
        yield from self._boundary(old, new, matching, flow)
        yield from self._parameters(old, new, matching)
        for operator in old.operators:
            if operator in matching.new_of:
                yield from self._operator(operator, matching.new_of[operator], matching, flow)
            else:
                yield self._whole("removed", operator)
        for operator in new.operators:
            if operator not in matching.old_of:
                yield self._whole("added", operator)

    def _whole(self, kind: ChangeKind, operator: Operator) -> Change:
        names = [", ".join(t.name if t else "-" for t in side) for side in (operator.inputs, operator.outputs)]
        flow = f"{names[0]} -> {names[1]}"
        details = ("flow", None, flow) if kind == "added" else ("flow", flow, None)
        return _change(kind, operator, (details,))

    def _boundary(self, old: Body, new: Body, matching: Matching, flow: _Flow) -> Iterator[Change]:
        subject: Subject
        for subject, all_ours, all_theirs in (("input", old.inputs, new.inputs), ("output", old.outputs, new.outputs)):
            by_place = 0 if old.kind == "graph" else min(len(all_ours), len(all_theirs))
            ours, theirs = all_ours[by_place:], all_theirs[by_place:]
            before = {tensor.name: tensor for tensor in ours if tensor.parameter is None or subject == "output"}
            after = {tensor.name: tensor for tensor in theirs if tensor.parameter is None or subject == "output"}
            known = {tensor: name for name, tensor in after.items() if name not in before}
            for name, tensor in before.items():
                # One of another name, if the operator that makes it is there: an exporter called it so.
                now = name if name in after else known.pop(matching.new_tensor.get(tensor, tensor), None)
                if now is None:
                    yield Change("removed", subject, "", name, (("type", str(tensor.type), None),), body=old.path)
                    continue
                if now != name and "names" not in self.ignore:
                    yield Change("renamed", subject, "", now, (("name", name, now),), body=new.path)
                details: list[tuple[str, str | None, str | None]] = []
                if "types" not in self.ignore:
                    _compare(details, "type", str(tensor.type), str(after[now].type))
                if subject == "output" and not flow.is_same(tensor, after[now]):
                    _compare(details, "producer", _maker(tensor), _maker(after[now]))
                if details:
                    yield Change("changed", subject, "", now, tuple(details), body=old.path)
            for tensor, name in known.items():
                yield Change("added", subject, "", name, (("type", None, str(tensor.type)),), body=new.path)
        if old.kind != "graph":
            for place, (left, right) in enumerate(zip(old.outputs, new.outputs, strict=False)):
                if not flow.is_same(left, right):
                    details = [(f"output {place}", left.name, right.name)]
                    yield Change("changed", "output", "", right.name, tuple(details), body=new.path)

    def _parameters(self, old: Body, new: Body, matching: Matching) -> Iterator[Change]:
        twins, added = _twins(old, new, matching)
        for parameter, other in twins:
            if other is None:
                yield _parameter_change("removed", parameter)
                continue
            details: list[tuple[str, str | None, str | None]] = []
            _compare(details, "type", str(parameter.type), str(other.type))
            values = None
            if not details and not parameter.has_same_content(other):
                details.append(("content", parameter.digest[:16], other.digest[:16]))
                values = value_change(parameter.data, other.data) if self.stats and other.indices is None else None
            if parameter.name != other.name and "names" not in self.ignore:
                yield Change(
                    "renamed", "parameter", other.module.path, other.name, (("name", parameter.name, other.name),)
                )
            if details:
                path = other.module.path
                yield Change("changed", "parameter", path, other.name, tuple(details), body=new.path, values=values)
        for parameter in added:
            yield _parameter_change("added", parameter)

    # Operators

    def _operator(self, old: Operator, new: Operator, matching: Matching, flow: _Flow) -> Iterator[Change]:
        if self.old.hierarchy_source == self.new.hierarchy_source and old.module.path != new.module.path:
            yield _change("moved", new, (("module", old.module.path, new.module.path),))
        renamed: list[tuple[str, str | None, str | None]] = []
        if "names" not in self.ignore:
            _compare(renamed, "name", old.name, new.name)
            for place, (ours, theirs) in enumerate(zip(old.outputs, new.outputs, strict=False)):
                _compare(renamed, f"output {place}", _name(ours), _name(theirs))
        if renamed:
            yield _change("renamed", new, tuple(renamed))
        details: list[tuple[str, str | None, str | None]] = []
        inner: list[Change] = []
        for name in dict.fromkeys((*old.attributes, *new.attributes)):
            if name not in old.attributes or name not in new.attributes:
                before, after = (_shown(o.attributes[name]) if name in o.attributes else None for o in (old, new))
                details.append((name, before, after))
                continue
            inner += self._attribute(name, old.attributes[name], new.attributes[name], details)
        for place in range(max(len(old.inputs), len(new.inputs))):
            left, right = (o.inputs[place] if place < len(o.inputs) else None for o in (old, new))
            if not flow.is_same(left, right):
                details.append((f"input {place}", _name(left), _name(right)))
        if len(old.outputs) != len(new.outputs):
            details.append(("outputs", str(len(old.outputs)), str(len(new.outputs))))
        if "doc_string" not in self.ignore:
            _compare(details, "doc_string", old.doc_string, new.doc_string)
        if "metadata" not in self.ignore:
            _compare_mappings(details, "metadata", old.metadata, new.metadata)
        if "types" not in self.ignore:
            for left, right in zip(old.outputs, new.outputs, strict=False):
                if left is not None and right is not None and not (left.is_output and right.is_output):
                    _compare_types(details, left, right)
        if details:
            yield _change("changed", new, tuple(details))
        yield from inner

    def _attribute(
        self,
        name: str,
        old: AttributeValue,
        new: AttributeValue,
        details: list[tuple[str, str | None, str | None]],
    ) -> Iterable[Change]:
        match old, new:
            case Body(), Body():
                return self._body(old, new)
            case TensorData(), TensorData():
                if not same_content(old, new):
                    details.append((name, _shown(old), _shown(new)))
            case SparseTensor(), SparseTensor():
                is_same = old.shape == new.shape and same_content(old.values, new.values)
                if not is_same or not same_content(old.indices, new.indices):
                    details.append((name, _shown(old), _shown(new)))
            case tuple(), tuple() if _is_list(old) and _is_list(new) and len(old) == len(new):
                found: list[Change] = []
                own: list[tuple[str, str | None, str | None]] = []
                for one, other in zip(old, new, strict=True):
                    found += self._attribute(name, cast("AttributeItem", one), cast("AttributeItem", other), own)
                if own:
                    details.append((name, _shown(old), _shown(new)))
                return found
            case _:
                if (type(old), repr(old)) != (type(new), repr(new)):
                    details.append((name, _shown(old), _shown(new)))
        return ()


class _Flow:
    """Whether two inputs are the same, given what was put between operators, and what was taken away."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def is_same(self, old: Tensor | None, new: Tensor | None) -> bool:
        if old is None or new is None:
            return old is new
        pairs = self._matching.new_tensor
        if old in pairs:
            if pairs[old] is new:
                return True
        elif old.name == new.name and new not in self._matching.old_tensor:
            return True  # made by other operators, which are reported
        before = {old, *_behind(old, self._matching.new_of)}
        after = {new, *_behind(new, self._matching.old_of)}
        return (len(before) > 1 or len(after) > 1) and any(pairs.get(tensor) in after for tensor in before)


def _behind(tensor: Tensor, matched: Mapping[Operator, Operator]) -> Iterator[Tensor]:
    """The origin of a tensor: skips operators that the other model does not have."""
    seen: set[Tensor] = set()
    todo = [tensor]
    while todo:
        producer = todo.pop().producer
        if producer is None or producer in matched:
            continue
        for taken in producer.inputs:
            if taken is not None and taken not in seen:
                seen.add(taken)
                todo.append(taken)
                yield taken


def _weights(body: Body) -> Iterator[Parameter]:
    """Initializers; a constant is compared with its operator."""
    return (parameter for parameter in body.parameters if parameter.operator is None)


def _twins(
    old: Body, new: Body, matching: Matching
) -> tuple[list[tuple[Parameter, Parameter | None]], list[Parameter]]:
    """Each weight of the old body with that of the new one, or None; and the weights that only the new one has.

    Weights whose operators were matched are twins; of the others, those that have the same content are.
    """
    twins: dict[Parameter, Parameter | None] = {}
    for parameter in _weights(old):
        twin = matching.new_tensor.get(parameter.tensor)
        other = None if twin is None else twin.parameter
        twins[parameter] = None if other is None or other.operator is not None else other
    taken = set(twins.values())
    added = [parameter for parameter in _weights(new) if parameter not in taken]
    if added and None in taken:
        by_content: dict[tuple[str, str], list[Parameter]] = {}
        for parameter in reversed(added):
            by_content.setdefault((str(parameter.type), parameter.digest), []).append(parameter)
        for parameter in (parameter for parameter, other in twins.items() if other is None):
            if same := by_content.get((str(parameter.type), parameter.digest)):
                twins[parameter] = same.pop()
        taken = set(twins.values())
        added = [parameter for parameter in added if parameter not in taken]
    return list(twins.items()), added


def _parameter_change(kind: ChangeKind, parameter: Parameter) -> Change:
    text = f"{parameter.type}, {parameter.nbytes:,} bytes"
    details = ("content", None, text) if kind == "added" else ("content", text, None)
    body = parameter.tensor.body.path
    return Change(kind, "parameter", parameter.module.path, parameter.name, (details,), body=body)


def _change(kind: ChangeKind, operator: Operator, details: tuple[tuple[str, str | None, str | None], ...]) -> Change:
    return Change(kind, "operator", operator.module.path, operator.label, details, operator.op_type, operator.body.path)


def _compare(details: list[tuple[str, str | None, str | None]], what: str, old: str | None, new: str | None) -> None:
    if old != new:
        details.append((what, old, new))


def _compare_mappings(
    details: list[tuple[str, str | None, str | None]], what: str, old: Mapping[str, str], new: Mapping[str, str]
) -> None:
    for key in sorted(old.keys() | new.keys()):
        _compare(details, f"{what} {key}", old.get(key), new.get(key))


def _compare_types(details: list[tuple[str, str | None, str | None]], old: Tensor, new: Tensor) -> None:
    if old.parameter is None and new.parameter is None and old.type is not None and new.type is not None:
        _compare(details, f"type of {new.name}", str(old.type), str(new.type))


def _maker(tensor: Tensor) -> str:
    return tensor.producer.label if tensor.producer is not None else "(none)"


def _name(tensor: Tensor | None) -> str | None:
    return None if tensor is None else tensor.name


def _is_list(value: object) -> bool:
    return isinstance(value, tuple) and not hasattr(value, "_fields")


_SHOWN = 80


def _shown(value: AttributeValue) -> str:
    """The value of an attribute as a person reads it; small tensors with their elements."""
    if isinstance(value, TensorData):
        if value.size <= 8 and value.dtype != "STRING":
            return f"{value.dtype}{list(value.shape)} {value.numpy().tolist()}"
        return f"{value.dtype}{list(value.shape)} {value.digest[:16]}"
    text = str(attribute_json(value)) if not isinstance(value, Body) else f"{len(value.operators)} operators"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
