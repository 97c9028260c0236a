"""Measures where the time goes: onnxruntime's profile of a model, traced back through its fusions, summed by module."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import onnx

from graphml_onnx.codec.calls import MOST_TO_RUN, problem_of_calls
from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.graph.elements import Operator, innermost_around
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.macs import macs_of
from graphml_onnx.inputs.made import CannotRunError
from graphml_onnx.running.feed import Inputs
from graphml_onnx.running.sessions import onnx_file, open_session, run, session_options
from graphml_onnx.support.extras import require
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike

    from graphml_onnx.graph.elements import Module, Tensor
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.results import Progress
    from graphml_onnx.running.sessions import Session
    from graphml_onnx.support.strictjson import Json

RUNS = 5
"""Number of measured runs, after one for warm-up."""

_KERNEL = "_kernel_time"
_PROVIDER = "ExecutionProvider"
_ENDS = re.compile(r"[/_][^/_]*$")
_IN_FRONT = "InsertedPrecisionFreeCast_"  # suffixes of names of operators that run in another precision


@dataclass(frozen=True, slots=True)
class Time:
    """The time of a module, or of the operators of one type.

    Attributes:
        name: path of the module, or type of the operators as they ran.
        class_name: class of the module; empty for a type.
        depth: how many modules are around the module.
        operators: how many operators ran, as onnxruntime fused them.
        seconds: of one run, on average.
        share: of the time of all operators, from 0 to 1.
    """

    name: str
    class_name: str
    depth: int
    operators: int
    seconds: float
    share: float

    def to_dict(self) -> dict[str, Json]:
        """The time as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "depth"}


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time of a model goes, on average of some runs.

    Attributes:
        modules: the modules with their inner modules, each before those in it.
        types: the types of operators as they ran, the most expensive first.
        unassigned: operators that belong to no operator of the model, as a whole: copies and conversions.
        seconds: of all operators in one run.
        run_seconds: of one run from beginning to end, including onnxruntime's own work.
        runs: how many runs were measured.
        providers: the requested execution providers.
        inputs: shapes of the inputs.
    """

    modules: tuple[Time, ...]
    types: tuple[Time, ...]
    unassigned: Time
    seconds: float
    run_seconds: float
    runs: int
    providers: tuple[str, ...]
    inputs: Mapping[str, tuple[int, ...]]

    def to_dict(self) -> dict[str, Json]:
        """The times as JSON values."""
        return {
            "seconds": self.seconds,
            "run_seconds": self.run_seconds,
            "runs": self.runs,
            "providers": list(self.providers),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "modules": [time.to_dict() for time in self.modules],
            "types": [time.to_dict() for time in self.types],
            "unassigned": self.unassigned.to_dict(),
        }


def times(
    model: str | PathLike[str],
    *,
    providers: Sequence[str] = ("cpu",),
    input_data: Mapping[str, Array] | str | PathLike[str] | None = None,
    input_specs: JsonSource | None = None,
    sizes: Mapping[str, int] | None = None,
    runs: int = RUNS,
    metadata: str | PathLike[str] | Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Times:
    """Runs a model with onnxruntime's profiler and all its optimisations, and sums the operators' time by module.

    A fused operator counts for the innermost module around those of its original operators that multiply matrices, or
    around all of them if none does.

    Args:
        model: an ONNX or GraphML file.
        providers: execution providers, ``cuda`` for ``CUDAExecutionProvider``; the first capable one runs an operator.
        input_data: arrays by input name, or an ``.npz`` file of them.
        input_specs: descriptions of inputs to make, by name, as for `export`.
        sizes: sizes of dynamic dimensions by their names, for inputs that are made without a description.
        runs: how many runs are measured, after one for warm-up.
        metadata: HTP metadata, which say what the modules are.
        progress: called as the work goes on.

    Raises:
        UsageError: onnxruntime is not installed or lacks a provider, or inputs are given that the model does not have.
        ModelError: onnxruntime cannot run it.
        GraphmlOnnxError: the model cannot be read.
    """
    require("onnxruntime", "to run models")
    names = _providers(providers)
    inputs = Inputs.read(input_data, input_specs, sizes)
    with ExitStack() as stack:
        graph = stack.enter_context(open_graph(model, metadata=metadata))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="g2o-times-")))
        path = onnx_file(Path(model), folder)
        if (problem := problem_of_calls(graph._model, MOST_TO_RUN)) is not None:
            raise ModelError(f"onnxruntime cannot run it: {problem}", file=path)
        session, nodes = _profiled(path, folder, names)
        feed, _ = inputs.run(graph, lambda feed: run(session, feed))
        with Stage(progress, "run", runs, "steps") as stage:
            for _ in range(runs):
                run(session, feed)
                stage.advance(1)
        profile = Path(session.end_profiling())
        try:
            events = cast("list[dict[str, object]]", json.loads(profile.read_text("utf-8")))
        finally:
            profile.unlink()
        shapes = {name: array.shape for name, array in feed.items()}
        return _summed(graph, nodes, _Profile.of(events, runs), runs, names, shapes)


def _providers(wanted: Sequence[str]) -> tuple[str, ...]:
    import onnxruntime

    known = {name.removesuffix(_PROVIDER).lower(): name for name in onnxruntime.get_available_providers()}
    for name in wanted:
        if name.removesuffix(_PROVIDER).lower() not in known:
            raise UsageError(f"onnxruntime has no provider {name!r} here", remedy=f"it has {', '.join(known)}")
    return tuple(known[name.removesuffix(_PROVIDER).lower()] for name in wanted)


def _profiled(path: Path, folder: Path, providers: Sequence[str]) -> tuple[Session, Sequence[onnx.NodeProto]]:
    """A session that writes a profile, and the nodes that it runs, if it can list them."""
    optimised = folder / "optimised.onnx"

    def opened(saved: Path | None) -> Session:
        options = session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        if saved is not None:
            options.optimized_model_filepath = str(saved)
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
        return open_session(path, options, providers)

    try:
        session = opened(optimised)
    except CannotRunError:  # a provider that compiles its part cannot save the model
        try:
            return opened(None), []
        except CannotRunError as error:
            raise ModelError(f"onnxruntime cannot run it: {error}", file=path) from error
    return session, list(onnx.load(str(optimised), load_external_data=False).graph.node)


class _Event(NamedTuple):
    """An operator that ran, with its time in one run on average."""

    name: str
    op_type: str
    seconds: float


class _Span(NamedTuple):
    """An entry of the profile for an operator or a run, in microseconds."""

    begin: int
    end: int
    name: str
    op_type: str


def _spans(events: Iterable[Mapping[str, object]], end: str) -> list[_Span]:
    """The spans whose names end so, without that end, in the order in which they begin; each before those in it."""
    found = []
    for event in events:
        name = str(event["name"])
        if name.endswith(end):
            begin, arguments = cast("int", event["ts"]), cast("dict[str, object]", event.get("args") or {})
            span = _Span(
                begin, begin + cast("int", event["dur"]), name.removesuffix(end), str(arguments.get("op_name"))
            )
            found.append(span)
    return sorted(found, key=lambda span: (span.begin, -span.end))


class _Profile(NamedTuple):
    """The operators that ran, in order, and the seconds of a whole run, both on average."""

    events: Sequence[_Event]
    run_seconds: float

    @classmethod
    def of(cls, events: Sequence[Mapping[str, object]], runs: int) -> _Profile:
        """Reads onnxruntime's profile; the last ``runs`` runs count."""
        whole = _spans(events, "model_run")[-runs:]
        kernels = _spans(events, _KERNEL)
        sums: list[_Event] = []
        for span in whole:
            found = [_Event(s.name, s.op_type, (s.end - s.begin) / runs / 1e6) for s in _outermost(kernels, span)]
            is_same = [event.name for event in found] == [event.name for event in sums]
            if is_same:
                sums = [old._replace(seconds=old.seconds + new.seconds) for old, new in zip(sums, found, strict=True)]
            else:
                sums += found
        return cls(sums, sum(span.end - span.begin for span in whole) / runs / 1e6)


def _outermost(kernels: Iterable[_Span], around: _Span) -> Iterator[_Span]:
    """The operators of one run; those of bodies are within the time of their operator."""
    end = around.begin
    for span in kernels:
        if around.begin <= span.begin and span.end <= around.end and span.end > end:
            yield span
            end = span.end


class _Places:
    """The modules of the operators that ran.

    A fused operator replaces all operators between its inputs and outputs in the model. A tensor of onnxruntime's own
    corresponds to one of the model: its operator is named after an operator or a tensor of the model, or converts its
    input to another type or layout.
    """

    def __init__(self, graph: ModelGraph, nodes: Sequence[onnx.NodeProto]) -> None:
        self._tensors = dict(graph.main.tensors)
        self._operators = {operator.name: operator for operator in graph.operators if operator.name}
        self._makers: dict[str, Module] = {}
        self._found: dict[int, Module] = {}
        for number, node in enumerate(nodes):
            module = self._replaced(node) or self.named(node.name) or _first(self._makers, node.input)
            if module is not None:
                self._take(number, node, module)
        takers: dict[str, Module] = {}
        for number, module in self._found.items():
            takers = dict.fromkeys(nodes[number].input, module) | takers
        for number, node in enumerate(nodes):
            if number not in self._found and (module := _first(takers, node.output)) is not None:
                self._take(number, node, module)

    def _take(self, number: int, node: onnx.NodeProto, module: Module) -> None:
        self._found[number] = module
        self._makers |= dict.fromkeys(node.output, module)

    def of(self, number: int) -> Module | None:
        """The module of the node of this number."""
        return self._found.get(number)

    def _replaced(self, node: onnx.NodeProto) -> Module | None:
        """The innermost module around the operators between the node's inputs and outputs.

        If some multiply matrices, only these count: operators fused to them take hardly any time.
        """
        ends = {self._tensors[name] for name in node.input if name in self._tensors}
        made = [self._tensors[name] for name in node.output if name in self._tensors] or self._stands_for(node)
        covered: dict[Operator, None] = {}
        todo = [tensor for tensor in made if tensor not in ends]
        while todo:
            tensor = todo.pop()
            maker = tensor.producer
            if maker is not None and tensor.parameter is None and maker not in covered:
                covered[maker] = None
                todo += [taken for taken in maker.inputs if taken is not None and taken not in ends]
        heavy = [operator for operator in covered if macs_of(operator) != 0]
        working = [operator for operator in covered if operator.op_type != "Identity"]
        return innermost_around(operator.module for operator in heavy or working or covered)

    def _stands_for(self, node: onnx.NodeProto) -> Sequence[Tensor]:
        """The tensors of the model for a node's tensors with new names."""
        taken = next((self._tensors[name] for name in node.input if name in self._tensors), None)
        found = self._called(node.name)
        if found is None and taken is not None:
            found = next((operator for operator in taken.consumers if operator.op_type == node.op_type), taken)
        if isinstance(found, Operator):
            made = [tensor for tensor in found.outputs if tensor is not None]
        else:
            made = [] if found is None else [found]
        self._tensors.update(zip(node.output, made, strict=False))
        return made

    def named(self, name: str) -> Module | None:
        """The module of the operator or tensor whose name is a prefix of this name."""
        found = self._called(name)
        operator = found if isinstance(found, Operator) or found is None else found.producer
        return None if operator is None else operator.module

    def _called(self, name: str) -> Operator | Tensor | None:
        name = name.removeprefix(_IN_FRONT)
        while name:
            found = self._operators.get(name) or self._tensors.get(name)
            if found is not None:
                return found
            shorter = _ENDS.sub("", name)
            name = shorter if shorter != name else ""
        return None


def _first(modules: Mapping[str, Module], names: Iterable[str]) -> Module | None:
    return next((modules[name] for name in names if name in modules), None)


def _summed(
    graph: ModelGraph,
    nodes: Sequence[onnx.NodeProto],
    profile: _Profile,
    runs: int,
    providers: tuple[str, ...],
    inputs: Mapping[str, tuple[int, ...]],
) -> Times:
    places = _Places(graph, nodes)
    events = profile.events
    in_order = [node.op_type for node in nodes] == [event.op_type for event in events]  # independent of their names
    by_name = {node.name: number for number, node in enumerate(nodes)}
    own: dict[Module | None, list[_Event]] = {}
    by_type: dict[str, list[_Event]] = {}
    for number, event in enumerate(events):
        place = number if in_order else by_name.get(event.name)
        module = places.named(event.name) if place is None else places.of(place)
        own.setdefault(module, []).append(event)
        by_type.setdefault(event.op_type, []).append(event)
    whole = sum(event.seconds for event in events)

    def time(name: str, class_name: str, depth: int, found: Sequence[_Event]) -> Time:
        seconds = sum(event.seconds for event in found)
        return Time(name, class_name, depth, len(found), seconds, seconds / whole if whole else 0.0)

    inside: dict[Module, list[_Event]] = {}
    modules = [*graph.root.walk()]
    for module in reversed(modules):
        inside[module] = [*own.get(module, ()), *(event for child in module.children for event in inside[child])]
    types = sorted((time(name, "", 0, found) for name, found in by_type.items()), key=lambda t: -t.seconds)
    return Times(
        modules=tuple(time(m.path, m.class_name, m.depth, inside[m]) for m in modules if inside[m]),
        types=tuple(types),
        unassigned=time("", "", 0, own.get(None, ())),
        seconds=whole,
        run_seconds=profile.run_seconds,
        runs=runs,
        providers=providers,
        inputs=inputs,
    )
